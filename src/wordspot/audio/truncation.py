"""Detect truncated sound files, most of which libsndfile shortens without an error, and correct headers that are a little wrong.

Found: a chunk (WAV, RF64, AIFF, AU, CAF, W64, SPHERE), an Ogg page or an MP3 frame that extends past the end of the file, an
Ogg packet that continues on a missing page, an Ogg page with a wrong checksum, and fewer MP3 frames than the encoder counted.
A truncated FLAC does not decode at all. Not found: an Ogg cut exactly between two packets (some recorders set no end mark),
an MP3 without a count cut exactly between two frames. VOC is not checked.

Headers that are a little wrong are common: a phone's recorder that counts its header as samples, a program that was ended
before it could correct the length. If less than 0.1 s is missing, or samples follow that were not counted, everything is
read, with a note. libsndfile stops where the header says, so it is shown a corrected header (`audio.patched`).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from wordspot.audio.chunks import FORMS, LAYOUTS, SampleChunk, find_samples, is_chunk, is_known_chunk
from wordspot.audio.flac import open_flac
from wordspot.audio.mpeg import TOLERANCE_SECONDS, begins_like_mpeg, open_mp3, skip_tags, way_out
from wordspot.audio.ogg import check_ogg, unwrap_flac
from wordspot.audio.patched import PatchedFile, SoundSource
from wordspot.errors import AudioError
from wordspot.progress import OnNote

_TAGS = (b"TAG", b"ID3", b"APETAGEX")
_SECOND = (b"RIFF", b"RF64")


def open_whole(path: Path, note: OnNote, *, thorough: bool = True) -> SoundSource:
    """Reject a file that ends before its own structure does.

    Args:
        path: the file.
        note: called if the header is a little wrong, and everything is read nevertheless.
        thorough: reject a truncated Ogg or MP3 too, for which the entire file is read.

    Returns:
        What to decode: `path`; or the open file, with what is wrong in its header corrected; or the FLAC inside an Ogg, as a
        temporary file.

    Raises:
        AudioError: truncated, or an Ogg page is damaged, or a file named .mp3 without an MP3 frame.
        OSError: the file cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        form = head[:4]
        if form == b"OggS":
            if thorough:
                check_ogg(file, path, note)
            return unwrap_flac(file) or path
        if form in FORMS:
            return _open_chunks(file, path, form, size, note)
        start = skip_tags(file)
        if file.read(4) == b"fLaC":
            return open_flac(file, path, start, size, note)
        if begins_like_mpeg(head) or path.suffix.lower() == ".mp3":
            return open_mp3(file, path, size, note, thorough=thorough)
    return path


def _open_chunks(file: BinaryIO, path: Path, form: bytes, size: int, note: OnNote) -> SoundSource:
    """`path`, or the file with its header corrected."""
    samples = find_samples(file, form)
    if not 0 < samples.start <= size:
        return path
    patches = {0: b"RF64"} if form == b"BW64" else {}  # the same format by a later name, which libsndfile does not know
    end, rest = samples.start + samples.length, size - samples.start
    if samples.length == 0:
        if form not in LAYOUTS or not is_chunk(file, samples.start, size, LAYOUTS[form]):
            patches |= samples.patch(rest)
    elif end > size:
        _check_end(path, samples, size, note)
        patches |= samples.patch(rest)
    elif end < size and samples.length_at:
        patches |= _look_behind(file, path, form, samples, size, note)
    if samples.is_stated_twice and samples.length:
        patches = samples.patch(samples.length) | patches
    return PatchedFile(path, patches) if patches and samples.length_at else path


def _check_end(path: Path, samples: SampleChunk, size: int, note: OnNote) -> None:
    end = samples.start + samples.length
    missing = end - size
    if missing >= TOLERANCE_SECONDS * samples.per_second:
        raise AudioError(f"{path}: truncated, its header promises {end} bytes, the file holds {size}; {way_out(path)}")
    note(f"{path}: its header promises {missing} bytes more than the file holds; everything in the file is read")


def _look_behind(file: BinaryIO, path: Path, form: bytes, samples: SampleChunk, size: int, note: OnNote) -> dict[int, bytes]:
    """What to correct if more samples follow those that the header counts."""
    end = samples.start + samples.length
    if samples.length % 2 and is_known_chunk(file, end):  # a writer that does not fill up to an even number
        return {}
    layout = LAYOUTS.get(form)
    end += -samples.length % (layout.align if layout else 1)
    file.seek(end)
    name = file.read(8)
    if name.startswith(_SECOND):
        note(f"{path}: another recording follows in the same file and is not read; split the file")
        return {end: b"JUNK"}  # libsndfile rejects a second header
    if (layout and is_chunk(file, end, size, layout)) or name.startswith(_TAGS) or not _has_samples(file, end):
        return {}
    note(f"{path}: its header counts {size - end} bytes too few; everything in the file is read")
    return samples.patch((size - samples.start) // samples.frame * samples.frame)


def _has_samples(file: BinaryIO, position: int) -> bool:
    """Whether anything but zeros, with which some programs fill up a file, follows."""
    file.seek(position)
    while block := file.read(1 << 16):
        if any(block):
            return True
    return False
