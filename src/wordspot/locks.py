"""A lock between processes, held through a file. The system releases it when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from wordspot.errors import LockedError

#: Locks that this process holds, with its id. The system's locks do not keep the threads of one process apart.
_held: dict[Path, int] = {}
_changing = threading.Lock()
_PATIENCE_S = 0.2  # `is_locked` of another process holds a lock for a moment


@contextlib.contextmanager
def hold_lock(path: Path, if_held: str = "") -> Iterator[None]:
    """Hold the lock of the file `path`, which is created if it is missing and stays.

    Child processes do not inherit the lock, since they may outlive a holder that was killed.

    Args:
        path: the lock's file.
        if_held: the error's message; empty: one that names the file.

    Raises:
        LockedError: the lock is held already.
        OSError: the file cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    key, until = path.resolve(), time.monotonic() + _PATIENCE_S
    while (file := _take(key)) is None:
        if time.monotonic() > until:
            raise LockedError(if_held or f"{path} is locked by another process; wait until it has ended")
        time.sleep(_PATIENCE_S / 10)
    try:
        yield
    finally:
        _release(key, file)


def is_locked(path: Path) -> bool:
    """Whether the lock of the file `path` is held."""
    if not path.exists():
        return False
    with _changing:
        if _held.get(path.resolve()) == os.getpid():
            return True
        with path.open("a+b") as file:
            return not _lock(file)


def _take(key: Path) -> IO[bytes] | None:
    """The open file of a lock that this process holds from now on; None if it is held already."""
    with _changing:
        if _held.get(key) == os.getpid():  # to open the file again and close it would release the lock
            return None
        file = key.open("a+b")
        if not _lock(file):
            file.close()
            return None
        _held[key] = os.getpid()
        return file


def _release(key: Path, file: IO[bytes]) -> None:
    with _changing:
        del _held[key]
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike a lock by flock, not inherited by a fork
        except (BlockingIOError, PermissionError):  # the two that POSIX allows for a lock that is held
            return False
        return True
