"""The sounds of every word of a cache, from espeak-ng's phonemes, as small numbers; 0 is no speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.sounds import Sounds, to_sounds
from wordspot.wakeword.splicing.sounds import SAME

LANGUAGE = "en-us"
SILENCE = "-"
_LEAST = 20  # times a sound occurs among the words, or it is spelled by others


def pronounce(texts: Collection[str]) -> dict[str, Sounds]:
    """The sounds of each text."""
    espeak = find_espeak()
    assert espeak, "needs espeak-ng: pip install 'wordspot[voices]'"
    words = espeak.pronounce(texts, LANGUAGE)
    return {text: tuple(SAME.get(s, s) for s in to_sounds(one)) for text, one in zip(texts, words, strict=True)}


def inventory(spoken: Iterable[Sounds]) -> list[str]:
    """Silence and the frequent sounds; their places are their numbers."""
    counts = Counter(sound for sounds in spoken for sound in sounds)
    return [SILENCE, *sorted(sound for sound, n in counts.items() if n >= _LEAST)]


def encode(sounds: Sounds, names: list[str]) -> list[int]:
    """The numbers of sounds; empty if one of them is not in the inventory."""
    found = [names.index(sound) if sound in names else 0 for sound in sounds]
    return [] if 0 in found else found
