"""``wordspot train --leave-one-generator-out``: a run for each generator, which is tested on it alone."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.config import RunConfig
    from wordspot.data.manifest.load import RecordingSet
    from wordspot.data.manifest.rows import Row
    from wordspot.evaluation.bootstrap import Scored
    from wordspot.training.trainer import Trainer

    Train = Callable[[RunConfig, Path], Trainer]

TABLE = "table.json"


@dataclass(frozen=True)
class _Judged:
    """A recording, and what the runs that tested it gave: float64 [labels] each."""

    row: Row
    truth: int
    posteriors: list[NDArray[np.float64]]


def leave_one_out(args: argparse.Namespace, train: Train) -> None:
    """Train, test and print a row for each generator that is not of the first class; ``table.json`` in ``--out`` has them.

    Args:
        train: makes a run of a configuration in a folder, to its end.

    Raises:
        ConfigError: another task, ``--resume``, or ``--hold-out-generator`` beside it.
        DataError: no generators are named.
    """
    from wordspot.commands import console
    from wordspot.commands.options import build_config
    from wordspot.errors import ConfigError
    from wordspot.files import prepare_out, write_json

    if args.task != "recordings" or args.resume or args.hold_out_generator or args.init:
        raise ConfigError(
            "--leave-one-generator-out begins new runs of --task recordings; leave out --resume, --init and "
            "--hold-out-generator"
        )
    config = build_config(args)
    generators = generators_in(args.data, config.words)
    _check_parts(args.data, config, generators)
    prepare_out(args.out, force=args.force, hint="--force to begin anew")
    rows: list[dict[str, Any]] = []
    tests: list[Scored] = []
    for number, generator in enumerate(generators, 1):
        console.note(f"generator {number} of {len(generators)}: {generator}")
        measures, test = _test(config, args.out / folder_of(generator), generator, train)
        rows.append({"generator": generator, **measures})
        tests.append(test)
        write_json(args.out / TABLE, summary(rows, tests))
    print_table(summary(rows, tests))
    console.say(f"all figures: {args.out / TABLE}")


def folder_of(generator: str) -> str:
    """A generator's folder: its name, with what no folder's name may hold as in a web address."""
    quoted = quote(generator, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def generators_in(path: Path, words: tuple[str, ...]) -> tuple[str, ...]:
    """The generators of all classes but the first, sorted.

    Raises:
        DataError: there are fewer than two, so that none can be left out.
    """
    from wordspot.data.manifest.rows import list_rows
    from wordspot.errors import DataError

    found = {row.generator for row in list_rows(path).rows if row.label in words[1:] and row.generator}
    if len(found) < 2:
        raise DataError(
            f"{path}: expected two generators at least of {', '.join(words[1:])}, got {', '.join(sorted(found)) or 'none'}; "
            "name them in a column generator"
        )
    return tuple(sorted(found))


def _check_parts(path: Path, config: RunConfig, generators: tuple[str, ...]) -> None:
    """Refuse what some run would refuse, before the first of them begins."""
    from wordspot.data.manifest.rows import list_rows
    from wordspot.data.manifest.split import assign_rows
    from wordspot.errors import ConfigError

    rows = [row for row in list_rows(path).rows if row.label in config.words]
    if config.recordings.n_folds and any(row.split for row in rows):
        raise ConfigError(f"{path}: the list has a split of its own; leave out --speaker-folds, or the column")
    for generator in generators:
        for fold in range(max(config.recordings.n_folds, 1)):
            assign_rows(rows, config.data, dataclasses.replace(config.recordings, hold_out=(generator,), fold=fold))


def _test(config: RunConfig, out: Path, generator: str, train: Train) -> tuple[dict[str, Any], Scored]:
    """The figures of a generator over all parts of the speakers: each recording judged by a run that did not know it; and
    the scores that they are of."""
    import numpy as np

    from wordspot.evaluation.recordings import measure_recordings

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
    # a generator with voices of its own is tested by every run: its recordings count once, with the mean of the answers
    posteriors = np.stack([np.mean(each.posteriors, axis=0) for each in judged.values()])
    measures = measure_recordings(
        config.words, truth, posteriors, [row.speaker for row in rows], [row.generator for row in rows]
    )
    return {**measures.to_json(), "training_seconds": seconds / max(n_folds, 1)}, scored(rows, truth, posteriors)


def scored(rows: Sequence[Row], truth: NDArray[np.int64], posteriors: NDArray[np.float64]) -> Scored:
    """A test of these recordings, for the interval of a mean: int64 [n], float64 [n, labels]."""
    from wordspot.evaluation.bootstrap import Scored

    return Scored(posteriors[:, 0], truth == 0, [row.speaker for row in rows], [row.path for row in rows])


def judge_testing(trainer: Trainer) -> tuple[RecordingSet, NDArray[np.float64]]:
    """A run's testing set, and the posteriors of the network that did best on validation."""
    from wordspot.training.tasks.recordings import RecordingsTask

    task = trainer.task
    assert isinstance(task, RecordingsTask)
    return task.recordings.sets["testing"], task.judge(trainer.model, trainer.front_end, "testing")


def summary(rows: Sequence[dict[str, Any]], tests: Sequence[Scored] = ()) -> dict[str, Any]:
    """The rows, and the means of their figures; with an interval where there are `tests`, of two classes, of all rows."""
    from wordspot.evaluation.scores import measure_mean

    def mean(key: str) -> float | None:
        values = [row[key] for row in rows if row.get(key) is not None]
        return sum(values) / len(values) if values else None

    means: dict[str, Any] = {key: mean(key) for key in ("eer", "auc", "accuracy")}
    if tests and all(row.get("eer") is not None for row in rows):
        means |= measure_mean(tests).to_json()
    return {"mean": means, "generators": list(rows)}


def print_table(table: dict[str, Any]) -> None:
    """A row for each generator, and the mean."""
    from wordspot.commands import console

    def percent(row: dict[str, Any], key: str) -> str:
        return "–" if row.get(key) is None else f"{100 * row[key]:.1f}"

    def cells(name: str, row: dict[str, Any]) -> list[Any]:
        interval = f"{percent(row, 'eer_low')} to {percent(row, 'eer_high')}"
        n, seconds = row.get("n", ""), row.get("training_seconds")
        return [
            name, n, percent(row, "eer"), interval, percent(row, "auc"), percent(row, "accuracy"),
            "" if seconds is None else f"{seconds:.0f}",
        ]  # fmt: skip

    rows = [cells(row["generator"], row) for row in table["generators"]]
    console.print_table(
        "Each generator, never heard in training, in percent",
        ["", "recordings", "equal error rate", "95 %", "AUC", "accuracy", "seconds of training"],
        [*rows, cells("mean", table["mean"])],
    )
