"""Find a file's samples by the chunks of its header: WAV (RIFF, RIFX, RF64, BW64), AIFF, CAF, W64, AU and NIST SPHERE."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

NO_LENGTH = 0x7FFFF000  # sox, espeak-ng, ffmpeg and arecord write this or more into the header of a WAV for a pipe
_NO_LONG_LENGTH = (1 << 64) - 1
_KNOWN = (  # chunks that may follow the samples
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"fact", b"cue ", b"smpl", b"inst", b"plst", b"JUNK", b"junk", b"PAD ", b"FLLR",
    b"iXML", b"_PMX", b"PEAK", b"afsp", b"DISP", b"acid", b"strc", b"note", b"labl", b"levl", b"cart", b"axml", b"chna",
    b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"(c) ", b"ANNO", b"APPL", b"AESD", b"MIDI", b"info", b"free", b"peak",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How a container writes its chunks.

    Attributes:
        first: position of the first chunk.
        name_bytes: of a chunk's name, of which the first four are looked at.
        length_bytes: of a chunk's length.
        order: of the bytes of a number.
        align: chunks begin at multiples of this, counted from the first.
        counts_header: whether a chunk's length includes its name and its length.
        form: name of the chunk with the format of the samples.
        samples: name of the chunk with the samples.
    """

    first: int
    name_bytes: int
    length_bytes: int
    order: Literal["big", "little"]
    align: int
    counts_header: bool
    form: bytes
    samples: bytes


_RIFF = Layout(12, 4, 4, "little", 2, False, b"fmt ", b"data")
LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": Layout(12, 4, 4, "big", 2, False, b"fmt ", b"data"),
    b"FORM": Layout(12, 4, 4, "big", 2, False, b"COMM", b"SSND"),
    b"caff": Layout(8, 4, 8, "big", 1, False, b"desc", b"data"),
    b"riff": Layout(40, 16, 8, "little", 8, True, b"fmt ", b"data"),
}
#: The first bytes of the containers whose samples `find_samples` finds.
FORMS = (*LAYOUTS, b".snd", b"NIST")


@dataclass(frozen=True)
class SampleChunk:
    """A file's samples as its header describes them.

    Attributes:
        start: position of the chunk's content; 0 if there is no such chunk.
        length: of the content in bytes; 0 if the header has no length.
        per_second: bytes of a second; 0 if unknown.
        frame: bytes of a sample of all channels, or of a block of a compressed format; 1 if unknown.
        length_at: position of the length in the header; 0 if it is not written in bytes.
        length_bytes: how many bytes the length has there.
        order: of these bytes.
        is_stated_twice: whether another length in the header contradicts `length`.
    """

    start: int = 0
    length: int = 0
    per_second: float = 0.0
    frame: int = 1
    length_at: int = 0
    length_bytes: int = 4
    order: Literal["big", "little"] = "little"
    is_stated_twice: bool = False

    def patch(self, length: int) -> dict[int, bytes]:
        """The bytes that state another length, by their position."""
        most = (1 << 8 * self.length_bytes) - 1
        return {self.length_at: min(length, most).to_bytes(self.length_bytes, self.order)}


def find_samples(file: BinaryIO, form: bytes) -> SampleChunk:
    """Where the samples of a file are that begins with `form`, one of `FORMS`."""
    if form == b".snd":
        return _find_in_au(file)
    if form == b"NIST":
        return _find_in_nist(file)
    layout = LAYOUTS[form]
    per_second, frame, long_length, long_at = 0.0, 1, 0, 0
    for name, length_at, start, length in _chunks(file, layout):
        if name == b"ds64":  # of RF64: lengths that do not fit 32 bits, of the file and then of the samples
            long_length, long_at = int.from_bytes(file.read(16)[8:], "little"), start + 8
        elif name == layout.form:
            per_second, frame = _format_of(file.read(32), layout)
        elif name == layout.samples:
            if long_at:
                known = long_length if length == 0xFFFFFFFF else length
                known = known if known < _NO_LONG_LENGTH else 0
                return SampleChunk(start, known, per_second, frame, long_at, 8, "little", known != long_length)
            limit = NO_LENGTH if layout.length_bytes == 4 else _NO_LONG_LENGTH
            known = length if length < limit else 0
            return SampleChunk(start, known, per_second, frame, length_at, layout.length_bytes, layout.order)
    return SampleChunk()


