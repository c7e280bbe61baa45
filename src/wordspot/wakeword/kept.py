"""Keep what the teacher gave for sounds: to encode them takes minutes, to read it no time.

The same pieces of speech are heard for every phrase, the clips of a project twice, and what was encoded when a command was
stopped is not lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FILE = "teacher-values.sqlite"
#: Of values of 2 kB, pages of SQLite's usual size would hold one each.
_PAGES = "PRAGMA page_size = 16384"
_CREATE = "CREATE TABLE IF NOT EXISTS kept (sound BLOB PRIMARY KEY, value BLOB)"
_WAIT_S = 30  # for another process that writes
Values = NDArray[np.float16]


class Kept:
    """Values by the sound that they are of, in one file. If it cannot be used, nothing is kept.

    Args:
        folder: where the file is.
        encoder: a hash of the weights that the values are by.
    """

    def __init__(self, folder: Path, encoder: str) -> None:
        self._path, self._encoder = folder / _FILE, encoder.encode()

    def key(self, sound: NDArray[np.float32]) -> bytes:
        """Of a sound as the encoder gets it."""
        return hashlib.sha256(self._encoder + sound.tobytes()).digest()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Values]:
        """What is kept of these sounds: float16 [n] each."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._open()) as file:
            rows = [file.execute("SELECT value FROM kept WHERE sound = ?", (key,)).fetchone() for key in keys]
            return {key: np.frombuffer(row[0], np.float16) for key, row in zip(keys, rows, strict=True) if row}
        return {}

    def write(self, values: Mapping[bytes, Values]) -> None:
        """Keep the values of sounds; a damaged file is begun anew."""
        rows = [(key, one.tobytes()) for key, one in values.items()]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open()) as file, file:
                file.execute(_PAGES)  # has an effect on a new file only
                file.execute(_CREATE)
                file.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)
        except (sqlite3.OperationalError, OSError):  # it is locked or read-only, or the disk is full
            return
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_WAIT_S)
