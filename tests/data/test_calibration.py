"""Recordings for calibration in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.files import write_audio
from wordspot.data.calibration import calibration_streams, recordings_by_folder
from wordspot.errors import DataError

RATE = 8000


def ramp(path: Path, seconds: float) -> Path:
    """A recording whose samples are their own time in 1000ths of a second, up to 0.999."""
    write_audio(path, (np.arange(int(seconds * RATE)) // 8 / 1000 % 1).astype(np.float32), RATE)
    return path


def test_pieces_of_few_long_recordings_take_turns(tmp_path: Path) -> None:
    """Of two recordings of 200 and 40 s: 150 s of the first and all of the second, half of each in either stream."""
    paths = [ramp(tmp_path / "long.wav", 200), ramp(tmp_path / "short.wav", 40)]
    ranges, loss = calibration_streams(recordings_by_folder(paths), RATE, "here")
    assert (len(ranges) + len(loss)) / RATE == 190
    assert abs(len(ranges) - len(loss)) <= 10 * RATE


def test_of_many_recordings_one_piece_each_is_taken(tmp_path: Path) -> None:
    paths = [ramp(tmp_path / f"{number}.wav", 12) for number in range(40)]
    ranges, loss = calibration_streams(recordings_by_folder(paths), RATE, "here")
    assert (len(ranges) / RATE, len(loss) / RATE) == (150, 150)


def test_one_recording_is_halved(tmp_path: Path) -> None:
    ramp(tmp_path / "one.wav", 10)
    ranges, loss = calibration_streams(recordings_by_folder(tmp_path), RATE, "here")
    assert (len(ranges) / RATE, len(loss) / RATE) == (5, 5)
    with pytest.raises(DataError, match=r"here has 9\.0 s of audio to calibrate on; expected at least 10 s"):
        calibration_streams(recordings_by_folder([ramp(tmp_path / "less.wav", 9)]), RATE, "here")
