"""No command opens a network connection, looks up a host or leaves files in the home folder, its libraries included.

The system calls of real processes are watched with strace; only `wordspot download` may use the network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test_layers import MODULES, imports_of

pytestmark = pytest.mark.slow
STRACE = shutil.which("strace")
#: A call that leaves the machine or asks for a name: any use of an internet socket, except with loopback addresses.
_OUT = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg)\(.*\bAF_INET6?\b.*")
_LOOPBACK = re.compile(r'inet_addr\("127\.|"::1"')


def watched(home: Path, *command: str, seconds: float | None = None) -> tuple[int, list[str], list[str]]:
    """Run a command with an empty home: its exit status, calls that leave the machine, files left in the home."""
    if STRACE is None:
        pytest.skip("strace is not installed, so system calls cannot be watched")
    home.mkdir()
    trace = home.with_suffix(".trace")
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        environment.pop(name, None)
    limit = () if seconds is None else ("timeout", "--signal=INT", str(seconds))
    run = subprocess.run(
        [*limit, STRACE, "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace), *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    calls = [line for line in trace.read_text(errors="replace").splitlines() if _OUT.search(line)]
    return (
        run.returncode,
        [line for line in calls if not _LOOPBACK.search(line)],
        sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()),
    )


def wordspot(*args: object) -> list[str]:
    return [sys.executable, "-m", "wordspot", *map(str, args)]


def test_the_watcher_sees_a_look_up(tmp_path: Path) -> None:
    code = (
        "import os, socket\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError: pass\n"
        "open(os.environ['HOME'] + '/x', 'w')"
    )
    _, calls, files = watched(tmp_path / "home", sys.executable, "-c", code)
    assert calls
    assert files == ["x"]


def test_nothing_leaves_the_machine(tone_folder: Path, tmp_path: Path) -> None:
    """The life of a model, command by command. Twelve seconds is longer than ONNX Runtime waits before it connects."""
    pytest.importorskip("torch")
    recording = next((tone_folder / "low").iterdir())
    run, exported = tmp_path / "run", tmp_path / "words.onnx"
    small = ("--steps", 2, "--set", "model.n_channels=8", "--batch-size", 8)
    commands = {
        "train": wordspot("train", tone_folder, "--words", "low,high", "--out", run, *small),
        "evaluate": wordspot("evaluate", run, tone_folder, "--report", tmp_path / "report.html"),
        "export": wordspot("export", run, "--out", exported),
        "verify": wordspot("verify", exported),
        "label": wordspot("label", exported, recording),
        "detect": wordspot("detect", recording),
        "listen": wordspot("listen", recording),
    }
    for name, command in commands.items():
        status, calls, files = watched(tmp_path / f"home-{name}", *command)
        assert status == 0, name
        assert calls == [], name
        assert files == [], name


@pytest.mark.parametrize(
    "code",
    [
        "import wordspot, time; wordspot.Detector(); time.sleep(12)",
        "import sys, wordspot.commands.main as main; sys.exit(main.main(['serve', '--port', '0']))",
    ],
    ids=["library", "server"],
)
def test_nothing_leaves_the_machine_while_it_waits(code: str, tmp_path: Path) -> None:
    _, calls, files = watched(tmp_path / "home", sys.executable, "-c", code, seconds=15)
    assert calls == []
    assert files == []


def test_onnx_runtime_is_imported_in_one_place() -> None:
    importing = {
        name
        for name, path in MODULES.items()
        if any(full.split(".")[0] == "onnxruntime" for full in imports_of(path, everywhere=True))
    }
    assert importing == {"runtime.modelfile.onnx_runtime"}
