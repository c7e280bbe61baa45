"""What is done on a detection: a program is run; and the history of a stream, of which sound is kept."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wordspot.errors import ConfigError
from wordspot.runtime import actions
from wordspot.runtime.actions import Runner, split_command
from wordspot.runtime.decoder import Detection
from wordspot.runtime.history import History


@pytest.mark.parametrize("size", [1, 7, 100, 250])
def test_a_history_keeps_the_last_samples(size: int) -> None:
    history, audio = History(100), np.arange(1000, dtype=np.float32)
    assert (len(history), history.start, len(history.samples())) == (0, 0, 0)
    for start in range(0, 1000, size):
        history.feed(audio[start : start + size])
        n_fed = min(start + size, 1000)
        assert min(n_fed, 100) <= len(history) < 100 + size
        assert history.samples().tolist() == list(range(history.start, n_fed))


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
