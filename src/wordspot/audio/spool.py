"""Copy streams that can be read only once (standard input, pipes, ``<(...)`` of a shell, devices) to temporary files."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from wordspot.errors import AudioError

#: Longest stream that is copied, in bytes: three hours of CD audio.
MAX_BYTES = 2 << 30
_BLOCK = 1 << 20


def is_stream(path: Path) -> bool:
    """Whether `path` is not a file on a disk but ``-`` (standard input), a pipe or a device."""
    return str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir())


@contextlib.contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """`path` itself, or a temporary copy if it is a stream, which is read to its end.

    Raises:
        AudioError: it is longer than `MAX_BYTES`.
        OSError: it cannot be read, or the disk is full.
    """
    if not is_stream(path):
        yield path
        return
    is_stdin = str(path) == "-"
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        copy = Path(folder) / ("stdin" if is_stdin else path.name)
        if is_stdin:
            _copy(sys.stdin.buffer, copy, path)
        else:
            with path.open("rb") as stream:
                _copy(stream, copy, path)
        yield copy


@contextlib.contextmanager
def local_files(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """`local_file` of each of `paths`."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(local_file(path)) for path in paths]


def copy_stream(stream: BinaryIO, folder: Path, begin: bytes = b"") -> Path:
    """Copy a stream, of which `begin` was read already, into a file in `folder`.

    Raises:
        AudioError: it is longer than `MAX_BYTES`.
    """
    copy = folder / "stdin"
    _copy(stream, copy, Path("-"), begin)
    return copy


def _copy(stream: BinaryIO, copy: Path, name: Path, begin: bytes = b"") -> None:
    n_bytes = len(begin)
    with copy.open("wb") as file:
        file.write(begin)
        while block := stream.read(_BLOCK):
            n_bytes += len(block)
            if n_bytes > MAX_BYTES:
                raise AudioError(f"{name}: longer than the limit of {MAX_BYTES >> 30} GiB; write it to a file first")
            file.write(block)
