"""Bytes of a live stream: their formats, and what happens if they are a file."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from wordspot.audio.raw import RawDecoder
from wordspot.errors import AudioError, ConfigError

RATE = 16_000
SOUND = (0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE)).astype(np.float32)


def decode(decoder: RawDecoder, data: bytes, size: int) -> np.ndarray:
    parts = [decoder.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return np.concatenate([*parts, decoder.end()])


def file_of(audio: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format=container, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "data", "tolerance"),
    [
        ("s16le", np.rint(SOUND * 32768).astype("<i2"), 1 / 32768),
        ("s32le", np.rint(SOUND.astype(np.float64) * 2**31).astype("<i4"), 1e-6),
        ("f32le", SOUND.astype("<f4"), 0),
        ("u8", np.rint(SOUND * 128 + 128).astype("u1"), 1 / 128),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_raw_formats(form: str, data: np.ndarray, tolerance: float, size: int) -> None:
    decoded = decode(RawDecoder(RATE, form), data.tobytes(), size)
    scale = np.float32(32768 if form == "s16le" else 1)
    np.testing.assert_allclose(decoded / scale, SOUND, atol=tolerance)


def test_channels_of_raw_samples() -> None:
    both = np.stack([np.arange(100), -np.arange(100)], axis=1).astype("<i2").tobytes()
    np.testing.assert_array_equal(decode(RawDecoder(RATE, n_channels=2), both, 10), np.arange(100))
    np.testing.assert_array_equal(decode(RawDecoder(RATE, n_channels=2, channel=1), both, 10), -np.arange(100))
    for settings, match in (({"n_channels": 0}, "must lie between 1 and 64"), ({"channel": 1}, "there is no channel 1")):
        with pytest.raises(AudioError, match=match):
            RawDecoder(RATE, **settings)
    with pytest.raises(ConfigError, match="`sample_format` must be one of s16le, s32le, f32le, u8, got 'mp3'"):
        RawDecoder(RATE, "mp3")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("size", [1, 30, 100_000])
def test_the_header_of_a_wav_is_obeyed(subtype: str, container: str, size: int) -> None:
    notes: list[str] = []
    decoder = RawDecoder(RATE, "u8", on_note=notes.append, what="standard input")
    data = file_of(np.stack([SOUND, 0 * SOUND], axis=1), 44_100, container, subtype)
    decoded = decode(decoder, data, size)
    assert decoder.sample_rate == 44_100
    scale = np.float32(32768 if subtype == "PCM_16" else 1)
    np.testing.assert_allclose(decoded / scale, SOUND, atol=1 / 128 if subtype == "PCM_U8" else 1e-4)
    assert len(notes) == 1
    assert notes[0].startswith("standard input is a WAV; its header says 44100 Hz, 2 channel(s)")


def test_what_follows_the_samples_of_a_wav_is_no_sound_and_a_pipe_has_no_length() -> None:
    data = file_of(SOUND, RATE, "WAV", "PCM_16")
    assert len(decode(RawDecoder(RATE), data + b"LIST\x04\0\0\0INFO", 50)) == 4000
    for length in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x00\xf0\xff\x7f"):
        assert len(decode(RawDecoder(RATE), data[:40] + length + data[44:] * 2, 50)) == 8000


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"fLaC", "FLAC"),
        (b"OggS", "Ogg"),
        (b"ID3\x04", "MP3"),
        (b"\x1aE\xdf\xa3", "WebM or Matroska"),
        (b"\0\0\0\x18ftypisom", "MPEG-4"),
        (b"RIFF\0\0\0\0AVI ", "AVI"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
    ],
)
def test_other_files_are_rejected_by_name(head: bytes, kind: str) -> None:
    with pytest.raises(AudioError, match=rf"the stream is {kind}.*, not raw samples; do this"):
        decode(RawDecoder(RATE, advice="do this"), head + bytes(100), 3)


def test_a_wav_that_cannot_be_read_live() -> None:
    adpcm = file_of(SOUND, RATE, "WAV", "IMA_ADPCM")
    with pytest.raises(AudioError, match=r"is a WAV of a kind that is not read live \(code 17, 4 bits\)"):
        RawDecoder(RATE).feed(adpcm)
    endless = b"RIFF\0\0\0\0WAVEJUNK" + (1 << 20).to_bytes(4, "little") + bytes(100)
    with pytest.raises(AudioError, match="is a WAV without samples in its first 65536 bytes"):
        RawDecoder(RATE).feed(endless)


@pytest.mark.parametrize("size", [1, 100, 640, 100_000])
def test_an_mp3_without_a_tag_is_rejected_by_name(size: int) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.tile(SOUND, 4), RATE, format="MP3")
    with pytest.raises(AudioError, match="the stream is MP3, not raw samples"):
        decode(RawDecoder(RATE), buffer.getvalue(), size)


def test_samples_that_begin_like_a_frame_are_samples() -> None:
    samples = np.full(4000, -1025, "<i2")  # the bytes of an MPEG frame's first two
    samples[1] = 0x0090
    decoder = RawDecoder(RATE)
    assert decoder.feed(samples[:100].tobytes()).size == 0  # it waits for the next frame's place
    assert decoder.feed(samples[100:].tobytes()).tolist() == samples.tolist()
    decoder = RawDecoder(RATE)
    assert decoder.feed(samples[:100].tobytes()).size == 0
    assert decoder.end().tolist() == samples[:100].tolist()


def test_a_stream_that_ends_before_it_is_known() -> None:
    assert RawDecoder(RATE).feed(b"RI").size == 0
    assert RawDecoder(RATE).feed(b"\1\0").tolist() == [1]
    decoder = RawDecoder(RATE)
    assert decoder.feed(b"\0\0\0\0").size == 0
    assert decoder.end().tolist() == [0, 0]


NOISY = SOUND * np.float32(0.2) + np.random.default_rng(0).normal(0, 0.001, 4000).astype(np.float32)


@pytest.mark.parametrize("form", ["<i4", "<f4", ">i2", ">f4", "u1"])
def test_bytes_of_another_form_are_doubted(form: str) -> None:
    """32 bits, floats, the other order of bytes, 8 bits: taken for 16 bits, they are noise at full scale."""
    bits = {"<i4": 2**31 - 1, ">i2": 32767}.get(form, 1)
    values = np.full(4000, 128.0) if form == "u1" else NOISY.astype(np.float64) * bits  # 8 bits: a quiet room
    data = np.tile(values, 10).astype(form).tobytes()
    notes: list[str] = []
    decode(RawDecoder(RATE, on_note=notes.append, what="standard input"), data, 640)
    assert notes == ["standard input is like noise at full scale; are its samples s16le with 1 channel(s)?"]


@pytest.mark.parametrize(
    ("paired", "says"),
    [
        (np.stack([NOISY, NOISY], 1), "repeats every sample"),
        (np.stack([0 * NOISY, NOISY], 1), "has only zeros in every second sample"),
        (np.stack([NOISY, 0 * NOISY], 1), "has only zeros in every second sample"),
    ],
)
@pytest.mark.parametrize("size", [640, 642, 1001])
def test_stereo_and_wide_samples_that_are_taken_for_mono_are_doubted(paired: np.ndarray, says: str, size: int) -> None:
    """The second is what 32 bits are that were made from 16."""
    notes: list[str] = []
    data = np.tile((paired * 32767).ravel(), 10).astype("<i2").tobytes()
    decode(RawDecoder(RATE, on_note=notes.append, what="standard input"), data, size)
    assert notes == [f"standard input {says}; are its samples s16le with 1 channel(s)?"]


@pytest.mark.parametrize(
    "audio", [NOISY, 4 * NOISY, 0 * NOISY, np.sign(SOUND) * np.float32(0.99), np.full(4000, 0.5)], ids=range(5)
)
def test_sound_is_not_doubted(audio: np.ndarray) -> None:
    notes: list[str] = []
    decode(RawDecoder(RATE, on_note=notes.append), (np.tile(audio, 10) * 32767).astype("<i2").tobytes(), 640)
    assert notes == []
