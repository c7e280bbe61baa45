"""The three folders of the task trigger on the command line, and what its word is called. Shared by the commands."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from wordspot.config import TriggerConfig
from wordspot.errors import ConfigError

FOLDERS = ("positives", "negatives", "backgrounds")


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


def folder_names(name: str, text: str) -> tuple[str, ...]:
    """The folders that the flag ``--name`` names.

    Raises:
        ConfigError: an empty name.
    """
    folders = tuple(part.strip() for part in text.split(","))
    if not all(folders):
        raise ConfigError(f"--{name} expects folders, such as {name},more, got {text!r}")
    return folders
