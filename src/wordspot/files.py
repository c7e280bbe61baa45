"""Writing files so that a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, WordspotError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it is synced and takes the target's place.

    Whatever goes wrong inside the block (a full disk, Ctrl-C), the temporary file is removed and the target is
    untouched. The temporary name keeps the target's suffix, since some writers choose their format by it.
    """
    with _naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target`` that is renamed to it on success and removed on failure.

    When another process made ``target`` in the meantime, ours is dropped and theirs stays: both hold the same. A target
    that held files from the beginning is an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    was_there = target.exists()
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        try:
            temporary.rename(target)
        except OSError:
            if was_there or not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline, atomically."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        WordspotError: the file is no JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise WordspotError(f"{path}: expected JSON, but it does not parse ({error})") from error


def prepare_out(out: Path, *, force: bool, hint: str = "--force to write into it all the same") -> None:
    """Make the output folder ``out``, refusing one that already holds something, as `check_out` does."""
    check_out(out, force=force, hint=hint)
    out.mkdir(parents=True, exist_ok=True)


def check_out(out: Path, *, force: bool, hint: str) -> None:
    """Refuse an output folder that already holds something.

    Raises:
        ConfigError: ``out`` is a file, or a folder that is not empty and ``force`` is off.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write to, but it is a file; name another --out")
    if out.is_dir() and not force and any(out.iterdir()):
        raise ConfigError(f"{out}: expected a new or empty folder, but it holds files; name another --out, or {hint}")


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """An error of the system about the temporary file, or about no file, is told as one about `target`."""
    try:
        yield
    except OSError as error:
        if error.errno and (error.filename is None or Path(str(error.filename)).name.startswith(f".{target.stem}.")):
            error.filename = str(target)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
