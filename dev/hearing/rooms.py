"""Rooms that speech is convolved with: half of them synthetic, half measured in houses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import Generator

from cache import RATE, read_pieces
from wordspot.audio.effects import reverberate, rms, room_impulse
from wordspot.audio.samples import Samples, to_float32

_BEFORE = 32  # samples kept before the direct sound


class Rooms:
    """Draws room impulse responses."""

    def __init__(self, cache: Path, rng: Generator) -> None:
        self._rng = rng
        self._audio, self._measured = np.load(cache / "rooms.npy"), read_pieces(cache, "rooms")

    def impulse(self) -> Samples:
        """A room impulse response, at most a second: float32 [taps]."""
        if not self._measured or self._rng.uniform() < 0.5:
            return room_impulse(RATE, self._rng)
        piece = self._measured[self._rng.integers(len(self._measured))]
        response = to_float32(self._audio[piece.start : piece.stop])
        loudest = int(np.abs(response).argmax())
        response = response[max(loudest - _BEFORE, 0) : loudest + RATE]
        return response / np.abs(response).max()

    def place(self, audio: Samples) -> Samples:
        """`audio` in a random room, as long and as loud: float32 [samples]."""
        wet = reverberate(audio, self.impulse())[: len(audio)]
        return wet * np.float32(rms(audio) / rms(wet))
