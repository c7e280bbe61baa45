"""Metrics of a model that classifies clips: true labels and posteriors in, `ClipMetrics` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wordspot import metrics
from wordspot.formats import finite
from wordspot.intervals import Proportion
from wordspot.labels import UNKNOWN
from wordspot.metrics import Calibration, Floats, Ints, SpeakerSpread


@dataclass(frozen=True)
class LabelMetrics:
    """How well one label is recognised. What cannot be computed is None.

    Attributes:
        n: clips of this label.
        precision: of the clips predicted as this label, the fraction that is of it.
        recall: of the clips of this label, those predicted as it.
        equal_error_rate: of the label's posterior as a detector.
        area_under_roc: of the label's posterior as a detector.
    """

    n: int
    precision: float | None
    recall: Proportion
    equal_error_rate: float | None
    area_under_roc: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "precision": self.precision,
            **self.recall.to_json("recall"),
            "equal_error_rate": self.equal_error_rate,
            "area_under_roc": self.area_under_roc,
        }


@dataclass(frozen=True)
class ClipMetrics:
    """All metrics of a set of clips.

    Attributes:
        labels: silence, unknown, then the words.
        correct: clips whose most likely label is the true one.
        correct_keywords: the same for clips of the words alone.
        confusion: int64 [labels, labels]; rows are the true labels, columns the predicted ones.
        per_label: of each label.
        speakers: how accuracy varies between speakers; clips of silence have none.
        calibration: how often the top label is right, by its posterior.
    """

    labels: tuple[str, ...]
    correct: Proportion
    correct_keywords: Proportion
    confusion: Ints
    per_label: dict[str, LabelMetrics]
    speakers: SpeakerSpread
    calibration: Calibration

    @property
    def n(self) -> int:
        """Clips."""
        return self.correct.n

    @property
    def accuracy(self) -> float | None:
        """None for an empty set."""
        return self.correct.rate

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy` (Wilson)."""
        return self.correct.interval

    def to_json(self) -> dict[str, Any]:
        return {
            **self.correct.to_json("accuracy"),
            "keyword_accuracy": self.correct_keywords.rate,
            "n": self.n,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "per_label": {label: row.to_json() for label, row in self.per_label.items()},
            "speakers": self.speakers.to_json(),
            "calibration": self.calibration.to_json(),
        }


def measure_clips(labels: Sequence[str], truth: Ints, posteriors: Floats, speakers: Sequence[str | None]) -> ClipMetrics:
    """All metrics of a set of clips.

    Args:
        labels: silence, unknown, then the words.
        truth: int64 [n], each clip's label.
        posteriors: float64 [n, labels], rows summing to 1.
        speakers: who speaks in each clip; None (silence) is left out of the spread over speakers.
    """
    predicted = posteriors.argmax(axis=1)
    is_right = predicted == truth
    confusion = metrics.confusion_matrix(truth, predicted, len(labels))
    is_keyword = truth > UNKNOWN
    spoken = [position for position, speaker in enumerate(speakers) if speaker is not None]
    return ClipMetrics(
        labels=tuple(labels),
        correct=Proportion(int(is_right.sum()), len(truth)),
        correct_keywords=Proportion(int(is_right[is_keyword].sum()), int(is_keyword.sum())),
        confusion=confusion,
        per_label=_per_label(labels, truth, posteriors, confusion),
        speakers=metrics.speaker_spread([str(speakers[i]) for i in spoken], is_right[spoken]),
        calibration=metrics.calibration(posteriors, truth),
    )


def _per_label(labels: Sequence[str], truth: Ints, posteriors: Floats, confusion: Ints) -> dict[str, LabelMetrics]:
    precision, _ = metrics.precision_and_recall(confusion)
    rows = {}
    for position, label in enumerate(labels):
        curve = metrics.det_curve(posteriors[:, position], truth == position)
        n = int(confusion[position].sum())
        rows[label] = LabelMetrics(
            n=n,
            precision=finite(precision[position]),
            recall=Proportion(int(confusion[position, position]), n),
            equal_error_rate=finite(metrics.equal_error_rate(curve)),
            area_under_roc=finite(metrics.area_under_roc(curve)),
        )
    return rows
