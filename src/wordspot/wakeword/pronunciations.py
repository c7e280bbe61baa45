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
#: Two vowels in a row → the English one.
_JOINED = {"oʊ": "oʊ", "ou": "oʊ", "ow": "oʊ", "aʊ": "aʊ", "au": "aʊ", "ai": "aɪ", "aɪ": "aɪ", "ei": "eɪ", "oi": "ɔɪ"}
#: How people say small words between others.
_REDUCED = {
    "a": "ə", "an": "ən", "and": "ən", "are": "ɚ", "as": "əz", "at": "ət", "can": "kən", "do": "də", "for": "fɚ", "from": "fɹəm",
    "of": "əv", "or": "ɚ", "some": "səm", "than": "ðən", "that": "ðət", "the": "ðə", "to": "tə", "you": "jə", "your": "jɚ",
}  # fmt: skip
_SAME_CONSONANTS = 0.25  # no more than a voiced for an unvoiced consonant
_STRESS = "ˈˌ"
_MOST = 10


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
    """Pronunciations of one word that differ from the usual one, at most `_MOST`."""
    readings = [words[0] for reader in _READERS if len(words := espeak.phonemes(word, reader)) == 1]
    if not readings:
        return []
    usual = readings[0]
    similar = [one for one in map(_in_english, readings) if distance(_consonants(one), _consonants(usual)) <= _SAME_CONSONANTS]
    variants = itertools.chain.from_iterable(zip(*(itertools.islice(_vary(one), 4) for one in similar), strict=False))
    return list(dict.fromkeys(one for one in variants if one != usual))[:_MOST]


def _in_english(word: Word) -> Word:
    """The sounds of a word as an English speaker imitates them."""
    joined: list[str] = []
    for sound in word:
        before, plain = joined[-1] if joined else "", sound.lstrip(_STRESS)
        if pair := _JOINED.get(before.lstrip(_STRESS) + plain):
            joined[-1] = (_stress_of(before) or _stress_of(sound)) + pair
        else:
            joined.append(sound)
    return tuple(_stress_of(sound) + _FULL.get(sound.lstrip(_STRESS), sound.lstrip(_STRESS)) for sound in joined)


def _consonants(word: Word) -> Sounds:
    sounds = [sound for sound in to_sounds([_in_english(word)]) if not is_vowel(sound)]
    return tuple(sound for sound, _ in itertools.groupby(sounds))


def _vary(word: Word) -> Iterator[Word]:
    """The word with weak vowels and with full ones, stressed on its last vowel but one, and where it is stressed; four in all."""
    vowels = [place for place, sound in enumerate(word) if is_vowel(sound.lstrip(_STRESS))]
    own = next((place for place in vowels if word[place].startswith("ˈ")), vowels[-1] if vowels else 0)
    usual = vowels[-2] if len(vowels) > 1 else own
    for stressed, is_weak in itertools.product((usual, own), (True, False)):
        yield tuple(_stressed(sound, place, stressed, vowels, is_weak) for place, sound in enumerate(word))


def _stressed(sound: str, place: int, stressed: int, vowels: list[int], is_weak: bool) -> str:
    plain = sound.lstrip(_STRESS)
    if place == stressed and vowels:
        return f"ˈ{plain}"
    return _WEAK.get(plain, plain) if is_weak and place in vowels else plain


def _stress_of(sound: str) -> str:
    return sound[: len(sound) - len(sound.lstrip(_STRESS))]
