"""Metrics of a classifier's predictions: arrays in, numbers out.

Conventions. A label's detector accepts a clip if its posterior is at or above a threshold. A *miss* is a target that was
not accepted, a *false alarm* another clip that was; rates are fractions of the targets and of the others. Curves run over
every threshold that makes a difference, from "never" to "always", with tied scores taken together. The equal error rate is
interpolated on the straight line between the two neighbouring points of the curve. What cannot be computed (the precision
of a label that was never predicted) is NaN or None, not zero. Streams have no "other clips" to count: false accepts are
counted per hour of audio, as a Poisson process whose mean has an exact interval.

`tests/test_metrics.py` compares everything here with hand-computed cases, scikit-learn and scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.formats import finite

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def confusion_matrix(truth: Ints, predicted: Ints, n_labels: int) -> Ints:
    """Count each pair of true and predicted label.

    Args:
        truth: int64 [n].
        predicted: int64 [n].
        n_labels: how many labels there are.

    Returns:
        int64 [n_labels, n_labels]; rows are the true labels, columns the predicted ones.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    flat = np.bincount(truth * n_labels + predicted, minlength=n_labels * n_labels)
    return flat.reshape(n_labels, n_labels)


@dataclass(frozen=True)
class StreamCurve:
    """A word's errors on streams as its threshold rises: a DET curve with false accepts per hour as one axis.

    Attributes:
        thresholds: float64 [points].
        n_hits: int64 [points].
        n_false_accepts: int64 [points].
        n_words: how often the word was spoken.
        hours: of audio.
    """

    thresholds: Floats
    n_hits: Ints
    n_false_accepts: Ints
    n_words: int
    hours: float

    @property
    def miss_rate(self) -> Floats:
        """float64 [points]; NaN if the word was never spoken."""
        return 1 - self.n_hits / self.n_words if self.n_words else np.full(len(self.n_hits), np.nan)

    @property
    def false_accepts_per_hour(self) -> Floats:
        """float64 [points]; NaN for no audio."""
        return self.n_false_accepts / self.hours if self.hours else np.full(len(self.n_hits), np.nan)


def precision_and_recall(confusion: Ints) -> tuple[Floats, Floats]:
    """Precision and recall of each label.

    Args:
        confusion: int64 [labels, labels], from `confusion_matrix`.

    Returns:
        Two float64 [labels]; the precision of a label that was never predicted and the recall of one without clips are NaN.
    """
    right = np.diag(confusion).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / confusion.sum(axis=0), right / confusion.sum(axis=1)


@dataclass(frozen=True)
class Curve:
    """A detector's error rates as its threshold falls from above every score to the lowest score.

    Attributes:
        thresholds: float64 [points]; the first one is infinity.
        miss_rate: float64 [points].
        false_alarm_rate: float64 [points].
    """

    thresholds: Floats
    miss_rate: Floats
    false_alarm_rate: Floats

    @property
    def hit_rate(self) -> Floats:
        return 1 - self.miss_rate


