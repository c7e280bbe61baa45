"""Progress of a long operation, reported to a callback; the command line draws a bar from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of an operation.

    Attributes:
        stage: what is being done, in a few words: ``decoding``, ``training``.
        done: finished items.
        total: all items, or None if that is not known.
        speed: how fast it is, in words; empty if that is not measured.
    """

    stage: str
    done: int
    total: int | None = None
    speed: str = ""


#: The stages of training that callers tell apart: its steps, and what it waits for between two of them.
TRAINING = "training"
SEARCHING = "searching the speech and noise"
CHECKING = "checking held-out clips"

#: The type of the argument `progress` of functions that may take long.
OnProgress = Callable[[Progress], None]

#: Called with a sentence that a user should know, about what was read and how, for example.
OnNote = Callable[[str], None]


def ignore(progress: Progress) -> None:
    """The default callback, which does nothing."""


def ignore_note(note: str) -> None:
    """The callback of callers that need no notes."""
