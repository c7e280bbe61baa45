"""The loss of phones: each word of a scene says which sounds follow each other between its bounds; elsewhere is silence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phones import encode, inventory, pronounce
from scene_labels import HOP, WINDOW
from scene_targets import DELAY

_AROUND = (160, 640)  # samples before and after a word of a sentence, or of a clip, in which its sounds may lie
_QUIET = 1600  # samples away from all words that are surely silent
_BLANK_PENALTY = 2.0  # of silence within a word, natural logarithm
_SILENCE_WEIGHT = 0.3
_STEP = 2 * HOP


class Segment(NamedTuple):
    """A word: frames [start, stop) of a scene, those at either end that may be silent, and its sounds as numbers."""

    scene: int
    start: int
    stop: int
    edge: int
    sounds: list[int]


class PhoneLoss:
    """Connectionist temporal classification (Graves et al. 2006) of every whole word by itself, with silence as the blank.

    Args:
        vocabulary: the words that `Item.word` counts.
        context: frames that the body drops at the beginning.
    """

    def __init__(self, vocabulary: Sequence[str], context: int) -> None:
        spoken = pronounce(vocabulary)
        self.names = inventory(spoken[word] for word in vocabulary)
        self.sounds = [encode(spoken[word], self.names) for word in vocabulary]
        self._first = context * HOP + WINDOW - DELAY  # the sample that the first frame tells of

    def __call__(self, logits: Tensor, items: NDArray[np.int64]) -> tuple[Tensor, float]:
        """logits [batch, frames, sounds], one every 20 ms; items [batch, items, 6]. The loss of a sound, with and without that of
        silence."""
        log_p = logits.log_softmax(2)
        spoken = self._spoken(log_p, list(self._segments(items, logits.shape[1])))
        quiet = torch.from_numpy(self._quiet(items, logits.shape[1]))
        silence = -(log_p[:, :, 0] * quiet).sum() / quiet.sum().clamp(min=1)
        return spoken + _SILENCE_WEIGHT * silence, spoken.item()

    def _spoken(self, log_p: Tensor, segments: list[Segment]) -> Tensor:
        if not segments:
            return torch.zeros(())
        scene, start, stop, edge = (torch.tensor([one[column] for one in segments]) for column in range(4))
        lengths, sizes = stop - start, torch.tensor([len(one.sounds) for one in segments])
        place = torch.arange(int(lengths.max()))[:, None]  # [frames of the longest, 1]
        said = log_p[scene, (start + place).clamp(max=log_p.shape[1] - 1)]
        inside = (place >= edge) & (place < lengths - edge)
        said = torch.cat([said[:, :, :1] - _BLANK_PENALTY * inside[:, :, None], said[:, :, 1:]], dim=2)
        sounds = torch.tensor([sound for one in segments for sound in one.sounds])
        loss: Tensor = nn.functional.ctc_loss(said, sounds, lengths, sizes, reduction="sum", zero_infinity=True)
        return loss / len(sounds)

    def _segments(self, items: NDArray[np.int64], n: int) -> Iterator[Segment]:
        for scene, one in enumerate(items):
            for first, stop, _, _, row, word in one[one[:, 5] >= 0].tolist():
                sounds, around = self.sounds[word], _AROUND[row >= 0]
                start, end = (first - around - self._first) // _STEP, (stop + around - self._first) // _STEP + 1
                repeats = sum(x == y for x, y in itertools.pairwise(sounds))
                if sounds and start >= 0 and end <= n and end - start >= len(sounds) + repeats:
                    yield Segment(scene, start, end, around // _STEP, sounds)

    def _quiet(self, items: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
        told = self._first + _STEP * np.arange(n)
        near = (told >= items[:, :, 0, None] - _QUIET) & (told < items[:, :, 1, None] + _QUIET)
        return ~near.any(axis=1) & (told >= 0)
