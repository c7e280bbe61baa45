"""The labels of a model: silence, unknown and its words, and how two spellings of a word are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePath

from wordspot.config import RunConfig, TriggerConfig
from wordspot.errors import ConfigError

SILENCE_LABEL = "_silence_"


UNKNOWN_LABEL = "_unknown_"


def normalize_word(text: str) -> str:
    """A label as it is compared: NFC, lower case. macOS hands out folder names in NFD."""
    return unicodedata.normalize("NFC", text).lower()


def labels_of(words: Sequence[str]) -> tuple[str, ...]:
    """All labels of a model: silence, unknown, then the wanted words in their order."""
    return (SILENCE_LABEL, UNKNOWN_LABEL, *words)


def labels_of_run(config: RunConfig) -> tuple[str, ...]:
    """All labels of a run's model: a trigger's tells its word from all else, one for recordings its classes."""
    if config.task == "recordings":
        return config.words
    return (SILENCE_LABEL, *config.words) if config.task == "trigger" else labels_of(config.words)


SILENCE = 0


UNKNOWN = 1


_USUAL, _NO_NAME = "positives", "trigger"


def word_of(config: TriggerConfig, words: str | None) -> str:
    """What the word is called: as `words` (``--words``) says, else as the first folder of positives, else ``trigger``.

    Raises:
        ConfigError: more than one word.
    """
    if words is not None:
        if "," in words:
            raise ConfigError(f"the task trigger learns one word, got --words {words}; name one")
        return words.strip()
    name = PurePath(config.positives[0].replace("\\", "/")).name
    return _NO_NAME if name in ("", "..", _USUAL) else name
