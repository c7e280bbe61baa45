"""Recorded sounds that the task recordings mixes into its training, so that no class is known by its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from wordspot.errors import DataError
from wordspot.trigger_listing import recordings_in
from wordspot.trigger_reader import Decoded, Reader


def load_backgrounds(root: Path, folders: Sequence[str], sample_rate: int, problems: list[str]) -> tuple[Decoded, ...]:
    """The recordings in `folders`, and in all folders below them, at `sample_rate` Hz; none where no folder is named.

    Args:
        root: where the folders are, unless their paths are absolute.
        problems: gets a line for each recording that is damaged, and left out.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings in it that can be used.
    """
    found = list(recordings_in(root, folders, "backgrounds").values())
    own: list[str] = []
    decoded = Reader(root, cut=False, sample_rate=sample_rate, scene_ms=math.inf).decode_all(found, "background", own)
    if found and not decoded:
        raise DataError(f"{root}: none of its {len(found)} backgrounds can be used; {own[0]}")
    problems += own
    return tuple(decoded)
