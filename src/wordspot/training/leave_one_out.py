"""Train once for each generator, holding it out and testing on it, to measure how well new generators are recognised.

A generator is the source of a class's recordings, such as a speech synthesiser. All classes except the first have generators.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from wordspot.config import RunConfig
from wordspot.data.manifest.load import RecordingSet
from wordspot.data.manifest.rows import ManifestRow, read_manifest
from wordspot.data.manifest.split import assign_rows
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.bootstrap import Scored
from wordspot.evaluation.recordings import RecordingsMetrics, measure_recordings
from wordspot.evaluation.scores import measure_mean
from wordspot.files import prepare_out, write_json
from wordspot.progress import OnProgress
from wordspot.training.recipes import make_config
from wordspot.training.run import OnNote, OnRecord, begin_run, ignore, never, train_to_end
from wordspot.training.tasks.recordings import RecordingsTask
from wordspot.training.trainer import Trainer

TABLE = "table.json"

#: Makes the run of a configuration in a folder.
Train = Callable[[RunConfig, Path], Trainer]


@dataclass(frozen=True)
class GeneratorResult:
    """The result of the runs that held out one generator.

    Attributes:
        generator: its name.
        metrics: over all folds of the speakers.
        training_seconds: duration of one run, including reading the recordings.
    """

    generator: str
    metrics: RecordingsMetrics
    training_seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"generator": self.generator, **self.metrics.to_json(), "training_seconds": self.training_seconds}


@dataclass(frozen=True)
class LeaveOneOut:
    """The result of `leave_one_generator_out`.

    Attributes:
        generators: the metrics of each generator.
        tests: the scores behind them, for the interval of the mean.
    """

    generators: tuple[GeneratorResult, ...]
    tests: tuple[Scored, ...]

    def to_json(self) -> dict[str, Any]:
        """A row for each generator, and the means."""
        return summary([one.to_json() for one in self.generators], self.tests)


@dataclass(frozen=True)
class _Judged:
    """A recording, and the posteriors by each run that tested it: float64 [labels] each."""

    row: ManifestRow
    truth: int
    posteriors: list[NDArray[np.float64]]


def leave_one_generator_out(
    data: Path | str,
    words: str | Sequence[str] | None = None,
    *,
    out: Path | str,
    model: str | None = None,
    features: str | None = None,
    recipe: str = "default",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    force: bool = False,
    stop: Callable[[], bool] | None = None,
    on_record: OnRecord | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> LeaveOneOut:
    """Train and test a run of the task ``recordings`` for each generator outside the first class.

    With the setting ``recordings.n_folds``, the speakers are split too, and a generator has a run for each fold.

    Args:
        data: a manifest with a column ``generator``.
        words: the classes, the target first; None: all of them.
        out: the folder of the runs, one below it for each generator, and of ``table.json``.
        model, features, recipe, settings, device: as for `wordspot.train`.
        force: write into a folder that holds files.
        stop, on_record, on_note, progress: as for `wordspot.train`.

    Raises:
        ConfigError: `out` holds files and `force` is off, or settings do not fit together.
        DataError: fewer than two generators are named, or a run would have no recordings of some class.
    """
    data, out, note, show = Path(data), Path(out), on_note or ignore, progress or ignore
    config = make_config(data, words, task="recordings", model=model, features=features, recipe=recipe, settings=settings)

    def train(config: RunConfig, out: Path) -> Trainer:
        trainer = begin_run(config, data, out, device=device, force=True, progress=show, on_note=note)
        train_to_end(trainer, stop=stop or never, on_record=on_record or ignore, on_note=note, progress=show)
        return trainer

    return train_each(config, data, out, train, force=force, on_note=note)


def train_each(
    config: RunConfig, data: Path, out: Path, train: Train, *, force: bool = False, on_note: OnNote = ignore
) -> LeaveOneOut:
    """`leave_one_generator_out` with a given way to make a run."""
    if config.recordings.hold_out:
        raise ConfigError("recordings.hold_out is set for each run; leave it out")
    generators = generators_in(data, config.words)
    _check_parts(data, config, generators)
    prepare_out(out, force=force, hint="set `force` to begin anew")
    result = LeaveOneOut((), ())
    for number, generator in enumerate(generators, 1):
        on_note(f"generator {number} of {len(generators)}: {generator}")
        one, test = _test(config, out / folder_of(generator), generator, train)
        result = LeaveOneOut((*result.generators, one), (*result.tests, test))
        write_json(out / TABLE, result.to_json())
    return result


def folder_of(generator: str) -> str:
    """The name of a generator's folder: its own, with characters that folders may not have quoted as in a URL."""
    quoted = quote(generator, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def generators_in(path: Path, words: tuple[str, ...]) -> tuple[str, ...]:
    """The generators of all classes except the first, sorted.

    Raises:
        DataError: there are fewer than two, so that none can be left out.
    """
    found = {row.generator for row in read_manifest(path).rows if row.label in words[1:] and row.generator}
    if len(found) < 2:
        raise DataError(
            f"{path}: at least two generators of {', '.join(words[1:])} are needed, got "
            f"{', '.join(sorted(found)) or 'none'}; name them in a column generator"
        )
    return tuple(sorted(found))


def _check_parts(path: Path, config: RunConfig, generators: tuple[str, ...]) -> None:
    """Raise the errors of all runs before the first of them begins."""
    rows = [row for row in read_manifest(path).rows if row.label in config.words]
    if config.recordings.n_folds and any(row.split for row in rows):
        raise ConfigError(f"{path} has a column split; leave out recordings.n_folds (`speaker_folds`), or the column")
    for generator in generators:
        for fold in range(max(config.recordings.n_folds, 1)):
            assign_rows(rows, config.data, dataclasses.replace(config.recordings, hold_out=(generator,), fold=fold))


def _test(config: RunConfig, out: Path, generator: str, train: Train) -> tuple[GeneratorResult, Scored]:
    """The metrics of a generator over all folds, each recording judged by runs that did not train on it; and the scores."""
    n_folds, seconds = config.recordings.n_folds, 0.0
    judged: dict[Path, _Judged] = {}
    for fold in range(max(n_folds, 1)):
        recordings = dataclasses.replace(config.recordings, hold_out=(generator,), fold=fold)
        begun = time.monotonic()
        folder = out / f"fold-{fold}" if n_folds else out
        part, scores = judge_testing(train(dataclasses.replace(config, recordings=recordings), folder))
        seconds += time.monotonic() - begun
        for row, truth, score in zip(part.rows, part.truth, scores, strict=True):
            judged.setdefault(row.file, _Judged(row, int(truth), [])).posteriors.append(score)
    rows, truth = [each.row for each in judged.values()], np.array([each.truth for each in judged.values()])
    # a generator with voices of its own is tested by every run: its recordings count once, with the mean posterior
    posteriors = np.stack([np.mean(each.posteriors, axis=0) for each in judged.values()])
    metrics = measure_recordings(config.words, truth, posteriors, [row.speaker for row in rows], [row.generator for row in rows])
    return GeneratorResult(generator, metrics, seconds / max(n_folds, 1)), scored(rows, truth, posteriors)


def scored(rows: Sequence[ManifestRow], truth: NDArray[np.int64], posteriors: NDArray[np.float64]) -> Scored:
    """A test of these recordings, for the interval of a mean: int64 [n], float64 [n, labels]."""
    return Scored(posteriors[:, 0], truth == 0, [row.speaker for row in rows], [row.path for row in rows])


def judge_testing(trainer: Trainer) -> tuple[RecordingSet, NDArray[np.float64]]:
    """A run's testing set, and the posteriors of the best network on validation."""
    task = trainer.task
    assert isinstance(task, RecordingsTask)
    return task.recordings.sets["testing"], task.judge(trainer.model, trainer.front_end, "testing")


def summary(rows: Sequence[dict[str, Any]], tests: Sequence[Scored] = ()) -> dict[str, Any]:
    """The rows and the means of their metrics; with intervals if there are `tests`, of two classes, of all rows."""

    def mean(key: str) -> float | None:
        values = [row[key] for row in rows if row.get(key) is not None]
        return sum(values) / len(values) if values else None

    means: dict[str, Any] = {key: mean(key) for key in ("eer", "auc", "accuracy")}
    if tests and all(row.get("eer") is not None for row in rows):
        means |= measure_mean(tests).to_json()
    return {"mean": means, "generators": list(rows)}
