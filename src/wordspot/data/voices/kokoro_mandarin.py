"""Mandarin in Kokoro's alphabet, from espeak-ng's phonemes with the number of each tone.

Kokoro learned the phonemes of the package misaki: narrow IPA with one letter for an affricate, and an arrow for the tone
behind the vowel: 天 is ``tʰjɛ→n``. espeak-ng writes the same syllables in a notation of its own (``th iɛ1 n``), and repeats
the glide in syllables that begin with it (``j i1`` for 衣).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wordspot.data.voices.ipa import Word

_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_CONSONANTS = {
    "ph": "pʰ", "th": "tʰ", "kh": "kʰ", "tɕ": "ʨ", "tɕh": "ʨʰ", "ts.": "ꭧ", "ts.h": "ꭧʰ", "s.": "ʂ", "ʐ": "ɻ", "ts": "ʦ",
    "tsh": "ʦʰ", "χ": "x",
}  # fmt: skip
_VOWELS = {
    "ɑ": "a", "ɑu": "au", "o-": "ɤ", "o": "wo", "iɛ": "jɛ", "iou": "jou", "iɑ": "ja", "uo": "wo", "uei": "wei", "ua": "wa",
    "uai": "wai", "uə": "wə", "onɡ": "ʊ", "yɛ": "ɥɛ", "yæ": "ɥɛ", "yə": "y", "i.": "ɨ", "i̪": "ɨ", "ər": "ɚ",
}  # fmt: skip
_ENDINGS = {"onɡ": "ŋ"}
#: What holds for whole syllables, in this order: glides that are said once; vowels at the end of a syllable.
_RULES = (
    (r"j(?=j|i|y|ɥ)", ""), (r"w(?=w|u)", ""), (r"ɛ([→↗↓↘]?)(?!n|[→↗↓↘])", r"e\1"), (r"(?<!w)ə([→↗↓↘]?)(?![nŋ→↗↓↘])", r"ɤ\1"),
)  # fmt: skip
_SYLLABLE_END = re.compile(r"[ˈˌ]?(\D+)([1-5])")


def to_mandarin_symbols(words: Sequence[Word]) -> str:
    """Words of phonemes in Kokoro's alphabet, with a space between two words.

    >>> to_mandarin_symbols([("n", "i3", "χ", "ˈɑu3"), ("t", "iɛ4", "n", "n", "ˈɑu3")])
    'ni↓xau↓ tjɛ↘nnau↓'
    """
    return " ".join(_word(word) for word in words)


def _word(phonemes: Word) -> str:
    text = "".join(map(_phoneme, phonemes))
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text


def _phoneme(phoneme: str) -> str:
    found = _SYLLABLE_END.fullmatch(phoneme)
    if found is None:
        return _CONSONANTS.get(phoneme, phoneme)
    vowel, tone = found.groups()
    return _VOWELS.get(vowel, vowel) + _TONES[tone] + _ENDINGS.get(vowel, "")
