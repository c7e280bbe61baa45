"""Decoded recordings of one set in a single array: the material for the scenes of the task `trigger`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import loop_noise
from wordspot.audio.samples import Samples, to_float32
from wordspot.data.reader import DecodedRecording


@dataclass(frozen=True)
class Bank:
    """Recordings concatenated in one array, which is fast to pass to another process.

    samples: int16 [total]. starts: int64 [n + 1], recording i is samples[starts[i] : starts[i + 1]].
    speech: int64 [n, 2], where in its recording the word begins and ends.
    """

    samples: NDArray[np.int16]
    starts: NDArray[np.int64]
    speech: NDArray[np.int64]
    paths: tuple[str, ...]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def audio(self, position: int) -> Samples:
        """A recording: float32 [samples]."""
        return to_float32(self.samples[self.starts[position] : self.starts[position + 1]])

    @cached_property
    def by_word(self) -> dict[str, NDArray[np.int64]]:
        """The positions of each word's recordings."""
        words = np.array(self.words)
        return {word: np.flatnonzero(words == word) for word in dict.fromkeys(self.words)}

    @cached_property
    def fragmentable(self) -> NDArray[np.int64]:
        """The positions of the words that are not much longer than most, so that a fragment of one is truly truncated."""
        lengths = self.speech[:, 1] - self.speech[:, 0]
        return np.flatnonzero(lengths <= 1.5 * np.median(lengths)) if len(lengths) else np.zeros(0, np.int64)


@dataclass(frozen=True)
class TriggerMaterial:
    """What the scenes of one set are made of."""

    sample_rate: int
    positives: Bank
    negatives: Bank
    backgrounds: Bank

    @property
    def background_seconds(self) -> float:
        """How much background there is before any of it repeats."""
        return len(self.backgrounds.samples) / self.sample_rate

    def cut_background(self, n_samples: int, rng: Generator) -> Samples:
        """A random piece of a random background: float32 [n_samples]; a shorter one is looped, see `loop_noise`."""
        bank = self.backgrounds
        position = int(rng.integers(len(bank)))
        start, stop = int(bank.starts[position]), int(bank.starts[position + 1])
        free = stop - start - n_samples
        if free >= 0:
            start += int(rng.integers(free + 1))
            return to_float32(bank.samples[start : start + n_samples])
        phase = int(rng.integers(stop - start))
        return loop_noise(to_float32(bank.samples[start:stop]), n_samples + phase, self.sample_rate)[phase:]


def make_bank(decoded: Sequence[DecodedRecording]) -> Bank:
    lengths = [len(one.samples) for one in decoded]
    return Bank(
        np.concatenate([np.zeros(0, np.int16), *(one.samples for one in decoded)]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([one.speech for one in decoded], np.int64).reshape(-1, 2),
        tuple(one.recording.path for one in decoded),
        tuple(one.recording.word for one in decoded),
    )
