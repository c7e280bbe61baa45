"""Tones of languages in which they tell words apart: espeak-ng's IPA loses some, its own notation has them all.

In IPA it writes the first digit of a tone's contour, so that the first tone of Mandarin (55) and the fourth (51) are the same,
and the digit 3 becomes the vowel ɜ.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from wordspot.data.voices.ipa import Word

#: Languages with tones, by espeak-ng's code, and contours that stand for the number of a tone.
TONAL: dict[str, dict[str, str]] = {
    "cmn": {"55": "1", "35": "2", "214": "3", "51": "4", "11": "5"}, "yue": {}, "hak": {}, "vi": {},
}  # fmt: skip
_FLAG = re.compile(r"\(([a-z-]+)\)")  # before words that are read in another language, and after them
_MARKS = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_VOWEL = "[aeiouv][\u0304\u0301\u030c\u0300]?"
#: A syllable of pinyin, in NFD, with v for ü: an n, ng or r before a vowel begins the next one.
_SYLLABLE = re.compile(f"(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?(?:{_VOWEL})+(?:(?:ng|n|r)(?![aeiouv]))?", re.IGNORECASE)


def words_with_tones(ipa: str, mnemonics: str, language: str, separator: str) -> list[Word]:
    """The words of a text, with the number of each tone at the end of its phoneme: 妈骂 is m, ˈɑ1, m, ˈɑ4.

    Args:
        ipa, mnemonics: what espeak-ng says of the text, in IPA and in its own notation.
        language: its code.
        separator: between two phonemes.
    """
    words: list[Word] = []
    own, parts = True, zip(_FLAG.split(ipa), _FLAG.split(mnemonics), strict=False)
    for place, (spoken, noted) in enumerate(parts):
        if place % 2:
            own = spoken == language
            continue
        first, second = ([_phonemes(word, separator) for word in text.split()] for text in (spoken, noted.replace("|", "")))
        fits = own and [*map(len, first)] == [*map(len, second)]
        words += [_with_tones(*pair, TONAL[language]) for pair in zip(first, second, strict=True)] if fits else map(tuple, first)
    return [word for word in words if word]


def _phonemes(word: str, separator: str) -> list[str]:
    return [part for part in word.split(separator) if part]


def _with_tones(word: Sequence[str], mnemonics: Sequence[str], contours: dict[str, str]) -> Word:
    found = [(phoneme, re.search(r"(?<=\D)\d+$", noted)) for phoneme, noted in zip(word, mnemonics, strict=True)]
    return tuple(re.sub(r"[\dɜ]$", "", phoneme) + contours.get(tone[0], tone[0]) if tone else phoneme for phoneme, tone in found)


def numbered(text: str) -> str:
    """Pinyin with numbers for the marks of its tones and v for ü, as espeak-ng reads it; words without tones stay as they are.

    >>> numbered("nǐhǎo 电脑"), numbered("Bàba lü4"), numbered("hey nǚ'ér")
    ('ni3hao3 电脑', 'Ba4ba5 lv4', "hey nv3'er2")
    """
    return " ".join(_numbered_word(word) for word in text.split(" "))


def _numbered_word(word: str) -> str:
    parts = unicodedata.normalize("NFD", word)
    if "u" in parts.lower() and parts[-1:].isdecimal():
        return unicodedata.normalize("NFC", parts.replace("u\u0308", "v"))
    if not set(parts) & set(_MARKS) or not set(parts.lower()) & set("aeiou"):
        return word
    return _SYLLABLE.sub(lambda found: _numbered_syllable(found[0]), parts.replace("u\u0308", "v"))


def _numbered_syllable(syllable: str) -> str:
    tone = next((_MARKS[character] for character in syllable if character in _MARKS), "5")
    return "".join(character for character in syllable if character not in _MARKS) + tone
