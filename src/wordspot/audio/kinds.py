"""Identify sound and video file formats by their first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wordspot.formats import command_line

#: How many bytes `kind_of` needs.
HEAD_BYTES = 16


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: for messages.
        is_readable: whether `audio.files` reads it.
    """

    name: str
    is_readable: bool


WAV = Kind("WAV", True)
MP3 = Kind("MP3", True)
_VIDEO = Kind("WebM or Matroska", False)
_MP4 = Kind("MPEG-4 (M4A, MP4, MOV)", False)

#: (position, bytes) at the beginning of a file → its kind.
_MAGIC = (
    (0, b"RF64", WAV), (0, b"BW64", WAV), (0, b"RIFX", Kind("WAV of the other byte order", True)),
    (0, b"fLaC", Kind("FLAC", True)), (0, b"OggS", Kind("Ogg", True)), (0, b"ID3", MP3),
    (0, b"FORM", Kind("AIFF", True)), (0, b".snd", Kind("AU", True)), (0, b"caff", Kind("CAF", True)),
    (0, b"riff", Kind("W64", True)), (0, b"NIST_1A", Kind("SPHERE", True)),
    (0, b"\x1aE\xdf\xa3", _VIDEO), (4, b"ftyp", _MP4),
    (0, b"#!AMR", Kind("AMR", False)), (0, b"MAC ", Kind("Monkey's Audio", False)), (0, b"wvpk", Kind("WavPack", False)),
    (0, b"0&\xb2u\x8ef\xcf\x11", Kind("Windows Media", False)),
)  # fmt: skip


def kind_of(head: bytes) -> Kind | None:
    """The kind of file that begins with `head`; None if it is unknown, as raw samples are."""
    if head[:4] == b"RIFF":
        return WAV if head[8:12] in (b"WAVE", b"") else Kind("AVI or another kind of RIFF", False)
    return next((kind for at, magic, kind in _MAGIC if head[at : at + len(magic)] == magic), None)


def may_become_known(head: bytes) -> bool:
    """Whether `head`, which is too short to say, may still turn out to be the beginning of a known kind."""
    magic = [*_MAGIC, (0, b"RIFF", WAV)]
    starts = [bytes(at - 1) + b"?" + one if at else one for at, one, _ in magic]  # three zeros begin an MPEG-4 of usual size
    return len(head) < HEAD_BYTES and any(
        all(byte == other or other == 63 for byte, other in zip(head, start, strict=False)) for start in starts
    )


def convert_command(name: str) -> str:
    """The command that converts a file of a kind that is not read, for messages."""
    return command_line("ffmpeg", "-i", Path(name), Path(f"{name}.wav"))
