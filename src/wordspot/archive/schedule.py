"""What a scan hands out, in which order, and what becomes of the results: the part that all engines share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.archive.dataset import Dataset
from wordspot.archive.engine import Engine, Lost, run_tasks
from wordspot.archive.pieces import Joiner, Piece, cut, restart_unit
from wordspot.archive.sources import SourceFile
from wordspot.archive.worker import FileResult, FilesTask, PieceResult, PieceTask, Setup, Task
from wordspot.runtime.batch import FailedFile
from wordspot.runtime.model import Model

_MOST_FILES, _MOST_BYTES = 64, 16 << 20  # of a task: seconds of work, and few enough results to lose
_LONG_BYTES = 4 << 20  # a smaller file is not looked at for pieces
_FLUSH_SECONDS = 2.0, 60.0  # least and most between two parts
_FLUSH_SHARE = 0.02  # of the time since the start
_MOST_WAITING = 64  # pieces that wait for an earlier one before no further are handed out


@dataclass(frozen=True)
class ScanProgress:
    """The progress of a scan.

    Attributes:
        n_files: recordings scanned.
        n_all: recordings to scan.
        n_bytes: of the recordings scanned, pieces included.
        n_all_bytes: of all recordings to scan.
        audio_seconds: length of the recordings scanned.
        seconds: since the start.
        n_detections: so far.
        n_failed: recordings that could not be read.
    """

    n_files: int
    n_all: int
    n_bytes: int
    n_all_bytes: int
    audio_seconds: float
    seconds: float
    n_detections: int
    n_failed: int

    @property
    def times_real_time(self) -> float:
        """Seconds of audio scanned in a second."""
        return self.audio_seconds / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left, by the bytes that are left; None at the start."""
        return self.seconds * (self.n_all_bytes / self.n_bytes - 1) if self.n_bytes else None


@dataclass
class _Cut:
    """A recording that is scanned in pieces."""

    file: SourceFile
    pieces: list[Piece]
    joiner: Joiner
    sample_rate: int
    content: str = ""
    n_samples: int = 0
    n_pieces: int = 0

    def add(self, number: int, result: PieceResult) -> None:
        self.n_pieces += 1
        self.n_samples += result.n_samples
        self.content = self.content or result.content
        self.joiner.add(number, result.scores, result.ends)

    def result(self) -> FileResult:
        return FileResult(self.file, self.content, self.n_samples / self.sample_rate, self.joiner.finish())


