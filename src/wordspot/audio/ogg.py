"""Ogg (RFC 3533): check that a file's pages are complete, and unwrap FLAC, which libsndfile reads only outside Ogg."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wordspot.errors import AudioError
from wordspot.progress import OnNote, ignore_note

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FLAC = b"\x7fFLAC"
_BEFORE_FLAC = 9  # bytes of the first packet before "fLaC": the mark above, a version, the number of headers


@dataclass(frozen=True)
class Page:
    """One page. `position` is that of its first byte in the file."""

    position: int
    header: bytes
    lacing: bytes
    body: bytes

    @property
    def serial(self) -> bytes:
        """The serial number of the stream that the page belongs to."""
        return self.header[14:18]

    @property
    def is_whole(self) -> bool:
        """Whether the file goes on to the end of the page."""
        return len(self.lacing) == self.header[26] and len(self.body) == sum(self.lacing)

    @property
    def is_first(self) -> bool:
        """Whether it is the first page of a stream."""
        return bool(self.header[5] & 2)

    @property
    def has_its_checksum(self) -> bool:
        """Whether no bit of the page was changed."""
        return _checksum(self.header[:22] + bytes(4) + self.header[26:] + self.lacing + self.body) == self.header[22:26]


def pages(file: BinaryIO) -> Iterator[Page]:
    """The pages from the beginning of the file to its end, or to what is not a page."""
    position = 0
    file.seek(0)
    while (header := file.read(27))[:4] == b"OggS" and len(header) == 27:
        lacing = file.read(header[26])
        yield Page(position, header, lacing, file.read(sum(lacing)))
        position = file.tell()
    file.seek(position)


def check_ogg(file: BinaryIO, path: Path, note: OnNote = ignore_note) -> None:
    """Follow the pages to the end of the file.

    Args:
        file: the file.
        path: its name.
        note: called if another recording follows, as in one of internet radio; only the first is decoded.

    Raises:
        AudioError: truncated, or a page is damaged.
    """
    goes_on, n_starts, has_begun = False, 0, False
    for page in pages(file):
        if not page.is_whole:
            raise AudioError(f"{path}: truncated, it ends within an Ogg page; copy or record it again")
        if not page.has_its_checksum:
            raise AudioError(f"{path}: damaged, the Ogg page at byte {page.position} fails its checksum; remove the file")
        goes_on = page.lacing[-1:] == b"\xff"
        n_starts += page.is_first and has_begun
        has_begun |= not page.is_first
    if n_starts:
        note(f"{path}: {n_starts} more recording(s) follow in the same file and are not read; split the file")
    rest = file.read(27)
    if goes_on or (rest and b"OggS".startswith(rest[:4])):
        raise AudioError(f"{path}: truncated, its last Ogg page announces another; copy or record it again")


def unwrap_flac(file: BinaryIO) -> BinaryIO | None:
    """The FLAC inside an Ogg file, as a temporary file; None if the Ogg holds something else.

    The packets of one stream, without the Ogg around them, are a FLAC file, except for a few bytes before the first.
    """
    serial, out = b"", None
    for page in pages(file):
        if out is None:
            if page.body[: len(_FLAC)] != _FLAC:
                return None
            serial, out = page.serial, tempfile.TemporaryFile(prefix="wordspot-")  # noqa: SIM115 - the caller closes it
            out.write(page.body[_BEFORE_FLAC:])
        elif page.serial == serial:
            out.write(page.body)
    if out is not None:
        out.seek(0)
    return out


def _checksum(page: bytes) -> bytes:
    """CRC-32 as Ogg has it: zlib's polynomial, with every bit order mirrored, and no inversion at either end."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "little").translate(_MIRRORED)[::-1]
