"""List the recordings of an archive: in folders, by patterns, from lists, on remote file systems; and open them locally."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from wordspot.audio.folder import is_audio_name, walk_folder
from wordspot.errors import AudioError, ConfigError, NotFoundError, WordspotError, missing_extra
from wordspot.files import read_text

_MAGIC = "*?["
_BLOCK = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """A recording of an archive.

    Attributes:
        name: its absolute path or its URL; the column `file` of the results.
        n_bytes: its size; 0 if the server does not say.
        fingerprint: changes when the file does: size and time of the last change, or what the server has instead.
        is_remote: whether `name` is a URL.
    """

    name: str
    n_bytes: int
    fingerprint: str
    is_remote: bool = False


def list_files(sources: Sequence[str], lists: Sequence[str] = ()) -> list[SourceFile]:
    """List the recordings that `sources` and the lines of the files `lists` name, each once, sorted by name.

    Args:
        sources: files, folders (searched at any depth), patterns such as ``archive/**/*.flac``, and URLs of these.
        lists: text files with a source on each line; ``-`` is standard input.

    Raises:
        NotFoundError: a source or a list that does not exist, or no recordings at all.
        ConfigError: neither sources nor lists, or a URL of a kind that is not installed.
        MissingExtraError: a URL, but fsspec is not installed.
        OSError: a folder that cannot be listed.
    """
    if not sources and not lists:
        raise ConfigError("name what to scan: recordings, folders, patterns, URLs, or a list of them")
    named = [str(source) for source in sources] + [line for file in lists for line in _lines(file)]
    found = {file.name: file for source in named for file in _list(source)}
    if not found:
        raise NotFoundError(f"{', '.join(named[:3]) or 'the list'}: no recordings there (WAV, FLAC, Ogg or MP3)")
    return [found[name] for name in sorted(found)]


def is_url(source: str) -> bool:
    """Whether a source is on a file system of fsspec rather than a local path."""
    return "://" in source


@contextlib.contextmanager
def opened(file: SourceFile) -> Iterator[Path]:
    """The local path of a recording: a remote one is copied to a temporary file first. Errors name the recording.

    Raises:
        NotFoundError, AudioError: it cannot be read.
    """
    if not file.is_remote:
        yield Path(file.name)
        return
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        remote_path = PurePosixPath(urlsplit(file.name).path)
        copy = Path(folder) / f"remote{remote_path.suffix}"  # its own name may be too long, or not allowed here
        try:
            system, path = _file_system(file.name)
            with system.open(path, "rb") as remote, copy.open("wb") as local:
                shutil.copyfileobj(remote, local, _BLOCK)
        except Exception as error:  # as in `_list_remote`
            raise AudioError(f"{file.name}: cannot be fetched ({_reason(error)})") from error
        try:
            yield copy
        except AudioError as error:
            names = {str(copy): file.name, copy.name: remote_path.name}
            pattern = "|".join(map(re.escape, names))  # the path first, of which the name is a part
            raise AudioError(re.sub(pattern, lambda found: names[found[0]], str(error))) from error


def content_hash(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(file: str) -> list[str]:
    if file != "-" and not Path(file).is_file():
        raise NotFoundError(f"{file}: no such file; expected a list with a recording on each line")
    lines = sys.stdin.read().splitlines() if file == "-" else read_text(Path(file)).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _list(source: str) -> list[SourceFile]:
    if is_url(source):
        return _list_remote(source)
    path = Path(source)
    if path.is_dir():
        inside = walk_folder(path)
        if inside.errors:
            raise inside.errors[0]
        return [_local(sound) for sound in inside.sounds]
    if path.exists():
        return [_local(path)]
    if any(character in source for character in _MAGIC):
        return [_local(match) for match in _matches(source)]
    raise NotFoundError(f"{source}: no such file or folder; expected recordings")


def _matches(pattern: str) -> Iterator[Path]:
    """The recordings that a pattern matches, each folder by one path: ``**`` follows a link to a folder above it in circles."""
    listed_as: dict[str, Path] = {}
    for match in sorted(glob.glob(pattern, recursive=True), key=len):  # noqa: PTH207 - a whole path with a pattern
        path = Path(match)
        is_first = listed_as.setdefault(os.path.realpath(path.parent), path.parent) == path.parent
        if is_first and is_audio_name(path.name) and path.is_file():
            yield path


def _local(path: Path) -> SourceFile:
    status = path.stat()
    return SourceFile(str(path.absolute()), status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def _list_remote(source: str) -> list[SourceFile]:
    try:
        system, path = _file_system(source)
        if any(character in path for character in _MAGIC):
            details = system.glob(path, detail=True)
        elif system.isdir(path) and not is_audio_name(PurePosixPath(path).name):
            details = system.find(path, detail=True)
        else:
            details = {path: system.info(path)}
    except WordspotError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{source}: no such file or folder; expected recordings") from error
    except Exception as error:  # of any kind: each file system of fsspec raises those of its own packages
        raise ConfigError(f"{source}: cannot be listed ({_reason(error)})") from error
    files = [(name, entry) for name, entry in details.items() if entry.get("type") != "directory"]
    return [_remote(system, name, entry) for name, entry in files if len(files) == 1 or is_audio_name(PurePosixPath(name).name)]


def _remote(system: Any, path: str, entry: dict[str, Any]) -> SourceFile:
    n_bytes = int(entry.get("size") or 0)
    known = [str(entry[key]) for key in ("ETag", "etag", "mtime", "LastModified", "updated", "created") if entry.get(key)]
    return SourceFile(system.unstrip_protocol(path), n_bytes, "-".join([str(n_bytes), *known[:1]]), is_remote=True)


def _file_system(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise missing_extra(error, url) from error
    system, path = url_to_fs(url)
    return system, path


def _reason(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())
