"""Distinguish people from machines on corpora and generators that training never met.

    python benchmarks/person_corpora_data.py ../shared/data --out DATA
    python benchmarks/person_corpora.py DATA/labels.csv --out RUNS [--model statistics] [--seeds 1] [--json OUT]

The list has a column ``corpus``. With ``--hold-out corpus`` each corpus is left out in turn, its people and its machines
together, and a run that was trained on the others is tested on it. A machine that several corpora have is only trained on.
With ``--hold-out generator`` each machine is left out, and tested against a third of the speakers, of all corpora, that the
run was not trained on. With ``--hold-out people`` the people of each corpus are left out and no machine is: they are tested
against other clips of the machines that the run was trained on. What the first loses more than the last is the machines' part.

Printed for each: the equal error rate with its interval over speakers, the area under the ROC, and at the threshold that
the other corpora's validation speakers chose the part of people missed and of machines let through; for a corpus also the
equal error rate of each of its machines. RUNS keeps lists, runs and the scores.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import write_result
from wordspot.commands import console
from wordspot.data.split import which_set
from wordspot.evaluation.bootstrap import Scored
from wordspot.evaluation.scores import measure_mean, measure_scores
from wordspot.files import write_json, write_text
from wordspot.metrics import det_curve, equal_error_rate
from wordspot.overrides import parse_settings
from wordspot.training.leave_one_out import judge_testing
from wordspot.training.recipes import make_config
from wordspot.training.run import begin_run, train_to_end
from wordspot.training.tasks.recordings import RecordingsTask

LABELS = ("person", "machine")
COLUMNS = ("held out", "people", "machines", "EER %", "95 %", "AUC %", "people missed %", "machines passed %", "EER by machine %")
VALIDATION_PERCENT, TESTING_PERCENT = 15.0, 33.0

Row = dict[str, str]


@dataclass(frozen=True)
class Test:
    """What a run made of the recordings that it was not trained on.

    Attributes:
        scores: float64 [n], the posterior of a person, the mean over the seeds.
        is_person: bool [n].
        threshold: where as many people of validation are missed as machines pass.
    """

    rows: Sequence[Row]
    scores: NDArray[np.float64]
    is_person: NDArray[np.bool_]
    threshold: float


def read_rows(path: Path) -> list[Row]:
    """The rows of a list, with absolute paths."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [{**row, "path": str((path.parent / row["path"]).resolve())} for row in csv.DictReader(lines)]


def split_rows(rows: Sequence[Row], by: str, held_out: str) -> list[Row]:
    """The rows with a column ``split``: what is held out is for testing, and its speakers are in no other set.

    With a corpus held out, its copies by a machine that other corpora have too are left out: training has met that machine.
    """
    known = {row["generator"] for row in rows if row[by] != held_out} - {""} if by == "corpus" else set()

    def name(row: Row) -> str | None:
        if row[by] == held_out:
            return None if row["generator"] in known else "testing"
        hashed = which_set(row["speaker"], VALIDATION_PERCENT, TESTING_PERCENT if by == "generator" else 0.0)
        return None if hashed == "testing" and row["generator"] else hashed

    tested = {row["speaker"] for row in rows if row[by] == held_out} if by == "corpus" else set()
    named = [{**row, "split": name(row) or ""} for row in rows]
    return [row for row in named if row["split"] and (row["split"] == "testing" or row["speaker"] not in tested)]


def split_people(rows: Sequence[Row], held_out: str) -> list[Row]:
    """The rows with a column ``split``: the people of a corpus are for testing, with machines that training has met.

    These machines are a third of the clips of each engine, and the copies of the corpus's people by a vocoder that copies other
    people too.
    """
    people = {row["speaker"] for row in rows if not row["generator"]}
    tested = {row["speaker"] for row in rows if not row["generator"] and row["corpus"] == held_out}

    def name(row: Row) -> str:
        if row["speaker"] in tested:
            return "testing"
        if row["speaker"] in people:
            return which_set(row["speaker"], VALIDATION_PERCENT, 0.0)
        return which_set(Path(row["path"]).name, VALIDATION_PERCENT, TESTING_PERCENT)

    named = [{**row, "split": name(row)} for row in rows]
    known = {row["generator"] for row in named if row["split"] == "training"}
    return [row for row in named if row["split"] != "testing" or row["generator"] in known]


