"""Unpacking an archive that someone else made: plain files below one folder, bounded in number and size, nothing else."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordspot.errors import DownloadError

MAX_UNPACKED_BYTES = 12 << 30
MAX_MEMBERS = 300_000
_BLOCK = 1 << 16


def unpack(
    archive: Path, folder: Path, *, max_bytes: int = MAX_UNPACKED_BYTES, max_members: int = MAX_MEMBERS
) -> Iterator[tuple[int, int]]:
    """Unpack a ``.tar.gz`` into `folder`: plain files and folders that stay inside it, nothing else.

    Yields:
        After each member: the number of files so far, and the bytes of the archive read.

    Raises:
        DownloadError: the archive is damaged, too large, or holds a path that leaves the folder, a link or a device.
    """
    n_files, n_bytes = 0, 0
    damaged = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
    try:
        with archive.open("rb") as raw, gzip.GzipFile(fileobj=raw) as plain, _open_tar(plain, max_bytes) as tar:
            for count, member in enumerate(tar):
                target = folder.joinpath(*_safe_parts(member, folder))
                n_bytes += member.size
                if count >= max_members or n_bytes > max_bytes:
                    raise tarfile.ReadError(f"more than {max_members} files or {max_bytes} bytes")
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    _write_member(tar, member, target)
                    n_files += 1
                yield n_files, raw.tell()
    except damaged as error:
        raise DownloadError(f"{archive}: not unpacked, it is damaged or unsafe ({error}); fetch it again") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DownloadError(f"{error.filename}: expected a folder or a new file here; use an empty --out") from error
    if not n_files:
        raise DownloadError(f"{archive}: expected recordings, but it holds no files; fetch it again")


class _BoundedReader:
    """What tarfile reads from. A header that claims gigabytes of itself is refused before memory is given to it."""

    def __init__(self, file: gzip.GzipFile, limit: int) -> None:
        self._file = file
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _BLOCK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if not 0 <= position <= self._limit:
            raise tarfile.ReadError(f"an entry that ends at byte {position}")
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def _open_tar(plain: gzip.GzipFile, max_bytes: int) -> tarfile.TarFile:
    reader: Any = _BoundedReader(plain, max_bytes + MAX_MEMBERS * _BLOCK)
    return tarfile.open(fileobj=reader, mode="r:")


def _safe_parts(member: tarfile.TarInfo, folder: Path) -> list[str]:
    """The parts of a member's path below `folder`.

    Raises:
        tarfile.TarError: it would leave the folder, or is neither a plain file nor a folder.
    """
    name = member.name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.search(r"[\\:]", name) or not name.isprintable():
        raise tarfile.ReadError(f"the path {name!r} leaves its folder")
    if not (member.isdir() or member.isreg()) or member.issparse() or member.size < 0:
        raise tarfile.ReadError(f"{name!r} is a link, a device or the like")
    if member.isreg() and not parts:
        raise tarfile.ReadError("a file without a name")
    if second_opinion := getattr(tarfile, "data_filter", None):  # Python 3.11.4 and later
        second_opinion(member, str(folder))
    return parts


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # only links and devices have none
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)  # raises ReadError where the archive ends too soon
