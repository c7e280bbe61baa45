"""The lists of common words that come with the package."""

from __future__ import annotations

from functools import cache
from importlib import resources

#: Language → its list: SCOWL, levels 10 and 20 (10,900 words), and 785 words of everyday life.
_LISTS = {"en": "words_en.txt", "de": "words_de.txt"}


@cache
def common_words(language: str = "en") -> tuple[str, ...]:
    """Common words of a language, in lower case, sorted; empty for a language without a list.

    Args:
        language: ``en``, ``en-gb``, ``de``, ...
    """
    name = _LISTS.get(language.split("-")[0])
    if name is None:
        return ()
    text = resources.files("wordspot.data.voices").joinpath(name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
