"""Seeds, made on the spot: short sound files of every kind that is read, and small models."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
_RATE, _SECONDS = 16_000, 0.12
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_WAV = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")
#: Kind → (container, encodings) as libsndfile names them.
_KINDS = {
    "wav": (("WAV", _WAV), ("WAVEX", ("PCM_16", "FLOAT")), ("RF64", ("PCM_16",)), ("W64", ("PCM_16",))),
    "aiff": (("AIFF", ("PCM_16", "PCM_24", "FLOAT", "ULAW")), ("AU", ("PCM_16", "FLOAT")), ("CAF", ("PCM_16", "ALAC_16"))),
    "flac": (("FLAC", ("PCM_S8", "PCM_16", "PCM_24")),),
    "ogg": (("OGG", ("VORBIS", "OPUS")),),
    "mp3": (("MP3", ("MPEG_LAYER_III",)),),
}  # fmt: skip


def tone(n_channels: int = 1, seconds: float = _SECONDS) -> np.ndarray:
    """A tone over noise: float64 [samples, channels]."""
    n = np.arange(int(_RATE * seconds))[:, None] * np.ones(n_channels)
    noise = np.random.default_rng(n_channels).normal(0, 0.01, n.shape)
    return 0.3 * np.sin(2 * np.pi * 440 * n / _RATE) + noise


def sound_seeds(kind: str) -> list[bytes]:
    """Files of one kind: every encoding, one and two channels."""
    seeds = []
    for container, encodings in _KINDS[kind]:
        for subtype in encodings:
            for n_channels in (1,) if subtype == "GSM610" else (1, 2):
                buffer = io.BytesIO()
                soundfile.write(buffer, tone(n_channels), _RATE, subtype, format=container)
                seeds.append(buffer.getvalue())
    if kind == "wav":
        seeds += odd_wavs()
    if kind == "mp3":
        seeds += [b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + seed for seed in seeds]
    if kind == "flac":
        seeds += [b"ID3\x04\0\0\0\0\0\x10" + bytes(16) + seeds[0]]
    return seeds


def odd_wavs() -> Iterator[bytes]:
    """WAV headers as recorders and pipes write them."""
    samples = (tone()[:, 0] * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, _RATE, 2 * _RATE, 2, 16)
    listed = b"INFOISFT" + struct.pack("<I", 6) + b"Lavf\0\0"
    for data_size in (len(samples), 0, 0xFFFFFFFF, 0x7FFFF000, len(samples) + 44, len(samples) + 2, len(samples) - 100):
        yield _riff(_chunk(b"fmt ", form), b"data" + struct.pack("<I", data_size) + samples)
    yield _riff(_chunk(b"JUNK", bytes(27)), _chunk(b"fmt ", form), _chunk(b"LIST", listed), _chunk(b"data", samples))
    yield _riff(_chunk(b"fmt ", form + b"\0\0"), _chunk(b"fact", bytes(4)), _chunk(b"data", samples), _chunk(b"LIST", listed))
    yield _riff(_chunk(b"fmt ", form), _chunk(b"data", samples), _chunk(b"data", samples))
    yield _riff(_chunk(b"data", samples), _chunk(b"fmt ", form))


def _riff(*chunks: bytes) -> bytes:
    return _chunk(b"RIFF", b"WAVE" + b"".join(chunks))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def with_ogg_checksums(data: bytes) -> bytes:
    """An Ogg whose pages have the checksums that they should: else no decoder looks at what was changed in them."""
    mended, start = bytearray(data), 0
    while (start := mended.find(b"OggS", start)) >= 0 and start + 27 <= len(mended):
        n_lacing = mended[start + 26]
        end = start + 27 + n_lacing + sum(mended[start + 27 : start + 27 + n_lacing])
        mended[start + 22 : start + 26] = bytes(4)
        mirrored = zlib.crc32(bytes(mended[start:end]).translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        mended[start + 22 : start + 26] = mirrored.to_bytes(4, "little").translate(_MIRRORED)[::-1]
        start += 27
    return bytes(mended)


def made_models() -> list[bytes]:
    """Small files of the kinds that the shipped model is not, if `onnx` is installed, which makes them."""
    sys.path.append(str(ROOT / "tests"))
    try:
        from support.made_onnx import made_model
        from support.made_recordings import recording_model
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        return []
    return [made_model(), made_model("clip"), recording_model()]
