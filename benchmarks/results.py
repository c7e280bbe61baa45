"""One file format for the results of every benchmark: what was measured, by which command, on which machine, with which
code.

`write_result` is what a benchmark calls with its ``--json`` file. Written over a file in ``benchmarks/results/``, it
replaces the measurement and keeps the text (``title``, ``about``, ``notes``, ``order``), so that a section of
docs/results.md is refreshed by

    python benchmarks/train_speed.py recordings --json benchmarks/results/train-speed.json
    python benchmarks/render.py
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
#: The text written by hand about a benchmark, and the position of its section; a new measurement keeps them.
TEXT = ("order", "title", "about", "notes")
_PACKAGES = ("wordspot", "numpy", "onnxruntime", "soundfile", "soxr", "torch", "onnx", "uvicorn", "websockets")


def write_result(path: Path, measurements: Any, columns: Sequence[str] = (), rows: Sequence[Sequence[object]] = ()) -> None:
    """Write a benchmark's result as JSON.

    Args:
        path: the file; its text fields are kept if it exists.
        measurements: every number measured, JSON-able.
        columns: headings of the table that the documentation shows; none: it keeps the tables that it has.
        rows: its rows, as printed.
    """
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    title = path.stem.replace("-", " ").replace("_", " ").capitalize()
    text = {"order": 1000, "title": title, "about": [], "notes": []}
    result: dict[str, Any] = {key: old.get(key, text[key]) for key in TEXT}
    result |= {
        "command": shlex.join(["python", _script(), *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "tables": [table(columns, rows)] if columns else old.get("tables", []),
        "measurements": measurements,
    }
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, Any]:
    return {"columns": list(columns), "rows": [[str(cell) for cell in row] for row in rows]}


def commit() -> str | None:
    """The commit of the checkout that the benchmark runs in, with a ``+`` if files have changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> str:
    """Processor, number of cores and operating system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0] if lines else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _script() -> str:
    path = Path(sys.argv[0]).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
