"""`listen` on streams of bytes that are not what raw samples are by default, and on quiet ones."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.made_onnx import RATE, made_model
from support.made_streams import spoken
from wordspot.audio.gain import AutoGain
from wordspot.errors import AudioError, ConfigError
from wordspot.runtime.detect import detect
from wordspot.runtime.detector import Detector
from wordspot.runtime.listener import listen
from wordspot.runtime.model import open_model

MODEL = open_model(made_model(clip_samples=1600))


def encoded(audio: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def words(data: bytes, notes: list[str] | None = None, **settings: Any) -> list[str]:
    note = None if notes is None else notes.append
    return [one.label for one in listen(MODEL, io.BytesIO(data), on_notice=note, **settings)]


@pytest.mark.parametrize(
    ("container", "subtype", "note"),
    [
        ("WAV", "PCM_16", "the stream is a WAV; its header says 44100 Hz, 2 channel(s), s16le"),
        ("WAV", "PCM_32", "the stream is a WAV; its header says 44100 Hz, 2 channel(s), s32le"),
        ("FLAC", "PCM_16", "the stream is FLAC, which is read to its end first"),
        ("OGG", "VORBIS", "the stream is Ogg, which is read to its end first"),
        ("AIFF", "PCM_16", "the stream is AIFF, which is read to its end first"),
        ("MP3", "MPEG_LAYER_III", "the stream is MP3, which is read to its end first"),
        ("W64", "PCM_16", "the stream is W64, which is read to its end first"),
    ],
)
def test_a_sound_file_where_raw_samples_are_expected(container: str, subtype: str, note: str) -> None:
    audio, notes = spoken(44_100), list[str]()
    data = encoded(np.stack([audio, audio], axis=1), 44_100, container, subtype)
    assert words(data, notes) == ["a", "b"]
    assert notes == [note]
    assert words(data, sample_rate=8_000) == ["a", "b"]  # the header is obeyed


def test_raw_samples_of_another_form() -> None:
    audio = spoken(48_000)
    both = np.stack([0 * audio, audio], axis=1)
    notes: list[str] = []
    data = (both.astype(np.float64) * (2**31 - 1)).astype("<i4").tobytes()
    assert words(data, notes, sample_format="s32le", n_channels=2, sample_rate=48_000) == ["a", "b"]
    assert notes == ["channel 0 of the stream is silent, but channel 1 is not; channel 1 is used from here on"]
    assert words(data, sample_format="s32le", n_channels=2, sample_rate=48_000, channel=0) == []


def test_a_stream_without_a_byte_and_one_without_channels() -> None:
    with pytest.raises(AudioError, match="the stream is empty; expected samples"):
        words(b"")
    with pytest.raises(AudioError, match="the number of channels must lie between 1 and 64, got 0"):
        words(bytes(100), n_channels=0)


def test_a_file_that_cannot_be_read_and_settings_of_another_source(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="the stream is WebM or Matroska, not raw samples; convert it: ffmpeg"):
        words(b"\x1aE\xdf\xa3" + bytes(100))
    soundfile.write(tmp_path / "a.wav", spoken(), RATE)
    for name, value in (("sample_format", "u8"), ("n_channels", 2), ("sample_rate", 8000)):
        with pytest.raises(ConfigError, match=f"`{name}` is for raw samples"):
            listen(MODEL, tmp_path / "a.wav", **{name: value})  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe of POSIX")
def test_a_fifo_is_a_stream(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes((spoken() * 32767).astype("<i2").tobytes())
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"cat {tmp_path / 'raw'} > {tmp_path / 'pipe'}", shell=True):
        assert [one.label for one in listen(MODEL, tmp_path / "pipe")] == ["a", "b"]


def test_gain_for_quiet_audio(tmp_path: Path) -> None:
    quiet = spoken() * np.float32(10 ** (-40 / 20))
    data = quiet.astype("<f4").tobytes()
    assert words(data, sample_format="f32le") == []
    assert words(data, sample_format="f32le", gain=40) == ["a", "b"]
    soundfile.write(tmp_path / "a.wav", quiet, RATE, subtype="FLOAT")
    assert [one.label for one in detect(tmp_path / "a.wav", MODEL, gain=40)] == ["a", "b"]
    detector, plain = Detector(MODEL, gain="auto"), Detector(MODEL)
    raised = AutoGain(RATE).feed(np.tile(quiet, 5))
    assert np.abs(raised).max() > 10 * np.abs(quiet).max()
    for _ in range(2):
        np.testing.assert_array_equal(detector.feed_scored(np.tile(quiet, 5))[1], plain.feed_scored(raised)[1])
        detector.reset()
        plain.flush()
    with pytest.raises(ConfigError, match="`gain` must be auto"):
        Detector(MODEL, gain="some")


def test_a_quiet_minute_is_noted(tmp_path: Path) -> None:
    quiet = np.full(61 * RATE, 0.003, np.float32)
    notes: list[str] = []
    assert words(quiet.astype("<f4").tobytes(), notes, sample_format="f32le") == []
    assert len(notes) == 1
    assert "very quiet" in notes[0]
    soundfile.write(tmp_path / "a.wav", quiet, RATE)
    detect(tmp_path / "a.wav", MODEL, on_note=notes.append)
    assert notes[1].startswith(f"{tmp_path / 'a.wav'}: the audio is very quiet, its loudest sound in a minute was -50 dBFS")
