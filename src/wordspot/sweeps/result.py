"""The result of a sweep: for each combination of settings, the mean of each measure over the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.formats import percent, rate
from wordspot.intervals import Estimate, mean_interval
from wordspot.sweeps.training import Trained


@dataclass(frozen=True)
class SweepRow:
    """A combination of settings.

    Attributes:
        trained: its trainings, by seed.
    """

    trained: tuple[Trained, ...]

    @property
    def label(self) -> str:
        """The settings as text; empty if none is varied."""
        return self.trained[0].point.label

    @property
    def n_seeds(self) -> int:
        """How many trainings succeeded."""
        return sum(not one.error for one in self.trained)

    @property
    def measures(self) -> dict[str, Estimate]:
        """The mean of each measure, with its 95 % interval over the seeds (Student's t), cut at what is possible.

        There is no interval of a single seed.
        """
        succeeded = [one.measures for one in self.trained if not one.error]
        names = succeeded[0] if succeeded else ()
        values = {name: [value for one in succeeded if (value := one[name]) is not None] for name in names}
        return {name: _possible(name, mean_interval(each)) for name, each in values.items()}

    def to_json(self) -> dict[str, Any]:
        estimates = (one.to_json(name) for name, one in self.measures.items())
        return {
            "settings": dict(self.trained[0].point.settings),
            "n_seeds": self.n_seeds,
            **{name: value for one in estimates for name, value in one.items()},
            "runs": [
                {"seed": one.point.seed, "run": one.point.folder, **one.measures, **({"error": one.error} if one.error else {})}
                for one in self.trained
            ],
        }


@dataclass(frozen=True)
class SweepResult:
    """The result of `sweep`.

    Attributes:
        out: the folder with a run for each training.
        split: the set that they were evaluated on.
        rows: a row for each combination of settings.
    """

    out: Path
    split: str
    rows: tuple[SweepRow, ...]

    @property
    def failed(self) -> tuple[Trained, ...]:
        """The trainings that failed."""
        return tuple(one for row in self.rows for one in row.trained if one.error)

    def to_json(self) -> dict[str, Any]:
        """All rows as a JSON object."""
        return {"out": str(self.out), "split": self.split, "rows": [row.to_json() for row in self.rows]}


def make_result(out: Path, split: str, trained: Sequence[Trained]) -> SweepResult:
    """Group trainings, in the order of the sweep, by their settings."""
    groups: dict[str, list[Trained]] = {}
    for one in trained:
        groups.setdefault(one.point.label, []).append(one)
    return SweepResult(out, split, tuple(SweepRow(tuple(group)) for group in groups.values()))


def _possible(name: str, one: Estimate) -> Estimate:
    """An interval within the range of its measure: shares lie between 0 and 1, rates are at least 0."""
    highest = math.inf if _is_rate(name) else 1.0
    ends = (None if end is None else min(max(end, 0.0), highest) for end in (one.low, one.high))
    return Estimate(one.value, *ends)


def _is_rate(name: str) -> bool:
    return name.endswith("per_hour")


def form_of(name: str) -> Callable[[float | None], str]:
    """How a measure is written: events per hour, or a share in percent."""
    return rate if _is_rate(name) else lambda value: percent(value, unit=" %")
