"""Compare pronunciations: phonemes in IPA as sounds with features, and a weighted edit distance between two sequences.

A sound is one of

- a consonant, with a place of articulation (0, both lips, to 8, the glottis), a manner, and voice;
- a vowel, with height (0, open, to 6, close), backness (0 to 2), rounded lips and nasality; a diphthong is a pair of vowels;
- a tone, the digit that espeak-ng puts after a syllable of Mandarin, say.

Replacing a sound by another costs

- consonants: 0.2 if only one is voiced, 0.1 a place apart up to 0.3, and 0.4 for another manner (0.2 between an affricate and
  a stop or fricative, and between a lateral and an approximant);
- vowels: 0.1 a step of height, 0.2 a step of backness, 0.1 for the lips, 0.2 for nasality; a diphthong costs the mean over its
  two vowels;
- tones 0.3, a vowel for a consonant 1.5, anything else 1; never less than 0.1 or, except for the 1.5, more than 1.

Inserting or deleting a sound costs 1, a weak one (a schwa, h, j or a glottal stop) 0.5, and a tone 0.3. Length and stress do
not count. The weights are chosen by hand: a voiced for an unvoiced consonant, or the neighbouring vowel, are what people
mishear most.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

#: A sequence of sounds.
Sounds = tuple[str, ...]

_STOP, _AFFRICATE, _FRICATIVE, _NASAL, _LATERAL, _APPROXIMANT = range(6)
_CLOSE_MANNERS = ({_STOP, _AFFRICATE}, {_FRICATIVE, _AFFRICATE}, {_LATERAL, _APPROXIMANT})
#: place, manner, voiced
_CONSONANTS = {
    "p": (0, _STOP, 0), "b": (0, _STOP, 1), "t": (3, _STOP, 0), "d": (3, _STOP, 1), "ʈ": (4, _STOP, 0), "ɖ": (4, _STOP, 1),
    "c": (5, _STOP, 0), "ɟ": (5, _STOP, 1), "k": (6, _STOP, 0), "ɡ": (6, _STOP, 1), "q": (7, _STOP, 0), "ʔ": (8, _STOP, 0),
    "ts": (3, _AFFRICATE, 0), "dz": (3, _AFFRICATE, 1), "tʃ": (4, _AFFRICATE, 0), "dʒ": (4, _AFFRICATE, 1),
    "tɕ": (5, _AFFRICATE, 0), "dʑ": (5, _AFFRICATE, 1), "pf": (1, _AFFRICATE, 0), "ʈʂ": (4, _AFFRICATE, 0),
    "ɸ": (0, _FRICATIVE, 0), "β": (0, _FRICATIVE, 1), "f": (1, _FRICATIVE, 0), "v": (1, _FRICATIVE, 1),
    "θ": (2, _FRICATIVE, 0), "ð": (2, _FRICATIVE, 1), "s": (3, _FRICATIVE, 0), "z": (3, _FRICATIVE, 1),
    "ʃ": (4, _FRICATIVE, 0), "ʒ": (4, _FRICATIVE, 1), "ʂ": (4, _FRICATIVE, 0), "ʐ": (4, _FRICATIVE, 1),
    "ɕ": (5, _FRICATIVE, 0), "ʑ": (5, _FRICATIVE, 1), "ç": (5, _FRICATIVE, 0), "ʝ": (5, _FRICATIVE, 1),
    "x": (6, _FRICATIVE, 0), "ɣ": (6, _FRICATIVE, 1), "χ": (7, _FRICATIVE, 0), "ʁ": (7, _FRICATIVE, 1), "h": (8, _FRICATIVE, 0),
    "m": (0, _NASAL, 1), "n": (3, _NASAL, 1), "ɲ": (5, _NASAL, 1), "ŋ": (6, _NASAL, 1), "l": (3, _LATERAL, 1),
    "ɫ": (3, _LATERAL, 1), "ʎ": (5, _LATERAL, 1), "ɹ": (4, _APPROXIMANT, 1), "ɻ": (4, _APPROXIMANT, 1), "r": (3, _APPROXIMANT, 1),
    "ɾ": (3, _APPROXIMANT, 1), "ʋ": (1, _APPROXIMANT, 1), "w": (0, _APPROXIMANT, 1), "j": (5, _APPROXIMANT, 1),
    "ɥ": (5, _APPROXIMANT, 1), "ʀ": (7, _APPROXIMANT, 1),
}  # fmt: skip
#: height, backness, rounded
_VOWELS = {
    "i": (6, 0, 0), "y": (6, 0, 1), "ɨ": (6, 1, 0), "ʉ": (6, 1, 1), "ɯ": (6, 2, 0), "u": (6, 2, 1), "ɪ": (5, 0, 0),
    "ʏ": (5, 0, 1), "ᵻ": (5, 1, 0), "ʊ": (5, 2, 1), "e": (4, 0, 0), "ø": (4, 0, 1), "ɘ": (4, 1, 0), "ɵ": (4, 1, 1),
    "ɤ": (4, 2, 0), "o": (4, 2, 1), "ə": (3, 1, 0), "ɛ": (2, 0, 0), "œ": (2, 0, 1), "ɜ": (2, 1, 0), "ʌ": (2, 1, 0),
    "ɔ": (2, 2, 1), "æ": (1, 0, 0), "ɐ": (1, 1, 0), "a": (0, 0, 0), "ɑ": (0, 2, 0), "ɒ": (0, 2, 1),
}  # fmt: skip
#: An n before these sounds is spoken where they are: nobody hears "lanp" in "lamp".
_ASSIMILATED = {"np": "m", "nb": "m", "nm": "m", "nk": "ŋ", "nɡ": "ŋ"}
_NASAL_MARK, _SYLLABIC_MARK = "\u0303", "\u0329"
_WEAK = {"ə", "h", "j", "ʔ"}
_MIN, _MAX, _UNLIKE, _TONE = 0.1, 1.0, 1.5, 0.3


def to_sounds(words: Iterable[Sequence[str]]) -> Sounds:
    """The sounds of words given as phonemes of espeak-ng, without stress and length, and without the limits between words.

    >>> to_sounds([("h", "ˈeɪ"), ("f", "ˈaɪɚ")])
    ('h', 'eɪ', 'f', 'aɪ', 'ə', 'ɹ')
    """
    sounds = [sound for word in words for phoneme in word for sound in _split(phoneme)]
    return tuple(_ASSIMILATED.get(sound + after, sound) for sound, after in zip(sounds, [*sounds[1:], ""], strict=False))


def distance(first: Sounds, second: Sounds, limit: float = math.inf) -> float:
    """The least cost of the replacements, insertions and deletions that turn one sequence into the other.

    If it is above `limit`, infinity may be returned instead, which is faster.
    """
    row = [0.0]
    for sound in second:
        row.append(row[-1] + _cost_alone(sound))
    for sound in first:
        alone, before, row[0] = _cost_alone(sound), row[0], row[0] + _cost_alone(sound)
        for position, other in enumerate(second, start=1):
            best = min(before + cost_of(sound, other), row[position] + alone, row[position - 1] + _cost_alone(other))
            before, row[position] = row[position], best
        if min(row) > limit:
            return math.inf
    return round(row[-1], 6)


@lru_cache(maxsize=16_384)
def cost_of(first: str, second: str) -> float:
    """The cost of replacing one sound by another."""
    if first == second:
        return 0.0
    if first.isdecimal() or second.isdecimal():
        return _TONE if first.isdecimal() and second.isdecimal() else _UNLIKE
    vowels, consonants = (first[0] in _VOWELS, second[0] in _VOWELS), (first in _CONSONANTS, second in _CONSONANTS)
    if all(vowels):
        pairs = zip(_ends(first), _ends(second), strict=True)
        cost = sum(_between_vowels(one, other) for one, other in pairs) / 2
    elif all(consonants):
        cost = _between_consonants(first, second)
    else:
        return _UNLIKE if any(vowels) and any(consonants) else _MAX
    return min(max(round(cost, 6), _MIN), _MAX)


def is_vowel(sound: str) -> bool:
    """Whether a sound is a vowel or a diphthong."""
    return sound[:1] in _VOWELS


def is_sound(sound: str) -> bool:
    """Whether the features of a sound are known."""
    return is_vowel(sound) or sound in _CONSONANTS


def contains(sounds: Sounds, part: Sounds) -> bool:
    """Whether `part` occurs in `sounds`, without a gap."""
    return any(sounds[start : start + len(part)] == part for start in range(len(sounds) - len(part) + 1))


def _split(phoneme: str) -> list[str]:
    """One phoneme of espeak-ng as sounds: ``ɔːɹ`` → ɔ, ɹ; ``ɚ`` → ə, ɹ; ``n̩`` → ə, n; ``iɛ5`` → iɛ, 5."""
    plain = unicodedata.normalize("NFD", phoneme).replace("ɚ", "əɹ").replace("ɝ", "ɜɹ").replace("c\u0327", "ç")
    sounds: list[str] = []
    for character in plain:
        last = sounds[-1] if sounds else ""
        if character == _SYLLABIC_MARK and last:
            sounds[-1:] = ["ə", last]
        elif last and (character == _NASAL_MARK or last + character in _CONSONANTS or {last, character} <= _VOWELS.keys()):
            sounds[-1] += character
        elif character.isdecimal() or (character.isalpha() and unicodedata.category(character) != "Lm"):
            sounds.append(character)
    return sounds


def _ends(vowel: str) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """The first and last vowel of a diphthong, twice the same of another; and whether it is nasal."""
    plain, is_nasal = vowel.replace(_NASAL_MARK, ""), _NASAL_MARK in vowel
    return (plain[0], is_nasal), (plain[-1], is_nasal)


def _between_vowels(first: tuple[str, bool], second: tuple[str, bool]) -> float:
    (height, back, is_round), (other_height, other_back, is_other_round) = _VOWELS[first[0]], _VOWELS[second[0]]
    cost = 0.1 * abs(height - other_height) + 0.2 * abs(back - other_back)
    return cost + 0.1 * (is_round != is_other_round) + 0.2 * (first[1] != second[1])


def _between_consonants(first: str, second: str) -> float:
    (place, manner, voiced), (other_place, other_manner, other_voiced) = _CONSONANTS[first], _CONSONANTS[second]
    cost = 0.2 * (voiced != other_voiced) + 0.1 * min(abs(place - other_place), 3)
    if manner != other_manner:
        cost += 0.2 if {manner, other_manner} in _CLOSE_MANNERS else 0.4
    return cost


def _cost_alone(sound: str) -> float:
    """The cost of inserting or deleting a sound."""
    if sound.isdecimal():
        return _TONE
    return 0.5 if sound in _WEAK else 1.0