def train_and_test(rows: Sequence[Row], out: Path, args: argparse.Namespace) -> Test:
    """Train on the rows for training, once for each seed, and test."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ("path", "label", "speaker", "generator", "split"), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    listed = out.with_name(f"{out.name}.csv")
    listed.parent.mkdir(parents=True, exist_ok=True)
    write_text(listed, text.getvalue())
    scores, thresholds = [], []
    for seed in range(args.seeds):
        settings = {"training.seed": seed, **parse_settings(args.settings)}
        config = make_config(listed, LABELS, task="recordings", model=args.model, settings=settings)
        trainer = begin_run(config, listed, out / f"{args.model}-{seed}", device="cpu", force=True)
        train_to_end(trainer, on_note=console.note)
        task = trainer.task
        assert isinstance(task, RecordingsTask)
        chosen = task.judge(trainer.model, trainer.front_end, "validation")[:, 0]
        thresholds.append(equal_threshold(chosen, task.recordings.sets["validation"].truth == 0))
        part, posteriors = judge_testing(trainer)
        scores.append(dict(zip((str(row.file) for row in part.rows), posteriors[:, 0], strict=True)))
    tested = [row for row in rows if row["path"] in scores[0]]
    mean = np.array([np.mean([one[row["path"]] for one in scores]) for row in tested])
    return Test(tested, mean, np.array([row["label"] == LABELS[0] for row in tested]), float(np.mean(thresholds)))


def equal_threshold(scores: NDArray[np.float64], is_person: NDArray[np.bool_]) -> float:
    """The score at which the two kinds of error are nearest to equal."""
    candidates = np.sort(scores)
    missed = np.array([(scores[is_person] < candidate).mean() for candidate in candidates])
    passed = np.array([(scores[~is_person] >= candidate).mean() for candidate in candidates])
    return float(candidates[np.argmin(np.abs(missed - passed))])


def measure(test: Test, name: str) -> dict[str, Any]:
    """A row of the table."""
    speakers = [row["speaker"] for row in test.rows]
    machines = sorted({row["generator"] for row in test.rows if row["generator"]})
    by_machine = {}
    for machine in machines:
        used = test.is_person | np.array([row["generator"] == machine for row in test.rows])
        by_machine[machine] = equal_error_rate(det_curve(test.scores[used], test.is_person[used]))
    scored = zip(test.rows, test.scores, strict=True)
    return {
        "held_out": name,
        "n_people": int(test.is_person.sum()),
        "n_machines": int((~test.is_person).sum()),
        **measure_scores(test.scores, test.is_person, speakers).to_json(),
        "threshold": test.threshold,
        "people_missed": float((test.scores[test.is_person] < test.threshold).mean()),
        "machines_passed": float((test.scores[~test.is_person] >= test.threshold).mean()),
        "by_machine": by_machine,
        "scores": [[row["path"].rpartition("/")[2], row["generator"], float(score)] for row, score in scored],
    }


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table as text."""
    percent = [f"{100 * row[key]:.1f}" for key in ("eer", "auc", "people_missed", "machines_passed")]
    each = ", ".join(f"{machine} {100 * eer:.0f}" for machine, eer in row["by_machine"].items())
    interval = f"{100 * row['eer_low']:.1f} to {100 * row['eer_high']:.1f}"
    return [row["held_out"], str(row["n_people"]), str(row["n_machines"]), percent[0], interval, *percent[1:], each]


def mean_cells(rows: Sequence[dict[str, Any]], tests: Sequence[Scored]) -> list[str]:
    """The means of the rows, with the interval of the mean EER."""
    means = measure_mean(tests).to_json()
    errors = [f"{100 * np.mean([row[key] for row in rows]):.1f}" for key in ("people_missed", "machines_passed")]
    interval = f"{100 * means['eer_low']:.1f} to {100 * means['eer_high']:.1f}"
    return ["mean", "", "", f"{100 * means['eer']:.1f}", interval, f"{100 * means['auc']:.1f}", *errors, ""]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", metavar="CSV", type=Path, help="a list with a column corpus")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--hold-out", choices=("corpus", "generator", "people"), default="corpus")
    parser.add_argument("--only", metavar="A,B", help="the corpora or generators to leave out (default: each)")
    parser.add_argument("--model", metavar="NAME", default="statistics")
    parser.add_argument("--seeds", metavar="N", type=int, default=1, help="runs whose scores are averaged (default: 1)")
    parser.add_argument("--set", dest="settings", metavar="SECTION.FIELD=VALUE", action="append", default=[])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to this file too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    rows = read_rows(args.labels)
    column = "generator" if args.hold_out == "generator" else "corpus"
    names = args.only.split(",") if args.only else sorted({row[column] for row in rows} - {""})
    results, tests = [], []
    for name in names:
        split = split_people(rows, name) if args.hold_out == "people" else split_rows(rows, args.hold_out, name)
        test = train_and_test(split, args.out / f"without-{name}", args)
        results.append(measure(test, name))
        tests.append(Scored(test.scores, test.is_person, *([row[key] for row in test.rows] for key in ("speaker", "path"))))
        write_json(args.out / f"without-{name}" / f"{args.model}.json", results[-1])
        console.print_table(name, COLUMNS, [cells(results[-1])])
    table = [*map(cells, results), mean_cells(results, tests)]
    console.print_table(f"{args.model}, {args.hold_out} left out", COLUMNS, table)
    if args.json:
        kept = [{key: value for key, value in row.items() if key != "scores"} for row in results]
        write_result(args.json, kept, COLUMNS, table)


if __name__ == "__main__":
    main()
