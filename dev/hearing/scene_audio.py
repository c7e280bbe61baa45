"""Lay out scenes: a few seconds of words, whole clips or sentences, with the place and label of every word.

Nothing is decoded here, and changes of speed and rooms were made once, so a scene costs little more than its sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bank import SPEEDS
from cache import (
    IGNORE,
    RATE,
    UNKNOWN,
    VERSIONS,
    WORDS,
    class_names,
    read_clips,
    read_mislabelled,
    read_pieces,
    read_sentences,
)
from wordspot.audio.effects import change_speed
from wordspot.audio.noise import from_db
from wordspot.audio.samples import Samples, to_float32
from wordspot.audio.speech import speech_bounds

#: Words of sentences that are, or sound like, one of the ten: their windows are left out of the loss.
SOUNDALIKES = {*WORDS, "know", "write", "wright", "rite", "know's", "ewe", "oh", "stopped", "goes", "downs", "ups", "upped"}
ALONE, WHOLE_CLIPS, READING, EMPTY = range(4)
_RAMP = 160
_VERSION_ODDS = (0.25, 0.19, 0.18, 0.19, 0.19)


@dataclass(frozen=True)
class SceneConfig:
    """What scenes consist of. The defaults are those of the training of words.

    Attributes:
        kinds: odds of four kinds: words cut out of their clips, whole clips with a pause between, sentences, noise alone.
        sentence: odds of a piece of a sentence instead of a word, in the first kind.
        cut: odds of one to three words cut out of a sentence, in the first kind.
        foreign: odds of an Arabic word or another wake word, in the first kind.
        unknown: odds of one of the other 25 words.
        snr_db: range of the signal-to-noise ratio.
        any_word: draw all words alike, by their numbers of clips to the power of 0.7, and none backwards; for the body.
    """

    kinds: tuple[float, float, float, float] = (0.56, 0.26, 0.12, 0.06)
    sentence: float = 0.15
    cut: float = 0.12
    foreign: float = 0.08
    unknown: float = 0.20
    snr_db: tuple[float, float] = (-3.0, 30.0)
    any_word: bool = False


#: For phones: as much of sentences as of words.
PHONES = SceneConfig((0.35, 0.1, 0.52, 0.03), sentence=0.25, cut=0.0, foreign=0.0, snr_db=(-2.0, 30.0), any_word=True)
#: For the body: more sentences, whose frames the teacher gave too.
BODY = SceneConfig((0.5, 0.12, 0.38, 0.0), sentence=0.25, cut=0.15, foreign=0.0, snr_db=(-3.0, 27.0), any_word=True)
#: For both at once.
BOTH = SceneConfig((0.38, 0.12, 0.48, 0.02), sentence=0.25, cut=0.0, foreign=0.0, snr_db=(-3.0, 28.0), any_word=True)


class Item(NamedTuple):
    """A word in a scene: samples [first, stop), its label of 12, its class of all words, its clip's row or -1, and its place in
    `SceneAudio.vocabulary`, or -1 if it is no whole word."""

    first: int
    stop: int
    label: int
    word_class: int
    row: int
    word: int = -1


class Link(NamedTuple):
    """Where the teacher's frames of a part of a scene are: sample s of the scene is (s - start + offset) * speed of the source.

    is_sentence, number: the source, a sentence or a clip's row.
    """

    start: int
    stop: int
    is_sentence: bool
    number: int
    speed: float
    offset: float


class SceneAudio:
    """Draws scenes of the training set.

    Args:
        cache: what `decode.py` and `bank.py` wrote.
        config: what scenes consist of.
        n_samples: of a scene.
        rng: all draws come from it.
        encoded: only these sentences, by number; None for all.
    """

    def __init__(
        self, cache: Path, config: SceneConfig, n_samples: int, rng: Generator, encoded: NDArray[np.bool_] | None = None
    ) -> None:
        self.config, self.n_samples, self._rng = config, n_samples, rng
        self._load_clips(cache)
        self._speech = np.load(cache / "train_sentences.npy")
        self.sentences = [one for one in read_sentences(cache) if encoded is None or encoded[one.number]]
        self._places = [np.array([[a, b] for _, a, b in one.words], np.int64).reshape(-1, 2) for one in self.sentences]
        self._codes = [np.array([IGNORE if w in SOUNDALIKES else UNKNOWN for w, _, _ in one.words]) for one in self.sentences]
        self.vocabulary = sorted({word for one in self.sentences for word, _, _ in one.words} | set(self.names))
        at = {word: place for place, word in enumerate(self.vocabulary)}
        self._at = [np.array([at[word] for word, _, _ in one.words]) for one in self.sentences]
        self._named = [at[name] for name in self.names]
        self._foreign = _foreign_words(cache) if config.foreign else []
        self._ramp = np.linspace(0, 1, _RAMP, dtype=np.float32)

    def _load_clips(self, cache: Path) -> None:
        index, bad = read_clips(cache, "clips"), read_mislabelled(cache)
        self.names = class_names(index)
        self._clips = [np.load(cache / f"clips{version}.npy") for version in VERSIONS]
        self._bounds = [np.load(cache / f"clips{version}_bounds.npy") for version in VERSIONS]
        same = np.tile(np.array([1, 0], np.float32), (len(index), 1))
        self._maps = [same, *(np.load(cache / f"clips{version}_maps.npy") for version in VERSIONS[1:])]
        rows: dict[str, list[int]] = {name: [] for name in self.names}
        for row, clip in enumerate(index):
            if clip.split == "training" and clip.path not in bad:
                rows[clip.word].append(row)
        self._rows = {name: np.array(found) for name, found in rows.items() if found}
        self._wanted = self._odds([name for name in self._rows if name in WORDS], 0.25)
        self._others = self._odds([name for name in self._rows if name not in WORDS], 0.6)
        self._all = self._odds(list(self._rows), 0.7)

    def _odds(self, names: list[str], power: float) -> tuple[list[str], NDArray[np.float64]]:
        weights = np.array([len(self._rows[name]) for name in names], float) ** power
        return names, weights / weights.sum()

    def draw(self, x: Samples) -> tuple[list[Item], list[Link], list[float]]:
        """Add a scene to the zeros `x`: its words, its links to the teacher's frames, and the RMS of each part."""
        rng, config = self._rng, self.config
        kind = int(rng.choice(4, p=config.kinds))
        items, links, levels = list[Item](), list[Link](), list[float]()
        position = -int(rng.uniform(0, 1.2) * RATE)
        while kind != EMPTY and position < self.n_samples:
            scene = (x, position, items, links, levels)
            if kind == READING or (kind == ALONE and rng.uniform() < config.sentence):
                position = self._add_sentence(*scene, reading=kind == READING)
            elif kind == ALONE and rng.uniform() < config.cut:
                position = self._add_cut(*scene)
            elif kind == ALONE and self._foreign and rng.uniform() < config.foreign:
                position = self._add_foreign(*scene)
            else:
                position = self._add_word(*scene, whole=kind == WHOLE_CLIPS)
        return items, links, levels

    def _add_sentence(
        self, x: Samples, position: int, items: list[Item], links: list[Link], levels: list[float], *, reading: bool
    ) -> int:
        """Part of a sentence. Returns where the next part begins, as all of these do."""
        rng, number = self._rng, int(self._rng.integers(len(self.sentences)))
        one = self.sentences[number]
        length = int(rng.uniform(*((2, 5) if reading else (0.4, 2.5))) * RATE)
        first = int(rng.integers(one.start, max(one.stop - length, one.start + 1)))
        stop = min(first + length, one.stop)
        if stop - first < RATE // 4:
            return position
        self._put(x, self._soften(to_float32(self._speech[first:stop])) * self._gain(-6, 6), position, levels)
        words = zip(self._places[number].tolist(), self._codes[number].tolist(), self._at[number].tolist(), strict=True)
        for (a, b), code, word in words:
            if b > first and a < stop:
                word = word if first <= a and b <= stop else -1
                items.append(Item(max(a, first) - first + position, min(b, stop) - first + position, code, code, -1, word))
        links.append(Link(position, position + stop - first, True, one.number, one.speed, first - one.start))
        return position + stop - first + self._pause(0.1, 1.0)

    def _add_cut(self, x: Samples, position: int, items: list[Item], links: list[Link], levels: list[float]) -> int:
        """One to three words cut out of a sentence: unknown."""
        rng, number = self._rng, int(self._rng.integers(len(self.sentences)))
        one, places, codes = self.sentences[number], self._places[number], self._codes[number]
        if len(places) < 4:
            return position
        begin = int(rng.integers(len(places) - 2))
        end = min(begin + int(rng.choice((1, 1, 2, 3))), len(places))
        first, stop = int(places[begin, 0]), int(places[end - 1, 1])
        if not RATE // 10 < stop - first < 1.25 * RATE or (codes[begin:end] == IGNORE).any():
            return position
        cut_from, cut_to = max(first - 400, one.start), min(stop + 400, one.stop)
        start = position - (first - cut_from)
        self._put(x, self._soften(to_float32(self._speech[cut_from:cut_to])) * self._gain(), start, levels)
        items.append(Item(position, position + stop - first, UNKNOWN, UNKNOWN, -1))
        links.append(Link(start, start + cut_to - cut_from, True, one.number, one.speed, cut_from - one.start))
        return position + stop - first + self._pause()

    def _add_foreign(self, x: Samples, position: int, items: list[Item], links: list[Link], levels: list[float]) -> int:
        """An Arabic word or another wake word at another speed: unknown."""
        clip, first, stop = self._foreign[self._rng.integers(len(self._foreign))]
        speed, cut_from = self._rng.uniform(*SPEEDS), max(first - 800, 0)
        piece = change_speed(to_float32(clip[cut_from : stop + 800]), speed)
        if len(piece) < 400:
            return position
        self._put(x, self._soften(piece) * self._gain(), position - int((first - cut_from) / speed), levels)
        end = position + int((stop - first) / speed)
        items.append(Item(position, end, UNKNOWN, UNKNOWN, -1))
        return end + self._pause()

    def _add_word(
        self, x: Samples, position: int, items: list[Item], links: list[Link], levels: list[float], *, whole: bool
    ) -> int:
        """A word cut out of its clip with up to 0.4 s around it, or the whole clip."""
        rng = self._rng
        word, row, version = self._draw_clip()
        (first, stop), (speed, offset) = self._bounds[version][row].tolist(), self._maps[version][row].tolist()
        begin, end = 0, RATE
        if not whole:
            begin = max(first - int(rng.uniform(0.03, 0.4) * RATE), 0)
            end = min(stop + int(rng.uniform(0.03, 0.4) * RATE), RATE)
        piece = to_float32(self._clips[version][row, begin:end]) * self._gain()
        piece = piece if whole else self._soften(piece)
        word_class, place = self.names.index(word) + 2, self._named[self.names.index(word)]
        label = word_class if word in WORDS else UNKNOWN
        first, stop = first - begin, stop - begin
        if not whole and not self.config.any_word and rng.uniform() < 0.05:  # backwards, it is no word
            piece, (first, stop) = piece[::-1], (len(piece) - stop, len(piece) - first)
            label, word_class, row, place = 1, 1, -1, -1
        start = position if whole else position - first
        self._put(x, piece, start, None)
        speech = piece[first:stop]
        levels.append(float(np.sqrt(np.mean(speech * speech) + 1e-10)) if len(speech) else 1e-4)
        items.append(Item(start + first, start + stop, label, word_class, row, place))
        if row >= 0:
            links.append(Link(start, start + len(piece), False, row, speed, begin + offset))
        if whole:
            return position + len(piece) + int(rng.uniform(0.4, 1.2) * RATE)
        return start + stop + self._pause()

    def _draw_clip(self) -> tuple[str, int, int]:
        """A word, one of its clips and one of the clip's versions."""
        rng, config = self._rng, self.config
        names, odds = self._others
        if config.any_word:
            names, odds = self._all
        elif rng.uniform() < (1 - config.unknown - config.sentence) / (1 - config.sentence):
            names, odds = self._wanted
        word = names[rng.choice(len(names), p=odds)]
        rows = self._rows[word]
        return word, int(rows[rng.integers(len(rows))]), int(rng.choice(len(VERSIONS), p=_VERSION_ODDS))

    def _gain(self, low: float = -8.0, high: float = 4.0) -> np.float32:
        return np.float32(from_db(self._rng.uniform(low, high)))

    def _pause(self, shortest: float = 0.08, longest: float = 1.2) -> int:
        return int(np.exp(self._rng.uniform(np.log(shortest), np.log(longest))) * RATE)

    def _soften(self, piece: Samples) -> Samples:
        """Fade in and out over 10 ms, in place."""
        piece[:_RAMP] *= self._ramp
        piece[-_RAMP:] *= self._ramp[::-1]
        return piece

    def _put(self, x: Samples, piece: Samples, start: int, levels: list[float] | None) -> None:
        first, stop = max(start, 0), min(start + len(piece), self.n_samples)
        if stop > first:
            x[first:stop] += piece[first - start : stop - start]
        if levels is not None:
            levels.append(float(np.sqrt(np.mean(piece * piece) + 1e-10)))


def _foreign_words(cache: Path) -> list[tuple[NDArray[np.int16], int, int]]:
    """Arabic words of the training speakers, and the training part of other wake words: samples, first and stop of speech."""
    audio, bounds = np.load(cache / "arabic.npy"), np.load(cache / "arabic_bounds.npy").tolist()
    clips = read_clips(cache, "arabic")
    found = [(audio[row], *bounds[row]) for row, clip in enumerate(clips) if clip.split == "training"]
    wake = np.load(cache / "wake.npy")
    for piece in read_pieces(cache, "wake"):
        if piece.split == "training" and 0.2 * RATE < piece.stop - piece.start < 3 * RATE:
            samples = wake[piece.start : piece.stop]
            found.append((samples, *speech_bounds(to_float32(samples), RATE)))
    return found
