"""Atomic writes: a reader sees either the old content or the new, never a partial file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, WordspotError

#: The beginning of the names of temporary folders in a user's folder.
PREFIX = ".wordspot-"
_TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{12}}(\.[^.]+)?|{re.escape(PREFIX)}\w{{8}}")
_FORCE = "set `force` to write into it anyway"


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it is synced and replaces `target`.

    If the block fails (a full disk, Ctrl-C), the temporary file is removed and `target` is unchanged. The temporary name
    keeps the suffix of `target`, since some writers choose their format by it.
    """
    with _naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target, target.stem, target.suffix)
        # The kernel applies the umask. `os.umask` could only read it by setting it, for all threads of the process.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that is renamed to it on success and removed on failure.

    If another process created `target` in the meantime, its folder is kept and ours is discarded: both have the same
    content. A `target` that contained files from the start is an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    was_there = target.exists()
    temporary = _temporary(target, target.name)
    temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(target)
        except OSError:
            if was_there or not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(target: Path, stem: str, suffix: str = "") -> Path:
    """A unique hidden name beside `target`."""
    return target.parent / f".{stem}.{secrets.token_hex(6)}{suffix}"


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders that a killed program left below `folder`.

    Only for folders that no other program writes to now: its unfinished files would be removed too.
    """
    for path in sorted(folder.rglob(".*")):
        if _TEMPORARY.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: Path) -> str:
    """A text file's content.

    Raises:
        WordspotError: it is not UTF-8; the message names the file.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise WordspotError(f"{path} is damaged: expected text in UTF-8 ({error.reason} at byte {error.start})") from error


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        WordspotError: the file does not contain valid JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise WordspotError(f"{path} is not valid JSON ({error}); was it cut short?") from error


def prepare_out(out: Path, *, force: bool, hint: str = _FORCE) -> None:
    """Create the output folder `out`, after `check_out`."""
    check_out(out, force=force, hint=hint)
    out.mkdir(parents=True, exist_ok=True)


def check_out(out: Path, *, force: bool, hint: str = _FORCE) -> None:
    """Check that `out` does not exist or is an empty folder.

    Args:
        out: the folder to write to.
        force: accept a folder that contains files.
        hint: what else to do about such a folder, for the message.

    Raises:
        ConfigError: `out` is a file, or a folder that is not empty and `force` is off.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; expected a folder to write to. Choose another `out`")
    if out.is_dir() and not force and any(out.iterdir()):
        raise ConfigError(f"{out} contains files; expected a new or empty folder. Choose another `out`, or {hint}")


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let an `OSError` about the temporary file, or about no file at all, name `target`."""
    try:
        yield
    except OSError as error:
        if error.errno and (error.filename is None or Path(str(error.filename)).name.startswith(f".{target.stem}.")):
            error.filename = str(target)
        raise
