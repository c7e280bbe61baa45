"""Recordings for calibration in 8 bits: ranges of activations are measured on some, the loss of accuracy on others."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_audio
from wordspot.audio.folder import walk_folder
from wordspot.audio.samples import Samples
from wordspot.errors import AudioError, DataError, NotFoundError
from wordspot.files import read_text

_MOST_S, _PIECE_S, _LEAST_S = 300.0, 10.0, 10.0


def calibration_streams(groups: Iterable[list[Path]], sample_rate: int, where: str) -> tuple[Samples, Samples]:
    """Join recordings into two streams of up to 150 s each: one to measure ranges on, one to measure the loss on.

    Pieces of 10 s go to the one and to the other in turn. Of each recording there is one piece; of few long ones there are more.

    Args:
        groups: recordings by label, which take turns, so that rare labels are included too.
        sample_rate: in Hz.
        where: the source of the recordings, for messages.

    Raises:
        DataError: they hold less than 10 s of audio that can be read.
    """
    paths = list(_in_turns(groups))
    parts: list[Samples] = []
    wanted, piece = int(_MOST_S * sample_rate), int(_PIECE_S * sample_rate)
    most = max(piece, wanted // max(len(paths), 1))
    for path in paths:
        if wanted <= 0:
            break
        try:
            audio = read_audio(path, sample_rate, thorough=False)[0][:most]
        except (AudioError, NotFoundError):
            continue
        parts += [audio[start : start + piece] for start in range(0, len(audio), piece)]
        wanted -= len(audio)
    seconds = sum(map(len, parts)) / sample_rate
    if seconds < _LEAST_S:
        raise DataError(f"{where} has {seconds:.1f} s of audio to calibrate on; expected at least {_LEAST_S:g} s, better minutes")
    if len(parts) == 1:
        half = len(parts[0]) // 2
        return parts[0][:half], parts[0][half:]
    return np.concatenate(parts[::2]), np.concatenate(parts[1::2])


def recordings_by_folder(given: Path | Sequence[Path]) -> list[list[Path]]:
    """The recordings in a folder, grouped by subfolder, or those that are given.

    Raises:
        NotFoundError: no such folder.
    """
    if not isinstance(given, Path):
        return [list(given)]
    folder = given
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; expected recordings in it")
    sounds = sorted(walk_folder(folder).sounds, key=lambda path: (str(path.parent), path.name))
    return [list(group) for _, group in itertools.groupby(sounds, key=lambda path: path.parent)]


def validation_recordings(listing: Path, data: Path) -> list[list[Path]]:
    """The validation recordings of a run, by label.

    Args:
        listing: its ``data.csv``.
        data: the folder of its recordings.

    Raises:
        NotFoundError: no such listing or folder.
        DataError: it lists no recordings for validation.
    """
    if not data.is_dir():
        raise NotFoundError(f"{data}: no such folder; expected the recordings of the run")
    groups: dict[str, dict[Path, None]] = {}
    for row in csv.DictReader(io.StringIO(read_text(listing))):
        if row.get("set") == "validation":
            groups.setdefault(row.get("label") or "", {})[data / (row.get("path") or "")] = None
    if not groups:
        raise DataError(f"{listing} lists no recordings for validation; name others with `calibrate`")
    return [list(paths) for paths in groups.values()]


def _in_turns(groups: Iterable[list[Path]]) -> Iterable[Path]:
    """One path of each group, then the next of each; each group is shuffled in an order that is always the same."""
    shuffled = []
    for group in groups:
        order = np.random.default_rng(0).permutation(len(group))
        shuffled.append([group[at] for at in order.tolist()])
    for turn in itertools.zip_longest(*shuffled):
        yield from (path for path in turn if path is not None)
