"""Find sound files in folders, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wordspot.errors import NotFoundError

#: Suffixes of the sound files that `audio.files` reads.
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64")


def is_audio_name(name: str) -> bool:
    """Whether a file of this name counts as a recording: by its suffix, and if it is not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def find_clips(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """List the sound files among `paths` and in the folders among them, at any depth.

    Args:
        paths: files, which are listed whatever their names are, and folders, whose sound files are listed sorted.

    Returns:
        Each file with the name to show for it: as given, and relative to the folder if that is the only path.

    Raises:
        NotFoundError: a folder without sound files.
    """
    clips: list[tuple[Path, str]] = []
    for path in paths:
        if not path.is_dir():
            clips.append((path, str(path)))
            continue
        inside = sorted(file for file in path.rglob("*") if is_audio_name(file.name) and file.is_file())
        if not inside:
            raise NotFoundError(f"{path}: expected recordings (WAV, FLAC, Ogg or MP3) in this folder, found none")
        clips += [(file, file.relative_to(path).as_posix() if len(paths) == 1 else str(file)) for file in inside]
    return clips
