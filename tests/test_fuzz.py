"""A few hundred cases of every target of `tools/fuzz.py`, and proof that each of its checks can fail."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the fuzzer bounds its processes as POSIX systems do")

from fuzzing import runner
from fuzzing.runner import Check, Mutate, Outcome, Target, run_target

from wordspot.errors import AudioError, WordspotError

FUZZ = Path(__file__).resolve().parents[1] / "tools" / "fuzz.py"
NEEDS_TORCH = ("checkpoints", "runs")
TARGETS = (
    "wav", "flac", "ogg", "mp3", "aiff", "raw", "models", "checkpoints", "runs", "manifests", "truth", "archives", "wyoming",
    "websocket", "client", "http", "settings",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input_is_read_or_rejected(name: str, tmp_path: Path) -> None:
    if name in NEEDS_TORCH:
        pytest.importorskip("torch")
    done = fuzz(name, "--count", "100" if name in NEEDS_TORCH else "300", "--seed", "5", "--keep", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_targets_are_all_tested() -> None:
    done = fuzz("nothing")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("there are " + ", ".join(TARGETS))


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, str(FUZZ), *words], capture_output=True, text=True, env=environment, check=False)


def planted(bug: Callable[[int], str]) -> Target:
    """A target whose cases are numbers from 0 to 9; `bug` is what reads them, except the one that warms up the process."""

    def start(folder: Path) -> tuple[Mutate, Check]:
        readers = itertools.chain([str], itertools.repeat(bug))
        return lambda rng: bytes([rng.randrange(10)]), lambda mutant: next(readers)(mutant[0])

    return Target("planted", "numbers", start)


def run(bug: Callable[[int], str], keep: Path | None = None) -> Outcome:
    return run_target(planted(bug), seed=1, count=40, keep=keep, max_failures=1)


def test_what_is_read_or_rejected_is_no_failure() -> None:
    def reader(number: int) -> str:
        if number < 5:
            raise AudioError(f"{number} is too small")
        return "read"

    outcome = run(reader)
    assert (outcome.n_cases, outcome.failures) == (40, [])
    assert set(outcome.results) == {"read", "rejected, AudioError"}
    assert sum(outcome.results.values()) == 40


def raises(number: int) -> str:
    return ["a"][number]


def two_lines(number: int) -> str:
    class LinesError(WordspotError):
        def __str__(self) -> str:
            return "one\ntwo"

    raise LinesError


def is_wrong(number: int) -> str:
    assert number > 20, "a wrong result"
    return "read"


def crashes(number: int) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def grows(number: int) -> str:
    return f"{len(bytearray(random.Random(0).randbytes(1)) * (100 << 20))} bytes"


def is_slow(number: int) -> str:
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    return "read"


def hangs(number: int) -> str:
    time.sleep(60)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "expected"),
    [
        (raises, "IndexError"), (two_lines, "not one short printable line"), (is_wrong, "a wrong result"),
        (crashes, "ended with status -9"), (grows, "the process grew by"), (is_slow, "slow: 0."), (hangs, "hangs: no end"),
    ],
)  # fmt: skip
def test_a_planted_bug_is_found_and_kept(
    bug: Callable[[int], str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MAX_MIB", 50)
    monkeypatch.setattr(runner, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(runner, "HANG_SECONDS", 2.0 if bug is hangs else 60.0)
    outcome = run(bug, tmp_path)
    assert outcome.failures
    number, text = outcome.failures[0]
    assert expected in text
    assert expected in (tmp_path / f"planted-1-{number}.txt").read_text(encoding="utf-8")


def test_a_case_does_not_depend_on_earlier_cases() -> None:
    def echo(number: int) -> str:
        return str(number)

    whole = run_target(planted(echo), seed=3, count=30).results
    parts = [run_target(planted(echo), seed=3, first=first, count=10).results for first in (0, 10, 20)]
    assert parts[0] + parts[1] + parts[2] == whole
