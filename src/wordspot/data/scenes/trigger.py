"""Make scenes for the task `trigger`, and the target at each step of a network: 1 just after the word, else 0.

There are two kinds: ``soundscape`` uses the generator of `soundscape` with recordings of the word and of other words;
``classic`` follows Andrew Ng's sequence-models course.

Nothing except the word itself may reveal that it was spoken, so positives and negatives are treated alike. Each recording
keeps a random length of the quiet around its word, faded over all of it, so that its noise neither starts nor stops abruptly,
nor at a fixed distance from the word. Its offset is removed and its level follows the background. The acoustics of the
positives also occur without the word: in truncated positives, which serve as negatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import change_speed, fade
from wordspot.audio.samples import Samples, to_float32
from wordspot.config import TriggerConfig
from wordspot.data.bank import Bank, TriggerMaterial
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.soundscape import (
    FADE_S,
    Piece,
    SoundscapeConfig,
    add_words,
    make_background,
    near_miss_weights,
)
from wordspot.data.truth import SpokenWord
from wordspot.labels import UNKNOWN_LABEL

_MARGIN_S = (0.03, 0.15)  # of the quiet around a word that is kept, if there is that much
_CUT_FADE_S = 0.02  # at a cut through a word
PART = " (part)"  # follows the name of a fragment's recording in the ground truth
_KEPT = (0.25, 0.75)  # fraction of a word that a fragment contains
_SHORTEST_S = 0.06
_CLASSIC_S = 10.0
_CLASSIC_DB = -20.0
_CLASSIC_POSITIVES, _CLASSIC_NEGATIVES, _CLASSIC_TRIES = 4, 2, 5


def scene_at(material: TriggerMaterial, n_samples: int, seed_parts: tuple[int, ...], config: TriggerConfig, word: str) -> Scene:
    """The scene of these numbers, such as (seed, set, number); equal numbers give equal scenes."""
    return make_scene(material, n_samples, np.random.default_rng(list(seed_parts)), config, word)


def make_scene(material: TriggerMaterial, n_samples: int, rng: Generator, config: TriggerConfig, word: str) -> Scene:
    """A scene of `n_samples` with its ground truth: `word` for positives, `UNKNOWN_LABEL` for all others.

    It may contain no word at all. A word ends at the end of its speech (classic: of its recording).
    """
    make = _classic if config.scenes == "classic" else _soundscape
    audio, words = make(material, n_samples, rng, config, word)
    return Scene(np.clip(audio, -1, 1, out=audio), material.sample_rate, words)


def label_track(
    words: Sequence[SpokenWord],
    word: str,
    n_steps: int,
    step_ends_ms: NDArray[np.float64],
    config: TriggerConfig,
    *,
    scene_ms: float | None = None,
) -> NDArray[np.int8]:
    """The target at each step of a network: 1 just after the end of `word`, else 0.

    A step is "just after" the word if end < step's end <= end + label_ms. If `label_steps` is above 0, the target is instead
    that many steps after the one that contains the end, as in the course: ``int(end * n_steps / scene)``.

    Args:
        words: the words in the scene.
        step_ends_ms: float64 [n_steps], the end of each step in the scene.
        scene_ms: the scene's length, for the course's rule (default: the end of the last step).

    Returns:
        int8 [n_steps].
    """
    track = np.zeros(n_steps, np.int8)
    length = scene_ms or (float(step_ends_ms[-1]) if n_steps else 1.0)
    for spoken in words:
        if spoken.label != word or spoken.end_ms is None:
            continue
        if config.label_steps > 0:
            last = int(spoken.end_ms * n_steps / length)
            track[last + 1 : last + 1 + config.label_steps] = 1
        else:
            first, stop = np.searchsorted(step_ends_ms, (spoken.end_ms, spoken.end_ms + config.label_ms), side="right")
            track[first:stop] = 1
    return track


def _soundscape(
    material: TriggerMaterial, n_samples: int, rng: Generator, config: TriggerConfig, word: str
) -> tuple[Samples, tuple[SpokenWord, ...]]:
    sounds = _Recordings(material, config, word)
    settings = _settings(config)
    fade = int(FADE_S * material.sample_rate)
    audio = make_background(sounds, n_samples + 2 * fade, rng, settings, no_more=True)[fade : fade + n_samples]
    return audio, add_words(audio, sounds, rng, settings)


@lru_cache(maxsize=8)
def _settings(config: TriggerConfig) -> SoundscapeConfig:
    low_db, high_db = config.snr_db
    low_s, high_s = config.gap_s
    return SoundscapeConfig(
        (low_db, high_db), (low_s, high_s), near_misses=config.near_misses, babble=config.babble, rooms=config.rooms
    )


class _Recordings:
    """A `SoundSource` of one set's recordings."""

    def __init__(self, material: TriggerMaterial, config: TriggerConfig, word: str) -> None:
        self._material, self._config, self._word = material, config, word
        self.sample_rate = material.sample_rate
        self.has_noise, self.has_voices = len(material.backgrounds) > 0, len(material.negatives) > 0

    def cut_noise(self, n_samples: int, rng: Generator) -> Samples:
        return self._material.cut_background(n_samples, rng)

    def draw_voice(self, rng: Generator) -> Samples:
        bank = self._material.negatives
        position = int(rng.integers(len(bank)))
        first, stop = bank.speech[position] + bank.starts[position]
        return to_float32(bank.samples[first:stop])

    def draw_word(self, rng: Generator) -> Piece:
        material, config = self._material, self._config
        if len(material.positives) and rng.uniform() >= config.negative_share:
            return self._piece(material.positives, int(rng.integers(len(material.positives))), self._word, rng)
        can_cut = len(material.positives) > 0
        if can_cut and (rng.uniform() < config.fragments or not self.has_voices):
            whole = material.positives.fragmentable
            piece = self._piece(material.positives, int(whole[rng.integers(len(whole))]), UNKNOWN_LABEL, rng)
            return fragment(piece, self.sample_rate, rng)
        return self._piece(material.negatives, self._draw_negative(rng), UNKNOWN_LABEL, rng)

    def _draw_negative(self, rng: Generator) -> int:
        bank = self._material.negatives
        if rng.uniform() >= self._config.near_misses:
            return int(rng.integers(len(bank)))
        spelled = tuple(bank.by_word)
        counts = tuple(len(positions) for positions in bank.by_word.values())
        chosen = bank.by_word[spelled[rng.choice(len(spelled), p=_near(self._word, spelled, counts))]]
        return int(chosen[rng.integers(len(chosen))])

    def _piece(self, bank: Bank, position: int, label: str, rng: Generator) -> Piece:
        """A recording's word with some of the quiet around it, faded, at a random speed."""
        audio, (first, stop) = bank.audio(position), bank.speech[position]
        before, after = (int(rng.uniform(*_MARGIN_S) * self.sample_rate) for _ in range(2))
        begin, end = max(first - before, 0), min(stop + after, len(audio))
        least = int(_CUT_FADE_S * self.sample_rate / 4)
        audio = audio[begin:end]
        fade(audio, max(first - begin, least), max(end - stop, least))
        factor = 1 + self._config.speed * rng.uniform(-1, 1)
        audio, first, stop = change_speed(audio, factor), (first - begin) / factor, (stop - begin) / factor
        return Piece(label, bank.paths[position], audio, int(first), min(int(stop), len(audio)))


