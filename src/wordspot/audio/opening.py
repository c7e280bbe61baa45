"""Open a sound file for decoding, or explain why it cannot be decoded. Used by `audio.files` only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import soundfile

from wordspot.audio.convert import can_convert, convert
from wordspot.audio.folder import is_unreadable_kind
from wordspot.audio.kinds import HEAD_BYTES, convert_command, kind_of
from wordspot.audio.mpeg import has_frames
from wordspot.audio.patched import SoundSource
from wordspot.audio.samples import MAX_RATE, MIN_RATE
from wordspot.audio.truncation import open_whole
from wordspot.errors import AudioError, NotFoundError
from wordspot.progress import OnNote

MAX_CHANNELS = 64
_NO_COUNT = 2**63 - 1  # libsndfile's number of samples for a FLAC whose header has none
_LONGEST_NAME = 1000  # libsndfile's limit is 1024 bytes
_READABLE = "wordspot reads WAV, FLAC, Ogg and MP3"


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forward: soundfile seeks after each block, and an MP3 then loses its next frames."""

    def __init__(self, source: SoundSource) -> None:
        self._source = source
        try:
            super().__init__(_by_name(source) if isinstance(source, Path) else source)
        except BaseException:
            self._close_source()
            raise

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        super().close()
        self._close_source()

    def _close_source(self) -> None:
        if not isinstance(self._source, Path):  # soundfile closes only what it opened itself
            self._source.close()


def open_sound(path: Path, note: OnNote, *, thorough: bool) -> soundfile.SoundFile:
    """Open a file after checking that it is complete.

    Args:
        path: the file.
        note: called with warnings about its header.
        thorough: as in `truncation.open_whole`.

    Raises:
        NotFoundError: no such file.
        AudioError: empty, truncated, or not a sound file that can be read.
    """
    if path.is_dir():
        raise NotFoundError(f"{path}: the folder contains no sound files")
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; expected a sound file")
    if not path.is_file():
        raise AudioError(f"{path}: a pipe or a device, not a file; write it to a file first")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); expected a recording")
    try:
        sound = _Forward(convert(path) if _needs_ffmpeg(path) and can_convert() else open_whole(path, note, thorough=thorough))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file would need a given rate
        raise AudioError(f"{path}: {_what_it_is(path, reason(error))}") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check who may read it") from error
    if sound.format == "MP3" and not _has_frames(path):
        sound.close()
        raise AudioError(f"{path}: the file cannot be read (it holds no MP3 frames); convert it again or remove it")
    return sound


def _by_name(path: Path) -> bytes | str | int:
    """What soundfile opens: a file's name, or its descriptor if libsndfile would find the name too long."""
    name = native_name(path)
    return name if len(name) < _LONGEST_NAME else os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def native_name(path: Path) -> bytes | str:
    """A file's name in a form that soundfile can pass on: as bytes, since names may contain any, except on Windows."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def promised(file: soundfile.SoundFile) -> int:
    """The samples per channel that a header promises; 0 if it has no count."""
    return 0 if file.frames == _NO_COUNT else int(file.frames)


def check_header(file: soundfile.SoundFile, path: Path, most_samples: int | None = None) -> None:
    """Reject what would take too much time or memory, before anything is decoded."""
    n_samples, n_channels = promised(file), file.channels
    is_long = most_samples is not None and max(n_samples, n_samples * n_channels // 4) > most_samples
    if n_channels > MAX_CHANNELS or is_long:
        length = "" if most_samples is None else f"{most_samples} samples in at most "
        raise AudioError(
            f"{path}: the header says {n_samples} samples in {n_channels} channels; expected at most {length}{MAX_CHANNELS}. "
            "Cut the recording into parts"
        )
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise AudioError(
            f"{path}: the header says a sample rate of {file.samplerate} Hz; expected {MIN_RATE} to {MAX_RATE}. "
            "Convert it again or remove it"
        )


def reason(error: Exception) -> str:
    """libsndfile's error message, on one line."""
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")


def _what_it_is(path: Path, why: str) -> str:
    """A sentence about a file that cannot be read for the reason `why`, and what to do."""
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        return f"the file cannot be read ({why}); {_READABLE}"
    if kind.is_readable:
        return f"the {kind.name} file cannot be read ({why}); convert it again: {convert_command(path.name)}"
    return f"the file is {kind.name}, which cannot be read; convert it: {convert_command(path.name)}; {_READABLE}"


def _needs_ffmpeg(path: Path) -> bool:
    """Whether a file is of a kind that libsndfile does not read: by its first bytes, and if they say nothing by its name."""
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    return is_unreadable_kind(path.name) if kind is None else not kind.is_readable


def _has_frames(path: Path) -> bool:
    with path.open("rb") as file:
        return has_frames(file, path.stat().st_size)
