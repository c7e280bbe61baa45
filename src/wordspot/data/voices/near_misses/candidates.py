"""Texts that may sound like a phrase, by kind. Which of them do is measured in `near_misses`."""

from __future__ import annotations

import hashlib
import heapq
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from wordspot.data.voices.common_characters import common_characters
from wordspot.data.voices.sounds import Sounds, contains, distance

#: What other products wake up to.
_WAKE_WORDS = (
    "alexa", "amazon", "computer", "echo", "ziggy", "hey siri", "ok google", "hey google", "hey cortana", "hi bixby",
    "hey jarvis", "hey mycroft", "hey rhasspy", "okay nabu", "hey mercedes", "hey snapchat", "hey facebook", "porcupine",
    "bumblebee", "terminator", "blueberry", "americano", "grasshopper", "picovoice", "hey barista", "hey snips",
)  # fmt: skip
_WAKE_WORDS_ZH = ("小爱同学", "小度小度", "天猫精灵", "小艺小艺", "叮咚叮咚", "若琪")
#: Letters or groups of them → what to write instead, so that mostly one sound changes.
_EXCHANGED = {
    "p": "bt", "b": "pd", "t": "dk", "d": "tg", "k": "gt", "c": "g", "g": "kd", "f": "vs", "v": "fz", "s": "zf", "z": "s",
    "m": "n", "n": "m", "l": "rw", "r": "lw", "h": "f", "w": "rv", "j": "z", "a": "eou", "e": "aio", "i": "eau", "o": "aue",
    "u": "oai", "ch": ("sh",), "sh": ("ch", "s"), "th": ("s", "f", "t"), "ei": ("au",), "ie": ("a",), "ay": ("ow",),
    "ee": ("ow", "oo"), "oo": ("ee",), "y": ("ow",), "ä": "oui", "ö": "aei", "ü": "oae", "sch": ("s", "f"), "eu": ("au", "ei"),
}  # fmt: skip
_TONES = "1234"
_MIN_SOUNDS = 2
_MAX_LONGER = 3

Pronounce = Callable[[Sequence[str]], list[Sounds]]


def is_mandarin(language: str) -> bool:
    """Whether this is a name of Mandarin."""
    return language.split("-")[0] in ("zh", "cmn")


def wake_words(language: str) -> tuple[str, ...]:
    """What other products wake up to, in the script of the language."""
    return _WAKE_WORDS_ZH if is_mandarin(language) else _WAKE_WORDS


def parts(phrase: str, sounds: Sounds, pronounce: Pronounce) -> list[str]:
    """Beginnings and ends of the phrase that sound as they do in it, with two sounds missing at least."""
    cuts = range(1, len(phrase))
    pieces = dict.fromkeys(piece.strip() for cut in cuts for piece in (phrase[:cut], phrase[cut:]))
    words = phrase.split()
    pieces.update(dict.fromkeys(" ".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1)))
    texts, toneless = [piece for piece in pieces if piece and piece != phrase], _without_tones(sounds)
    found = []
    for text, heard in zip(texts, map(_without_tones, pronounce(texts)), strict=True):
        if _MIN_SOUNDS <= len(heard) <= len(toneless) - 2 and contains(toneless, heard):
            found.append(text)
    return found


def exchanged(phrase: str, sounds: Sounds, pronounce: Pronounce) -> list[str]:
    """The phrase with a letter, or a pair, written otherwise, if exactly one sound changes."""
    texts = list(dict.fromkeys(_respelt(phrase)))
    return [text for text, heard in zip(texts, pronounce(texts), strict=True) if _n_replaced(sounds, heard) == 1]


def other_syllables(phrase: str) -> list[str]:
    """A phrase of Mandarin with another character in place of one; in pinyin with numbers, with another tone."""
    found = []
    for place, character in enumerate(phrase):
        others: Iterable[str] = ()
        if character in _TONES and phrase[place - 1 : place].isalpha():
            others = _TONES
        elif unicodedata.name(character, "").startswith("CJK"):
            others = common_characters()
        found += [phrase[:place] + other + phrase[place + 1 :] for other in others if other != character]
    return found


def similar_words(sounds: Sounds, words: Sequence[str], heard: Sequence[Sounds], n: int) -> list[str]:
    """The `n` words of a list that sound most like `sounds`, the nearest first; of equal ones the first by spelling."""
    found: list[tuple[float, str]] = []
    worst = [-math.inf] * n  # the negative distances of the nearest so far, as a heap
    for word, spoken in zip(words, heard, strict=True):
        if abs(len(spoken) - len(sounds)) <= _MAX_LONGER:
            away = distance(sounds, spoken, -worst[0])
            heapq.heappushpop(worst, -away)
            found.append((away, word))
    return [word for _, word in heapq.nsmallest(n, found)]


def half_words(sounds: Sounds, words: Sequence[str], heard: Sequence[Sounds]) -> tuple[list[str], list[str]]:
    """The words of a list that begin, and those that end, as the first and second half of a word do."""
    half = max(len(sounds) // 2, _MIN_SOUNDS)
    begin = [word for word, spoken in zip(words, heard, strict=True) if spoken[:half] == sounds[:half]]
    end = [word for word, spoken in zip(words, heard, strict=True) if spoken[-half:] == sounds[-half:]]
    return begin, end


def any_words(words: Sequence[str], n: int, key: str) -> list[str]:
    """`n` words of a list, by a hash of `key` and the word: the same on every call."""
    return heapq.nsmallest(n, words, key=lambda word: hashlib.sha256(f"{key}\n{word}".encode()).digest())


def _respelt(phrase: str) -> Iterator[str]:
    for letters, others in _EXCHANGED.items():
        start = phrase.find(letters)
        while start >= 0:
            yield from (phrase[:start] + other + phrase[start + len(letters) :] for other in others)
            start = phrase.find(letters, start + 1)


def _n_replaced(first: Sounds, second: Sounds) -> int:
    """How many sounds differ, position by position; -1 if one has more sounds than the other."""
    return sum(one != other for one, other in zip(first, second, strict=True)) if len(first) == len(second) else -1


def _without_tones(sounds: Iterable[str]) -> Sounds:
    return tuple(sound for sound in sounds if not sound.isdecimal())
