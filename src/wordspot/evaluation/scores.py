"""Equal error rate (EER) and area under the ROC (AUC) with bootstrap intervals, and thresholds for a false-alarm rate.

The intervals hold with 95 % and lie between the 2.5 % and 97.5 % quantiles of what `bootstrap.N_DRAWS` resamplings give.
Speakers are resampled, each with all recordings of that speaker, since these are alike; a recording whose speaker is not
known stands for itself. If a class has fewer than `bootstrap.MIN_SPEAKERS` of them, single recordings are resampled, and the
interval says nothing about other speakers; `Resampling` says which. Speakers are resampled among those who occur in the same
classes, so that no draw lacks a class. No interval says anything about generators that were not tested.

If there are no errors, there are none in any draw. Then the upper end of the EER is Wilson's for 0 errors among the groups
of the smaller class, p, and the lower end of the AUC is the smallest area of a ROC through that point, (1 - p)².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wordspot.evaluation.bootstrap import Scored, draw_means, draw_measures, make_groups
from wordspot.intervals import Estimate, wilson_interval
from wordspot.metrics import Bools, Floats, area_under_roc, det_curve, equal_error_rate

_UNKNOWN = Estimate(None, None, None)


@dataclass(frozen=True)
class Resampling:
    """What a bootstrap interval is over.

    Attributes:
        over: ``speakers`` or ``recordings``.
        n: how many groups are resampled; None for the mean of several tests.
        n_speakers: how many speakers are known; None for the mean of several tests.
    """

    over: str
    n: int | None = None
    n_speakers: int | None = None

    @property
    def says_nothing_of_other_speakers(self) -> bool:
        """Whether speakers are known, but too few of them to be resampled."""
        return self.over == "recordings" and bool(self.n_speakers)

    def describe(self) -> str:
        """In words: ``over 20 speakers``."""
        if self.n is None or self.n_speakers is None:
            return f"over {self.over}"
        if self.over == "recordings":
            return f"over {self.n} recordings"
        more = f" and {self.n - self.n_speakers} recordings without one" if self.n > self.n_speakers else ""
        return f"over {self.n_speakers} speakers{more}"

    def to_json(self) -> dict[str, Any]:
        if self.n is None:
            return {"over": self.over}
        return {"over": self.over, "n": self.n, "n_speakers": self.n_speakers}


@dataclass(frozen=True)
class ScoreMetrics:
    """How well scores separate targets from others.

    Attributes:
        eer: equal error rate, 0 to 1.
        auc: area under the ROC, 0 to 1.
        resampling: what the intervals are over; None if nothing can be computed, since targets or others are missing.
    """

    eer: Estimate = _UNKNOWN
    auc: Estimate = _UNKNOWN
    resampling: Resampling | None = None

    def to_json(self) -> dict[str, Any]:
        interval = None if self.resampling is None else self.resampling.to_json()
        return {**self.eer.to_json("eer"), **self.auc.to_json("auc"), "interval": interval}


def measure_scores(scores: Floats, is_target: Bools, speakers: Sequence[str | None], seed: int = 0) -> ScoreMetrics:
    """EER and AUC with their intervals.

    Args:
        scores: float64 [n]; a higher score means more likely a target.
        is_target: bool [n].
        speakers: [n], None if not known.
        seed: random seed of the bootstrap.
    """
    curve = det_curve(scores, is_target)
    eer, auc = equal_error_rate(curve), area_under_roc(curve)
    if math.isnan(eer):
        return ScoreMetrics()
    groups = make_groups(is_target, speakers)
    eers, aucs = draw_measures(scores, is_target, groups, seed)
    (eer_low, auc_low), (eer_high, auc_high) = np.quantile([eers, aucs], [0.025, 0.975], axis=1)
    if eer == 0:
        eer_high = wilson_interval(0, groups.n_smaller)[1]
        auc_low = (1 - eer_high) ** 2
    return ScoreMetrics(
        Estimate(eer, float(eer_low), float(eer_high)),
        Estimate(auc, float(auc_low), float(auc_high)),
        Resampling(groups.over, len(groups.strata), groups.n_speakers),
    )


def measure_mean(tests: Sequence[Scored], seed: int = 0) -> ScoreMetrics:
    """The mean EER and AUC of several tests, with intervals of the means."""
    curves = [det_curve(test.scores, test.is_target) for test in tests]
    eers, aucs, over = draw_means(tests, seed)
    (eer_low, auc_low), (eer_high, auc_high) = np.quantile([eers, aucs], [0.025, 0.975], axis=1)
    return ScoreMetrics(
        Estimate(float(np.mean([equal_error_rate(curve) for curve in curves])), float(eer_low), float(eer_high)),
        Estimate(float(np.mean([area_under_roc(curve) for curve in curves])), float(auc_low), float(auc_high)),
        Resampling(over),
    )


def threshold_for(posterior_of_target: Floats, is_target: Bools, false_alarm_rate: float) -> float:
    """The smallest threshold at which at most this fraction of the others is accepted as the target.

    All thresholds between two neighbouring scores give the same predictions; the middle of that range is returned. It may
    exceed 1 if an other has a posterior of 1.

    Args:
        posterior_of_target: float [n].
        is_target: bool [n].
        false_alarm_rate: 0 to 1, of the others.

    Returns:
        the threshold; NaN if there are no others.
    """
    others = np.sort(posterior_of_target[~is_target])[::-1]
    if not len(others):
        return math.nan
    n_allowed = math.floor(false_alarm_rate * len(others) + 1e-9)
    if n_allowed >= len(others):
        return 0.0
    rejected = float(others[n_allowed])  # the highest score that must stay below
    above = posterior_of_target[posterior_of_target > rejected]
    just_above = float(np.nextafter(rejected, np.inf))
    return max((rejected + float(above.min())) / 2, just_above) if len(above) else max((rejected + 1) / 2, just_above)
