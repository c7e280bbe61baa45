"""`benchmarks/gpu.sh` where there is no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "expected one argument"), (["nowhere"], "nowhere: no such folder"), ([str(SCRIPT.parent)], "torch finds no GPU here")],
)
def test_it_ends_with_one_line(arguments: list[str], reason: str) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(["sh", SCRIPT, *arguments], capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"benchmarks/gpu.sh: {reason}")
    assert done.stderr.count("\n") == 1
