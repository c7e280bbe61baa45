"""Hard places of speech and noise: where a network in training detects a word that nobody says. Later scenes are cut around them.

Hours of speech hold a few moments that sound like a word of the model. Drawn at random, they are in one scene of thousands, too
rarely for the network to learn that they are no word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.config import FeatureConfig
from wordspot.labels import UNKNOWN
from wordspot.training.loss import IGNORED
from wordspot.training.scenes.copies import Recording

#: A posterior above this is a detection: lower than a finished model's threshold, since what is nearly detected is hard too.
DETECTED = 0.3
_PIECE_S = 30.0  # speech that the network is run on at once, in batches of:
_BATCH = 8
_APART_S = 1.0  # of detections that are nearer to each other, the highest counts
_MOST = 400

#: float64 [places, 2]: the number of a recording, and where a window with a detection ends in it, from 0 to 1.
Places = NDArray[np.float64]


class Recordings(Protocol):
    """Gives recordings by number."""

    def __len__(self) -> int: ...

    def __call__(self, place: int, /) -> Recording: ...


def no_places() -> Places:
    """No hard places."""
    return np.zeros((0, 2))


def find_hard_places(
    network: nn.Module,
    front_end: nn.Module,
    recordings: Recordings,
    features: FeatureConfig,
    stride: int,
    device: torch.device,
    searched: Callable[[int], None] | None = None,
) -> Places:
    """Where the network detects one of its words in recordings, at most 400 places, of those with the highest posteriors.

    Args:
        network: a `models.streaming.SceneNetwork`; it is put into evaluation mode.
        front_end: audio to features.
        recordings: they hold none of the words, except where their labels say so.
        features: of the network's input.
        stride: frames from one window to the next.
        device: of the network.
        searched: called after each batch of pieces with the number of pieces in it; see `n_pieces`.
    """
    network.eval()
    hop, clip = stride * features.hop_samples, features.clip_samples
    pieces, found = _Pieces(recordings, features, stride), []
    for audio, begins in pieces:
        with torch.inference_mode():
            sound = torch.from_numpy(audio).to(device).float().div_(32768)
            logits = network.windows(front_end(sound), stride)  # type: ignore[operator]
            words = torch.softmax(logits.float(), dim=-1)[..., UNKNOWN + 1 :].amax(dim=-1).cpu().numpy()
        ends = begins[:, None] + clip + hop * np.arange(words.shape[1])
        found += list(zip(words[words > DETECTED], ends[words > DETECTED], strict=True))
        if searched is not None:
            searched(len(begins))
    return pieces.places(_highest(found, int(_APART_S * features.sample_rate)))


def n_pieces(recordings: Recordings, features: FeatureConfig, stride: int) -> int:
    """How many pieces `find_hard_places` searches."""
    return len(_Pieces(recordings, features, stride))


def _highest(found: list[tuple[float, int]], apart: int) -> list[int]:
    """The samples of the highest detections, none less than `apart` from a higher one."""
    kept: list[int] = []
    for _, sample in sorted(found, key=lambda one: (-one[0], one[1])):
        if len(kept) < _MOST and all(abs(sample - other) >= apart for other in kept):
            kept.append(int(sample))
    return kept


class _Pieces:
    """All recordings end to end, in overlapping pieces of equal length: every window is in one of them."""

    def __init__(self, recordings: Recordings, features: FeatureConfig, stride: int) -> None:
        hop, clip, length = stride * features.hop_samples, features.clip_samples, int(_PIECE_S * features.sample_rate)
        self._recordings, self._clip = recordings, clip
        self._bounds = np.cumsum([0, *(len(recordings(place).samples) for place in range(len(recordings)))])
        self._length = clip + (max(length - clip, 0) // hop) * hop
        self._step = self._length - clip + hop

    def __len__(self) -> int:
        return -(-int(self._bounds[-1]) // self._step)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int16], NDArray[np.int64]]]:
        """Audio int16 [batch, samples], and the first sample of each piece: int64 [batch]."""
        begins = self._step * np.arange(len(self))
        for start in range(0, len(begins), _BATCH):
            chosen = begins[start : start + _BATCH]
            yield np.stack([self._cut(int(begin)) for begin in chosen]), chosen

    def _cut(self, begin: int) -> NDArray[np.int16]:
        """The samples from `begin` on, with zeros after the last recording."""
        audio = np.zeros(self._length, np.int16)
        for place in range(int(np.searchsorted(self._bounds, begin, "right")) - 1, len(self._recordings)):
            first = int(self._bounds[place]) - begin
            if first >= self._length:
                break
            samples = self._recordings(place).samples[max(-first, 0) : self._length - first]
            audio[max(first, 0) : max(first, 0) + len(samples)] = samples
        return audio

    def places(self, samples: list[int]) -> Places:
        """Samples of all recordings as hard places; not those in windows that hold a word of the model."""
        found = []
        for sample in samples:
            number = min(int(np.searchsorted(self._bounds, sample, "left")) - 1, len(self._recordings) - 1)
            recording, end = self._recordings(number), sample - self._bounds[number]
            words = recording.words
            counts = (words[:, 2] != IGNORED) | (words[:, 1] < end - self._clip) | (words[:, 0] > end)
            if counts.all():
                found.append((number, min(end / len(recording.samples), 1.0)))
        return np.array(found, float).reshape(-1, 2)
