"""Batches of windows whose targets are a teacher's: see `wordspot.data.guidance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import rms
from wordspot.audio.noise import from_db
from wordspot.audio.samples import Samples, to_float32
from wordspot.config import RunConfig
from wordspot.data.cache import DecodedClips
from wordspot.data.clips import ClipSet
from wordspot.data.guidance import SAMPLE_RATE, Guidance, cut_piece
from wordspot.data.speech import Speech
from wordspot.errors import DataError
from wordspot.labels import normalize_word
from wordspot.training.noise import cut_noise
from wordspot.training.scenes.copies import Copies, Recording

_PURPOSE = 3  # of random numbers: the last number of a step's seed; see `trainer`
_N_WINDOWS = 48  # of a batch
_SNR_DB, _LEVEL_DB = (0.0, 35.0), (-30.0, 0.0)  # of the noise, and of the peak
_FAINT = 1e-5


class GuidedBatches:
    """Draws windows of training recordings with the teacher's targets, each batch from (seed, step).

    Recordings change in speed and by rooms as those of scenes do, which should not change what the teacher says. One that is
    shorter than the window stands anywhere in it. Noise is added at 0 to 35 dB below it, and the peak is at
    -30 to 0 dB. Recordings of the folder that are not for training, or that are gone, are left out.

    Args:
        config: of the run.
        guidance: of the folder.
        decoded: the folder's recordings.
        clips: the training set.
        speech: for training, or None.
        noise: pieces of noise, int16; see `training_noise`.

    Raises:
        DataError: the guidance is of other words, other speech or another sample rate, or of none of these recordings.
    """

    def __init__(
        self,
        config: RunConfig,
        guidance: Guidance,
        decoded: DecodedClips,
        clips: ClipSet,
        speech: Speech | None,
        noise: Sequence[NDArray[np.int16]],
    ) -> None:
        if [normalize_word(word) for word in guidance.words] != [normalize_word(word) for word in config.words]:
            raise DataError(f"the teacher's targets are of {', '.join(guidance.words)}, not of {', '.join(config.words)}")
        _check_speech(guidance, speech, config.features.sample_rate)
        self._seed, self._rate = config.training.seed, config.features.sample_rate
        self._n_samples, self._noise = config.features.clip_samples, list(noise)
        self._pieces, rows = list[NDArray[np.int16]](), list[int]()
        for row, piece in _pieces_of(guidance, decoded, clips, speech, self._n_samples):
            self._pieces.append(piece)
            rows.append(row)
        self._copies = Copies(self._read, len(rows), config.augment, self._rate, self._seed)
        weights = guidance.weights[rows].astype(np.float64)
        if not weights.sum() > 0:
            raise DataError("the teacher's targets are of none of these recordings; begin the project anew")
        self._targets, self._weights = guidance.targets[rows], weights / weights.sum()

    def draw(self, step: int) -> tuple[Samples, NDArray[np.float32]]:
        """The batch of a step: audio float32 [windows, samples], targets float32 [windows, words]."""
        rng = np.random.default_rng([self._seed, step, _PURPOSE])
        chosen = rng.choice(len(self._pieces), _N_WINDOWS, p=self._weights)
        return np.stack([self._window(self._draw_copy(int(place), rng), rng) for place in chosen]), self._targets[chosen]

    def _read(self, place: int) -> Recording:
        return Recording(self._pieces[place], np.zeros((0, 3), np.int64))

    def _draw_copy(self, place: int, rng: Generator) -> NDArray[np.int16]:
        """The recording or a copy; as it is if the copy is too slow for the window."""
        copy = self._copies.draw(place, rng).samples
        return copy if len(copy) <= self._n_samples else self._pieces[place]

    def _window(self, piece: NDArray[np.int16], rng: Generator) -> Samples:
        audio = np.zeros(self._n_samples, np.float32)
        start = int(rng.integers(self._n_samples - len(piece) + 1))
        audio[start : start + len(piece)] = to_float32(piece)
        if self._noise:
            noise = cut_noise(self._noise, self._n_samples, self._rate, rng)
            audio += noise * np.float32(rms(audio) / max(rms(noise), _FAINT) * from_db(-rng.uniform(*_SNR_DB)))
        peak = max(float(np.abs(audio).max()), _FAINT)
        return audio * np.float32(from_db(rng.uniform(*_LEVEL_DB)) / peak)


def _check_speech(guidance: Guidance, speech: Speech | None, sample_rate: int) -> None:
    """Whether the pieces of speech are there."""
    wanted = set(guidance.paths[guidance.starts >= 0].tolist())
    if wanted - set(() if speech is None else speech.paths):
        raise DataError(f"the teacher's targets are of the speech in {guidance.speech}; train with it")
    if wanted and sample_rate != SAMPLE_RATE:
        raise DataError(f"the teacher's targets are of speech at {SAMPLE_RATE} Hz, not at {sample_rate}")


def _pieces_of(
    guidance: Guidance, decoded: DecodedClips, clips: ClipSet, speech: Speech | None, n_samples: int
) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """The rows of the guidance that can be used, each with its samples."""
    rows_of = {decoded.listing.clips[row].path: int(row) for row in clips.rows if row >= 0}
    numbers = {} if speech is None else {path: number for number, path in enumerate(speech.paths)}
    pieces = zip(guidance.paths.tolist(), guidance.starts.tolist(), guidance.lengths.tolist(), strict=True)
    for row, (path, start, length) in enumerate(pieces):
        if start < 0 and path in rows_of:
            yield row, _sounding(decoded.clips[rows_of[path]])
        elif start >= 0 and speech is not None:
            piece = cut_piece(speech.samples(numbers[path]), start, min(length, n_samples))
            if len(piece):
                yield row, piece


def _sounding(clip: NDArray[np.int16]) -> NDArray[np.int16]:
    """A clip without the zeros at its end."""
    places = np.flatnonzero(clip)
    return clip[: places[-1] + 1] if len(places) else clip
