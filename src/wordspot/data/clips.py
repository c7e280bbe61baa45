"""Assign labelled clips to the three sets: keywords, unknown words and silence.

The rules reproduce TensorFlow's speech_commands example exactly.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.config import SETS, DataConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import Listing, left_out_notes
from wordspot.errors import ConfigError, DataError
from wordspot.labels import SILENCE, SILENCE_LABEL, UNKNOWN, normalize_word

_WHOLE_SILENCE_PERCENT = 10
_SHUFFLE_ORDER = ("validation", "testing", "training")


@dataclass(frozen=True)
class ClipSet:
    """The examples of one set, as parallel arrays.

    rows: int64 [n], the clip's position among `Listing.clips`, -1 for silence.
    labels: int64 [n], its label's position.
    weights: float64 [n], relative sampling weight in training.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def build_sets(listing: Listing, words: Sequence[str], config: DataConfig) -> dict[str, ClipSet]:
    """The examples of every set, chosen by the classic rules.

    Each set gets silence clips equal to `silence_percent` of its keyword clips, and unknown words equal to `unknown_percent`:
    the first of the set's shuffled unknown clips. With ``unknown_pool="all"`` the training set contains every unknown clip
    instead, weighted so that unknown words as a whole are drawn just as often.

    Raises:
        DataError: a wanted word has no recordings; the message lists the folders that exist.
    """
    wanted = {word: position + 2 for position, word in enumerate(check_words(listing, words))}
    sets = split_recordings(listing, config, wanted).sets
    keywords: dict[str, list[tuple[int, int]]] = {name: [] for name in SETS}
    unknown: dict[str, list[tuple[int, int]]] = {name: [] for name in SETS}
    for row, (clip, name) in enumerate(zip(listing.clips, sets, strict=True)):
        label = wanted.get(clip.word, UNKNOWN)
        if clip.word != SILENCE_LABEL:  # silence is made from noise
            (unknown if label == UNKNOWN else keywords)[name].append((row, label))

    shuffler = random.Random(config.seed)
    chosen: dict[str, list[tuple[int, int]]] = {}
    n_unknown: dict[str, int] = {}
    for name in _SHUFFLE_ORDER:
        n_silence = math.ceil(len(keywords[name]) * config.silence_percent / 100)
        n_unknown[name] = math.ceil(len(keywords[name]) * config.unknown_percent / 100)
        shuffler.shuffle(unknown[name])
        take_all = name == "training" and config.unknown_pool == "all" and n_unknown[name] > 0
        taken = unknown[name] if take_all else unknown[name][: n_unknown[name]]
        chosen[name] = keywords[name] + [(-1, SILENCE)] * n_silence + taken
    for name in _SHUFFLE_ORDER:
        shuffler.shuffle(chosen[name])
    weights = {"training": config.unknown_weight}
    return {name: _clip_set(chosen[name], n_unknown[name], config.balance, weights.get(name, 1.0)) for name in SETS}


def build_whole(listing: Listing, words: Sequence[str]) -> ClipSet:
    """Every clip of a folder once, plus silence (ten percent of the keyword clips), to evaluate any model on any folder.

    Folders not in `words` count as unknown. Words without a folder are allowed. If the folder contains recorded silence
    (`SILENCE_LABEL`), no synthetic silence is added.
    """
    wanted = {normalize_word(word): position + 2 for position, word in enumerate(words)} | {SILENCE_LABEL: SILENCE}
    examples = [(row, wanted.get(clip.word, UNKNOWN)) for row, clip in enumerate(listing.clips)]
    if SILENCE_LABEL not in listing.words:
        n_keywords = sum(label != UNKNOWN for _, label in examples)
        examples += [(-1, SILENCE)] * math.ceil(n_keywords * _WHOLE_SILENCE_PERCENT / 100)
    return _clip_set(examples, n_unknown=0, balance=0)


def check_words(listing: Listing, words: Sequence[str]) -> tuple[str, ...]:
    """`words` in the spelling that folder names are compared with.

    Raises:
        ConfigError: two of them are the same word except for case.
        DataError: one has no folder, or there is only one word.
    """
    normalized = tuple(normalize_word(word) for word in words)
    if repeated := [word for word, count in Counter(normalized).items() if count > 1]:
        raise ConfigError(f"each word must be named once, got {', '.join(repeated)} more than once (case is ignored)")
    existing = set(listing.words)
    if missing := [word for word in normalized if word not in existing]:
        raise DataError(
            f"{listing.root}: no recordings of {', '.join(missing)}; the folders here are {', '.join(sorted(existing))}"
            f"{_why_missing(listing, missing)}"
        )
    if len(existing) < 2:
        raise DataError(
            f"{listing.root}: {next(iter(existing))!r} is the only word's folder; expected at least two, one of which may hold "
            "any other words. Add a folder of other words"
        )
    return normalized


def _why_missing(listing: Listing, missing: Sequence[str]) -> str:
    """Name the unusable files in the folders of the missing words."""
    unused = [one for one in listing.left_out if normalize_word(one.path.partition("/")[0]) in missing]
    return "".join(f"; {note}" for note in left_out_notes(unused))


def _clip_set(examples: Iterable[tuple[int, int]], n_unknown: int, balance: float, unknown_weight: float = 1.0) -> ClipSet:
    pairs = np.array(list(examples), dtype=np.int64).reshape(-1, 2)
    rows, labels = pairs[:, 0].copy(), pairs[:, 1].copy()
    weights = np.ones(len(rows))
    held = int((labels == UNKNOWN).sum())
    if held > n_unknown > 0:
        weights[labels == UNKNOWN] = n_unknown / held
    weights[labels == UNKNOWN] *= unknown_weight
    counts = np.bincount(labels[labels > UNKNOWN]) if (labels > UNKNOWN).any() else np.zeros(0)
    if balance > 0 and counts.size:
        mean = counts[counts > 0].mean()
        for label in np.flatnonzero(counts):
            weights[labels == label] = (mean / counts[label]) ** balance
    return ClipSet(rows, labels, weights)
