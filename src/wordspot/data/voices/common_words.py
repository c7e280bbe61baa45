"""The list of common English words that comes with the package."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def common_words() -> tuple[str, ...]:
    """10,900 common English words, sorted (SCOWL, levels 10 and 20)."""
    text = resources.files("wordspot.data.voices").joinpath("words_en.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
