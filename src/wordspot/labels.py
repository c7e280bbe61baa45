"""The labels of a model: silence, unknown and its words, and how two spellings of a word are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from wordspot.config import TriggerConfig

SILENCE_LABEL, UNKNOWN_LABEL = "_silence_", "_unknown_"

#: Their positions among the labels of the task `words`.
SILENCE, UNKNOWN = 0, 1

_USUAL, _NO_NAME = "positives", "trigger"


def normalize_word(text: str) -> str:
    """A label as it is compared: NFC, lower case. macOS hands out folder names in NFD."""
    return unicodedata.normalize("NFC", text).lower()


def as_words(words: str | Sequence[str]) -> tuple[str, ...]:
    """Words as a tuple; a string is one word, not its letters.

    >>> as_words("lamp"), as_words(["yes", "no"])
    (('lamp',), ('yes', 'no'))
    """
    return (words,) if isinstance(words, str) else tuple(words)


def labels_of(words: Sequence[str]) -> tuple[str, ...]:
    """All labels of a model: silence, unknown, then the wanted words in their order.

    >>> labels_of(["yes", "no"])
    ('_silence_', '_unknown_', 'yes', 'no')
    """
    return (SILENCE_LABEL, UNKNOWN_LABEL, *words)


def word_of(config: TriggerConfig, words: str | None) -> str:
    """The name of a trigger's word: `words` if given, else that of the first folder of positives, else ``trigger``.

    Raises:
        ConfigError: more than one word.
    """
    if words is not None:
        if "," in words:
            raise ConfigError(f"the task trigger learns one word, got words {words!r}; name one")
        return words.strip()
    name = PurePath(config.positives[0].replace("\\", "/")).name
    return _NO_NAME if name in ("", "..", _USUAL) else name
