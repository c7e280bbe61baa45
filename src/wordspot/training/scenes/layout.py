"""Lay out scenes: words cut out of their clips, entire clips, speech, or noise alone, with the place and label of each word."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.noise import from_db
from wordspot.audio.samples import Samples, to_float32
from wordspot.config import RunConfig
from wordspot.labels import UNKNOWN
from wordspot.training.loss import IGNORED
from wordspot.training.noise import cut_noise
from wordspot.training.scenes.copies import Copies, Recording
from wordspot.training.scenes.excerpts import Excerpts
from wordspot.training.scenes.hard import no_places
from wordspot.training.scenes.labels import Ints

_ALONE, _WHOLE, _READING, _EMPTY = range(4)
_BEFORE_S = 1.2  # a scene may begin so long after its first part
_MARGIN_S = (0.03, 0.4)  # kept around a word that is cut out
_RAMP_S = 0.01
_LONGER_PAUSE_S = (0.4, 1.2)  # between entire clips, which have pauses of their own
_READING_S, _FRAGMENT_S, _PHRASE_S = (2.0, 5.0), (0.4, 2.5), (0.1, 1.25)
_PHRASE_MARGIN_S = 0.025
_HISS_DB, _HISS_SHARE, _HISS_SAMPLES = (-100.0, -65.0), 0.5, 1 << 18
_ALONE_DB = (-50.0, -15.0)  # noise in scenes without words
_HARD_S, _AFTER_HARD_S = 1.0, (0.0, 0.5)  # the least of speech around a hard place, and what follows it
_FAINT = 1e-5
_LOUDER_SHARE, _LOUDER = 0.4, 1 / 3  # so many scenes are of the loudest third of the levels

Scene = tuple[Samples, Ints]


class Layout:
    """Draws scenes.

    Args:
        config: of the run.
        clips: words and others, and `weights`: float64 [clips], how often each is drawn.
        speech: sentences, or None.
        noise: pieces of noise, int16.
        n_samples: of a scene.
    """

    def __init__(
        self,
        config: RunConfig,
        clips: Copies,
        weights: NDArray[np.float64],
        speech: Excerpts | None,
        noise: list[NDArray[np.int16]],
        n_samples: int,
    ) -> None:
        self._scenes, self._augment, self._rate = config.scenes, config.augment, config.features.sample_rate
        self._clips, self._cumulative = clips, np.cumsum(weights)
        self._speech, self._noise, self._n_samples = speech, noise, n_samples
        self._clip_samples = config.features.clip_samples
        reading = config.scenes.reading if speech else 0.0
        odds = np.array([0.0, config.scenes.whole_clips, reading, config.scenes.empty])
        odds[_ALONE] = max(1 - odds.sum(), 0)
        self._odds = odds / odds.sum()
        self.hard = {"speech": no_places(), "noise": no_places()}  # changes during training
        self._hiss = np.random.default_rng(0).standard_normal(n_samples + _HISS_SAMPLES, dtype=np.float32)
        self._ramp = np.linspace(0, 1, max(int(_RAMP_S * self._rate), 1), dtype=np.float32)

    def draw(self, rng: Generator) -> Scene:
        """A scene: float32 [n_samples] in [-1, 1], and its words, int64 [words, 3], as `Recording.words`."""
        audio, words, levels = np.zeros(self._n_samples, np.float32), list[NDArray[np.int64]](), list[float]()
        kind = int(rng.choice(4, p=self._odds))
        at = -int(rng.uniform(0, _BEFORE_S) * self._rate)
        while kind != _EMPTY and at < self._n_samples:
            piece, places, begin, end = self._part(kind, rng)
            if len(piece):
                gain = np.float32(from_db(rng.uniform(-1, 1) * self._augment.gain_db))
                start = at - begin
                self._put(audio, piece * gain, start)
                words.append(places + np.array([start, start, 0]))
                levels.append(float(gain) * _level(piece[begin:end]))
                at += end - begin
            at += self._pause(kind, rng)
        self._add_noise(audio, levels, rng)
        low, high = self._scenes.level_db
        low = high - (high - low) * _LOUDER if rng.uniform() < _LOUDER_SHARE else low
        audio *= np.float32(from_db(rng.uniform(low, high)))
        np.clip(audio, -1, 1, out=audio)
        found = np.concatenate([np.zeros((0, 3), np.int64), *words])
        return audio, found[(found[:, 1] > 0) & (found[:, 0] < self._n_samples)]

    def _part(self, kind: int, rng: Generator) -> tuple[Samples, Ints, int, int]:
        """The next part of a scene: its samples, its words, and where in it sound begins and ends."""
        if kind == _READING:
            return self._fragment(_READING_S, rng)
        if kind == _ALONE and self._speech and rng.uniform() < self._scenes.phrases:
            return self._phrase(rng) if rng.uniform() < 0.5 else self._fragment(_FRAGMENT_S, rng)
        number = min(
            int(np.searchsorted(self._cumulative, rng.uniform() * self._cumulative[-1], "right")), len(self._cumulative) - 1
        )
        recording = self._clips.draw(number, rng)
        if not len(recording.words):  # of recorded silence, say
            return to_float32(recording.samples), recording.words, 0, len(recording.samples)
        if kind == _WHOLE:
            return to_float32(recording.samples), recording.words, 0, len(recording.samples)
        return self._word(recording, rng)

    def _word(self, recording: Recording, rng: Generator) -> tuple[Samples, Ints, int, int]:
        """The word of a clip with up to 0.4 s around it, sometimes backward, which makes it an unknown word."""
        first, stop, label = recording.words[0].tolist()
        begin = max(first - self._samples(rng.uniform(*_MARGIN_S)), 0)
        end = min(stop + self._samples(rng.uniform(*_MARGIN_S)), len(recording.samples))
        piece = self._soften(to_float32(recording.samples[begin:end]))
        first, stop = first - begin, stop - begin
        if rng.uniform() < self._augment.reversed_share:
            piece, first, stop, label = piece[::-1], len(piece) - stop, len(piece) - first, UNKNOWN
        return piece, np.array([[first, stop, label]]), first, stop

    def _fragment(self, range_s: tuple[float, float], rng: Generator) -> tuple[Samples, Ints, int, int]:
        """A part of a recording of speech, from any moment to any other, or around a hard place."""
        assert self._speech is not None
        if self._chooses_hard("speech", rng):
            recording, begin, end = self._around_hard_place(range_s, rng)
        else:
            recording = self._speech.draw(rng)
            length = min(self._samples(rng.uniform(*range_s)), len(recording.samples))
            begin = int(rng.integers(len(recording.samples) - length + 1))
            end = begin + length
        samples, words = self._speech.cut(recording, begin, end, rng)
        words[:, :2] = words[:, :2].clip(0, len(samples))
        return self._soften(to_float32(samples)), words, 0, len(samples)

    def _chooses_hard(self, source: str, rng: Generator) -> bool:
        return len(self.hard[source]) > 0 and rng.uniform() < self._scenes.hard

    def _around_hard_place(self, range_s: tuple[float, float], rng: Generator) -> tuple[Recording, int, int]:
        """A recording with a hard place, and the first and last sample of a part of it that ends shortly after the place."""
        assert self._speech is not None
        number, place = self.hard["speech"][rng.integers(len(self.hard["speech"]))]
        recording = self._speech.recording(int(number))
        after = self._samples(rng.uniform(*_AFTER_HARD_S))
        end = min(int(place * len(recording.samples)) + after, len(recording.samples))
        return recording, max(end - after - self._samples(max(rng.uniform(*range_s), _HARD_S)), 0), end

    def _phrase(self, rng: Generator) -> tuple[Samples, Ints, int, int]:
        """One to three words cut out of a sentence; nothing if there are none, or one of them does not count."""
        assert self._speech is not None
        recording, n = self._speech.draw(rng), int(rng.choice((1, 1, 2, 3)))
        words = recording.words
        if len(words) < 3:
            return self._nothing()
        chosen = words[int(rng.integers(len(words) - n + 1)) :][:n]
        first, stop = int(chosen[0, 0]), int(chosen[-1, 1])
        if not _PHRASE_S[0] * self._rate < stop - first < _PHRASE_S[1] * self._rate or (chosen[:, 2] == IGNORED).any():
            return self._nothing()
        margin = self._samples(_PHRASE_MARGIN_S)
        begin, end = max(first - margin, 0), min(stop + margin, len(recording.samples))
        as_one = Recording(recording.samples, np.array([[first, stop, UNKNOWN]]))
        samples, words = self._speech.cut(as_one, begin, end, rng)
        return self._soften(to_float32(samples)), words, int(words[0, 0]), int(words[0, 1])

    @staticmethod
    def _nothing() -> tuple[Samples, Ints, int, int]:
        return np.zeros(0, np.float32), np.zeros((0, 3), np.int64), 0, 0

    def _pause(self, kind: int, rng: Generator) -> int:
        if kind == _WHOLE:
            return self._samples(rng.uniform(*_LONGER_PAUSE_S))
        shortest, longest = self._scenes.pause_s
        return max(self._samples(math.exp(rng.uniform(math.log(shortest), math.log(longest)))), 1)

    def _samples(self, seconds: float) -> int:
        return int(seconds * self._rate)

    def _soften(self, piece: Samples) -> Samples:
        """Fade in and out over 10 ms, in place."""
        n = min(len(self._ramp), len(piece) // 2)
        if n:
            piece[:n] *= self._ramp[:n]
            piece[-n:] *= self._ramp[n - 1 :: -1]
        return piece

    def _put(self, audio: Samples, piece: Samples, start: int) -> None:
        first, stop = max(start, 0), min(start + len(piece), len(audio))
        if stop > first:
            audio[first:stop] += piece[first - start : stop - start]

    def _add_noise(self, audio: Samples, levels: list[float], rng: Generator) -> None:
        """Noise in some scenes and in all without words, and a hiss in half of them, in place."""
        if self._noise and (not levels or rng.uniform() < self._augment.background_frequency):
            pieces = self._noise if levels or not self._chooses_hard("noise", rng) else [self._hard_noise(len(audio), rng)]
            piece = cut_noise(pieces, len(audio), self._rate, rng)
            low, high = self._augment.snr_db
            snr_db, level = rng.uniform(low, high), from_db(rng.uniform(*_ALONE_DB))
            if levels:
                level = float(np.mean(levels)) * from_db(-snr_db)
            audio += piece * np.float32(level / max(_level(piece), _FAINT))
        if rng.uniform() < _HISS_SHARE:
            start = int(rng.integers(_HISS_SAMPLES))
            audio += self._hiss[start : start + len(audio)] * np.float32(from_db(rng.uniform(*_HISS_DB)))

    def _hard_noise(self, n_samples: int, rng: Generator) -> NDArray[np.int16]:
        """Noise in which a window ends at a hard place, at most `n_samples`."""
        number, place = self.hard["noise"][rng.integers(len(self.hard["noise"]))]
        piece = self._noise[int(number)]
        start = int(place * len(piece)) - int(rng.integers(min(self._clip_samples, n_samples), n_samples + 1))
        start = max(min(start, len(piece) - n_samples), 0)
        return piece[start : start + n_samples]


def _level(audio: Samples) -> float:
    """The root mean square of float32 [samples]."""
    return math.sqrt(float(np.dot(audio, audio)) / max(len(audio), 1))