class Schedule:
    """The recordings that a scan still has to do, the longest first, so that none is left over at the end.

    Args:
        dataset: where results go.
        files: to scan.
        model: opened.
        setup: what all tasks share.
        piece_seconds: length of the pieces of long recordings.
    """

    def __init__(self, dataset: Dataset, files: Sequence[SourceFile], model: Model, setup: Setup, piece_seconds: float) -> None:
        self._dataset, self._model, self._setup, self._piece_seconds = dataset, model, setup, piece_seconds
        self._files = sorted(files, key=lambda file: (-file.n_bytes, file.name))
        self._cuts: dict[str, _Cut] = {}
        self._again: list[Task] = []
        self.failed: list[FailedFile] = []
        self._n_files = self._n_bytes = self._n_detections = 0
        self._audio_seconds = 0.0
        self._begun = self._flushed = time.monotonic()

    def run(self, engine: Engine) -> Iterator[ScanProgress]:
        """Do everything; yield the progress after each task."""
        tasks = self._tasks()
        while True:
            for task, outcome in run_tasks(engine, tasks, may_go_on=self._may_go_on):
                if isinstance(task, PieceTask):
                    self._end_piece(task, outcome)
                else:
                    self._end_files(task, outcome)
                self._flush_in_time()
                yield self.progress()
            if not self._again:
                return
            tasks, self._again = iter(self._again), []

    def progress(self) -> ScanProgress:
        """How far the scan is."""
        return ScanProgress(
            self._n_files, len(self._files), self._n_bytes, sum(file.n_bytes for file in self._files), self._audio_seconds,
            time.monotonic() - self._begun, self._n_detections, len(self.failed),
        )  # fmt: skip

    def flush(self) -> None:
        """Write what is finished."""
        self._dataset.flush()
        self._flushed = time.monotonic()

    def _tasks(self) -> Iterator[Task]:
        unit = restart_unit(self._model)
        group: list[SourceFile] = []
        for file in self._files:
            if pieces := self._pieces(file, unit):
                yield from (PieceTask(file, piece, number) for number, piece in enumerate(pieces))
                continue
            if group and (len(group) == _MOST_FILES or sum(one.n_bytes for one in group) + file.n_bytes > _MOST_BYTES):
                yield self._files_task(group)
                group = []
            group.append(file)
        if group:
            yield self._files_task(group)

    def _pieces(self, file: SourceFile, unit: int) -> list[Piece]:
        """The pieces of a recording that is cut; one that may be unchanged since an earlier scan is not."""
        if file.is_remote or file.n_bytes < _LONG_BYTES or self._known(file):
            return []
        card = self._model.card
        pieces = cut(Path(file.name), card, unit, gain=self._setup.gain, seconds=self._piece_seconds)
        if pieces:
            joiner = Joiner(card, self._setup.decoder, len(pieces))
            self._cuts[file.name] = _Cut(file, pieces, joiner, card.sample_rate)
        return pieces

    def _files_task(self, files: Sequence[SourceFile]) -> FilesTask:
        return FilesTask(tuple(files), {file.name: known for file in files if (known := self._known(file))})

    def _known(self, file: SourceFile) -> str:
        entry = self._dataset.entries.get(file.name)
        return entry.content if entry else ""

    def _may_go_on(self) -> bool:
        return sum(cut.joiner.n_waiting for cut in self._cuts.values()) < _MOST_WAITING

    def _end_piece(self, task: PieceTask, outcome: Any) -> None:
        """Join a piece; a recording of which one could not be read is scanned in one pass, which gives the error."""
        cut = self._cuts.get(task.file.name)
        if cut is None:
            return
        if isinstance(outcome, Lost) or outcome.error:
            del self._cuts[task.file.name]
            self._n_bytes -= cut.n_pieces * (task.file.n_bytes // len(cut.pieces))
            self._audio_seconds -= cut.n_samples / cut.sample_rate
            self._again.append(FilesTask((task.file,)))
            return
        cut.add(task.number, outcome)
        self._audio_seconds += outcome.n_samples / cut.sample_rate
        self._n_bytes += task.file.n_bytes // len(cut.pieces)
        if cut.joiner.is_complete:
            del self._cuts[task.file.name]
            self._keep(cut.result())

    def _end_files(self, task: FilesTask, outcome: Any) -> None:
        """Keep results; recordings whose worker was lost are tried one by one, so that only one is reported."""
        if isinstance(outcome, Lost) and len(task.files) > 1:
            self._again += [self._files_task([file]) for file in task.files]
            return
        if isinstance(outcome, Lost):
            (file,) = task.files
            outcome = [FileResult(file, error=f"{file.name}: could not be scanned, three times {outcome.reason}")]
        for result in outcome:
            self._n_bytes += result.file.n_bytes
            self._audio_seconds += result.seconds
            self._keep(result)

    def _keep(self, result: FileResult) -> None:
        self._n_files += 1
        self._n_detections += len(result.detections)
        if result.error:
            self.failed.append(FailedFile(result.file.name, result.error))
        if result.is_unchanged:
            self._dataset.touch(result.file)
        else:
            self._dataset.add([result])

    def _flush_in_time(self) -> None:
        now, (least, most) = time.monotonic(), _FLUSH_SECONDS
        if now - self._flushed > min(max(_FLUSH_SHARE * (now - self._begun), least), most):
            self.flush()
