"""Check the frames of MPEG audio (MP1, MP2, MP3): whether a file has any, and whether it is truncated.

Decoders find "frames" in any noise, so a file counts as MPEG audio only if several frames follow each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from wordspot.errors import AudioError
from wordspot.progress import OnNote

TOLERANCE_SECONDS = 0.1  # by how much a header may promise too much

_SEARCH = 1 << 16  # bytes in which the first frame must begin
_IN_A_ROW = 3  # frames: three in random bytes are a matter of 1 to 10 million
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN")
_KBPS = {  # (MPEG-1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}


def begins_like_mpeg(head: bytes) -> bool:
    """Whether a file that begins so has the tag of an MP3 or an MPEG frame at once."""
    return head[:3] == b"ID3" or frame_length(head) > 0


def has_frames(file: BinaryIO, size: int) -> bool:
    """Whether MPEG audio begins near the start of a file of `size` bytes, after its tags."""
    return _first_frame(file, _skip_tags(file), size) >= 0


def check_mp3(file: BinaryIO, path: Path, size: int, note: OnNote) -> None:
    """Follow the frames to the end of the file, or to what is not a frame.

    Raises:
        AudioError: there is no frame, the file ends within one, or there are fewer than the encoder counted.
    """
    position = _skip_tags(file)
    if file.read(4) == b"fLaC":  # a FLAC with the tag of an MP3, or named like one
        return
    position = _first_frame(file, position, size)
    if position < 0:
        raise AudioError(f"{path}: there is no MP3 frame in this MP3 file; convert it again or remove it")
    n_frames, promised, seconds, is_cut = 0, 0, 0.0, False
    while True:
        file.seek(position)
        header = file.read(4)
        length = frame_length(header)
        if not length:
            break
        if is_cut := position + length > size:
            break
        if n_frames == 0:
            promised, seconds = _counted_frames(file.read(64)), _frame_seconds(header)
        n_frames += 1
        position += length
    # LAME does not count the frame that holds the count, but other encoders may: one less is accepted.
    missing_seconds = (promised + 1 - n_frames) * seconds
    if promised and n_frames and missing_seconds < TOLERANCE_SECONDS and (is_cut or n_frames < promised):
        note(f"{path}: its end is missing, less than {TOLERANCE_SECONDS:g} s; the rest is read")
    elif is_cut:
        raise AudioError(f"{path}: truncated, it ends within an MP3 frame; {way_out(path)}")
    elif n_frames < promised:
        raise AudioError(
            f"{path}: truncated or damaged, its header promises {promised} MP3 frames, but it has {n_frames}; {way_out(path)}"
        )


def way_out(path: Path) -> str:
    """What to do about a truncated file."""
    return f"copy or record it again, or keep the rest: ffmpeg -i {path.name} {path.stem}-kept.wav"


def frame_length(header: bytes) -> int:
    """Bytes of the MPEG frame that begins with the 4 bytes of `header`; 0 if that is not the header of a frame."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer, rate_index = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 2 & 3
    if version == 1 or layer == 4 or rate_index == 3:
        return 0
    rate, kbps = _rate_of(header), _KBPS[version == 3, layer][header[2] >> 4]
    padding = header[2] >> 1 & 1
    if not kbps:
        return 0
    if layer == 1:
        return (12_000 * kbps // rate + padding) * 4
    return (72_000 if layer == 3 and version != 3 else 144_000) * kbps // rate + padding


def _rate_of(header: bytes) -> int:
    version = header[1] >> 3 & 3
    return (44_100, 48_000, 32_000)[header[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]


def _frame_seconds(header: bytes) -> float:
    layer, is_first = 4 - (header[1] >> 1 & 3), header[1] >> 3 & 3 == 3
    n_samples = {1: 384, 2: 1152, 3: 1152 if is_first else 576}[layer]
    return n_samples / _rate_of(header)


def _counted_frames(frame: bytes) -> int:
    """The number of frames that follow, from the first frame's Xing or Info tag; 0 if it has none."""
    start = max(frame.find(b"Xing"), frame.find(b"Info"))
    if start < 0 or not frame[start + 7 : start + 8] or not frame[start + 7] & 1:
        return 0
    return int.from_bytes(frame[start + 8 : start + 12], "big")


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


def _first_frame(file: BinaryIO, position: int, size: int) -> int:
    """Where, soon after `position`, frames begin that follow each other or end with the file; -1 if none do."""
    file.seek(position)
    data = file.read(_SEARCH)
    start = data.find(b"\xff")
    while start >= 0:
        if frame_length(data[start : start + 4]) and _is_row(file, position + start, size, is_first=start == 0):
            return position + start
        start = data.find(b"\xff", start + 1)
    return -1


def _is_row(file: BinaryIO, position: int, size: int, *, is_first: bool) -> bool:
    """Whether several frames of one kind follow each other, up to the end of the file or its tags if it is short."""
    before = b""
    for n_frames in range(_IN_A_ROW):
        file.seek(position)
        header = file.read(16)
        if before and (position == size or header.startswith(_TAGS)):
            return True
        if not frame_length(header) or (before and not _is_alike(before, header)):
            return False
        before, position = header, position + frame_length(header)
        if position > size:  # cut within this frame
            return n_frames > 0 or is_first
    return True


def _is_alike(one: bytes, other: bytes) -> bool:
    """Whether two frames have the same version, layer and sample rate."""
    return one[1] & 0xFE == other[1] & 0xFE and one[2] & 0x0C == other[2] & 0x0C
