"""The teacher's frames along a scene: what the body learns to predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache import N_COMPONENTS
from scene_audio import Link
from scene_labels import HOP, WINDOW
from teacher import CLIP_FRAMES, FRAME

DELAY = 4000  # the body predicts the frame a quarter of a second ago
_EDGE = 160  # samples at either end of a part without a target
_LEAST = 10  # frames of a window that must have a target
_STRIDE = 2  # of the teacher's frames, which are 20 ms apart, between windows


class Targets(NamedTuple):
    """frames: [batch, n, 64] for every other frame of the body. windows: [batch, windows, 128], mean and maximum.

    The masks [batch, n] and [batch, windows] tell which exist.
    """

    frames: Tensor
    frames_mask: Tensor
    windows: Tensor
    windows_mask: Tensor


class SceneTargets:
    """Looks up the components that `teacher_frames.py` wrote."""

    def __init__(self, cache: Path, n_frames: int, context: int, n_window_frames: int, n_windows: int) -> None:
        self._clips = np.load(cache / "pca_clips.npy", mmap_mode="r")
        self._sentences = np.load(cache / "pca_sentences.npy", mmap_mode="r")
        self._starts = np.load(cache / "teacher_sentences_starts.npy")
        self._n_frames, self._context = n_frames, context
        self._wide, self._n_windows = n_window_frames * HOP // FRAME, n_windows

    def __call__(self, all_links: Sequence[Sequence[Link]]) -> Targets:
        n = (WINDOW + HOP * (self._n_frames - 1)) // FRAME
        line, known = np.zeros((len(all_links), n, N_COMPONENTS), np.float32), np.zeros((len(all_links), n), bool)
        for scene, links in enumerate(all_links):
            for link in links:
                self._follow(link, line[scene], known[scene])
        body = np.arange(0, self._n_frames - self._context, 2)
        source = ((body + self._context) * HOP + WINDOW - DELAY) // FRAME
        exists = source >= 0
        frames, mask = line[:, source.clip(0)], known[:, source.clip(0)] & exists
        return Targets(torch.from_numpy(frames), torch.from_numpy(mask), *self._pool(line, known))

    def _follow(self, link: Link, line: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        """Fill in the frames of one part of a scene."""
        centres = np.arange(len(line)) * FRAME + FRAME // 2
        at = np.flatnonzero((centres >= link.start + _EDGE) & (centres < link.stop - _EDGE))
        frame = ((centres[at] - link.start + link.offset) * link.speed / FRAME).astype(int)
        if link.is_sentence:
            source = self._sentences[self._starts[link.number] : self._starts[link.number + 1]]
        else:
            source = self._clips[link.number]
            assert len(source) == CLIP_FRAMES
        inside = (frame >= 0) & (frame < len(source))
        line[at[inside]], known[at[inside]] = source[frame[inside]], True

    def _pool(self, line: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Mean and maximum of the known frames of each window: [batch, windows, 128] and its mask."""
        x, mask = torch.from_numpy(line).transpose(1, 2), torch.from_numpy(known)[:, None]
        pool = torch.nn.functional.avg_pool1d
        n = pool(mask.float(), self._wide, _STRIDE)[..., : self._n_windows] * self._wide
        mean = pool(x * mask, self._wide, _STRIDE)[..., : self._n_windows] * self._wide / n.clamp(min=1)
        top = torch.nn.functional.max_pool1d(x.masked_fill(~mask, -1e4), self._wide, _STRIDE)[..., : self._n_windows]
        enough = n >= _LEAST
        return (torch.cat([mean, top], dim=1) * enough).transpose(1, 2), enough[:, 0]