def is_chunk(file: BinaryIO, position: int, size: int, layout: Layout) -> bool:
    """Whether a chunk begins at `position`, or the file ends, rather than samples that the header did not count."""
    file.seek(position)
    head = file.read(layout.name_bytes + layout.length_bytes)
    if head[:4] in _KNOWN or len(head) < layout.name_bytes + layout.length_bytes:
        return True
    named = all(32 <= byte < 127 for byte in head[:4])
    length = int.from_bytes(head[layout.name_bytes :], layout.order)
    return named and position + (0 if layout.counts_header else len(head)) + length <= size


def is_known_chunk(file: BinaryIO, position: int) -> bool:
    """Whether the name of a chunk that may follow samples is at `position`."""
    file.seek(position)
    return file.read(4) in _KNOWN


def _chunks(file: BinaryIO, layout: Layout) -> Iterator[tuple[bytes, int, int, int]]:
    """(name, position of the length, position of the content, its length) of each chunk; `file` is at the content."""
    position, n_head = layout.first, layout.name_bytes + layout.length_bytes
    while position < _NO_LONG_LENGTH >> 2:  # beyond, a file cannot be positioned
        file.seek(position)
        head = file.read(n_head)
        if len(head) < n_head:
            return
        length = int.from_bytes(head[layout.name_bytes :], layout.order)
        if layout.counts_header:
            length = max(length - n_head, 0)
        yield head[:4], position + layout.name_bytes, position + n_head, length
        position += n_head + length + -length % layout.align


def _format_of(content: bytes, layout: Layout) -> tuple[float, int]:
    """Bytes of a second, and of a frame."""
    if layout.form == b"COMM":
        return _aiff_rate(content), 1
    if layout.form == b"desc":  # rate, code, flags, bytes of a packet, samples of a packet
        rate, _, n_bytes, n_samples = struct.unpack(">d8sII", content[:24]) if len(content) >= 24 else (0.0, b"", 0, 0)
        return (rate * n_bytes / n_samples if n_samples and 0 < rate < 1e9 else 0.0), 1
    frame = max(int.from_bytes(content[12:14], layout.order), 1)
    return float(frame * int.from_bytes(content[4:8], layout.order)), frame


def _aiff_rate(comm: bytes) -> float:
    """Bytes of a second of an AIFF, whose rate is a float of 80 bits."""
    channels, bits = int.from_bytes(comm[:2], "big"), int.from_bytes(comm[6:8], "big")
    exponent, mantissa = int.from_bytes(comm[8:10], "big") & 0x7FFF, int.from_bytes(comm[10:18], "big")
    rate = mantissa * 2.0 ** (exponent - 16_383 - 63) if abs(exponent - 16_383) < 64 else 0.0
    return channels * (bits + 7) // 8 * rate


def _find_in_au(file: BinaryIO) -> SampleChunk:
    file.seek(4)
    start, length, encoding, rate, channels = (int.from_bytes(file.read(4), "big") for _ in range(5))
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)
    return SampleChunk(start, length if length < NO_LENGTH else 0, float(width * rate * channels), 1, 8, 4, "big")


def _find_in_nist(file: BinaryIO) -> SampleChunk:
    """A header of text: lines ``name -type value``; its second line is its length."""
    file.seek(0)
    head = file.read(1 << 14)
    length = re.match(rb"NIST_1A\n\s*(\d{1,9})\n", head)
    if length is None:
        return SampleChunk()
    fields = {name: int(value) for name, value in re.findall(rb"(?m)^(\w+) -i (\d{1,18})\s*$", head[: int(length[1])])}
    frame = fields.get(b"channel_count", 1) * fields.get(b"sample_n_bytes", 0)
    n_bytes = frame * fields.get(b"sample_count", 0)
    return SampleChunk(int(length[1]), n_bytes, float(frame * fields.get(b"sample_rate", 0)), max(frame, 1))
