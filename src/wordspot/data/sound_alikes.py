"""Which written words contain the sound of another: the same, its inflected forms, and English homophones.

Words that merely resemble it, such as "town" for "down", do not count: they are what a model has to tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from wordspot.labels import normalize_word

_ENDINGS = ("s", "es", "'s", "ed", "ing")
_HOMOPHONES = (
    {"no", "know", "oh"}, {"right", "write", "wright", "rite"}, {"two", "to", "too"}, {"four", "for", "fore"},
    {"one", "won"}, {"eight", "ate"}, {"by", "buy", "bye"}, {"hi", "high"}, {"red", "read"}, {"blue", "blew"}, {"sun", "son"},
    {"here", "hear"}, {"night", "knight"}, {"week", "weak"}, {"new", "knew"}, {"you", "ewe"}, {"see", "sea"}, {"be", "bee"},
)  # fmt: skip


def sounds_alike(text: str, words: Iterable[str]) -> bool:
    """Whether the sound of one of `words` is in that of `text`, a written word.

    >>> [sounds_alike(text, ["stop", "no"]) for text in ("Stop", "stopped", "know", "knows", "shop", "not")]
    [True, True, True, True, False, False]
    """
    heard = normalize_word(text)
    return any(form in alike for alike in (_alike_to(normalize_word(word)) for word in words) for form in _stems(heard))


def _alike_to(word: str) -> set[str]:
    return {word}.union(*(group for group in _HOMOPHONES if word in group))


def _stems(heard: str) -> set[str]:
    """The word, and what it may be without an ending, a doubled letter before it or an e left out: ``stopped`` gives ``stop``."""
    stems = {heard}
    for ending in _ENDINGS:
        if heard.endswith(ending):
            stem = heard.removesuffix(ending)
            stems.add(stem)
            if ending in ("ed", "ing"):
                stems.add(stem + "e")
                if len(stem) > 2 and stem[-1] == stem[-2]:
                    stems.add(stem[:-1])
    return stems
