"""Batches of training scenes: features, labels every 40 ms, and the teacher's frames."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache import IGNORE
from scene_audio import Item, SceneAudio, SceneConfig
from scene_features import SceneFeatures
from scene_labels import HOP, WINDOW, label_windows
from scene_targets import SceneTargets, Targets
from wordspot.audio.effects import rms
from wordspot.audio.noise import from_db
from wordspot.audio.samples import Samples

#: Frames from one labelled window to the next.
STRIDE = 4
_MAX_ITEMS = 48
_NOWHERE = Item(-(10**7), -(10**7), IGNORE, IGNORE, IGNORE, -1)


class Batch(NamedTuple):
    """features: float32 [batch, frames, 40]. labels, classes, rows: int64 [batch, windows], see `label_windows`. items: int64
    [batch, items, 6], see `Item`."""

    features: Tensor
    labels: Tensor
    classes: Tensor
    rows: Tensor
    targets: Targets | None
    items: NDArray[np.int64]


class Scenes:
    """Draws batches.

    Args:
        cache: with all that the other scripts wrote.
        config: what scenes consist of.
        n_window_frames: of the model's window.
        n_frames: of a scene.
        batch: scenes in a batch.
        seed: of all draws.
        context: frames that the body's convolutions drop, if the teacher's frames are wanted.
        warp: see `SceneFeatures`.
        recent: see `label_windows`.
    """

    def __init__(
        self,
        cache: Path,
        config: SceneConfig,
        n_window_frames: int,
        n_frames: int,
        batch: int,
        seed: int,
        context: int | None,
        warp: float = 0.0,
        recent: int = 0,
    ) -> None:
        self._rng, self._config, self._batch = np.random.default_rng(seed), config, batch
        self._n_window, self._recent = n_window_frames, recent
        encoded = None if context is None else np.load(cache / "teacher_sentences_at.npy") >= 0
        self._audio = SceneAudio(cache, config, WINDOW + HOP * (n_frames - 1), self._rng, encoded)
        self._noise = np.load(cache / "noise.npy")
        self._features = SceneFeatures(self._rng, warp)
        self._ends = np.arange(n_window_frames - 1, n_frames, STRIDE)
        self.n_classes, self.vocabulary = 2 + len(self._audio.names), self._audio.vocabulary
        self._targets = None
        if context is not None:
            self._targets = SceneTargets(cache, n_frames, context, n_window_frames, len(self._ends))

    def batch(self) -> Batch:
        """A new batch."""
        audio = np.zeros((self._batch, self._audio.n_samples), np.float32)
        items = np.tile(np.array(_NOWHERE, np.int64), (self._batch, _MAX_ITEMS, 1))
        all_links = []
        for scene, samples in enumerate(audio):
            found, links, levels = self._audio.draw(samples)
            inside = [item for item in found if item.stop > 0 and item.first < len(samples)][:_MAX_ITEMS]
            if inside:
                items[scene, : len(inside)] = inside
            self._add_noise(samples, levels)
            all_links.append(links)
        labels = label_windows(items, self._ends, self._n_window, self.n_classes, self._recent)
        targets = self._targets(all_links) if self._targets else None
        return Batch(self._features(torch.from_numpy(audio)), *map(torch.from_numpy, labels), targets, items)

    def _add_noise(self, audio: Samples, levels: list[float]) -> None:
        """Noise in 85 % of the scenes and in all without words; hiss of -100 to -65 dB in half of them. In place."""
        rng = self._rng
        if rng.uniform() < 0.85 or not levels:
            start = rng.integers(len(self._noise) - len(audio))
            piece = self._noise[start : start + len(audio)]
            level = float(np.mean(levels)) if levels else 0.05 * 10 ** rng.uniform(-1.5, 0.5)
            snr_db = rng.uniform(*self._config.snr_db) if levels else 0.0
            audio += piece * np.float32(level * from_db(-snr_db) / max(rms(piece), 1e-5))
        if rng.uniform() < 0.5:
            audio += rng.standard_normal(len(audio), dtype=np.float32) * np.float32(from_db(rng.uniform(-100, -65)))
