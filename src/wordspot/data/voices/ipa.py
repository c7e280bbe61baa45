"""Pronunciations within a text, in IPA between double brackets: ``[[dɹəkˈɑːɹɪs]]``.

espeak-ng writes a diphthong, an affricate or a long vowel as one phoneme, and puts the stress before the vowel; here it may also
be before the syllable, as in dictionaries. A sound that an accent does not have is replaced by the nearest one that it has, as
people do: ``[[r]]`` is spoken as ɹ in English.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from wordspot.data.voices.sounds import cost_of, is_sound, is_vowel, to_sounds
from wordspot.errors import DataError

#: The phonemes of a word, in IPA.
Word = tuple[str, ...]
#: A pronunciation in a text, without the brackets.
BRACKETED = re.compile(r"\[\[(.*?)\]\]")
_STRESS = "ˈˌ"
_WRITTEN = str.maketrans({"g": "ɡ", "'": "ˈ", ":": "ː", ".": "", "-": "", "\u0361": "", "\u200d": ""})
_LONG = "ː"
_LONGEST = 4
_SAME_DIPHTHONG = 0.2  # two vowels in a row that are nearer than this to a diphthong of the accent are one


def without_ipa(text: str) -> str:
    """The text without the pronunciations in it."""
    return BRACKETED.sub("", text)


def to_ipa(words: Collection[Word]) -> str:
    """A text that is pronounced as these phonemes.

    >>> to_ipa([("h", "ˈeɪ"), ("l", "ˈæ", "m", "p")])
    '[[hˈeɪ lˈæmp]]'
    """
    return f"[[{' '.join(map(''.join, words))}]]"


def read_ipa(text: str, known: Collection[str]) -> tuple[Word, ...]:
    """Words in IPA, without brackets, as phonemes of an accent.

    Args:
        text: ``hˈeɪ lˈæmp``.
        known: the phonemes of the accent, without stress.

    Raises:
        DataError: a character is no sound.
    """
    return tuple(word for part in text.translate(_WRITTEN).split() if (word := tuple(_phonemes(part, known))))


def _phonemes(word: str, known: Collection[str]) -> Iterator[str]:
    """Each phoneme, with the stress mark moved to the next vowel."""
    at, stress = 0, ""
    while at < len(word):
        if word[at] in _STRESS:
            stress, at = word[at], at + 1
            continue
        read, found = _next(word[at:], known)
        if stress and any(map(is_vowel, to_sounds([[found[0]]]))):
            found, stress = [stress + found[0], *found[1:]], ""
        yield from found
        at += read


def _next(rest: str, known: Collection[str]) -> tuple[int, list[str]]:
    """How many characters the next sound has, and the phonemes of the accent that it is spoken as."""
    for length in range(min(_LONGEST, len(rest)), 1, -1):
        if rest[:length] in known:
            return length + rest[length:].startswith(_LONG), [rest[:length]]
    sounds = to_sounds([[rest[0]]])
    if not sounds or not all(map(is_sound, sounds)):
        raise DataError(f"{rest[0]!r} is no sound of the phonetic alphabet; expected a pronunciation in IPA, such as [[həlˈoʊ]]")
    if len(both := to_sounds([[rest[:2]]])) == 1 and is_vowel(both[0]) and both != sounds:
        cost, phoneme = _nearest(both[0], [one for one in known if one.endswith(_LONG) or len(one) > 1])
        if cost <= _SAME_DIPHTHONG:
            return 2 + rest[2:].startswith(_LONG), [phoneme]  # a guess joins "ɛ" and "iː"
    mark = _LONG * rest[1:].startswith(_LONG)
    if rest[0] in known:
        return 1 + len(mark), [rest[0]]
    return 1 + len(mark), [_nearest(sound, known, mark)[1] for sound in sounds]


def _nearest(sound: str, known: Collection[str], mark: str = "") -> tuple[float, str]:
    """The cost of the phoneme that is nearest to a sound, and the phoneme; of equal ones that with the mark."""
    return min(
        (cost_of(sound, one[0]), not phoneme.endswith(mark or one[0][-1]), phoneme)
        for phoneme in known
        if len(one := to_sounds([[phoneme]])) == 1
    )[::2]
