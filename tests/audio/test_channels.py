"""One rule for channels: the first, or the loudest if the first is silent, with a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.channels import ChannelPicker
from wordspot.audio.files import read_audio, read_blocks
from wordspot.errors import AudioError

RATE = 16_000
SOUND = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
QUIET = np.zeros_like(SOUND)


def stored(path: Path, *channels: np.ndarray) -> Path:
    soundfile.write(path, np.stack(channels, axis=1), RATE)
    return path


@pytest.mark.parametrize(
    ("channels", "used"),
    [
        ((SOUND, QUIET), 0),
        ((QUIET, SOUND), 1),
        ((SOUND, -SOUND), 0),  # the mean would cancel
        ((QUIET, QUIET, QUIET, 0.1 * SOUND, QUIET, SOUND, QUIET, QUIET), 5),
        ((QUIET + 2e-5, 0.1 * SOUND), 1),  # the dither of 16 bits
        ((0.001 * SOUND, SOUND), 1),  # crosstalk
        ((0.05 * SOUND, SOUND), 0),  # soft, but there
        ((QUIET, 0.001 * SOUND), 0),  # both are silent
    ],
    ids=["left", "right", "opposite", "eight", "dither", "crosstalk", "soft", "silence"],
)
def test_the_channel_of_a_file(tmp_path: Path, channels: tuple[np.ndarray, ...], used: int) -> None:
    path, notes = stored(tmp_path / "a.wav", *channels), []
    audio, _ = read_audio(path, on_note=notes.append)
    np.testing.assert_allclose(audio, channels[used], atol=1 / 32768)
    blocks = list(read_blocks(path, 100.0)[1])
    np.testing.assert_array_equal(np.concatenate(blocks), audio)
    assert notes == ([f"{path}: its first channel is silent, so channel {used} (counted from 0) is used"] if used else [])


def test_the_word_may_come_late(tmp_path: Path) -> None:
    late = np.concatenate([np.zeros(10 * RATE, np.float32), SOUND])
    audio, _ = read_audio(stored(tmp_path / "a.flac", 0 * late, late))
    assert np.abs(audio[10 * RATE :]).max() > 0.4


def test_a_channel_that_is_named_is_used_with_a_note(tmp_path: Path) -> None:
    path, notes = stored(tmp_path / "a.wav", QUIET, SOUND), []
    assert not read_audio(path, channel=0, on_note=notes.append)[0].any()
    assert notes == [f"{path}: channel 0 is silent, but channel 1 is not; is it the one you want?"]
    with pytest.raises(AudioError, match=r"a\.wav: there is no channel -1, the file has 2; channels count from 0"):
        read_audio(path, channel=-1)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_live_stream_changes_to_the_channel_that_is_not_silent(dtype: str) -> None:
    notes: list[str] = []
    picker = ChannelPicker(2, RATE, on_note=notes.append)
    both = np.stack([QUIET, np.concatenate([QUIET[: RATE // 2], SOUND[: RATE // 2]])], axis=1)
    both = (both * (32768 if dtype == "int16" else 1)).astype(dtype)
    picked = np.concatenate([picker.feed(both[start : start + 320]) for start in range(0, RATE, 320)])
    assert (picked.dtype, picked.shape) == (np.dtype(dtype), (RATE,))
    np.testing.assert_array_equal(picked[RATE // 2 :], both[RATE // 2 :, 1])
    assert notes == ["channel 0 of the stream is silent, but channel 1 is not; channel 1 is used from here on"]


def test_a_live_stream_keeps_a_channel_that_pauses_while_the_other_hums() -> None:
    picker = ChannelPicker(2, RATE)
    hum = 0.001 * SOUND
    for first, second in ((SOUND, hum), (QUIET, hum), (SOUND, hum)):
        np.testing.assert_array_equal(picker.feed(np.stack([first, second], axis=1)), first)


def test_a_named_channel_of_a_live_stream() -> None:
    notes: list[str] = []
    picker = ChannelPicker(3, RATE, 2, notes.append, "the microphone")
    for _ in range(3):
        assert not picker.feed(np.stack([QUIET, SOUND, QUIET], axis=1)).any()
    assert notes == ["channel 2 of the microphone is silent, but channel 1 is not"]
    with pytest.raises(AudioError, match="there is no channel 3, the microphone has 3"):
        ChannelPicker(3, RATE, 3, what="the microphone")
