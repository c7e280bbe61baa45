"""A list of spoken clips as ``--task recordings`` reads it: the machine side of "a person or a machine"."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from wordspot.data.voices.clips import Spoken
from wordspot.files import write_text
from wordspot.formats import csv_text

COLUMNS = ("path", "label", "speaker", "generator")


def write_list(path: Path, spoken: Sequence[Spoken], folder: Path, label: str) -> int:
    """Write a CSV with a row for each clip, and give how many; the generator is the engine that speaks.

    Args:
        path: the CSV; the clips' paths are relative to its folder.
        spoken: what `speak_words` wrote into `folder`.
        label: what the recordings are, ``synthetic`` say.
    """
    rows = [
        (_relative(folder / name, path.parent), label, voice.speaker, voice.engine)
        for word in spoken
        for name, voice in word.clips
    ]
    write_text(path, csv_text([COLUMNS, *rows]))
    return len(rows)


def _relative(path: Path, base: Path) -> str:
    """`path` as seen from `base`, with slashes on every system; in full where no way leads there (another drive)."""
    try:
        return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()
