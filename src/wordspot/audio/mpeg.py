"""Check the frames of MPEG audio (MP1, MP2, MP3): whether a file has any, whether it is truncated, and how many there are.

Decoders find "frames" in any noise, so a file counts as MPEG audio only if several frames follow each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from wordspot.audio.patched import PatchedFile, SoundSource
from wordspot.errors import AudioError
from wordspot.formats import command_line
from wordspot.progress import OnNote

TOLERANCE_SECONDS = 0.1  # by how much a header may promise too much

_SEARCH = 1 << 16  # bytes in which the first frame must begin
_IN_A_ROW = 3  # frames: three in random bytes are a matter of 1 to 10 million
_MOST_GAPS = 1000  # between frames, each of which is searched for the next frame
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN")
_TAG = b"ID3\x04" + bytes(5) + b"\x64" + bytes(100)  # an empty one, without which libsndfile loses the first frame of a stream
_KBPS = {  # (MPEG-1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}


def begins_like_mpeg(head: bytes) -> bool:
    """Whether libsndfile takes a file that begins so for an MP3: a tag, or the mark at the beginning of a frame."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


def is_mpeg(head: bytes) -> bool | None:
    """Whether bytes without a tag are MPEG audio: two frames of one kind, one after the other. None: more bytes are needed."""
    length = frame_length(head)
    if not length:
        return None if len(head) < 4 and b"\xff".startswith(head[:1]) else False
    if len(head) < length + 4:
        return None
    return bool(frame_length(head[length : length + 4])) and _is_alike(head, head[length:])


def has_frames(file: BinaryIO, size: int) -> bool:
    """Whether MPEG audio begins near the start of a file of `size` bytes, after its tags."""
    return _first_frame(file, skip_tags(file), size) >= 0


def open_mp3(file: BinaryIO, path: Path, size: int, note: OnNote, *, thorough: bool) -> SoundSource:
    """`path`, or the open file as libsndfile reads all of it.

    libsndfile estimates the length of an MP3 without a count and stops there, long before the end if the bit rate varies. Such
    a file is shown with a count, and one that ends with something else without it.

    Args:
        file: the file.
        path: its name.
        size: its size in bytes.
        note: called if its end is missing or its count is too small, and everything is read nevertheless.
        thorough: raise an error for a truncated file.

    Raises:
        AudioError: there is no frame; or if `thorough`, the file ends within one, or there are fewer than the encoder counted.
    """
    first = _first_frame(file, skip_tags(file), size)
    if first < 0:
        raise AudioError(f"{path}: there is no MP3 frame in this MP3 file; convert it again or remove it")
    file.seek(first)
    header, beginning = file.read(4), file.read(64)
    promised = _counted_frames(beginning)
    n_frames, stop, is_cut = _walk(file, first, size)
    # LAME does not count the frame that holds the count, but other encoders may: one less is accepted.
    missing_seconds = (promised + 1 - n_frames) * _frame_seconds(header)
    is_short = promised > 0 and n_frames > 0 and missing_seconds < TOLERANCE_SECONDS and (is_cut or n_frames < promised)
    if is_short:
        note(f"{path}: its end is missing, less than {TOLERANCE_SECONDS:g} s; the rest is read")
    elif is_cut and thorough:
        raise AudioError(f"{path}: truncated, it ends within an MP3 frame; {way_out(path)}")
    elif n_frames < promised and thorough:
        raise AudioError(
            f"{path}: truncated or damaged, its header promises {promised} MP3 frames, but it has {n_frames}; {way_out(path)}"
        )
    has_count = promised > 0 or beginning[32:36] == b"VBRI"
    is_few = 0 < promised < n_frames - 1
    if is_few:
        note(f"{path}: its header counts {n_frames - 1 - promised} MP3 frames too few; everything in the file is read")
    if is_few or (not promised and _layer(header) == 3 and n_frames):
        start = first + frame_length(header) if has_count else first
        return PatchedFile(path, prefix=_TAG + _count(header, n_frames - has_count), start=start, stop=stop)
    return PatchedFile(path, prefix=_TAG, start=first, stop=stop) if stop < before_tags(file, size) else path


def _walk(file: BinaryIO, position: int, size: int) -> tuple[int, int, bool]:
    """The number of frames from `position`, the end of the last, and whether the file ends within one.

    Tags between frames, and damage of a few bytes, are passed over.
    """
    n_frames, stop, n_gaps = 0, position, 0
    while True:
        file.seek(position)
        header = file.read(4)
        length = frame_length(header)
        if not length:
            n_gaps += 1
            if (
                len(header) < 4
                or n_gaps > _MOST_GAPS
                or (position := _first_frame(file, _skip_tags_at(file, position), size)) < 0
            ):
                return n_frames, stop, False
            continue
        if position + length > size:
            return n_frames, size, True
        n_frames += 1
        position = stop = position + length


def _count(header: bytes, n_frames: int) -> bytes:
    """A frame that is no sound but says how many frames follow, as encoders write it; like the frame with `header`."""
    head = bytes([header[0], header[1] | 1, 0x90 | header[2] & 0x0C, header[3]])  # no checksum, 128 or 80 kbit/s
    is_mono, is_first = header[3] >> 6 == 3, header[1] >> 3 & 3 == 3
    n_side = (17 if is_mono else 32) if is_first else (9 if is_mono else 17)
    frame = head + bytes(n_side) + b"Info" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return frame + bytes(frame_length(head) - len(frame))


def way_out(path: Path) -> str:
    """What to do about a truncated file."""
    rest = command_line("ffmpeg", "-i", Path(path.name), Path(f"{path.stem}-kept.wav"))
    return f"copy or record it again, or keep the rest: {rest}"


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


def _layer(header: bytes) -> int:
    return 4 - (header[1] >> 1 & 3)


def _frame_seconds(header: bytes) -> float:
    n_samples = {1: 384, 2: 1152, 3: 1152 if header[1] >> 3 & 3 == 3 else 576}[_layer(header)]
    return n_samples / _rate_of(header)


def _counted_frames(frame: bytes) -> int:
    """The number of frames that follow, from the first frame's Xing or Info tag; 0 if it has none."""
    start = max(frame.find(b"Xing"), frame.find(b"Info"))
    if start < 0 or not frame[start + 7 : start + 8] or not frame[start + 7] & 1:
        return 0
    return int.from_bytes(frame[start + 8 : start + 12], "big")


def skip_tags(file: BinaryIO) -> int:
    """Position `file` after the ID3v2 tags at its beginning; return the position."""
    position = _skip_tags_at(file, 0)
    file.seek(position)
    return position


def before_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v1 and APE tags at the end of a file of `size` bytes begin; `size` if there are none."""
    stop = size
    file.seek(max(stop - 128, 0))
    if file.read(3) == b"TAG":
        stop -= 128
    file.seek(max(stop - 32, 0))
    footer = file.read(32)
    if footer[:8] == b"APETAGEX" and len(footer) == 32:
        length = int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
        stop = max(stop - length, 0) if length >= 32 else stop
    return stop


def _skip_tags_at(file: BinaryIO, position: int) -> int:
    """Where the tags that begin at `position` end."""
    file.seek(position)
    while len(tag := file.read(10)) == 10 and tag.startswith((b"ID3", b"TAG")):
        length = 128
        if tag.startswith(b"ID3"):
            length = 10 + (10 if tag[5] & 0x10 else 0)
            length += sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(tag[6:]))
        position += length
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
