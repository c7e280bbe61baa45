"""Find words in an archive: the verb `scan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.archive.dataset import Dataset
from wordspot.archive.engine import Engine
from wordspot.archive.pieces import PIECE_SECONDS
from wordspot.archive.processes import ProcessEngine
from wordspot.archive.ray_engine import RayEngine
from wordspot.archive.schedule import ScanProgress, Schedule
from wordspot.archive.sources import SourceFile, list_files
from wordspot.archive.worker import Setup
from wordspot.audio.gain import Gain, check_gain
from wordspot.errors import ConfigError
from wordspot.ray_start import has_ray
from wordspot.runtime.batch import FailedFile
from wordspot.runtime.model import check_detects, open_model, read_model

ENGINES = ("ray", "processes")
_NOT_UTF8 = "its name is not UTF-8, which Parquet requires; rename the file"


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan.

    Attributes:
        out: the folder with the detections.
        n_files: recordings that the sources name.
        n_done_before: of them scanned earlier, with the same model and settings.
        failed: recordings that could not be read.
        n_detections: in the recordings scanned now.
        audio_seconds: length of the recordings scanned now.
        seconds: that the scan took.
    """

    out: Path
    n_files: int
    n_done_before: int
    failed: tuple[FailedFile, ...]
    n_detections: int
    audio_seconds: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        values = {**self.__dict__, "out": str(self.out)}
        return {**values, "failed": [one.to_json() for one in self.failed]}


def scan(
    sources: Path | str | Sequence[Path | str],
    model: Path | str | None = None,
    *,
    out: Path | str,
    lists: Sequence[str] = (),
    threshold: float | None = None,
    channel: int | None = None,
    gain: Gain = None,
    engine: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    piece_seconds: float = PIECE_SECONDS,
    progress: Callable[[ScanProgress], None] | None = None,
) -> ScanResult:
    """Find words in many or very long recordings, on all cores or on a cluster, and write the detections as Parquet.

    A recording that `out` has with the same content, model and settings is skipped, so a scan that was interrupted goes on
    where it was. Detections equal those of `detect`.

    Args:
        sources: files, folders, patterns such as ``archive/**/*.flac``, and URLs of these (``s3://``, ``https://`` …).
        model: an exported ONNX file; None uses the model that comes with wordspot.
        out: the folder to write to, new or of earlier scans.
        lists: text files with a source on each line; ``-`` is standard input.
        threshold: what a score must exceed, 0 to 1, for every word (default: as the model says).
        channel: as for `detect`.
        gain: as for `detect`.
        engine: ``"ray"`` or ``"processes"`` (default: Ray if it is installed).
        workers: tasks at a time (default: the cores of the machine).
        address: of a running Ray cluster, or ``"auto"``.
        piece_seconds: length of the pieces of long recordings.
        progress: called after each task.

    Raises:
        NotFoundError: no such model or source, or no recordings.
        CardError: a model file that is damaged, or not written by wordspot.
        ConfigError: a setting that makes no sense, or a model that detects nothing in a stream.
        LockedError: another scan writes to `out`.
        DataError: a part of it is damaged.
        MissingExtraError: pyarrow is missing, or Ray or fsspec if they are asked for.
        OSError: `out` cannot be written. What was written before stays.
    """
    check_gain(gain)
    opened = open_model(model)
    check_detects(opened)
    setup = Setup(read_model(model)[1], opened.card.decoder.with_threshold(threshold), channel, gain)
    chosen = [str(source) for source in ([sources] if isinstance(sources, (str, Path)) else sources)]
    with Dataset(Path(out), setup, opened.card) as dataset:
        files = list_files(chosen, lists)
        unnamed = tuple(FailedFile(file.name, f"{file.name}: {_NOT_UTF8}") for file in files if not _has_text_name(file))
        named = [file for file in files if _has_text_name(file)]
        todo = [file for file in named if not _is_done(dataset, file)]
        schedule = Schedule(dataset, todo, opened, setup, piece_seconds)
        if todo:
            _run(schedule, _start(engine, setup, workers, address), progress or (lambda now: None))
    done = schedule.progress()
    return ScanResult(
        Path(out), len(files), len(named) - len(todo), (*unnamed, *schedule.failed), done.n_detections, done.audio_seconds,
        done.seconds,
    )  # fmt: skip


def _run(schedule: Schedule, engine: Engine, progress: Callable[[ScanProgress], None]) -> None:
    """Run all tasks, and write what there is in any case: after Ctrl-C, a lost cluster or a bug."""
    try:
        for now in schedule.run(engine):
            progress(now)
    finally:
        engine.close()
        schedule.flush()


def _has_text_name(file: SourceFile) -> bool:
    """Whether the name can be written as UTF-8: Linux accepts any bytes."""
    try:
        return bool(file.name.encode())
    except UnicodeEncodeError:
        return False


def _is_done(dataset: Dataset, file: SourceFile) -> bool:
    entry = dataset.entries.get(file.name)
    return entry is not None and not entry.error and entry.fingerprint == file.fingerprint


def _start(engine: str | None, setup: Setup, workers: int | None, address: str | None) -> Engine:
    chosen = engine or ("ray" if address or has_ray() else "processes")
    if chosen not in ENGINES:
        raise ConfigError(f"`engine` must be {' or '.join(ENGINES)}, got {chosen!r}")
    if chosen == "ray":
        return RayEngine(setup, workers, address)
    if address:
        raise ConfigError("`address` is for `engine` ray")
    return ProcessEngine(setup, workers)
