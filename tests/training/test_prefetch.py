"""Work done ahead gives what work done in place gives, in whatever order it is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.square import Square
from wordspot.training.prefetch import Ahead


@pytest.mark.parametrize("workers", [0, 2])
def test_results_are_those_of_the_numbers(workers: int) -> None:
    ahead = Ahead(Square(), workers)
    try:
        found = [ahead.get(number) for number in (5, 6, 7, 40, 3)]
        assert [square for square, _ in found] == [25, 36, 49, 1600, 9]
        assert (os.getpid() in {process for _, process in found}) == (workers == 0)
    finally:
        ahead.close()


def test_a_failure_reaches_the_one_who_asks() -> None:
    ahead = Ahead(Square(limit=7), 1)
    try:
        assert ahead.get(7)[0] == 49  # those begun ahead have failed, which is nobody's concern yet
        with pytest.raises(ValueError, match="8 is more than 7"):
            ahead.get(8)
    finally:
        ahead.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a kill that cannot be caught is a matter of POSIX")
def test_workers_end_with_a_process_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys, time\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from support.square import Square\nfrom wordspot.training.prefetch import Ahead\n"
        "if __name__ == '__main__':\n    print(Ahead(Square(), 1).get(3)[1], flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        worker = int(asking.stdout.readline())
        os.kill(worker, 0)  # it is there
        asking.kill()
    for _ in range(300):
        if not _is_running(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlives the process it works for by half a minute")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.is_file() or status.read_text().rpartition(")")[2].split()[0] != "Z"  # a zombie has ended


def test_closed_work_can_go_on() -> None:
    ahead = Ahead(Square(), 1)
    first = ahead.get(1)
    ahead.close()
    assert ahead.get(2)[0] == 4
    assert ahead.get(3)[1] != first[1]
    ahead.close()


def test_a_script_without_a_main_guard_fails_with_the_reason(tmp_path: Path) -> None:
    """A worker imports the script, which would otherwise train again. What it is handed is larger than a pipe holds."""
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\nimport numpy as np\nfrom wordspot.training.prefetch import Ahead\n"
        "Ahead(partial(np.add, np.zeros(300_000)), 1).get(3)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "TrainingError: a worker process of training ended early" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr
