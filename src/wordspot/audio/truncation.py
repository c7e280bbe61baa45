"""Whether a sound file is whole. libsndfile shortens most truncated files without a word, so `audio` asks here first.

Found: a chunk (WAV, RF64, AIFF, AU), an Ogg page or an MP3 frame that runs past the end of the file, an Ogg packet that
goes on, an Ogg page that fails its checksum, and fewer MP3 frames than the encoder counted. A truncated FLAC does not
decode at all. What cannot be told from a whole file: an Ogg cut exactly between two packets (recorders that set no end
mark exist), an MP3 without a count cut exactly between two frames. Sony's W64 is not looked into.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

from wordspot.errors import AudioError

_NO_LENGTH = 0x7FFFF000  # sox, espeak-ng, ffmpeg and arecord put this or more into the header of a WAV for a pipe
_SEARCH = 1 << 16  # bytes in which the first frame of an MP3 must begin
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check_whole(path: Path) -> Path | io.BytesIO:
    """Refuse a file that ends before its own structure does.

    Returns:
        What to decode: `path`, or the contents of a WAV from a pipe (its header says 0 bytes) with the length filled in.

    Raises:
        AudioError: truncated, or an Ogg page is damaged, or an MP3 by name that holds no frame.
        OSError: the file cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        form = head[:4]
        if form == b"OggS":
            _check_ogg(file, path)
        elif form in (b"RIFF", b"RF64", b"FORM"):
            start, length = _find_samples(file, form)
            if length == 0 and form == b"RIFF" and _is_sound(file, start, size):
                return _fill_in_length(path, start)
            _check_end(path, start + length, size)
        elif form == b".snd" and head[8:] != b"\xff\xff\xff\xff":
            _check_end(path, int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:], "big"), size)
        elif form[:3] == b"ID3" or _frame_length(head) or path.suffix.lower() == ".mp3":
            _check_mp3(file, path, size)
    return path


def _check_end(path: Path, promised: int, size: int) -> None:
    if promised > size:
        raise AudioError(f"{path}: truncated, its header promises {promised} bytes, the file holds {size}")


def _find_samples(file: BinaryIO, form: bytes) -> tuple[int, int]:
    """Where the chunk of samples starts, and the bytes it claims: 0 where there is no such chunk, or none was counted."""
    order: Literal["big", "little"] = "big" if form == b"FORM" else "little"
    position, long_length = 12, 0
    while True:
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return 0, 0
        name, length = chunk[:4], int.from_bytes(chunk[4:], order)
        position += 8
        if name == b"ds64":  # RF64 keeps here what does not fit 32 bits: the file's length, then the samples'
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


def _fill_in_length(path: Path, start: int) -> io.BytesIO:
    content = bytearray(path.read_bytes())
    content[start - 4 : start] = min(len(content) - start, 0xFFFFFFFF).to_bytes(4, "little")
    return io.BytesIO(content)


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
    """Follow the frames up to the end of the file, or to whatever stands there that is no frame."""
    position = _skip_tags(file)
    if file.read(4) == b"fLaC":  # tagged as an MP3 is, or named like one
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
    # The frame that holds the count is not counted by LAME but may be by others: one less is not held against the file.
    if n_frames < promised:
        raise AudioError(f"{path}: truncated or damaged, its header promises {promised} MP3 frames, {n_frames} follow")


def _skip_tags(file: BinaryIO) -> int:
    """Leave `file` behind its ID3v2 tags and say where that is."""
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
    """Where, soon after `position`, an MP3 frame begins that another or the end follows; -1 where none does."""
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
    """Bytes of the MPEG layer III frame that begins with the 4 bytes of `header`; 0 where none of a known length does."""
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
    """The number of frames that follow, from the first frame's Xing or Info tag; 0 where it has none."""
    start = max(frame.find(b"Xing"), frame.find(b"Info"))
    if start < 0 or not frame[start + 7 : start + 8] or not frame[start + 7] & 1:
        return 0
    return int.from_bytes(frame[start + 8 : start + 12], "big")
