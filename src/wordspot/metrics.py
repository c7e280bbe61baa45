"""Measures of a classifier's answers: arrays in, numbers out.

Conventions. A label's detector says yes where its posterior is at or above a threshold. A *miss* is a target it said no to,
a *false alarm* another clip it said yes to; rates are parts of the targets and of the others. Curves run over every
threshold that makes a difference, from "never" to "always", with tied scores taken together. The equal error rate is read
off the straight line between the two neighbouring points of the curve. What cannot be computed (a precision without a
single answer) is NaN, not zero. On streams there are no "other clips" to count: false accepts are counted per hour of
audio, as a Poisson process whose mean has an exact interval. All are checked against cases worked out by hand.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_Z95 = 1.959963984540054


def confusion_matrix(truth: Ints, predicted: Ints, n_labels: int) -> Ints:
    """Counts [n_labels, n_labels]: rows are the truth, columns the answers.

    Parameters
    ----------
    truth, predicted : int64 [n]
    """
    flat = np.bincount(truth * n_labels + predicted, minlength=n_labels * n_labels)
    return flat.reshape(n_labels, n_labels)


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927); (0, 1) where nothing was measured.

    It takes the trials for independent: several takes of few speakers make it too narrow.
    """
    if n == 0:
        return 0.0, 1.0
    share = n_right / n
    spread = _Z95 * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    middle, scale = share + _Z95**2 / (2 * n), 1 + _Z95**2 / n
    low = 0.0 if n_right == 0 else (middle - spread) / scale
    high = 1.0 if n_right == n else (middle + spread) / scale
    return low, high


@functools.lru_cache(maxsize=4096)
def poisson_interval(n_events: int) -> tuple[float, float]:
    """The exact 95 % interval of the mean of a Poisson count (Garwood 1936): half of two quantiles of chi-square.

    The lower end is the mean at which so many events or more have a chance of 2.5 %, the upper the one at which so few or
    fewer have. No event at all leaves (0, 3.69).
    """
    if n_events < 0:
        raise ValueError(f"a count of events must be at least 0, got {n_events}")
    low = 0.0 if n_events == 0 else _poisson_mean(n_events - 1, 0.975)
    return low, _poisson_mean(n_events, 0.025)


