"""Metrics of a model that classifies whole recordings: true labels and posteriors in, `RecordingsMetrics` out.

Conventions. The first label is the *target* (a person, say). With two labels a recording is predicted to be the target if
the target's posterior is at or above a threshold; a *miss* is a target that was not, a *false alarm* another recording that
was. With three or more labels the most likely one is predicted and there is no threshold.

Proportions (accuracy, misses, false alarms) have Wilson's interval, which assumes independent recordings; EER and AUC have
those of `scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wordspot.evaluation.scores import ScoreMetrics, measure_scores, threshold_for
from wordspot.formats import finite
from wordspot.intervals import Proportion
from wordspot.metrics import Bools, Floats, Ints, confusion_matrix, det_curve

FALSE_ALARM_RATES = (0.005, 0.01, 0.02, 0.05, 0.10)
_MAX_POINTS = 200


@dataclass(frozen=True)
class DetPoints:
    """A thinned DET curve; the threshold above all scores is None, and so is the rate of a class that is missing."""

    thresholds: list[float | None]
    miss_rate: list[float | None]
    false_alarm_rate: list[float | None]


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold for a wanted false-alarm rate, and what it gives on the same scores."""

    at_most: float
    threshold: float | None
    false_alarm_rate: float | None
    miss_rate: float | None


@dataclass(frozen=True)
class BinaryMetrics:
    """What is measured of a model with two labels, of which the first is the target.

    Attributes:
        threshold: of the target's posterior.
        scores: EER and AUC of the target's posterior.
        missed: targets that were not accepted.
        false_alarms: others that were.
        det: misses against false alarms.
        thresholds: for each of `FALSE_ALARM_RATES`, chosen on *these* scores.
    """

    threshold: float
    scores: ScoreMetrics
    missed: Proportion
    false_alarms: Proportion
    det: DetPoints
    thresholds: tuple[ThresholdChoice, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            **self.scores.to_json(),
            **self.missed.to_json("miss_rate"),
            **self.false_alarms.to_json("false_alarm_rate"),
            "det": asdict(self.det),
            "thresholds": [asdict(row) for row in self.thresholds],
        }


@dataclass(frozen=True)
class ClassMetrics:
    """One label: its recordings that were recognised, and with three or more labels EER and AUC against the rest."""

    recall: Proportion
    scores: ScoreMetrics | None

    def to_json(self) -> dict[str, Any]:
        scores = {} if self.scores is None else self.scores.to_json()
        return {"n": self.recall.n, **self.recall.to_json("recall"), **scores}


@dataclass(frozen=True)
class GeneratorMetrics:
    """The recordings of one generator of a label; EER and AUC are against all recordings of other labels."""

    generator: str
    label: str
    correct: Proportion
    scores: ScoreMetrics

    def to_json(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "label": self.label,
            "n": self.correct.n,
            **self.correct.to_json("accuracy"),
            **self.scores.to_json(),
        }


@dataclass(frozen=True)
class SpeakerMetrics:
    """The recordings of one speaker."""

    speaker: str
    n: int
    accuracy: float


@dataclass(frozen=True)
class AnsweredMetrics:
    """The recordings that the model can tell the class of.

    Attributes:
        answered: these, of all.
        correct: those among them whose predicted label is the true one.
        recall: the same of each label, None if none of it is answered.
    """

    answered: Proportion
    correct: Proportion
    recall: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        shares = {**self.answered.to_json("share"), **self.correct.to_json("accuracy")}
        return {"n": self.answered.count, **shares, "recall": self.recall}


