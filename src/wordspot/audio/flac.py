"""FLAC (RFC 9639): correct a header that counts too few samples, and leave out tags of other formats at the end.

The last frame says which samples it holds. It is found from the end of the file, so that little of the file is read.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from wordspot.audio.mpeg import before_tags
from wordspot.audio.patched import PatchedFile, SoundSource
from wordspot.progress import OnNote

_WINDOW = 1 << 18  # bytes at the end that are searched; a usual frame has 20,000 at most
_COUNT_AT, _COUNT_MASK = 21, (1 << 36) - 1  # in STREAMINFO, counted from "fLaC": 4 bits of another field, 36 of the count


def open_flac(file: BinaryIO, path: Path, start: int, size: int, note: OnNote) -> SoundSource:
    """`path`, or the open file as libsndfile reads all of it.

    Args:
        file: the file.
        path: its name.
        start: position of ``fLaC``, behind the tags of other formats.
        size: of the file.
        note: called if the header counts too few samples.
    """
    stop = before_tags(file, size)
    file.seek(start)
    head = file.read(26)
    count = int.from_bytes(head[_COUNT_AT:], "big") & _COUNT_MASK
    block = int.from_bytes(head[10:12], "big")
    patches: dict[int, bytes] = {}
    if len(head) == 26 and count:  # 0 means unknown, and is read to the end
        file.seek(max(stop - _WINDOW, start))
        real = _count_from_end(file.read(stop - file.tell()), block, count)
        if real > count:
            note(f"{path}: its header counts {real - count} samples too few; everything in the file is read")
            field = int.from_bytes(head[_COUNT_AT:], "big") & ~_COUNT_MASK | real
            patches = {start + _COUNT_AT: field.to_bytes(5, "big")}
    return PatchedFile(path, patches, start=start, stop=stop) if patches or stop < size else path


def _count_from_end(data: bytes, block: int, count: int) -> int:
    """The number of samples up to the end of the last whole frame in `data`, if it is more than `count`; else `count`."""
    at = len(data)
    while (at := max(data.rfind(b"\xff\xf8", 0, at), data.rfind(b"\xff\xf9", 0, at))) >= 0:
        stop = _last_sample(data[at : at + 20], block)
        if stop == count:
            return count
        if stop > count and _crc(data[at:], 0x8005, 16) == 0:  # the sum of a frame and its checksum
            return stop
    return count


def _last_sample(header: bytes, block: int) -> int:
    """How many samples a recording has up to the end of the frame with this header; 0 if it is not one."""
    if len(header) < 8 or header[3] & 1 or not header[2] >> 4 or header[2] & 15 == 15:
        return 0
    n_bytes = max(8 - (header[4] ^ 0xFF).bit_length(), 1)  # coded as a character of UTF-8: leading ones count the bytes
    number = header[4] & 0x7F >> (n_bytes if n_bytes > 1 else 0)
    for byte in header[5 : 4 + n_bytes]:
        number = number << 6 | byte & 0x3F
    at, size, rate = 4 + n_bytes, header[2] >> 4, header[2] & 15
    if size in (6, 7):
        length = int.from_bytes(header[at : at + size - 5], "big") + 1
        at += size - 5
    else:
        length = 192 if size == 1 else 576 << size - 2 if size < 6 else 256 << size - 8
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(header) or _crc(header[: at + 1], 0x07, 8):
        return 0
    return (number if header[1] & 1 else number * block) + length


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """The remainder of `data`, by a polynomial without its highest term, the most significant bit first."""
    table, mask = _crc_table(polynomial, bits), (1 << bits) - 1
    remainder = 0
    for byte in data:
        remainder = (remainder << 8 & mask) ^ table[remainder >> bits - 8 ^ byte]
    return remainder


@lru_cache(maxsize=2)
def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        remainder = byte << bits - 8
        for _ in range(8):
            remainder = (remainder << 1 & (1 << bits) - 1) ^ (polynomial if remainder >> bits - 1 else 0)
        table.append(remainder)
    return tuple(table)
