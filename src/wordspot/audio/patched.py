"""Present a file to a decoder with some of its bytes replaced, or a part of it. Nothing of it is kept in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO


class PatchedFile(io.RawIOBase):
    """The bytes of a file from `start` to `stop`, after `prefix`, read-only.

    Args:
        path: the file.
        patches: bytes to present instead of the file's own, by their position in the file.
        prefix: bytes to present before those of the file.
        start: position of the first byte.
        stop: position after the last byte; None: the end of the file.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        patches: Mapping[int, bytes] | None = None,
        *,
        prefix: bytes = b"",
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._patches, self._prefix, self._start = dict(patches or {}), prefix, start
        self._stop = self._file.seek(0, io.SEEK_END) if stop is None else stop
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def tell(self) -> int:
        """The position, counted from the beginning of `prefix`."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position."""
        end = len(self._prefix) + self._stop - self._start
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: end}[whence]
        self._position = max(begin + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes, except at the end; return how many. libsndfile takes less for the end."""
        view = memoryview(buffer).cast("B")
        before = self._prefix[self._position : self._position + len(view)]
        view[: len(before)] = before
        rest, place = view[len(before) :], self._start + max(self._position - len(self._prefix), 0)
        self._file.seek(place)
        n_read = self._file.readinto(rest[: max(self._stop - place, 0)])
        for position, new in self._patches.items():
            for at, byte in enumerate(new, position - place):
                if 0 <= at < n_read:
                    rest[at] = byte
        self._position += len(before) + n_read
        return len(before) + n_read


#: What libsndfile decodes: a file by its name, or an open one.
SoundSource = Path | BinaryIO | PatchedFile
