"""Recorded sounds that the task recordings mixes into its training, so that no class is known by its noise."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from wordspot.data.folders import Recording
from wordspot.data.reader import Decoded, Reader
from wordspot.data.trigger_listing import recordings_in
from wordspot.errors import DataError


def find_backgrounds(root: Path, folders: Sequence[str]) -> list[Recording]:
    """The recordings in `folders`, and in all folders below them; none where no folder is named.

    Args:
        root: where the folders are, unless their paths are absolute.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings in it.
    """
    return list(recordings_in(root, folders, "backgrounds").values())


def read_backgrounds(
    root: Path, found: Sequence[Recording], sample_rate: int, digests: Collection[str], problems: list[str]
) -> tuple[Decoded, ...]:
    """What `find_backgrounds` found in `root`, at `sample_rate` Hz.

    Args:
        digests: SHA-256 of the recordings that are learned and judged; a background is none of them.
        problems: gets a line for each recording that is damaged or silent, and left out.

    Raises:
        DataError: none can be used, or one is among the recordings.
    """
    reader = Reader(root, cut=False, sample_rate=sample_rate, scene_ms=math.inf)
    backgrounds: list[Decoded] = []
    own: list[str] = []
    for one in reader.decode_all(found, "background", own):
        if one.sha256 in digests:
            raise DataError(
                f"{root / one.recording.path}: expected a background, but it is one of the recordings to tell apart; "
                "keep the backgrounds in folders of their own"
            )
        if one.samples.any():
            backgrounds.append(one)
        else:
            own.append(f"{root / one.recording.path}: expected a background, but it is digital silence; remove it")
    if found and not backgrounds:
        raise DataError(f"{root}: none of its {len(found)} backgrounds can be used; {own[0]}")
    problems += own
    return tuple(backgrounds)
