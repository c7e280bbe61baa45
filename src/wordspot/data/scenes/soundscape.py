"""Realistic streams from the clips and noise of one set.

The background of noise and babble changes about every ten seconds and is never digital silence. Words and near misses have a
chosen signal-to-noise ratio, some have reverberation, and the gaps between them last from seconds to minutes.

The generator (`make_background` and `add_words`) draws from a `SoundSource`: here the clips of a data folder, in
`scenes.trigger` recordings of one word and of other words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import _TINY, add_ramped, reverberate, rms, room_impulse
from wordspot.audio.samples import Samples
from wordspot.audio.speech import speech_bounds
from wordspot.data.scenes.material import Scene, StreamMaterial, check_percent, draw_word, stream_samples
from wordspot.data.truth import SpokenWord
from wordspot.errors import ConfigError
from wordspot.labels import UNKNOWN_LABEL

_FLOOR_DB = -75.0  # self-noise of the microphone
_BACKGROUND_DB = (-60.0, -35.0)
_BABBLE_DB = (-6.0, 3.0)  # relative to the noise
_BACKGROUND_S = (8.0, 30.0)
FADE_S = 0.5
_VOICES = (2, 6)
_WORD_DB = (-45.0, -15.0)  # limits of a word's level, even if the signal-to-noise ratio would need another
_MARGIN_S = 0.05  # of the recording kept on either side of a word


@dataclass(frozen=True)
class SoundscapeConfig:
    """Settings of a realistic stream."""

    snr_db: tuple[float, float] = (0.0, 20.0)
    """Range of a word's level over that of the background at the same time."""
    gap_s: tuple[float, float] = (1.0, 60.0)
    """Range of the time from a word's end to the start of the next; short gaps are more frequent (log-uniform)."""
    unknown_percent: float = 30.0
    near_misses: float = 0.5
    """Fraction of the unknown words that are chosen for a spelling close to a wanted word's."""
    babble: float = 0.4
    """Fraction of the time with voices in the background, which speak other words of the set."""
    rooms: float = 0.5
    """Fraction of the words, and of the babble, with reverberation."""

    def __post_init__(self) -> None:
        if not -60 <= self.snr_db[0] <= self.snr_db[1] <= 120:
            raise ConfigError(f"`snr_db` must be LOW,HIGH with -60 <= LOW <= HIGH <= 120, got {self.snr_db}")
        if not 0 < self.gap_s[0] <= self.gap_s[1] <= 3600:
            raise ConfigError(f"`gap_s` must be LOW,HIGH with 0 < LOW <= HIGH <= 3600, got {self.gap_s}")
        for name in ("near_misses", "babble", "rooms"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"`{name}` must lie between 0 and 1, got {getattr(self, name):g}")


def make_soundscape(material: StreamMaterial, seconds: float, rng: Generator, config: SoundscapeConfig) -> Scene:
    """A stream of `seconds`. A word's start and end in the ground truth are those of its speech, by energy.

    Raises:
        ConfigError: a length that is too long, or too short for any word.
        DataError: unknown words are asked for, but the set has none.
    """
    check_percent(material, config.unknown_percent)
    n_samples, rate = stream_samples(seconds, material.sample_rate), material.sample_rate
    sounds = _Clips(material, config)
    audio = make_background(sounds, n_samples, rng, config)
    words = add_words(audio, sounds, rng, config)
    if not words:
        raise ConfigError(f"a stream of {seconds:g} s is too short for a word after its gap; make it longer or lower `gap_s`")
    return Scene(np.clip(audio, -1, 1, out=audio), rate, words)


@dataclass(frozen=True)
class Piece:
    """A word ready to be mixed into a scene.

    audio: float32 [samples], faded in and out; the word itself is audio[first:stop].
    """

    label: str
    clip: str
    audio: Samples
    first: int
    stop: int


class SoundSource(Protocol):
    """Source of a scene's sounds, all at one sample rate."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def has_noise(self) -> bool: ...

    @property
    def has_voices(self) -> bool: ...

    def cut_noise(self, n_samples: int, rng: Generator) -> Samples:
        """A piece of noise: float32 [n_samples]."""
        ...

    def draw_voice(self, rng: Generator) -> Samples:
        """A word for background babble, trimmed: float32 [samples]."""
        ...

    def draw_word(self, rng: Generator) -> Piece:
        """The next word."""
        ...


class _Clips:
    """`SoundSource` of a data folder's clips."""

    def __init__(self, material: StreamMaterial, config: SoundscapeConfig) -> None:
        self._material, self._config = material, config
        self._near = near_miss_weights(list(material.clips), [recording.word for recording in material.unknown])
        self.sample_rate = material.sample_rate
        self.has_noise, self.has_voices = bool(material.noise), bool(material.unknown)

    def cut_noise(self, n_samples: int, rng: Generator) -> Samples:
        return self._material.cut_noise(n_samples, rng)

    def draw_voice(self, rng: Generator) -> Samples:
        clip = self._material.read_clip(self._material.unknown[rng.integers(len(self._material.unknown))])
        first, stop = speech_bounds(clip, self.sample_rate)
        return clip[first:stop]

    def draw_word(self, rng: Generator) -> Piece:
        material = self._material
        label, recording = draw_word(material, self._config.unknown_percent, rng)
        if label == UNKNOWN_LABEL and rng.uniform() < self._config.near_misses:
            recording = material.unknown[rng.choice(len(material.unknown), p=self._near)]
        clip = material.read_clip(recording)
        first, stop = speech_bounds(clip, self.sample_rate)
        piece, offset = _cut_out(clip, first, stop, self.sample_rate)
        return Piece(label, recording.path, piece, offset, offset + stop - first)


