"""A small archive, an engine inside this process, and the rows of a scan's result."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from support.made_onnx import RATE
from support.made_streams import spoken
from wordspot.archive.engine import Lost
from wordspot.archive.worker import Setup, Task, run_task
from wordspot.runtime.detect import detect
from wordspot.runtime.model import Source


def make_archive(folder: Path, *, long_seconds: int = 0) -> Path:
    """Eight short recordings in two folders, one at another rate, one damaged; on request a long FLAC with many words."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            soundfile.write(folder / name / f"{number}.wav", np.roll(spoken(), 4000 * number), RATE)
    soundfile.write(folder / "a" / "other rate.flac", spoken(44_100), 44_100)
    (folder / "b" / "bad.wav").write_bytes(b"RIFF nothing")
    if long_seconds:
        noise = 0.01 * np.random.default_rng(0).standard_normal(long_seconds * RATE)
        words = np.resize(np.concatenate([spoken(), np.zeros(4321)]), len(noise))
        soundfile.write(folder / "long.flac", (words + noise).astype(np.float32), RATE)
    return folder


class Inline:
    """Runs tasks when they are waited for, in any order, and loses some of them."""

    def __init__(
        self, setup: Setup, seed: int = 0, lose: Callable[[Task, random.Random], bool] = lambda task, rng: False
    ) -> None:
        self._setup, self._lose, self._rng = setup, lose, random.Random(seed)
        self._tasks: list[tuple[int, Task]] = []
        self.n_workers, self.n_most, self.tasks = 2, 0, list[Task]()

    def submit(self, number: int, task: Task) -> None:
        self._tasks.append((number, task))
        self.tasks.append(task)
        self.n_most = max(self.n_most, len(self._tasks))

    def wait(self) -> list[tuple[int, Any]]:
        number, task = self._tasks.pop(self._rng.randrange(len(self._tasks)))
        return [(number, Lost("killed") if self._lose(task, self._rng) else run_task(self._setup, task))]

    def close(self) -> None:
        self._tasks.clear()


def rows(folder: Path, data: str) -> list[dict[str, Any]]:
    """All rows of a data set, as any reader of Parquet sees them, sorted."""
    import pyarrow.parquet

    parts = [pyarrow.parquet.ParquetFile(part).read().to_pylist() for part in (folder / data).glob("*.parquet")]
    return sorted((row for part in parts for row in part), key=lambda row: (row["file"], row.get("end_ms", 0.0)))


def expected(archive: Path, model: Source, **settings: Any) -> list[tuple[str, str, float, float, float]]:
    """What `detect` finds: file, word, time, score and when, sorted."""
    found = detect(archive, model, **settings).files
    return sorted((str(archive / one.name), d.label, d.time_ms, d.score, d.emitted_ms) for one in found for d in one.detections)


def detections(folder: Path) -> list[tuple[str, str, float, float, float]]:
    """What a scan found, in the same form."""
    columns = ("file", "word", "end_ms", "score", "emitted_ms")
    return sorted(tuple(row[name] for name in columns) for row in rows(folder, "detections"))  # type: ignore[misc]