@dataclass(frozen=True)
class RecordingsMetrics:
    """All metrics of a set of recordings.

    Attributes:
        labels: the classes, the target first.
        correct: recordings whose predicted label is the true one.
        confusion: int64 [labels, labels]; rows are the true labels, columns the predicted ones.
        binary: misses, false alarms, EER and AUC of a model with two labels; None with more.
        per_label: of each label.
        per_generator: of each label's generators.
        per_speaker: the lowest accuracy first.
        answered: what is measured of the recordings within the model's limits; None if it has none. All else is of all
            recordings, whether or not the model can tell.
    """

    labels: tuple[str, ...]
    correct: Proportion
    confusion: Ints
    binary: BinaryMetrics | None
    per_label: dict[str, ClassMetrics]
    per_generator: tuple[GeneratorMetrics, ...]
    per_speaker: tuple[SpeakerMetrics, ...]
    answered: AnsweredMetrics | None = None

    @property
    def n(self) -> int:
        """Recordings."""
        return self.correct.n

    @property
    def accuracy(self) -> float | None:
        """None for an empty set."""
        return self.correct.rate

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy` (Wilson)."""
        return self.correct.interval

    @property
    def eer(self) -> float | None:
        """Equal error rate; None with three or more labels, or if a class is missing."""
        return None if self.binary is None else self.binary.scores.eer.value

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "labels": list(self.labels),
            **self.correct.to_json("accuracy"),
            "confusion": self.confusion.tolist(),
            **({} if self.binary is None else self.binary.to_json()),
            **({} if self.answered is None else {"answered": self.answered.to_json()}),
            "per_label": {label: row.to_json() for label, row in self.per_label.items()},
            "per_generator": [row.to_json() for row in self.per_generator],
            "per_speaker": [asdict(row) for row in self.per_speaker],
        }


def measure_recordings(
    labels: Sequence[str],
    truth: Ints,
    posteriors: Floats,
    speakers: Sequence[str | None],
    generators: Sequence[str | None],
    threshold: float = 0.5,
    seed: int = 0,
    answered: Bools | None = None,
) -> RecordingsMetrics:
    """All metrics of a set of recordings.

    Args:
        labels: the classes, the target first.
        truth: int64 [n], each recording's label.
        posteriors: float64 [n, labels], rows summing to 1.
        speakers: [n], None if not known.
        generators: [n], None if not known.
        threshold: of the target's posterior; not used with three or more labels.
        seed: random seed of the bootstrap.
        answered: bool [n], the recordings that the model can tell the class of; None: it has no limits.
    """
    is_binary = len(labels) == 2
    predicted = (posteriors[:, 0] < threshold).astype(np.int64) if is_binary else posteriors.argmax(axis=1)
    is_right = predicted == truth
    confusion = confusion_matrix(truth, predicted, len(labels))
    return RecordingsMetrics(
        labels=tuple(labels),
        correct=Proportion(int(is_right.sum()), len(truth)),
        confusion=confusion,
        binary=_measure_binary(truth == 0, posteriors[:, 0], speakers, threshold, seed) if is_binary else None,
        per_label=_per_label(labels, truth, posteriors, confusion, speakers, seed),
        per_generator=_per_generator(labels, truth, posteriors, is_right, speakers, generators, seed),
        per_speaker=_per_speaker(speakers, is_right),
        answered=None if answered is None else _measure_answered(labels, truth, is_right, answered),
    )


def _measure_answered(labels: Sequence[str], truth: Ints, is_right: Bools, answered: Bools) -> AnsweredMetrics:
    return AnsweredMetrics(
        answered=Proportion(int(answered.sum()), len(answered)),
        correct=Proportion(int(is_right[answered].sum()), int(answered.sum())),
        recall={label: _mean(is_right[answered & (truth == at)]) for at, label in enumerate(labels)},
    )


def _measure_binary(
    is_target: Bools, scores: Floats, speakers: Sequence[str | None], threshold: float, seed: int
) -> BinaryMetrics:
    accepted = scores >= threshold
    return BinaryMetrics(
        threshold=threshold,
        scores=measure_scores(scores, is_target, speakers, seed),
        missed=Proportion(int((~accepted[is_target]).sum()), int(is_target.sum())),
        false_alarms=Proportion(int(accepted[~is_target].sum()), int((~is_target).sum())),
        det=_thin_curve(scores, is_target),
        thresholds=tuple(_choose_threshold(scores, is_target, rate) for rate in FALSE_ALARM_RATES),
    )


def _thin_curve(scores: Floats, is_target: Bools) -> DetPoints:
    """At most `_MAX_POINTS` points of the DET curve, including its ends."""
    curve = det_curve(scores, is_target)
    n = len(curve.thresholds)
    kept = np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).round().astype(np.int64))
    thinned = (curve.thresholds[kept], curve.miss_rate[kept], curve.false_alarm_rate[kept])
    return DetPoints(*([finite(value) for value in values] for values in thinned))


def _choose_threshold(scores: Floats, is_target: Bools, at_most: float) -> ThresholdChoice:
    threshold = threshold_for(scores, is_target, at_most)
    accepted = scores >= threshold
    return ThresholdChoice(at_most, finite(threshold), _mean(accepted[~is_target]), _mean(~accepted[is_target]))


def _per_label(
    labels: Sequence[str], truth: Ints, posteriors: Floats, confusion: Ints, speakers: Sequence[str | None], seed: int
) -> dict[str, ClassMetrics]:
    rows = {}
    for at, label in enumerate(labels):
        recall = Proportion(int(confusion[at, at]), int(confusion[at].sum()))
        scores = measure_scores(posteriors[:, at], truth == at, speakers, seed) if len(labels) > 2 else None
        rows[label] = ClassMetrics(recall, scores)
    return rows


def _per_generator(
    labels: Sequence[str],
    truth: Ints,
    posteriors: Floats,
    is_right: Bools,
    speakers: Sequence[str | None],
    generators: Sequence[str | None],
    seed: int,
) -> tuple[GeneratorMetrics, ...]:
    """The recordings of each generator of a label against all of other labels, by the posterior of its label."""
    known = {(int(at), name) for at, name in zip(truth, generators, strict=True) if name is not None}
    rows = []
    for at, generator in sorted(known):
        own = np.array([name == generator for name in generators]) & (truth == at)
        used = np.flatnonzero(own | (truth != at)).tolist()
        scores = measure_scores(posteriors[used, at], own[used], [speakers[i] for i in used], seed)
        rows.append(GeneratorMetrics(generator, labels[at], Proportion(int(is_right[own].sum()), int(own.sum())), scores))
    return tuple(rows)


def _per_speaker(speakers: Sequence[str | None], is_right: Bools) -> tuple[SpeakerMetrics, ...]:
    by_name: dict[str, list[bool]] = {}
    for name, right in zip(speakers, is_right.tolist(), strict=True):
        if name is not None:
            by_name.setdefault(name, []).append(right)
    rows = [SpeakerMetrics(name, len(right), sum(right) / len(right)) for name, right in sorted(by_name.items())]
    return tuple(sorted(rows, key=lambda row: (row.accuracy, -row.n)))


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None
