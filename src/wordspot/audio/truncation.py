"""Detect truncated sound files, most of which libsndfile shortens without an error.

Found: a chunk (WAV, RF64, AIFF, AU), an Ogg page or an MP3 frame that extends past the end of the file, an Ogg packet that
continues on a missing page, an Ogg page with a wrong checksum, and fewer MP3 frames than the encoder counted. A truncated
FLAC does not decode at all. Not found: an Ogg cut exactly between two packets (some recorders set no end mark), an MP3
without a count cut exactly between two frames. Sony's W64 is not checked.

Headers that are a little wrong are common: a phone's recorder that counts its header as samples, a program that was ended
before it could correct the length. If less than 0.1 s is missing, or samples follow that were not counted, everything is
read, with a note.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from wordspot.audio.mpeg import TOLERANCE_SECONDS, begins_like_mpeg, check_mp3, way_out
from wordspot.audio.ogg import check_ogg, unwrap_flac
from wordspot.errors import AudioError
from wordspot.progress import OnNote

_NO_LENGTH = 0x7FFFF000  # sox, espeak-ng, ffmpeg and arecord write this or more into the header of a WAV for a pipe
_CHUNKS = (  # that may follow the samples
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"fact", b"cue ", b"smpl", b"inst", b"plst", b"JUNK", b"junk", b"PAD ", b"FLLR",
    b"iXML", b"_PMX", b"PEAK", b"afsp", b"DISP", b"acid", b"strc", b"note", b"labl", b"levl", b"cart", b"axml", b"chna",
)  # fmt: skip


@dataclass(frozen=True)
class _Samples:
    """The chunk of samples as the header describes it: bytes. `length` is 0 if there is no such chunk, or it has no count."""

    start: int
    length: int
    per_second: float = 0.0
    frame: int = 1


def open_whole(path: Path, note: OnNote, *, thorough: bool = True) -> Path | BinaryIO:
    """Reject a file that ends before its own structure does.

    Args:
        path: the file.
        note: called if the header is a little wrong, and everything is read nevertheless.
        thorough: also follow every page of an Ogg and every frame of an MP3, which reads the entire file.

    Returns:
        What to decode: `path`; or the open file, with the length filled in if it is a WAV whose header has a wrong one; or
        the FLAC inside an Ogg, as a temporary file.

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
                check_ogg(file, path)
            return unwrap_flac(file) or path
        if form in (b"RIFF", b"RF64", b"FORM"):
            return _open_chunks(file, path, form, size, note)
        if form == b".snd" and head[8:] != b"\xff\xff\xff\xff":
            start, length = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:], "big")
            _check_end(path, _Samples(start, length, _au_rate(file)), size, note)
        elif thorough and (begins_like_mpeg(head) or path.suffix.lower() == ".mp3"):
            check_mp3(file, path, size, note)
    return path


def _open_chunks(file: BinaryIO, path: Path, form: bytes, size: int, note: OnNote) -> Path | BinaryIO:
    """`path`, or the file with its length corrected."""
    samples = _find_samples(file, form)
    end = samples.start + samples.length
    if form == b"RIFF" and samples.start and end < size:
        if samples.length == 0:
            return path if _is_chunk(file, samples.start, size) else _with_length(path, samples, size - samples.start)
        end += samples.length % 2
        file.seek(end)
        if (name := file.read(4)) in (b"RIFF", b"RF64"):
            note(f"{path}: another recording follows in the same file and is not read; split the file")
            return _CorrectedWav(path, end, b"JUNK")  # libsndfile rejects a second header
        if not _is_chunk(file, end, size) and not name.startswith((b"TAG", b"ID3")) and _has_samples(file, end):
            kept = (size - samples.start) // samples.frame * samples.frame
            note(f"{path}: its header counts {size - end} bytes too few; everything in the file is read")
            return _with_length(path, samples, kept)
    _check_end(path, samples, size, note)
    return path


def _check_end(path: Path, samples: _Samples, size: int, note: OnNote) -> None:
    missing = samples.start + samples.length - size
    if missing <= 0:
        return
    if missing < TOLERANCE_SECONDS * samples.per_second:
        note(f"{path}: its header promises {missing} bytes more than the file holds; everything in the file is read")
        return
    raise AudioError(
        f"{path}: truncated, its header promises {samples.start + samples.length} bytes, the file holds {size}; {way_out(path)}"
    )


def _find_samples(file: BinaryIO, form: bytes) -> _Samples:
    order: Literal["big", "little"] = "big" if form == b"FORM" else "little"
    position, long_length, per_second, frame = 12, 0, 0.0, 1
    while True:
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return _Samples(0, 0)
        name, length = chunk[:4], int.from_bytes(chunk[4:], order)
        position += 8
        if name == b"ds64":  # RF64: lengths that do not fit 32 bits, of the file and then of the samples
            long_length = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            content = file.read(16)
            frame = max(int.from_bytes(content[12:14], "little"), 1)
            per_second = float(frame * int.from_bytes(content[4:8], "little"))
        elif name == b"COMM":
            per_second = _aiff_rate(file.read(18))
        elif name in (b"data", b"SSND"):
            if form == b"RF64" and length == 0xFFFFFFFF:
                return _Samples(position, long_length, per_second, frame)
            return _Samples(position, length if length < _NO_LENGTH else 0, per_second, frame)
        position += length + length % 2


def _aiff_rate(comm: bytes) -> float:
    """Bytes per second of an AIFF, whose rate is a float of 80 bits."""
    channels, bits = int.from_bytes(comm[:2], "big"), int.from_bytes(comm[6:8], "big")
    exponent, mantissa = int.from_bytes(comm[8:10], "big") & 0x7FFF, int.from_bytes(comm[10:18], "big")
    rate = mantissa * 2.0 ** (exponent - 16_383 - 63) if abs(exponent - 16_383) < 64 else 0.0
    return channels * (bits + 7) // 8 * rate


def _au_rate(file: BinaryIO) -> float:
    """Bytes per second of an AU file."""
    file.seek(12)
    encoding, rate, channels = (int.from_bytes(file.read(4), "big") for _ in range(3))
    return {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0) * float(rate) * channels


def _is_chunk(file: BinaryIO, position: int, size: int) -> bool:
    """Whether a chunk begins at `position`, rather than samples that the header did not count."""
    file.seek(position)
    chunk = file.read(8)
    if chunk[:4] in _CHUNKS or len(chunk) < 8:
        return True
    named = all(32 <= byte < 127 for byte in chunk[:4])
    return named and position + 8 + int.from_bytes(chunk[4:], "little") <= size


def _has_samples(file: BinaryIO, position: int) -> bool:
    """Whether anything but zeros, with which some programs fill up a file, follows."""
    file.seek(position)
    while block := file.read(1 << 16):
        if any(block):
            return True
    return False


class _CorrectedWav(io.BufferedReader):
    """A WAV with four bytes replaced: its missing or wrong length, for example. Nothing else of it is in memory."""

    def __init__(self, path: Path, position: int, four: bytes) -> None:
        super().__init__(io.FileIO(path))
        self._position, self._four = position, four

    def readinto(self, buffer: Any) -> int:
        """Read as the file does, except for the four bytes."""
        begin = self.tell()
        n_read = super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        for position, byte in enumerate(self._four, self._position - begin):
            if 0 <= position < n_read:
                view[position] = byte
        return n_read


def _with_length(path: Path, samples: _Samples, length: int) -> BinaryIO:
    return _CorrectedWav(path, samples.start - 4, min(length, 0xFFFFFFFF).to_bytes(4, "little"))
