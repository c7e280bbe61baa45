"""Parts of recordings of speech for scenes: as they are, or changed in speed and by rooms.

Sentences are long, and a scene takes a second or two of one. So a part is cut out first and changed then, anew each time: to
change all sentences in a few ways takes longer than to train on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from wordspot.config import AugmentConfig
from wordspot.training.scenes.copies import AS_IT_IS, Recording, change, has_changes

_LEAD_S = 0.2  # of sound before a part, whose reverberation is in it


class Excerpts:
    """Draws recordings and parts of them.

    Args:
        read: gives the recording of a number.
        n: how many there are.
        config: the range of speeds, and which part is in a room.
        sample_rate: in Hz.
    """

    def __init__(self, read: Callable[[int], Recording], n: int, config: AugmentConfig, sample_rate: int) -> None:
        self._read, self._n, self._config, self._sample_rate = read, n, config, sample_rate
        self._kept: dict[int, Recording] = {}

    def __len__(self) -> int:
        return self._n

    def recording(self, number: int) -> Recording:
        """The entire recording of a number."""
        if number not in self._kept:
            self._kept[number] = self._read(number)
        return self._kept[number]

    def draw(self, rng: Generator) -> Recording:
        """A random recording."""
        return self.recording(int(rng.integers(self._n)))

    def cut(self, recording: Recording, begin: int, end: int, rng: Generator) -> Recording:
        """The samples `begin` to `end` of a recording, perhaps changed, and the words of which some is in them."""
        changed = has_changes(self._config) and rng.uniform() >= AS_IT_IS
        lead = min(int(_LEAD_S * self._sample_rate), begin) if changed else 0
        start = begin - lead
        words = recording.words[(recording.words[:, 1] > begin) & (recording.words[:, 0] < end)] - np.array([start, start, 0])
        part = Recording(recording.samples[start:end], words)
        if changed:
            part = change(part, self._config, self._sample_rate, rng)
            lead = round(lead * len(part.samples) / (end - start))
        return Recording(part.samples[lead:], part.words - np.array([lead, lead, 0]))
