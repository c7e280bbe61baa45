"""Kokoro's alphabet: from espeak-ng's phonemes to the numbers that the network reads.

The network was trained on the phonemes of the package misaki, which has one letter for a diphthong or an affricate and
writes the vowels of American English without length. The tables below are those of misaki's module `espeak` (Apache-2.0)
for Kokoro 1.0, applied to one phoneme at a time. The numbers are those of `config.json` of Kokoro-82M (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wordspot.data.voices.ipa import Word

#: Symbol → its number; 0 is the pause before and after the text.
SYMBOLS = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, "\"": 11, "(": 12, ")": 13, "“": 14, "”": 15,
    " ": 16, "\u0303": 17, "ʣ": 18, "ʥ": 19, "ʦ": 20, "ʨ": 21, "ᵝ": 22, "ꭧ": 23, "A": 24, "I": 25, "O": 31, "Q": 33,
    "S": 35, "T": 36, "W": 39, "Y": 41, "ᵊ": 42, "a": 43, "b": 44, "c": 45, "d": 46, "e": 47, "f": 48, "h": 50,
    "i": 51, "j": 52, "k": 53, "l": 54, "m": 55, "n": 56, "o": 57, "p": 58, "q": 59, "r": 60, "s": 61, "t": 62,
    "u": 63, "v": 64, "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69, "ɐ": 70, "ɒ": 71, "æ": 72, "β": 75, "ɔ": 76,
    "ɕ": 77, "ç": 78, "ɖ": 80, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɟ": 90, "ɡ": 92, "ɥ": 99,
    "ɨ": 101, "ɪ": 102, "ʝ": 103, "ɯ": 110, "ɰ": 111, "ŋ": 112, "ɳ": 113, "ɲ": 114, "ɴ": 115, "ø": 116, "ɸ": 118,
    "θ": 119, "œ": 120, "ɹ": 123, "ɾ": 125, "ɻ": 126, "ʁ": 128, "ɽ": 129, "ʂ": 130, "ʃ": 131, "ʈ": 132, "ʧ": 133,
    "ʊ": 135, "ʋ": 136, "ʌ": 138, "ɣ": 139, "ɤ": 140, "χ": 142, "ʎ": 143, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157,
    "ː": 158, "ʰ": 162, "ʲ": 164, "↓": 169, "→": 171, "↗": 172, "↘": 173, "ᵻ": 177,
}  # fmt: skip

_ENGLISH = {
    "aɪ": "I", "aʊ": "W", "dʒ": "ʤ", "eɪ": "A", "e": "A", "tʃ": "ʧ", "ɔɪ": "Y", "əl": "ᵊl", "ɚ": "əɹ", "r": "ɹ", "x": "k",
    "ç": "k", "ɐ": "ə", "ɬ": "l", "ʔ": "t", "ɾ": "T", "n̩": "ᵊn", "l̩": "ᵊl", "ʲ": "",
}  # fmt: skip
_AMERICAN = _ENGLISH | {"oʊ": "O", "ɜː": "ɜɹ", "ɪə": "iə", "oː": "ɔ", "o": "ɔ", "ː": ""}
_BRITISH = _ENGLISH | {"əʊ": "Q", "eə": "ɛː", "iə": "ɪə", "oː": "ɔː", "o": "ɔ"}
_OTHERS = {
    "aɪ": "I", "aʊ": "W", "dz": "ʣ", "dʒ": "ʤ", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ts": "ʦ", "tʃ": "ʧ", "ɔɪ": "Y", "-": "",
}  # fmt: skip
_TABLES = {"en-us": _AMERICAN, "en-gb": _BRITISH}


def to_symbols(words: Sequence[Word], accent: str) -> str:
    """Words of espeak-ng's phonemes in Kokoro's alphabet, with a space between two words.

    >>> to_symbols([("h", "ˈeɪ"), ("l", "ˈæ", "m", "p")], "en-us")
    'hˈA lˈæmp'
    """
    table = _TABLES.get(accent, _OTHERS)
    longest_first = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
    spelt = (re.sub(longest_first, lambda found: table[found[0]], phoneme) for word in words for phoneme in (*word, " "))
    text = "".join(spelt).strip().replace("ɜɹɹ", "ɜɹ")
    return "".join(symbol for symbol in text if symbol in SYMBOLS)


def to_tokens(symbols: str) -> list[int]:
    """The number of each symbol; symbols that Kokoro does not have are left out."""
    return [SYMBOLS[symbol] for symbol in symbols if symbol in SYMBOLS]
