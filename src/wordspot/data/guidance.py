"""Guidance: what a teacher, a large network, gives for pieces of recordings, as targets for training a small one.

It is a file in a folder of recordings. Training uses it if the setting ``training.guidance`` is above zero.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import DataError
from wordspot.files import atomic_path

#: Its name in the folder; the dot keeps it out of what is listed.
FILE = ".guidance.npz"
#: Of the speech that `Guidance.starts` counts samples of, in Hz.
SAMPLE_RATE = 16_000
_FADE = 160  # samples at both ends of a piece of speech, so that no click tells it from other recordings


@dataclass(frozen=True)
class Guidance:
    """Pieces of recordings with the teacher's log odds.

    Attributes:
        words: what the odds are of, in the order of the columns of `targets`.
        speech: the folder of speech, resolved; empty if there is none.
        paths: str [n], the recording of each piece: in the folder, or in `speech` if `starts` is not negative.
        starts: int64 [n], the first sample of a piece of speech, at 16 kHz; -1: a whole recording of the folder.
        lengths: int64 [n], the samples of a piece of speech; -1: a whole recording of the folder.
        targets: float32 [n, words], log odds of each word against everything else.
        weights: float32 [n], how often each piece is drawn; they need not add up to 1.
    """

    words: tuple[str, ...]
    speech: str
    paths: NDArray[np.str_]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]

    @property
    def digest(self) -> str:
        """The SHA-256 of what is learned from it."""
        content = hashlib.sha256("\n".join([*self.words, *self.paths.tolist()]).encode())
        for column in (self.starts, self.lengths, self.targets, self.weights):
            content.update(column.tobytes())
        return content.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the file of a folder of recordings."""
        with atomic_path(folder / FILE) as path, path.open("wb") as file:
            np.savez(
                file, words=np.array(self.words), speech=np.array(self.speech), paths=self.paths, starts=self.starts,
                lengths=self.lengths, targets=self.targets, weights=self.weights,
            )  # fmt: skip


def cut_piece(recording: NDArray[np.int16], start: int, length: int) -> NDArray[np.int16]:
    """A piece of speech as the teacher hears it and the network learns it, faded in and out: int16 [at most `length`]."""
    piece = recording[start : start + length].astype(np.float32)
    fade = np.linspace(0, 1, min(_FADE, len(piece) // 2), dtype=np.float32)
    piece[: len(fade)] *= fade
    piece[len(piece) - len(fade) :] *= fade[::-1]
    return piece.astype(np.int16)


def read_guidance(folder: Path) -> Guidance | None:
    """The guidance in a folder of recordings; None if it has none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as value:
            found = Guidance(
                tuple(map(str, value["words"])), str(value["speech"]), value["paths"], value["starts"].astype(np.int64),
                value["lengths"].astype(np.int64), value["targets"].astype(np.float32), value["weights"].astype(np.float32),
            )  # fmt: skip
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the teacher's targets are damaged ({error}); begin the project anew") from error
    n = len(found.paths)
    columns = all(len(column) == n for column in (found.starts, found.lengths, found.weights))
    shaped = columns and found.targets.shape == (n, len(found.words))
    if not shaped or not np.isfinite(found.targets).all() or not (found.weights >= 0).all():
        raise DataError(f"{path}: the teacher's targets are damaged; begin the project anew")
    return found
