"""Find out whether a sound file is truncated. libsndfile shortens most truncated files without an error.

Found: a chunk (WAV, RF64, AIFF, AU), an Ogg page or an MP3 frame that extends past the end of the file, an Ogg packet that
continues on a missing page, an Ogg page with a wrong checksum, and fewer MP3 frames than the encoder counted. A truncated
FLAC does not decode at all. Not found: an Ogg cut exactly between two packets (some recorders set no end mark), an MP3
without a count cut exactly between two frames. Sony's W64 is not checked.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

from wordspot.errors import AudioError

_NO_LENGTH = 0x7FFFF000  # sox, espeak-ng, ffmpeg and arecord write this or more into the header of a WAV for a pipe
_SEARCH = 1 << 16  # bytes in which the first frame of an MP3 must begin
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def open_whole(path: Path, *, thorough: bool = True) -> Path | BinaryIO:
    """Reject a file that ends before its own structure does.

    Args:
        path: the file.
        thorough: also follow every page of an Ogg and every frame of an MP3, which reads the entire file.

    Returns:
        What to decode: `path`, or the open file with the length filled in if it is a WAV from a pipe, whose header says 0.

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
                _check_ogg(file, path)
        elif form in (b"RIFF", b"RF64", b"FORM"):
            start, length = _find_samples(file, form)
            if length == 0 and form == b"RIFF" and _is_sound(file, start, size):
                return _PipedWav(path, start, size)
            _check_end(path, start + length, size)
        elif form == b".snd" and head[8:] != b"\xff\xff\xff\xff":
            _check_end(path, int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:], "big"), size)
        elif thorough and (form[:3] == b"ID3" or _frame_length(head) or path.suffix.lower() == ".mp3"):
            _check_mp3(file, path, size)
    return path


def _check_end(path: Path, promised: int, size: int) -> None:
    if promised > size:
        raise AudioError(f"{path}: truncated, its header promises {promised} bytes, the file holds {size}")


def _find_samples(file: BinaryIO, form: bytes) -> tuple[int, int]:
    """Where the chunk of samples starts, and its length in bytes: 0 if there is no such chunk, or it has no count."""
    order: Literal["big", "little"] = "big" if form == b"FORM" else "little"
    position, long_length = 12, 0
    while True:
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return 0, 0
        name, length = chunk[:4], int.from_bytes(chunk[4:], order)
        position += 8
        if name == b"ds64":  # RF64: lengths that do not fit 32 bits, of the file and then of the samples
            long_length = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            if form == b"RF64" and length == 0xFFFFFFFF:
                return position, long_length
            return position, length if length < _NO_LENGTH else 0
        position += length + length % 2


def _is_sound(file: BinaryIO, position: int, size: int) -> bool:
    """Whether a chunk of 0 bytes is followed by samples, rather than by nothing or by another chunk."""
    if not 0 < position < size:
        return False
    file.seek(position)
    chunk = file.read(8)
    named = len(chunk) == 8 and all(32 <= byte < 127 for byte in chunk[:4])
    return not (named and position + 8 + int.from_bytes(chunk[4:], "little") <= size)


class _PipedWav(io.BufferedReader):
    """A WAV that was written to a pipe, with the length of its samples filled in: nothing else of it is in memory."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        super().__init__(io.FileIO(path))
        self._length_at = start - 4
        self._length = min(size - start, 0xFFFFFFFF).to_bytes(4, "little")

    def readinto(self, buffer: Any) -> int:
        """Read as the file does, except for the four bytes of the length."""
        begin = self.tell()
        n_read = super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        for position, byte in enumerate(self._length, self._length_at - begin):
            if 0 <= position < n_read:
                view[position] = byte
        return n_read


def _check_ogg(file: BinaryIO, path: Path) -> None:
    """Follow the pages (RFC 3533) to the end of the file."""
    goes_on, position = False, 0
    file.seek(0)
    while (header := file.read(27))[:4] == b"OggS" and len(header) == 27:
        lacing = file.read(header[26])
        body = file.read(sum(lacing))
        if len(lacing) < header[26] or len(body) < sum(lacing):
            raise AudioError(f"{path}: truncated, it ends within an Ogg page")
        if _ogg_checksum(header[:22] + bytes(4) + header[26:] + lacing + body) != header[22:26]:
            raise AudioError(f"{path}: damaged, the Ogg page at byte {position} fails its checksum; remove the file")
        goes_on = lacing[-1:] == b"\xff"
        position += 27 + len(lacing) + len(body)
    if goes_on or (header and b"OggS".startswith(header[:4])):
        raise AudioError(f"{path}: truncated, its last Ogg page announces another")


def _ogg_checksum(page: bytes) -> bytes:
    """CRC-32 as Ogg has it: zlib's polynomial, with every bit order mirrored, and no inversion at either end."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "little").translate(_MIRRORED)[::-1]


def _check_mp3(file: BinaryIO, path: Path, size: int) -> None:
    """Follow the frames to the end of the file, or to what is not a frame."""
    position = _skip_tags(file)
    if file.read(4) == b"fLaC":  # a FLAC with the tag of an MP3, or named like one
        return
    position = _first_frame(file, position)
    if position < 0:
        raise AudioError(f"{path}: expected MP3, but it holds no MP3 frame; convert it again or remove it")
    n_frames, promised = 0, 0
    while True:
        file.seek(position)
        length = _frame_length(file.read(4))
        if not length:
            break
        if position + length > size:
            raise AudioError(f"{path}: truncated, it ends within an MP3 frame")
        if n_frames == 0:
            promised = _counted_frames(file.read(64))
        n_frames += 1
        position += length
    # LAME does not count the frame that holds the count, but other encoders may: one less is accepted.
    if n_frames < promised:
        raise AudioError(f"{path}: truncated or damaged, its header promises {promised} MP3 frames, {n_frames} follow")


def _skip_tags(file: BinaryIO) -> int:
    """Position `file` after its ID3v2 tags; return the position."""
    position = 0
    file.seek(0)
    while (tag := file.read(10))[:3] == b"ID3" and len(tag) == 10:
        length = 0
        for byte in tag[6:]:
            length = length << 7 | byte & 0x7F
        position += 10 + length + (10 if tag[5] & 0x10 else 0)
        file.seek(position)
    file.seek(position)
    return position


def _first_frame(file: BinaryIO, position: int) -> int:
    """Where, soon after `position`, an MP3 frame begins that another frame or the end follows; -1 if none does."""
    file.seek(position)
    data = file.read(_SEARCH)
    start = data.find(b"\xff")
    while start >= 0:
        length = _frame_length(data[start : start + 4])
        if length and (start + length + 4 > len(data) or _frame_length(data[start + length : start + length + 4])):
            return position + start
        start = data.find(b"\xff", start + 1)
    return -1


def _frame_length(header: bytes) -> int:
    """Bytes of the MPEG layer III frame that begins with the 4 bytes of `header`; 0 if that is not the header of a frame."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, kbps_index, rate_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate_index == 3:
        return 0
    is_first = version == 3
    kbps = (_KBPS_1 if is_first else _KBPS_2)[kbps_index]
    rate = (44_100, 48_000, 32_000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if is_first else 72_000) * kbps // rate + (header[2] >> 1 & 1) if kbps else 0


def _counted_frames(frame: bytes) -> int:
    """The number of frames that follow, from the first frame's Xing or Info tag; 0 if it has none."""
    start = max(frame.find(b"Xing"), frame.find(b"Info"))
    if start < 0 or not frame[start + 7 : start + 8] or not frame[start + 7] & 1:
        return 0
    return int.from_bytes(frame[start + 8 : start + 12], "big")