def fragment(piece: Piece, sample_rate: int, rng: Generator) -> Piece:
    """A part of a word, with at least a quarter of it missing: its beginning, its end, or both without the middle."""
    length, cut = piece.stop - piece.first, int(_CUT_FADE_S * sample_rate)
    kept = max(int(length * rng.uniform(*_KEPT)), int(_SHORTEST_S * sample_rate))
    kept = max(min(kept, int(length * _KEPT[1])), 1)
    piece = replace(piece, clip=piece.clip + PART)
    kind = int(rng.integers(3))
    if kind == 0:
        audio = piece.audio[: piece.first + kept].copy()
        fade(audio, 0, cut)
        return replace(piece, audio=audio, stop=len(audio))
    if kind == 1:
        audio = piece.audio[piece.stop - kept :].copy()
        fade(audio, cut, 0)
        return replace(piece, audio=audio, first=0, stop=kept)
    left = int(kept * rng.uniform(0.3, 0.7))
    head, tail = piece.audio[: piece.first + left].copy(), piece.audio[piece.stop - kept + left :].copy()
    cut = min(cut, left, kept - left)
    fade(head, 0, cut)
    fade(tail, cut, 0)
    audio = np.concatenate([head, tail[cut:]])
    audio[len(head) - cut : len(head)] += tail[:cut]
    return replace(piece, audio=audio, stop=piece.first + kept - cut)


@lru_cache(maxsize=8)
def _near(word: str, spelled: tuple[str, ...], counts: tuple[int, ...]) -> NDArray[np.float64]:
    """The probability that each word is chosen as a near miss of `word`, summed over its recordings (`near_miss_weights`)."""
    weights = near_miss_weights([word], spelled) * np.sqrt(counts)
    result: NDArray[np.float64] = weights / weights.sum()
    return result


def _classic(
    material: TriggerMaterial, n_samples: int, rng: Generator, config: TriggerConfig, word: str
) -> tuple[Samples, tuple[SpokenWord, ...]]:
    """The course's scene. A scene longer than its ten seconds has as many words for each ten seconds begun."""
    rate = material.sample_rate
    audio = np.zeros(n_samples, np.float32)
    if len(material.backgrounds):
        audio += material.cut_background(n_samples, rng) * np.float32(10 ** (_CLASSIC_DB / 20))
    n_parts = max(math.ceil(n_samples / rate / _CLASSIC_S), 1)
    taken: list[tuple[int, int]] = []
    words: list[SpokenWord] = []
    for bank, most, label in (
        (material.positives, _CLASSIC_POSITIVES, word),
        (material.negatives, _CLASSIC_NEGATIVES, UNKNOWN_LABEL),
    ):
        count = int(rng.integers(0, most + 1, n_parts).sum()) if len(bank) else 0
        for position in rng.integers(0, max(len(bank), 1), count):
            piece = bank.audio(int(position))
            place = _free_place(round(1000 * len(piece) / rate), 1000 * n_samples // rate, taken, rng)
            if place is None:
                continue
            taken.append(place)
            start = place[0] * rate // 1000
            audio[start : start + len(piece)] += piece[: n_samples - start]
            words.append(SpokenWord(label, float(place[0]), float(place[1]), bank.paths[position]))
    rms = math.sqrt(float(np.square(audio, dtype=np.float64).mean())) if n_samples else 0.0
    if rms > 0:
        audio *= np.float32(10 ** (_CLASSIC_DB / 20) / rms)
    return audio, tuple(sorted(words, key=lambda spoken: spoken.start_ms))


def _free_place(length_ms: int, scene_ms: int, taken: Sequence[tuple[int, int]], rng: Generator) -> tuple[int, int] | None:
    """A random free interval in ms that overlaps none of `taken`, as in the course; None if several attempts fail."""
    if length_ms >= scene_ms:
        return None
    for _ in range(_CLASSIC_TRIES):
        start = int(rng.integers(0, scene_ms - length_ms))
        end = start + length_ms - 1
        if all(end < first or start > last for first, last in taken):
            return start, end
    return None
