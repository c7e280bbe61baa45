"""List the recordings in a data folder: one subfolder per word, and `_background_noise_`.

Files are sorted, so that the list does not depend on the order in which the file system returns them.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.audio.folder import is_audio_name
from wordspot.errors import DataError, NotFoundError
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL, normalize_word

NOISE_FOLDER = "_background_noise_"


@dataclass(frozen=True)
class Recording:
    """One sound file below a data folder."""

    path: str
    """Relative to the data folder, with forward slashes."""
    word: str
    """The parent folder's name, lower-cased (NFC), or `NOISE_FOLDER`."""
    size: int
    mtime_ns: int

    @property
    def speaker(self) -> str | None:
        """What stands before ``_nohash_`` in the file's name; None where the name does not say."""
        return hash_name(self.path) if "_nohash_" in self.path.rsplit("/", 1)[-1] else None


@dataclass(frozen=True)
class Listing:
    """What a data folder holds: `clips` in words' folders and long `noise` recordings, each sorted by path."""

    root: Path
    clips: tuple[Recording, ...]
    noise: tuple[Recording, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({clip.word for clip in self.clips}))


def list_recordings(root: Path) -> Listing:
    """All recordings one folder below `root`, sorted; hidden folders and those that begin with ``_`` are no words.

    Folders named `SILENCE_LABEL` and `UNKNOWN_LABEL`, as in Google's test archive, hold recordings of just that.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings at all, a `NOISE_FOLDER` that is empty, or a name that is not UTF-8.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: expected a folder with one folder per word, but there is no such folder")
    clips: list[Recording] = []
    noise: list[Recording] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name == NOISE_FOLDER:
            noise = _list_folder(folder, NOISE_FOLDER)
            if not noise:
                raise DataError(f"{folder}: expected noise recordings, but it is empty; add some or remove the folder")
        elif folder.name in (SILENCE_LABEL, UNKNOWN_LABEL) or not folder.name.startswith((".", "_")):
            clips += _list_folder(folder, normalize_word(folder.name))
    if not clips:
        raise DataError(
            f"{root}: expected one folder per word with recordings in it (WAV, FLAC, Ogg or MP3), but found no recordings"
        )
    return Listing(root, tuple(clips), tuple(noise))


def _list_folder(folder: Path, word: str) -> list[Recording]:
    recordings = []
    for path in sorted(folder.iterdir()):
        if is_audio_name(path.name) and path.is_file():
            if not _is_utf8(f"{folder.name}/{path.name}"):
                raise DataError(f"{folder.parent}: expected names in UTF-8, got {folder.name}/{path.name!r}; rename it")
            stat = path.stat()
            recordings.append(Recording(f"{folder.name}/{path.name}", word, stat.st_size, stat.st_mtime_ns))
    return recordings


def _read_list(path: Path) -> set[str]:
    if not path.is_file():
        raise NotFoundError(f"{path}: expected a list of recordings, one word/file a line, but there is no such file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, but it is not ({error.reason}); save it as UTF-8") from error
    return {unicodedata.normalize("NFC", line.strip().replace("\\", "/")) for line in lines if line.strip()}


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def hash_name(path: str) -> str:
    """The part of a file's name that is hashed: cut at the first ``_nohash_``; it names the speaker."""
    return re.sub(r"_nohash_.*$", "", path.rsplit("/", 1)[-1])


def recordings_in(root: Path, names: Sequence[str], kind: str, *, may_miss: bool = False) -> dict[str, Recording]:
    """The recordings in the folders `names` of `root`, and in all folders below them, by their paths.

    Args:
        kind: what they are, for messages: the name of the flag that names the folders.
        may_miss: a folder that is not there holds none.

    Raises:
        NotFoundError: no such folder.
        DataError: a folder without recordings.
    """
    found: dict[str, Recording] = {}
    for name in names:
        folder = root / name
        if not folder.is_dir():
            if may_miss:
                continue
            raise NotFoundError(
                f"{folder}: expected the folder of {kind}, but there is no such folder; name it with --{kind}"
                f"{_which_are_there(root)}"
            )
        within = {recording.path: recording for recording in _walk(root, folder)}
        if not within:
            raise DataError(
                f"{folder}: expected recordings (WAV, FLAC, Ogg or MP3) among the {kind}, but found none; "
                "add some or name another folder"
            )
        found |= within
    return dict(sorted(found.items()))


def _walk(root: Path, folder: Path) -> Iterator[Recording]:
    base = root.resolve()
    for place, folders, files in os.walk(folder.resolve()):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in files:
            path = Path(place, name)
            if is_audio_name(name) and path.is_file():
                stat = path.stat()
                shown = path.relative_to(base) if path.is_relative_to(base) else path
                yield Recording(shown.as_posix(), normalize_word(path.parent.name), stat.st_size, stat.st_mtime_ns)


def _which_are_there(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"; the folders here are {shown}" if names else ""
