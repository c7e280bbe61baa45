"""The three folders of the task trigger on the command line, and what its word is called. Shared by the commands."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import PurePath
from typing import Any

from wordspot.config import TriggerConfig
from wordspot.errors import ConfigError

FOLDERS = ("positives", "negatives", "backgrounds")
_USUAL, _NO_NAME = "positives", "trigger"


def add_trigger_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--positives``, ``--negatives`` and ``--backgrounds``."""
    group = parser.add_argument_group(
        "trigger", "what the scenes of the task trigger are made of; the task recordings takes --backgrounds alone"
    )
    for field in dataclasses.fields(TriggerConfig):
        if field.name in FOLDERS:
            group.add_argument(
                f"--{field.name}", metavar="A,B",
                help=f"{field.metadata['help']} (default: {','.join(getattr(TriggerConfig(), field.name))}"
                + ("; recordings: none)" if field.name == "backgrounds" else ")"),
            )  # fmt: skip


def trigger_config(args: argparse.Namespace, base: TriggerConfig) -> TriggerConfig:
    """`base` with the folders that the command line names.

    Raises:
        ConfigError: a flag with an empty name in it.
    """
    texts = {name: getattr(args, name, None) for name in FOLDERS}
    given: dict[str, Any] = {name: folder_names(name, text) for name, text in texts.items() if text is not None}
    return dataclasses.replace(base, **given)


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


def folder_names(name: str, text: str) -> tuple[str, ...]:
    """The folders that the flag ``--name`` names.

    Raises:
        ConfigError: an empty name.
    """
    folders = tuple(part.strip() for part in text.split(","))
    if not all(folders):
        raise ConfigError(f"--{name} expects folders, such as {name},more, got {text!r}")
    return folders
