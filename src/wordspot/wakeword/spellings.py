"""Other spellings of a phrase, for pronunciations that people use and synthetic voices do not."""

from __future__ import annotations

from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.near_misses.candidates import exchanged
from wordspot.data.voices.near_misses.sounds import Sounds, to_sounds

_REDUCED = {"ə", "ɐ", "ʌ", "ᵻ", "ɚ"}
_STRESS = "ˈ"
_ACCENT = "en-us"
_Words = tuple[tuple[str, ...], ...]


def reduced_spellings(phrase: str, language: str) -> list[str]:
    """Spellings of the phrase in which a full vowel before the stress is reduced to a schwa: "uthena" for "athena".

    English speakers reduce most of these vowels. espeak-ng, which also gives the neural voices their phonemes, often keeps them
    in names that it does not know. For other languages there are no such spellings.
    """
    espeak = find_espeak()
    if espeak is None or language.split("-")[0] != "en":
        return []

    def pronounce(texts: list[str]) -> list[Sounds]:
        return [to_sounds(words) for words in espeak.pronounce(texts, _ACCENT)]

    texts = exchanged(phrase, pronounce([phrase])[0], pronounce)  # type: ignore[arg-type]
    own = _words(espeak, [phrase])[0]
    return [text for text, words in zip(texts, _words(espeak, texts), strict=True) if _is_reduced(own, words)]


def _words(espeak: Espeak, texts: list[str]) -> list[_Words]:
    return [tuple(tuple(word) for word in words) for words in espeak.pronounce(texts, _ACCENT)]


def _is_reduced(own: _Words, other: _Words) -> bool:
    """Whether exactly one sound differs: a vowel before its word's stress, which is reduced in `other`."""
    if [len(word) for word in own] != [len(word) for word in other]:
        return False
    different = [
        (one, another, any(sound.startswith(_STRESS) for sound in word[place:]))
        for word, rest in zip(own, other, strict=True)
        for place, (one, another) in enumerate(zip(word, rest, strict=True))
        if one != another
    ]
    if len(different) != 1:
        return False
    one, another, before_stress = different[0]
    return before_stress and another in _REDUCED and one not in _REDUCED and not one.startswith(_STRESS)
