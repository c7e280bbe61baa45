"""What is done on a detection: its sound is saved, a program is run; and the history of a stream that the former needs."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from support.made_onnx import RATE
from wordspot.audio.files import read_audio
from wordspot.errors import ConfigError
from wordspot.runtime import actions
from wordspot.runtime.actions import Recorder, Runner, split_command
from wordspot.runtime.decoder import Detection
from wordspot.runtime.history import History


def level(value: float, n_samples: int) -> NDArray[np.float32]:
    return np.full(n_samples, value, np.float32)


@pytest.mark.parametrize("size", [1, 7, 100, 250])
def test_a_history_keeps_the_last_samples(size: int) -> None:
    history, audio = History(100), np.arange(1000, dtype=np.float32)
    assert (len(history), history.start, len(history.samples())) == (0, 0, 0)
    for start in range(0, 1000, size):
        history.feed(audio[start : start + size])
        n_fed = min(start + size, 1000)
        assert min(n_fed, 100) <= len(history) < 100 + size
        assert history.samples().tolist() == list(range(history.start, n_fed))


def test_names_of_kept_sounds_suit_any_system_and_never_collide(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, RATE, 100.0)
    recorder.feed(level(0.1, 50))
    paths = [recorder.write(Detection(label, 3.0, 0.5, 3.0)) for label in ("a:b?", "汪汪", "a:b?", "..")]
    assert len(set(paths)) == 4
    assert all(re.fullmatch(r"\d{8}-\d{6}-(a_b_|汪汪|__)-0\.50(-\d)?\.wav", path.name) for path in paths), paths
    assert len(read_audio(paths[0])[0]) == 50  # the stream had no more
    assert recorder.write(Detection("𠀋" * 200, 3.0, 0.5, 3.0)).is_file()  # four bytes each; a name has 255


def test_the_recorder_forgets_what_is_long_past(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 1000, 100.0)
    for second in range(100):
        recorder.feed(level(second / 100, 1000))
    assert len(recorder.history) <= 8000
    kept, _ = read_audio(recorder.write(Detection("a", 99_000.0, 0.5, 99_500.0)))
    assert len(kept) == 2100
    assert kept[[0, 99, 100, 1099, 1100]] == pytest.approx([0.97, 0.97, 0.98, 0.98, 0.99], abs=1e-4)


def test_a_command_is_split_as_its_system_writes_paths() -> None:
    command = r'C:\tools\beep.exe -f "C:\my sounds\a.wav" it\'s #1'
    with pytest.raises(ValueError, match="No closing quotation"):
        split_command(command, escape="")
    assert split_command(command.replace("'", ""), escape="") == [
        r"C:\tools\beep.exe",
        "-f",
        r"C:\my sounds\a.wav",
        "it\\s",
        "#1",
    ]
    assert split_command(r"/opt/a\ b 'c d' \"e", escape="\\") == ["/opt/a b", "c d", '"e']


@pytest.mark.skipif(sys.platform == "win32", reason="an executable of POSIX")
def test_a_program_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beep").write_text("#!/bin/sh\n")
    (tmp_path / "beep").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Runner("beep -x").arguments == [str(tmp_path / "beep"), "-x"]


def test_programs_that_hang_do_not_pile_up_or_hold_up_listening() -> None:
    runner = Runner(f'"{sys.executable}" -c "import time; time.sleep(60)"')
    start = time.monotonic()
    told = [runner.start(Detection("a", 0.0, 1.0, 0.0)) for _ in range(actions.MAX_RUNNING + 2)]
    assert time.monotonic() - start < 5
    assert [len(lines) for lines in told] == [0] * actions.MAX_RUNNING + [1, 1]
    assert told[-1] == ["8 programs are still running; none was started for a"]
    left = runner.finish(0.05)
    assert left == [f"{sys.executable} is still running and was not stopped"] * actions.MAX_RUNNING
    for program in runner.running:
        program.kill()
        program.wait()


@pytest.mark.parametrize(
    ("command", "match"), [("'open", "No closing quotation"), ("  ", "'  ' names no program"), ("/no/such", "/no/such")]
)
def test_a_program_that_is_not_there(command: str, match: str) -> None:
    with pytest.raises(ConfigError, match=f"`command`: .*{match}"):
        Runner(command)