def add_words(audio: Samples, sounds: SoundSource, rng: Generator, config: SoundscapeConfig) -> tuple[SpokenWord, ...]:
    """Add words to a background, float32 [samples], from start to end. Returns their ground truth."""
    rate = sounds.sample_rate
    words: list[SpokenWord] = []
    position = 0.0
    while True:
        position += math.exp(rng.uniform(*np.log(config.gap_s))) * rate
        word = sounds.draw_word(rng)
        start, end = int(position), int(position) + word.stop - word.first
        if end > len(audio):
            return tuple(words)
        piece = word.audio
        if rng.uniform() < config.rooms:
            piece = reverberate(piece, room_impulse(rate, rng))
        snr = _add_word(audio, piece, slice(word.first, word.stop), start, rng.uniform(*config.snr_db))
        words.append(SpokenWord(word.label, start * 1000 / rate, end * 1000 / rate, word.clip, round(snr, 1)))
        position = end


def make_background(
    sounds: SoundSource, n_samples: int, rng: Generator, config: SoundscapeConfig, *, no_more: bool = False
) -> Samples:
    """float32 [n_samples]: the microphone's self-noise, plus segments of noise and babble that cross-fade.

    It begins and ends with a fade of `FADE_S`. With `no_more` the last segment is made no longer than needed.
    """
    rate = sounds.sample_rate
    audio = rng.standard_normal(n_samples, dtype=np.float32) * np.float32(10 ** (_FLOOR_DB / 20))
    fade, position = int(FADE_S * rate), 0
    while position < n_samples:
        length = int(rng.uniform(*_BACKGROUND_S) * rate)
        if no_more:
            length = min(length, n_samples - position)
        level = rng.uniform(*_BACKGROUND_DB)
        if sounds.has_noise:
            noise = sounds.cut_noise(length + fade, rng)
            add_ramped(audio, noise * np.float32(10 ** (level / 20) / rms(noise)), position, fade)
        if sounds.has_voices and rng.uniform() < config.babble:
            voices = _babble(sounds, length + fade, rng, config.rooms)
            gain = 10 ** ((level + rng.uniform(*_BABBLE_DB)) / 20) / rms(voices)
            add_ramped(audio, voices * np.float32(gain), position, fade)
        position += length
    return audio


def near_miss_weights(words: Sequence[str], unknown: Sequence[str]) -> NDArray[np.float64]:
    """The probability that each unknown recording, of known word, is chosen as a near miss: float64 [recordings].

    The probability halves with each letter of difference to the nearest wanted word; recordings of one word share it.
    """
    counts = Counter(unknown)
    share = {word: 0.5 ** min(edit_distance(word, wanted) for wanted in words) for word in counts}
    weights = np.array([share[word] / math.sqrt(counts[word]) for word in unknown])
    return weights / weights.sum() if len(weights) else weights


def edit_distance(one: str, other: str) -> int:
    """The number of insertions, deletions and substitutions that turn one word into the other (Levenshtein distance)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, against in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != against))
    return row[-1]


def _cut_out(clip: Samples, first: int, stop: int, sample_rate: int) -> tuple[Samples, int]:
    """The speech of a clip with a short margin, faded in and out, and the speech's position in it."""
    margin = int(_MARGIN_S * sample_rate)
    begin = max(first - margin, 0)
    cut = clip[begin : stop + margin]
    piece = np.zeros(len(cut), np.float32)
    add_ramped(piece, cut, 0, margin // 2)
    return piece, first - begin


def _add_word(audio: Samples, piece: Samples, speech: slice, start: int, snr_db: float) -> float:
    """Add `piece` so that its speech begins at `start`, `snr_db` above the background. Returns the actual ratio in dB."""
    noise_rms, speech_rms = rms(audio[start : start + speech.stop - speech.start]), rms(piece[speech])
    low, high = (10 ** (level / 20) for level in _WORD_DB)
    target = min(max(noise_rms * 10 ** (snr_db / 20), low), high)
    gain = min(target / speech_rms, 0.99 / max(float(np.abs(piece).max()), _TINY))
    piece = piece[max(speech.start - start, 0) :] * np.float32(gain)
    begin = max(start - speech.start, 0)
    piece = piece[: len(audio) - begin]
    audio[begin : begin + len(piece)] += piece
    return 20 * math.log10(gain * speech_rms / noise_rms)


def _babble(sounds: SoundSource, n_samples: int, rng: Generator, rooms: float) -> Samples:
    """Several simultaneous voices that each speak unknown words in sequence: float32 [n_samples]."""
    rate = sounds.sample_rate
    audio = np.zeros(n_samples, np.float32)
    for _ in range(int(rng.integers(_VOICES[0], _VOICES[1] + 1))):
        gain = 10 ** (rng.uniform(-6, 6) / 20)
        position = int(rng.uniform(0, 0.5) * rate)
        while position < n_samples:
            word = sounds.draw_voice(rng)
            word = word * np.float32(gain / rms(word))
            add_ramped(audio, word, position, rate // 100)
            position += len(word) + int(rng.uniform(0.05, 0.4) * rate)
    if rng.uniform() < rooms:
        audio = reverberate(audio, room_impulse(rate, rng))[:n_samples]
    return audio
