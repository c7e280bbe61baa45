"""Recordings for scenes: as they are, and changed in speed and by rooms. Each change is made once, when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import change_speed, reverberate, rms, room_impulse
from wordspot.audio.samples import to_float32, to_int16
from wordspot.config import AugmentConfig

#: Odds of a recording without a change.
AS_IT_IS = 0.35
_MOST_COPIES = 20  # of a recording
_COPIES = 30_000  # of all recordings together
_MOST_BYTES = 1 << 30  # that are kept
_SHORTEST_RT60 = 0.25  # of the longest


class Recording(NamedTuple):
    """A recording: int16 [samples], and its words: int64 [words, 3], first sample, the one after the last, label."""

    samples: NDArray[np.int16]
    words: NDArray[np.int64]


class Copies:
    """Draws recordings.

    A copy depends on the seed, the recording and the copy's number alone, so that a resumed run draws the same.

    Args:
        read: gives the recording of a number.
        n: how many there are.
        config: the range of speeds, and which part is in a room.
        sample_rate: in Hz.
        seed: of all changes.
    """

    def __init__(
        self,
        read: Callable[[int], Recording],
        n: int,
        config: AugmentConfig,
        sample_rate: int,
        seed: int,
    ) -> None:
        self._read, self._config, self._sample_rate, self._seed = read, config, sample_rate, seed
        self._n_copies = min(max(_COPIES // max(n, 1), 1), _MOST_COPIES) if has_changes(config) else 0
        self._kept: dict[tuple[int, int], Recording] = {}
        self._n_bytes = 0

    def draw(self, number: int, rng: Generator) -> Recording:
        """The recording of this number, or a copy of it."""
        changed = self._n_copies > 0 and rng.uniform() >= AS_IT_IS
        version = 1 + int(rng.integers(self._n_copies)) if changed else 0
        return self._get(number, version)

    def _get(self, number: int, version: int) -> Recording:
        kept = self._kept.get((number, version))
        if kept is None:
            kept = self._change(number, version) if version else self._read(number)
            if not version or self._n_bytes < _MOST_BYTES:
                self._kept[number, version] = kept
                self._n_bytes += kept.samples.nbytes if version else 0
        return kept

    def _change(self, number: int, version: int) -> Recording:
        return change(self._get(number, 0), self._config, self._sample_rate, np.random.default_rng([self._seed, number, version]))


def has_changes(config: AugmentConfig) -> bool:
    """Whether `change` does anything."""
    return config.speed > 0 or config.room_frequency > 0


def change(recording: Recording, config: AugmentConfig, sample_rate: int, rng: Generator) -> Recording:
    """The recording at a random speed, perhaps in a room, and its words at their places."""
    speed = rng.uniform(1 - config.speed, 1 + config.speed)
    audio = change_speed(to_float32(recording.samples), speed)
    if len(audio) and rng.uniform() < config.room_frequency:
        longest = config.room_ms / 1000
        wet = reverberate(audio, room_impulse(sample_rate, rng, (_SHORTEST_RT60 * longest, longest)))[: len(audio)]
        audio = wet * np.float32(rms(audio) / rms(wet))
    words = recording.words.copy()
    words[:, :2] = (words[:, :2] / speed).astype(np.int64)
    return Recording(to_int16(audio), words)
