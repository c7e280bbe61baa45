"""A lock between processes that the system takes back when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from wordspot.errors import WordspotError


class LockedError(WordspotError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock that the file `path` stands for.

    Raises:
        LockedError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            raise LockedError(f"{path} is locked: another process is training here; wait until it has ended") from error
        yield


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock."""
    try:
        with hold_lock(path):
            return False
    except LockedError:
        return True


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        # A lock of the process, which children do not inherit: they may outlive a worker that was killed.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
