"""Find texts that sound like a phrase but are not the phrase: hard negatives for a wake word, by phonemes.

espeak-ng gives the phonemes; `wordspot.data.voices.sounds` compares them. A text that sounds the same as the phrase
in any accent of the language, or contains it, is no negative and is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.engine import languages_of_script, unread_scripts
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.near_misses.candidates import (
    any_words,
    exchanged,
    half_words,
    is_mandarin,
    other_syllables,
    parts,
    similar_words,
    wake_words,
)
from wordspot.data.voices.sounds import Sounds, contains, distance, to_sounds
from wordspot.data.voices.tones import numbered
from wordspot.errors import ConfigError, DataError, MissingExtraError, install_command
from wordspot.labels import normalize_word

#: Below this distance from the phrase two texts sound the same to many people.
SAME = 0.2
MAX_NEAR_MISSES = 1000


@dataclass(frozen=True)
class NearMiss:
    """A text that sounds like a phrase.

    Attributes:
        text: what to say.
        phonemes: how it is pronounced, in IPA with a space between words: ``hˈeɪ dˈæmp``.
        distance: from the phrase, in weighted edits; see `wordspot.data.voices.sounds`.
        kind: ``word``, ``beginning`` (begins as the phrase does), ``end`` (ends as it does), ``exchanged`` (one sound differs),
            ``syllable`` (of Mandarin: another tone or character), ``part`` (of the phrase) or ``wake word`` (of another product).
    """

    text: str
    phonemes: str
    distance: float
    kind: str

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "phonemes": self.phonemes, "distance": self.distance, "kind": self.kind}


def near_misses(phrase: str, n: int = 50, *, language: str = "en", excluded: Iterable[str] = ()) -> tuple[NearMiss, ...]:
    """Up to `n` texts that sound like a phrase, nearest first; each kind gives as many as the others while it has any.

    In English, words and the beginnings and ends of phrases come from a list of 10,900 common words, in German from one of
    785. In Mandarin, a character is replaced by each of about 1,000 common ones, or a tone of pinyin by the others. In other
    languages there are only parts of the phrase, exchanged sounds (in Latin letters) and wake words of other products.

    Args:
        phrase: the wake word.
        n: how many, at most.
        language: ``en``, ``en-gb``, ``de``, ``zh``, ...
        excluded: texts that are no negatives either, for example another wake word; what sounds like one is left out too.

    Raises:
        ConfigError: an empty phrase, or an `n` out of range.
        DataError: a phrase that cannot be read in this language.
        MissingExtraError: espeak-ng is not installed.
    """
    espeak = find_espeak()
    if espeak is None:
        raise MissingExtraError(f"near misses need espeak-ng for the phonemes; install it with: {install_command('voices')}")
    phrase = normalize_word(" ".join(phrase.split()))
    if not 1 <= n <= MAX_NEAR_MISSES:
        raise ConfigError(f"the number of near misses must lie between 1 and {MAX_NEAR_MISSES}, got {n}")
    if not any(c.isalnum() for c in phrase):
        raise ConfigError(f"a phrase to find near misses of is expected, got {phrase!r}")
    search = _Search(espeak, phrase, language.lower(), [normalize_word(" ".join(text.split())) for text in excluded])
    queues = [search.ranked(kind, texts, n) for kind, texts in search.candidates(n)]
    taken: dict[Sounds, NearMiss] = {}
    for found in itertools.chain.from_iterable(itertools.zip_longest(*queues)):
        if found is not None and len(taken) < n:
            taken.setdefault(found[0], found[1])
    return tuple(sorted(taken.values(), key=lambda near: (near.distance, near.text)))


class _Search:
    """A phrase, its pronunciations and what is excluded."""

    def __init__(self, espeak: Espeak, phrase: str, language: str, excluded: Sequence[str]) -> None:
        if scripts := unread_scripts(phrase, language):
            others = "; ".join(f"{script} letters are read by `language` {languages_of_script(script)}" for script in scripts)
            raise DataError(f"{phrase!r} cannot be read aloud in language {language!r}: {others}")
        self._espeak = espeak
        self._phrase = numbered(phrase) if is_mandarin(language) else phrase
        self._accents = sorted({voice.accent for voice in espeak.voices(language)})
        if not self._accents:
            raise DataError(f"espeak-ng has no voice for the language {language!r}; name another `language`")
        self._language = "en-us" if language == "en" else language
        self._words = common_words(language)
        self._sounds = self.pronounce([phrase])[0]
        if not self._sounds:
            raise DataError(f"{phrase!r} has no sound in language {language!r}; spell it otherwise, or name another `language`")
        self._forbidden = {
            accent: [to_sounds(words) for words in espeak.pronounce([phrase, *excluded], accent)]
            for accent in dict.fromkeys((self._language, *self._accents))
        }

    def pronounce(self, texts: Sequence[str]) -> list[Sounds]:
        return [to_sounds(words) for words in self._espeak.pronounce(texts, self._language)]

    def candidates(self, n: int) -> list[tuple[str, list[str]]]:
        """Texts of each kind, more than are wanted."""
        return [
            *(self._with_words(n) if self._words else ()),
            ("exchanged", exchanged(self._phrase, self._sounds, self.pronounce)),
            *([("syllable", other_syllables(self._phrase))] if is_mandarin(self._language) else []),
            ("part", parts(self._phrase, self._sounds, self.pronounce)),
            ("wake word", list(wake_words(self._language))),
        ]

    def ranked(self, kind: str, texts: Sequence[str], n: int) -> list[tuple[Sounds, NearMiss]]:
        """Those that are no match of the phrase, the nearest first; at most `n`."""
        spoken = self._espeak.pronounce(texts, self._language)
        rows = []
        for text, words in zip(texts, spoken, strict=True):
            heard = to_sounds(words)
            if heard:
                phonemes = " ".join("".join(word) for word in words)
                rows.append((heard, NearMiss(text, phonemes, distance(self._sounds, heard), kind)))
        rows.sort(key=lambda row: (row[1].distance, row[1].text))
        nearest = rows[: 2 * n]  # so that enough are left
        forbidden = self._forbidden_among([near.text for _, near in nearest])
        return [row for row in nearest if row[1].text not in forbidden][:n]

    def _with_words(self, n: int) -> list[tuple[str, list[str]]]:
        """Texts with words of the list; beside the phrase's beginning and end stand words like its own, and any words."""
        words = self._words
        heard = self.pronounce(words)
        similar = ("word", similar_words(self._sounds, words, heard, 2 * n))
        before, _, last = self._phrase.rpartition(" ")
        first, _, after = self._phrase.partition(" ")
        if not before:
            begin, end = half_words(self._sounds, words, heard)
            return [similar, ("beginning", begin), ("end", end)]
        ends, begins = (similar_words(sounds, words, heard, n) for sounds in self.pronounce([last, first]))
        return [
            similar,
            ("beginning", [f"{before} {word}" for word in ends]),
            ("end", [f"{word} {after}" for word in begins]),
            ("beginning", [f"{before} {word}" for word in any_words(words, n, last)]),
            ("end", [f"{word} {after}" for word in any_words(words, n, first)]),
        ]

    def _forbidden_among(self, texts: Sequence[str]) -> set[str]:
        """The texts that sound like the phrase or an excluded one, or contain it, in any accent."""
        found = set()
        for accent, forbidden in self._forbidden.items():
            for text, words in zip(texts, self._espeak.pronounce(texts, accent), strict=True):
                heard = to_sounds(words)
                if any(distance(heard, other, SAME) < SAME or contains(heard, other) for other in forbidden if other):
                    found.add(text)
        return found