def det_curve(scores: Floats, is_target: Bools) -> Curve:
    """Misses against false alarms over all thresholds; ``hit_rate`` against ``false_alarm_rate`` is the ROC.

    Args:
        scores: float [n]; a higher score means more likely a target.
        is_target: bool [n]. Without targets the miss rate is NaN, without others the false alarm rate.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, targets = scores[order], is_target[order].astype(np.int64)
    last_of_tie = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(ranked) else np.zeros(0, int)
    hits = np.concatenate([[0], np.cumsum(targets)[last_of_tie]])
    alarms = np.concatenate([[0], np.cumsum(1 - targets)[last_of_tie]])
    n_targets, n_others = int(targets.sum()), int(len(targets) - targets.sum())
    return Curve(
        np.concatenate([[np.inf], ranked[last_of_tie]]).astype(np.float64),
        1 - hits / n_targets if n_targets else np.full(len(hits), np.nan),
        alarms / n_others if n_others else np.full(len(alarms), np.nan),
    )


def area_under_roc(curve: Curve) -> float:
    """The probability that a target scores higher than another clip, ties counted half; NaN if either kind is missing.

    >>> area_under_roc(det_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False])))  # 3 of 4 pairs
    0.75
    """
    if len(curve.thresholds) < 2:
        return math.nan  # no clips at all
    return float(np.trapezoid(curve.hit_rate, curve.false_alarm_rate))


def equal_error_rate(curve: Curve) -> float:
    """The rate at which misses and false alarms are equally frequent, interpolated; NaN if either kind is missing.

    >>> equal_error_rate(det_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False])))
    0.5
    """
    gap = curve.miss_rate - curve.false_alarm_rate
    if np.isnan(gap).any():
        return math.nan
    after = int(np.argmax(gap <= 0))  # the gap falls from 1 to -1
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(curve.miss_rate[before] + share * (curve.miss_rate[after] - curve.miss_rate[before]))


@dataclass(frozen=True)
class Calibration:
    """How often the top label is right, by its posterior.

    Attributes:
        edges: float64 [bins + 1].
        counts: int64 [bins], clips.
        confidence: float64 [bins], mean top posterior; NaN in empty bins.
        accuracy: float64 [bins]; NaN in empty bins.
        error: the mean of |confidence - accuracy|, weighted by counts (expected calibration error); NaN for no clips.
    """

    edges: Floats
    counts: Ints
    confidence: Floats
    accuracy: Floats
    error: float

    def to_json(self) -> dict[str, Any]:
        return {
            "error": finite(self.error),
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "confidence": [finite(value) for value in self.confidence],
            "accuracy": [finite(value) for value in self.accuracy],
        }


def calibration(posteriors: Floats, truth: Ints, n_bins: int = 10) -> Calibration:
    """Compare the top posterior with how often it is right.

    Args:
        posteriors: float [n, labels], rows summing to 1.
        truth: int64 [n].
        n_bins: equal bins from 0 to 1; a value on an edge belongs to the upper one.
    """
    top = posteriors.max(axis=1)
    right = (posteriors.argmax(axis=1) == truth).astype(np.float64)
    bins = np.minimum((top * n_bins + 1e-9).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, weights=top, minlength=n_bins) / counts
        accuracy = np.bincount(bins, weights=right, minlength=n_bins) / counts
    used = counts > 0
    n = int(counts.sum())
    error = float((np.abs(confidence - accuracy)[used] * counts[used]).sum() / n) if n else math.nan
    return Calibration(np.linspace(0, 1, n_bins + 1), counts, confidence, accuracy, error)


@dataclass(frozen=True)
class SpeakerSpread:
    """Accuracy over speakers, each counting once.

    Attributes:
        n_speakers: how many there are.
        mean: NaN without speakers, as `lowest` and `quartiles`.
        lowest: the accuracy of the worst speaker.
        quartiles: the accuracy below which a quarter, half and three quarters of the speakers lie.
        worst: (speaker, accuracy, clips), lowest accuracy first, more clips first among equals.
    """

    n_speakers: int
    mean: float
    lowest: float
    quartiles: tuple[float, float, float]
    worst: tuple[tuple[str, float, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n_speakers,
            "mean": finite(self.mean),
            "lowest": finite(self.lowest),
            "quartiles": [finite(value) for value in self.quartiles],
            "worst": [{"speaker": name, "accuracy": accuracy, "n": count} for name, accuracy, count in self.worst],
        }


def speaker_spread(speakers: Sequence[str], is_right: Bools, n_worst: int = 10) -> SpeakerSpread:
    """How accuracy varies between speakers.

    Args:
        speakers: [n], who speaks in each clip.
        is_right: bool [n].
        n_worst: speakers listed in ``worst``.
    """
    if not len(speakers):
        return SpeakerSpread(0, math.nan, math.nan, (math.nan,) * 3, ())
    names, which = np.unique(np.array(speakers), return_inverse=True)
    counts = np.bincount(which)
    accuracy = np.bincount(which, weights=is_right.astype(np.float64)) / counts
    low, middle, high = (float(value) for value in np.quantile(accuracy, [0.25, 0.5, 0.75]))
    order = np.lexsort((names, -counts, accuracy))[:n_worst]
    worst = tuple((str(names[i]), float(accuracy[i]), int(counts[i])) for i in order)
    return SpeakerSpread(len(names), float(accuracy.mean()), float(accuracy.min()), (low, middle, high), worst)
