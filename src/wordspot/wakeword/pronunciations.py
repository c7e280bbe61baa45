"""How people may say a phrase: other pronunciations of words that are in no dictionary, and of small words between others.

espeak-ng, which also gives the neural voices their phonemes, guesses such words by English rules: "dracarys" begins like
"dragon", "hadouken" is stressed on "ha". Many people read them as foreign words instead. So such a word is also read by the
rules of other languages; its sounds are replaced by English ones, and stress and vowels are varied as English speakers do.

Voices speak "or" and "to" in full even between other words, where people reduce them: "trick er treat".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.ipa import Word, to_ipa
from wordspot.data.voices.sounds import Sounds, distance, is_vowel, to_sounds
from wordspot.labels import normalize_word

_ENGLISH = "en-us"
_READERS = (_ENGLISH, "it", "de", "nl", "sw", "es")
#: Sounds of other languages → the English ones that replace them; in vowels without stress, the second.
_FULL = {
    "a": "ɑː", "aː": "ɑː", "ɑ": "ɑː", "e": "ɛ", "eː": "eɪ", "i": "iː", "o": "oʊ", "oː": "oʊ", "ɔ": "ɔː", "u": "uː", "y": "iː",
    "yː": "iː", "ʌʊ": "aʊ", "r": "ɹ", "ɾ": "ɹ", "ʁ": "ɹ",
}  # fmt: skip
_WEAK = {"ɑː": "ə", "æ": "ə", "ɛ": "ə", "eɪ": "ə", "ɔː": "ə", "iː": "ɪ", "ʌ": "ə"}
_WEAK_AT_THE_END = {"ɑː": "ə", "ɛ": "ə"}
_NEVER_STRESSED = ("ə", "ɚ", "ᵻ", "ɐ")
_FLAP = "ɾ"  # how Americans say a t between vowels; in other languages an r
#: Two vowels in a row → the English one.
_JOINED = {"oʊ": "oʊ", "ou": "oʊ", "ow": "oʊ", "aʊ": "aʊ", "au": "aʊ", "ai": "aɪ", "aɪ": "aɪ", "ei": "eɪ", "oi": "ɔɪ"}
#: How people say small words between others.
_REDUCED = {
    "a": "ə", "an": "ən", "and": "ən", "are": "ɚ", "as": "əz", "at": "ət", "can": "kən", "do": "də", "for": "fɚ", "from": "fɹəm",
    "of": "əv", "or": "ɚ", "some": "səm", "than": "ðən", "that": "ðət", "the": "ðə", "to": "tə", "you": "jə", "your": "jɚ",
}  # fmt: skip
_SAME_CONSONANTS = 0.25  # no more than a voiced for an unvoiced consonant
_STRESS = "ˈˌ"
_SHORTEST_PART = 3  # letters
_MOST = 6


def pronunciations(phrase: str, language: str) -> list[str]:
    """Texts with IPA, see `wordspot.data.voices.ipa`, that say the phrase as people may, besides as it is spelled.

    There are none for other languages than English, or if all words are common ones with a single pronunciation.
    """
    espeak = find_espeak()
    if espeak is None or language.split("-")[0] != "en":
        return []
    words = normalize_word(phrase).split()
    found = [_ways_to_say(word, 0 < place < len(words) - 1, espeak) for place, word in enumerate(words)]
    n = max(map(len, found), default=1)
    return [" ".join(ways[number % len(ways)] for ways in found) for number in range(1, n)]


def _ways_to_say(word: str, is_between: bool, espeak: Espeak) -> list[str]:
    """A word as it is spelled, and in IPA as people may say it; `is_between` others."""
    if is_between and word in _REDUCED:
        return [word, f"[[{_REDUCED[word]}]]"]
    if word in common_words():
        return [word]
    return [word, *(to_ipa([one]) for one in _of_word(word, espeak))]


def _of_word(word: str, espeak: Espeak) -> list[Word]:
    """Pronunciations of one word that differ from the usual one, at most `_MOST`, the most plausible first."""
    usual, *others = [words[0] if len(words := espeak.phonemes(word, reader)) == 1 else () for reader in _READERS]
    if not usual or _is_compound(word):
        return []
    usual = tuple(_stress_of(sound) + ("t" if sound.lstrip(_STRESS) == _FLAP else sound.lstrip(_STRESS)) for sound in usual)
    similar = [one for one in map(_in_english, (usual, *others)) if _is_similar(one, _in_english(usual))]
    variants = itertools.chain.from_iterable(itertools.zip_longest(*map(_vary, dict.fromkeys(similar))))
    known = (None, usual, _in_english(usual))
    return list(dict.fromkeys(one for one in variants if one not in known))[:_MOST]


def _is_compound(word: str) -> bool:
    """Whether the word is two common ones, which people say as such."""
    return any({word[:at], word[at:]} <= set(common_words()) for at in range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1))


def _is_similar(one: Word, usual: Word) -> bool:
    """Whether two readings have as many syllables, and nearly the same consonants."""
    return _n_vowels(one) == _n_vowels(usual) and distance(_consonants(one), _consonants(usual)) <= _SAME_CONSONANTS


def _n_vowels(word: Word) -> int:
    return sum(map(_holds_vowel, word))


def _holds_vowel(phoneme: str) -> bool:
    return any(map(is_vowel, to_sounds([[phoneme.lstrip(_STRESS)]])))


def _in_english(word: Word) -> Word:
    """The sounds of a word as an English speaker imitates them."""
    joined: list[str] = []
    for sound in word:
        before, plain = joined[-1] if joined else "", sound.lstrip(_STRESS)
        pair = _JOINED.get(before.lstrip(_STRESS) + plain) if before else None
        if pair:
            joined[-1] = (_stress_of(before) or _stress_of(sound)) + pair
        else:
            joined.append(sound)
    return tuple(_stress_of(sound) + _FULL.get(sound.lstrip(_STRESS), sound.lstrip(_STRESS)) for sound in joined)


def _consonants(word: Word) -> Sounds:
    sounds = [sound for sound in to_sounds([word]) if not is_vowel(sound)]
    return tuple(sound for sound, _ in itertools.groupby(sounds))


def _vary(word: Word) -> Iterator[Word]:
    """The word stressed on its last vowel but one, and where it is stressed, with other vowels weak; then with the first full."""
    vowels = [place for place, sound in enumerate(word) if _holds_vowel(sound)]
    own = next((place for place in vowels if word[place].startswith("ˈ")), vowels[-1] if vowels else 0)
    usual = vowels[-2] if len(vowels) > 1 else own
    is_heavy = bool(vowels) and len(word) - vowels[-1] > 2  # the last syllable, as in "mycroft"
    for first, stressed in itertools.product((False, True), (usual, own)):
        if not vowels or word[stressed].lstrip(_STRESS).startswith(_NEVER_STRESSED):
            continue
        full = {*vowels[: int(first)], *vowels[len(vowels) - int(is_heavy) :]}
        changed = tuple(
            f"ˈ{plain}" if place == stressed else plain if place in full or place not in vowels
            else (_WEAK_AT_THE_END if place == len(word) - 1 else _WEAK).get(plain, plain)
            for place, plain in enumerate(sound.lstrip(_STRESS) for sound in word)
        )  # fmt: skip
        yield changed
        yield from _before_r(changed, stressed)


def _before_r(word: Word, stressed: int) -> Iterator[Word]:
    """A stressed "a" before an r and another vowel, as in "vary"."""
    after = [sound.lstrip(_STRESS) for sound in word[stressed + 1 : stressed + 3]]
    if word[stressed] == "ˈɑː" and len(after) == 2 and after[0] == "ɹ" and is_vowel(after[1]):
        yield (*word[:stressed], "ˈɛ", *word[stressed + 1 :])


def _stress_of(sound: str) -> str:
    return sound[: len(sound) - len(sound.lstrip(_STRESS))]
