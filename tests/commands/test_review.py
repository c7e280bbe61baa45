"""`wordspot review` without a terminal and without a loudspeaker, and with stand-ins for both."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.command_line import fails, run
from support.fake_sounddevice import FakeSoundDevice
from wordspot.audio.files import write_audio

RATE = 16_000


class FakeLoudspeaker(FakeSoundDevice):
    """Notes what is played."""

    def __init__(self) -> None:
        super().__init__([])
        self.played: list[tuple[float, int]] = []
        self.is_broken = False
        self.n_stops = 0

    def play(self, audio: Any, sample_rate: int) -> None:
        if self.is_broken:
            raise self.PortAudioError("Error opening OutputStream")
        self.played.append((round(float(audio.max()), 2), sample_rate))

    def stop(self) -> None:
        self.n_stops += 1


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for second, level in enumerate((0.1, 0.2, 0.3)):
        write_audio(tmp_path / f"20261129-18150{second}-a-0.90.wav", np.full(160, level, np.float32), RATE)
    return tmp_path


@pytest.fixture
def loudspeaker(monkeypatch: pytest.MonkeyPatch) -> FakeLoudspeaker:
    fake = FakeLoudspeaker()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def type_keys(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(keys))


def test_recordings_are_played_and_sorted_by_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kept: Path, loudspeaker: FakeLoudspeaker
) -> None:
    type_keys(monkeypatch, "M\nr\nx\nn\n")  # and then the end of the input
    status, out, error = run(capsys, "review", kept)
    assert status == 0
    assert loudspeaker.played == [(0.1, RATE), (0.2, RATE), (0.2, RATE), (0.3, RATE)]
    assert loudspeaker.n_stops == 1
    assert out.splitlines() == [
        "meant: 1   not meant: 1   left: 1",
        f"recordings of the words: {kept / 'meant'}",
        f"recordings of what is not: {kept / 'not-meant'}",
    ]
    assert "3 left   2026-11-29 18:15:00   a (0.90)   m meant, n not meant, s skip, r replay, q quit" in error
    assert error.count("expected a key") == 1
    assert (kept / "meant" / "a" / "20261129-181500-a-0.90.wav").is_file()
    type_keys(monkeypatch, "s")
    status, out, _ = run(capsys, "review", kept, "--json")
    assert (status, json.loads(out)) == (0, {"folder": str(kept), "n_meant": 0, "n_not_meant": 0, "n_left": 1})


def test_without_sound_the_path_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kept: Path, loudspeaker: FakeLoudspeaker
) -> None:
    path = str(kept / "20261129-181500-a-0.90.wav")
    type_keys(monkeypatch, "q")
    assert path in run(capsys, "review", kept, "--no-sound")[2]
    assert loudspeaker.played == []
    loudspeaker.is_broken = True
    type_keys(monkeypatch, "sss")
    _, _, error = run(capsys, "review", kept)
    assert error.count("no sound can be played (Error opening OutputStream); check the system's loudspeaker") == 1
    assert error.count(str(kept)) == 3
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    type_keys(monkeypatch, "sq")
    status, _, error = run(capsys, "review", kept)
    assert (
        status,
        error.count('playing sound needs sounddevice, which is not installed; run: pip install "wordspot[listen]"'),
    ) == (0, 1)
    assert path in error


def test_a_damaged_recording_can_be_sorted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kept: Path, loudspeaker: FakeLoudspeaker
) -> None:
    (kept / "20261129-181500-a-0.90.wav").write_bytes(b"RIFF")
    type_keys(monkeypatch, "nq")
    status, out, error = run(capsys, "review", kept)
    assert (status, out.splitlines()[0]) == (0, "meant: 0   not meant: 1   left: 2")
    assert "20261129-181500-a-0.90.wav" in error


def test_no_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails(capsys, "none: no such folder; expected what `wordspot listen --save` kept", "review", tmp_path / "none", "--no-sound")


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_a_terminal_needs_no_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    from wordspot.commands.review import read_key

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, b"m")
        assert read_key() == "m"
    os.close(ours)
