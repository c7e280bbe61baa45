"""Make the bank of training noise: noise.npy, float32 [samples], every piece at an RMS of 0.1.

It holds sounds, the first 80 % of each background noise (three times), synthetic sounds, babble of sentences and coloured
noise. `--babble` adds 48 minutes of louder company to an existing bank: voices that speak words or sentences, in rooms, over
sounds. The second phase of the training of words used it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import Generator

from cache import RATE, WORDS, arguments, read_clips, read_pieces
from wordspot.audio.effects import reverberate, rms, room_impulse
from wordspot.audio.noise import from_db, make_sounds
from wordspot.audio.samples import Samples, to_float32

_RMS = 0.1
_SECONDS, _BABBLE_SECONDS = 5, 8
_RAMP = 160


def sounds_of(cache: Path) -> list[Samples]:
    """The training sounds."""
    audio = np.load(cache / "sounds.npy", mmap_mode="r")
    return [to_float32(audio[p.start : p.stop]) for p in read_pieces(cache, "sounds") if p.split == "training"]


def backgrounds_of(cache: Path) -> list[Samples]:
    """The training part of each background noise: its first 80 %."""
    audio = np.load(cache / "background.npy", mmap_mode="r")
    return [to_float32(audio[p.start : p.start + int(0.8 * (p.stop - p.start))]) for p in read_pieces(cache, "background")]


def sentence_babble(speech: np.ndarray, rng: Generator) -> Samples:
    """Two to seven sentences at once: float32 [samples]."""
    size, total = _SECONDS * RATE, np.zeros(_SECONDS * RATE, np.float32)
    for _ in range(rng.integers(2, 8)):
        start = rng.integers(len(speech) - size)
        voice = to_float32(speech[start : start + size])
        total += voice * np.float32(from_db(rng.uniform(-6, 6)) / rms(voice))
    return total


def coloured_noise(rng: Generator) -> Samples:
    """Noise whose amplitude falls or rises with frequency: float32 [samples]."""
    spectrum = np.fft.rfft(rng.standard_normal(_SECONDS * RATE))
    return np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** rng.uniform(-1, 0.3)).astype(np.float32)


def make_bank(cache: Path, rng: Generator, n_each: int = 120, made_seconds: int = 600) -> Samples:
    """The bank of the first phase."""
    speech = np.load(cache / "train_sentences.npy", mmap_mode="r")
    pieces = sounds_of(cache) + 3 * backgrounds_of(cache)
    pieces.append(to_float32(make_sounds(made_seconds * RATE, RATE, rng)))
    pieces += [sentence_babble(speech, rng) for _ in range(n_each)]
    pieces += [coloured_noise(rng) for _ in range(n_each)]
    return np.concatenate([_at_level(piece) for piece in pieces])


def _at_level(audio: Samples) -> Samples:
    return audio * np.float32(_RMS / rms(audio))


class Babble:
    """Voices over a sound, two thirds of the time speaking words that are none of the ten, else sentences."""

    def __init__(self, cache: Path, rng: Generator) -> None:
        self._rng = rng
        self._clips, self._bounds = np.load(cache / "clips.npy", mmap_mode="r"), np.load(cache / "clips_bounds.npy")
        index = read_clips(cache, "clips")
        self._rows = [row for row, clip in enumerate(index) if clip.split == "training" and clip.word not in WORDS]
        self._speech = np.load(cache / "train_sentences.npy", mmap_mode="r")
        self._sounds = sounds_of(cache)
        self._size = _BABBLE_SECONDS * RATE

    def make(self, *, sentences: bool) -> Samples:
        """One piece: float32 [samples]."""
        rng, total = self._rng, np.zeros(self._size, np.float32)
        for _ in range(rng.integers(1, 7)):
            gain = np.float32(from_db(rng.uniform(-6, 6)))
            total += gain * (self._sentence() if sentences else self._words())
        if rng.uniform() < 0.5:
            total = reverberate(total, room_impulse(RATE, rng))[: self._size]
        sound = np.resize(self._sounds[rng.integers(len(self._sounds))], self._size)
        total = total / np.float32(rms(total)) + sound * np.float32(from_db(-rng.uniform(-6, 12)) / rms(sound))
        return _at_level(total)

    def _sentence(self) -> Samples:
        start = self._rng.integers(len(self._speech) - self._size)
        voice = to_float32(self._speech[start : start + self._size])
        return voice * np.float32(0.5 / rms(voice))

    def _words(self) -> Samples:
        rng, voice = self._rng, np.zeros(self._size, np.float32)
        at = int(rng.uniform(0, 0.5) * RATE)
        ramp = np.linspace(0, 1, _RAMP, dtype=np.float32)
        while at < self._size:
            row = self._rows[rng.integers(len(self._rows))]
            word = to_float32(self._clips[row, self._bounds[row, 0] : self._bounds[row, 1]])
            if len(word) < 5 * _RAMP:
                continue
            word /= np.float32(rms(word))
            word[:_RAMP] *= ramp
            word[-_RAMP:] *= ramp[::-1]
            voice[at : at + len(word)] += word[: self._size - at]
            at += len(word) + int(rng.uniform(0.05, 0.4) * RATE)
        return voice


def main() -> None:
    parser = arguments(__doc__, data=False)
    parser.add_argument("--babble", action="store_true", help="add babble to the bank that exists")
    args = parser.parse_args()
    path = args.cache / "noise.npy"
    if args.babble:
        babble = Babble(args.cache, np.random.default_rng(7))
        bank = np.concatenate([np.load(path), *(babble.make(sentences=number % 3 == 2) for number in range(360))])
    else:
        bank = make_bank(args.cache, np.random.default_rng(1))
    np.save(path, bank)
    print(f"noise: {len(bank) / RATE / 60:.0f} minutes")


if __name__ == "__main__":
    main()
