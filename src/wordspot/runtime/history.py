"""A buffer of a stream's last seconds, from which the audio of a detection is taken."""

from __future__ import annotations

from collections import deque

import numpy as np

from wordspot.audio.samples import Samples


class History:
    """Keeps the last samples of a stream.

    Args:
        most: number of samples that must be available; up to one block more is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._blocks: deque[Samples] = deque()
        self._n_kept = self._n_fed = 0

    def __len__(self) -> int:
        """How many samples are kept."""
        return self._n_kept

    @property
    def start(self) -> int:
        """The position in the stream, in samples, of the first sample that is kept."""
        return self._n_fed - self._n_kept

    def feed(self, audio: Samples) -> None:
        """Add the next samples of the stream: float32 [samples]."""
        self._blocks.append(audio)
        self._n_kept += len(audio)
        self._n_fed += len(audio)
        while self._n_kept - len(self._blocks[0]) >= self._most:
            self._n_kept -= len(self._blocks.popleft())

    def samples(self) -> Samples:
        """All that is kept: float32 [samples]."""
        return np.concatenate([np.zeros(0, np.float32), *self._blocks])
