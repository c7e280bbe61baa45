"""Find sound files in folders, by their names. Every command that accepts a folder finds the same files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.audio.convert import can_convert
from wordspot.errors import NotFoundError

#: Suffixes of the sound files that `audio.files` reads.
SUFFIXES = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
    ".w64", ".rf64", ".voc", ".sph", ".nist",
)  # fmt: skip
#: Suffixes of sound and video files that are read only if ffmpeg is installed.
UNREADABLE_SUFFIXES = (
    ".m4a", ".m4b", ".aac", ".mp4", ".mov", ".m4v", ".webm", ".weba", ".mka", ".mkv", ".amr", ".3gp", ".3ga", ".wma",
    ".ac3", ".ape", ".wv", ".tta", ".ra", ".avi",
)  # fmt: skip


@dataclass(frozen=True)
class FolderFiles:
    """The files in a folder, sorted, then those in each folder below it.

    Attributes:
        sounds: files with the suffix of a sound file that can be read.
        others: all other files, and links that lead nowhere.
        errors: folders that could not be listed.
    """

    sounds: tuple[Path, ...]
    others: tuple[Path, ...]
    errors: tuple[OSError, ...]


def is_audio_name(name: str) -> bool:
    """Whether a file of this name counts as a recording: by its suffix, and if it is not hidden.

    Files that need ffmpeg count if it is installed.
    """
    if name.startswith("."):
        return False
    return name.lower().endswith(SUFFIXES) or (name.lower().endswith(UNREADABLE_SUFFIXES) and can_convert())


def is_unreadable_kind(name: str) -> bool:
    """Whether a file of this name contains audio in a format that only ffmpeg reads, such as ``.m4a``."""
    return name.lower().endswith(UNREADABLE_SUFFIXES) and not name.startswith(".")


def walk_folder(folder: Path) -> FolderFiles:
    """List the files in a folder and in all folders below it, following links to folders.

    Hidden files, and folders below `folder` whose names begin with ``.`` or ``_``, are skipped.
    """
    sounds: list[Path] = []
    others: list[Path] = []
    errors: list[OSError] = []
    visited = {str(parent) for parent in Path(os.path.realpath(folder)).parents}  # a link to one of them is a circle
    for place, folders, files in os.walk(folder, followlinks=True, onerror=errors.append):
        real = os.path.realpath(place)
        if real in visited:  # a link to a folder that was listed already
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith("."):
                (sounds if is_audio_name(name) and path.is_file() else others).append(path)
    return FolderFiles(tuple(sounds), tuple(others), tuple(errors))


def find_clips(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """List the sound files among `paths` and in the folders among them, at any depth.

    Args:
        paths: files, which are listed regardless of their suffix, and folders, whose sound files are listed in sorted order.

    Returns:
        Each file with the name to show for it: as given, and relative to the folder if that is the only path.

    Raises:
        NotFoundError: a folder without sound files, if it is the only path. Among several it is listed like a file.
    """
    clips: list[tuple[Path, str]] = []
    for path in paths:
        if not path.is_dir():
            clips.append((path, str(path)))
            continue
        inside = sorted(walk_folder(path).sounds)
        if not inside and len(paths) > 1:  # one problem of several paths: reported where it is read
            clips.append((path, str(path)))
        elif not inside:
            raise NotFoundError(f"{path}: the folder contains no recordings (WAV, FLAC, Ogg or MP3)")
        clips += [(file, file.relative_to(path).as_posix() if len(paths) == 1 else str(file)) for file in inside]
    return clips
