"""Synthetic speech and noise for a trigger without recordings of other words or of background noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.noise import make_sounds
from wordspot.config import SETS
from wordspot.data.folders import Recording
from wordspot.data.voices import find_engines, speak_words
from wordspot.errors import MissingExtraError
from wordspot.labels import normalize_word

_SEED = 20_261
_PER_WORD = 8
_SECONDS = {"training": 120, "validation": 40, "testing": 40}
_WORDS = (
    "about", "animal", "because", "breakfast", "computer", "dinner", "everything", "family", "garden", "hello",
    "important", "kitchen", "letter", "morning", "music", "nothing", "number", "open", "people", "question", "remember",
    "seven", "something", "summer", "table", "telephone", "today", "tomorrow", "under", "water", "weather", "window",
    "yes", "no", "stop", "the", "and", "what",
)  # fmt: skip


def speak_others(out: Path, word: str, sample_rate: int) -> list[Recording]:
    """Synthetic recordings of dozens of words other than `word`, the same on every call.

    Returns:
        The recordings below the new folder `out`; none if no voices are installed.
    """
    try:
        engines = find_engines()
    except MissingExtraError:
        return []
    words = [other for other in _WORDS if other != normalize_word(word)]
    speak_words(words, out, per_word=_PER_WORD, seed=_SEED, engines=engines, sample_rate=sample_rate)
    return [
        Recording(path.relative_to(out.parent).as_posix(), path.parent.name, path.stat().st_size, 0)
        for path in sorted(out.rglob("*.wav"))
    ]


def make_backgrounds(sample_rate: int) -> dict[str, NDArray[np.int16]]:
    """A different piece of synthetic noise for each set: int16 [samples]."""
    return {
        name: make_sounds(_SECONDS[name] * sample_rate, sample_rate, np.random.default_rng([_SEED, position]))
        for position, name in enumerate(SETS)
    }