def _poisson_mean(n_events: int, chance: float) -> float:
    """The mean at which at most `n_events` come with this `chance`, by bisection: the chance falls as the mean grows."""
    counts = np.arange(n_events + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    low, high = 0.0, n_events + 10 * math.sqrt(n_events + 1) + 10
    while (middle := (low + high) / 2) not in (low, high):
        terms = counts * math.log(middle) - log_factorials
        top = float(terms.max())
        log_chance = top + math.log(float(np.exp(terms - top).sum())) - middle
        low, high = (middle, high) if log_chance > math.log(chance) else (low, middle)
    return middle


@dataclass(frozen=True)
class EventRate:
    """A count of events over hours of audio: how many an hour, and the 95 % interval of that; NaN where no time passed."""

    n: int
    hours: float

    @property
    def per_hour(self) -> float:
        return self.n / self.hours if self.hours else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.hours:
            return math.nan, math.nan
        low, high = poisson_interval(self.n)
        return low / self.hours, high / self.hours


@dataclass(frozen=True)
class StreamCurve:
    """A word's errors on streams as its threshold rises: a DET curve with false accepts per hour as its other axis.

    thresholds : float64 [points]; n_hits, n_false_accepts : int64 [points]
    n_words : how often the word was spoken; hours : of audio
    """

    thresholds: Floats
    n_hits: Ints
    n_false_accepts: Ints
    n_words: int
    hours: float

    @property
    def miss_rate(self) -> Floats:
        """NaN where the word was never spoken."""
        return 1 - self.n_hits / self.n_words if self.n_words else np.full(len(self.n_hits), np.nan)

    @property
    def false_accepts_per_hour(self) -> Floats:
        return self.n_false_accepts / self.hours if self.hours else np.full(len(self.n_hits), np.nan)


def precision_and_recall(confusion: Ints) -> tuple[Floats, Floats]:
    """Per label: right answers / all its answers, and right answers / all its clips. NaN where there are none."""
    right = np.diag(confusion).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / confusion.sum(axis=0), right / confusion.sum(axis=1)


@dataclass(frozen=True)
class Curve:
    """A detector's error rates as its threshold falls from above every score to the lowest of them.

    thresholds, miss_rate, false_alarm_rate : float64 [points]; the first threshold is infinity.
    """

    thresholds: Floats
    miss_rate: Floats
    false_alarm_rate: Floats

    @property
    def hit_rate(self) -> Floats:
        return 1 - self.miss_rate


def det_curve(scores: Floats, is_target: NDArray[np.bool_]) -> Curve:
    """Misses against false alarms over all thresholds; ``hit_rate`` against ``false_alarm_rate`` is the ROC.

    Parameters
    ----------
    scores : float [n], higher means more likely a target
    is_target : bool [n]; rates of a kind that is missing are NaN
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
    """The chance that a target scores above another clip, ties counted half."""
    if len(curve.thresholds) < 2:
        return math.nan  # of no clips at all
    return float(np.trapezoid(curve.hit_rate, curve.false_alarm_rate))


def equal_error_rate(curve: Curve) -> float:
    """The rate at which misses and false alarms are equally frequent, on the straight line between curve points."""
    gap = curve.miss_rate - curve.false_alarm_rate
    if np.isnan(gap).any():
        return math.nan
    after = int(np.argmax(gap <= 0))  # the gap falls from 1 to -1
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(curve.miss_rate[before] + share * (curve.miss_rate[after] - curve.miss_rate[before]))


@dataclass(frozen=True)
class Calibration:
    """How often the network is right, by how sure it says it is.

    edges : float64 [bins + 1]; counts : int64 [bins]; confidence, accuracy : float64 [bins], NaN in empty bins
    error : mean of |confidence - accuracy|, weighted by counts (expected calibration error)
    """

    edges: Floats
    counts: Ints
    confidence: Floats
    accuracy: Floats
    error: float


def calibration(posteriors: Floats, truth: Ints, n_bins: int = 10) -> Calibration:
    """Compare the top posterior with how often it is right, in `n_bins` equal bins; a value on an edge goes up.

    Parameters
    ----------
    posteriors : float [n, labels], rows summing to 1
    truth : int64 [n]
    """
    top = posteriors.max(axis=1)
    right = (posteriors.argmax(axis=1) == truth).astype(np.float64)
    bins = np.minimum((top * n_bins + 1e-9).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, weights=top, minlength=n_bins) / counts
        accuracy = np.bincount(bins, weights=right, minlength=n_bins) / counts
    used = counts > 0
    error = float((np.abs(confidence - accuracy)[used] * counts[used]).sum() / max(counts.sum(), 1))
    return Calibration(np.linspace(0, 1, n_bins + 1), counts, confidence, accuracy, error)


@dataclass(frozen=True)
class SpeakerSpread:
    """Accuracy over speakers, each counting once: quantiles, and the speakers with the lowest accuracy."""

    n_speakers: int
    mean: float
    lowest: float
    quartiles: tuple[float, float, float]
    worst: tuple[tuple[str, float, int], ...]
    """(speaker, accuracy, clips), lowest accuracy first, more clips first among equals."""


def speaker_spread(speakers: Sequence[str], is_right: NDArray[np.bool_], n_worst: int = 10) -> SpeakerSpread:
    """How evenly the answers are right over `speakers` [n]; `is_right` bool [n]."""
    if not len(speakers):
        return SpeakerSpread(0, math.nan, math.nan, (math.nan,) * 3, ())
    names, which = np.unique(np.array(speakers), return_inverse=True)
    counts = np.bincount(which)
    accuracy = np.bincount(which, weights=is_right.astype(np.float64)) / counts
    low, middle, high = (float(value) for value in np.quantile(accuracy, [0.25, 0.5, 0.75]))
    order = np.lexsort((names, -counts, accuracy))[:n_worst]
    worst = tuple((str(names[i]), float(accuracy[i]), int(counts[i])) for i in order)
    return SpeakerSpread(len(names), float(accuracy.mean()), float(accuracy.min()), (low, middle, high), worst)
