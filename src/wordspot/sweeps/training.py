"""One training of a sweep: begun, continued where it was interrupted, or done before; and evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordspot.errors import WordspotError
from wordspot.files import read_json, write_json
from wordspot.run import Run, load_run, resume, train
from wordspot.sweeps.grid import SEED, Point

EVALUATION = "sweep-evaluation.json"


@dataclass(frozen=True)
class Plan:
    """What all trainings of a sweep share. Paths are absolute, since trainings may run in other folders.

    Attributes:
        data, out: the recordings, and the folder of the sweep.
        arguments: of `wordspot.train`: ``words``, ``task``, ``model``, ``features``, ``recipe``, ``preset``, ``init`` and
            ``speech``.
        settings: of all trainings, ``section.field`` → value.
        split: the set to evaluate on.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    data: Path
    out: Path
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    split: str
    device: str


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    Attributes:
        point: which one.
        measures: of the evaluation, by name; None: it could not be computed. Empty if training failed.
        error: why it failed; empty if it did not.
    """

    point: Point
    measures: Mapping[str, float | None] = field(default_factory=dict)
    error: str = ""


def trained_before(plan: Plan, point: Point) -> Trained | None:
    """The result of a training that ended in an earlier call; None if there is none."""
    path = plan.out / point.folder / EVALUATION
    if not path.is_file():
        return None
    found = read_json(path)
    return Trained(point, found["measures"]) if found.get("split") == plan.split else None


def train_point(plan: Plan, point: Point, **callbacks: Callable[..., Any]) -> Trained:
    """Train to the end and evaluate. What can go wrong with one training is a result too.

    Args:
        plan: of the sweep.
        point: which training.
        callbacks: ``stop``, ``on_record``, ``on_note`` and ``progress`` of `wordspot.train`.
    """
    try:
        run = _trained(plan, point, callbacks)
        found = run.evaluate(plan.data, split=plan.split, device=plan.device).to_json()
    except WordspotError as error:
        return Trained(point, error=str(error))
    measures = {name: found.get(name) for name in MEASURES[run.config.task]}
    write_json(plan.out / point.folder / EVALUATION, {"split": plan.split, "measures": measures})
    return Trained(point, measures)


def _trained(plan: Plan, point: Point, callbacks: Mapping[str, Any]) -> Run:
    out, given = plan.out / point.folder, plan.arguments
    settings = {**plan.settings, **point.settings, SEED: point.seed}
    if (out / "metrics.json").is_file():  # only the evaluation is missing
        return load_run(out)
    if (out / "config.json").is_file():
        return resume(out, plan.data, speech=given.get("speech"), device=plan.device, **callbacks)
    return train(plan.data, out=out, settings=settings, device=plan.device, **given, **callbacks)


#: The main measures of each task's evaluation, in the order of the table.
MEASURES = {
    "words": ("accuracy", "keyword_accuracy"),
    "trigger": ("miss_rate", "false_accepts_per_hour"),
    "recordings": ("accuracy", "eer"),
}
