"""What the task recordings is tested on and trained over, on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from wordspot.commands.trigger_flags import folder_names
from wordspot.errors import ConfigError


def add_recordings_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--hold-out-generator``, ``--speaker-folds`` and ``--leave-one-generator-out``."""
    group = parser.add_argument_group("recordings", "what the task recordings is tested on")
    group.add_argument(
        "--hold-out-generator", metavar="A,B", help="generators that stand in testing only: what a new one will do"
    )
    group.add_argument(
        "--leave-one-generator-out", action="store_true",
        help="train once for each generator that is not of the first class, holding it out, and print a table",
    )  # fmt: skip
    group.add_argument(
        "--speaker-folds", metavar="N", type=int,
        help="deal the speakers into N parts, the first of which is tested; with --leave-one-generator-out, each in turn",
    )  # fmt: skip


def recordings_settings(args: argparse.Namespace, task: str) -> dict[str, Any]:
    """The settings of `config.RecordingsConfig` that the command line names; ``--backgrounds`` is the task trigger's, too.

    Raises:
        ConfigError: an empty name.
    """
    given: dict[str, Any] = {}
    text, n_folds = getattr(args, "hold_out_generator", None), getattr(args, "speaker_folds", None)
    if text is not None:
        names = tuple(name.strip() for name in text.split(","))
        if not all(names):
            raise ConfigError(f"--hold-out-generator expects names of generators, got {text!r}")
        given["recordings.hold_out"] = names
    if n_folds is not None:
        given["recordings.n_folds"] = n_folds
    if task == "recordings" and getattr(args, "backgrounds", None) is not None:
        given["recordings.backgrounds"] = folder_names("backgrounds", args.backgrounds)
    return given
