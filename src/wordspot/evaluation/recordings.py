"""Measures of a model that judges whole recordings: truth and posteriors in, a dictionary ready for JSON out.

Conventions. The first label is the *target* (a person, say). With two labels a recording is taken for the target where the
target's posterior is at or above a threshold; a *miss* is a target that was not, a *false alarm* another recording that was.
With three or more labels the likeliest one is the answer and there is no threshold.

Intervals hold with 95 %. Those of shares (accuracy, misses, false alarms) are Wilson's and take recordings for independent.
Those of the equal error rate (EER) and of the area under the ROC (AUC) come from `recording_draws.N_DRAWS` draws with replacement and stand
between the 2.5 % and 97.5 % quantiles of what the draws give. What is drawn are speakers, each with all that he or she says,
since the recordings of one speaker are alike; a recording whose speaker is not known stands for itself. Where a class has
fewer than `recording_draws.MIN_SPEAKERS` of these, single recordings are drawn: such an interval tells nothing of other speakers.
``interval`` says which. Speakers are drawn among those who are heard in the same classes, so that no draw lacks a class.
The generators are those there are: no interval tells of generators that were not tested.

Where nothing went wrong every draw says so too. Then the EER's upper end is Wilson's for 0 wrong among what was drawn of the
smaller class, p, and the AUC's lower end the least area of a ROC through that point, (1 - p)².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wordspot.evaluation.bootstrap import Bools, Scored, draw_means, draw_measures, make_groups
from wordspot.metrics import (
    Floats,
    Ints,
    area_under_roc,
    confusion_matrix,
    det_curve,
    equal_error_rate,
    wilson_interval,
)

FALSE_ALARM_RATES = (0.005, 0.01, 0.02, 0.05, 0.10)
_MAX_POINTS = 200


def measure_recordings(
    labels: Sequence[str],
    truth: Ints,
    posteriors: Floats,
    speakers: Sequence[str | None],
    generators: Sequence[str | None],
    threshold: float = 0.5,
    seed: int = 0,
) -> dict[str, Any]:
    """All measures of a set of recordings. What cannot be computed is None.

    Args:
        labels: the classes, the target first.
        truth: int64 [n], each recording's label.
        posteriors: float64 [n, labels], rows summing to 1.
        speakers, generators: of each recording, None where not known.
        threshold: of the target's posterior; not used with three or more labels.
        seed: of the draws for intervals.

    Returns:
        n, labels, accuracy, confusion (rows truth, columns answers), per_label (n, recall), per_generator (of each label's
        generators: n, accuracy, and eer and auc against all recordings of other labels), per_speaker (lowest accuracy first).
        With two labels also threshold, eer, auc, interval (what was drawn), miss_rate, false_alarm_rate, det (a thinned curve)
        and thresholds (chosen on *these* scores); with more, eer and auc are in per_label, of each against the rest. A figure
        with an interval is three: ``eer``, ``eer_low``, ``eer_high``.
    """
    is_binary = len(labels) == 2
    answers = np.where(posteriors[:, 0] >= threshold, 0, 1).astype(np.int64) if is_binary else posteriors.argmax(axis=1)
    is_right = answers == truth
    confusion = confusion_matrix(truth, answers, len(labels))
    measures = {
        "n": len(truth),
        "labels": list(labels),
        **_share("accuracy", int(is_right.sum()), len(truth)),
        "confusion": confusion.tolist(),
    }
    if is_binary:
        is_target = truth == 0
        measures |= {
            "threshold": threshold,
            **measure_scores(posteriors[:, 0], is_target, speakers, seed),
            **_share("miss_rate", int(confusion[0, 1]), int(is_target.sum())),
            **_share("false_alarm_rate", int(confusion[1, 0]), int((~is_target).sum())),
            "det": _thin_curve(posteriors[:, 0], is_target),
            "thresholds": _list_thresholds(posteriors[:, 0], is_target),
        }
    measures["per_label"] = _per_label(labels, truth, posteriors, confusion, speakers, seed)
    measures["per_generator"] = _per_generator(labels, truth, posteriors, is_right, speakers, generators, seed)
    measures["per_speaker"] = _per_speaker(speakers, is_right)
    return measures


def threshold_for(posterior_of_target: Floats, is_target: Bools, false_alarm_rate: float) -> float:
    """The smallest threshold at which at most this share of the others is taken for the target.

    Every threshold between two neighbouring scores answers the same; of the range that is the smallest, the middle is
    taken. It may exceed 1 where an other has a posterior of 1. NaN without others.

    Args:
        posterior_of_target: float [n].
        is_target: bool [n].
        false_alarm_rate: 0 to 1, of the others.
    """
    others = np.sort(posterior_of_target[~is_target])[::-1]
    if not len(others):
        return math.nan
    n_allowed = math.floor(false_alarm_rate * len(others) + 1e-9)
    if n_allowed >= len(others):
        return 0.0
    refused = float(others[n_allowed])  # the highest score that must stay below
    above = posterior_of_target[posterior_of_target > refused]
    just_above = float(np.nextafter(refused, np.inf))
    return max((refused + float(above.min())) / 2, just_above) if len(above) else max((refused + 1) / 2, just_above)


def measure_scores(scores: Floats, is_target: Bools, speakers: Sequence[str | None], seed: int = 0) -> dict[str, Any]:
    """EER and AUC with their intervals, and ``interval``: over what it is (``over``, ``n``, and ``n_speakers`` known).

    Args:
        scores: float64 [n], higher means more likely a target.
        is_target: bool [n].
        speakers: of each, None where not known.
        seed: of the draws.
    """
    curve = det_curve(scores, is_target)
    eer, auc = equal_error_rate(curve), area_under_roc(curve)
    if math.isnan(eer):
        none = dict.fromkeys(("eer", "eer_low", "eer_high", "auc", "auc_low", "auc_high"))
        return {**none, "interval": None}
    groups = make_groups(is_target, speakers)
    eers, aucs = draw_measures(scores, is_target, groups, seed)
    (eer_low, auc_low), (eer_high, auc_high) = np.quantile([eers, aucs], [0.025, 0.975], axis=1)
    if eer == 0:
        eer_high = wilson_interval(0, groups.n_smaller)[1]
        auc_low = (1 - eer_high) ** 2
    return {
        "eer": eer, "eer_low": float(eer_low), "eer_high": float(eer_high),
        "auc": auc, "auc_low": float(auc_low), "auc_high": float(auc_high),
        "interval": {"over": groups.over, "n": len(groups.strata), "n_speakers": groups.n_speakers},
    }  # fmt: skip


def measure_mean(tests: Sequence[Scored], seed: int = 0) -> dict[str, Any]:
    """The mean EER and AUC of several tests with intervals of the means, keyed as `measure_scores` has them."""
    curves = [det_curve(test.scores, test.is_target) for test in tests]
    eers, aucs, over = draw_means(tests, seed)
    (eer_low, auc_low), (eer_high, auc_high) = np.quantile([eers, aucs], [0.025, 0.975], axis=1)
    return {
        "eer": float(np.mean([equal_error_rate(curve) for curve in curves])), "eer_low": float(eer_low),
        "eer_high": float(eer_high), "auc": float(np.mean([area_under_roc(curve) for curve in curves])),
        "auc_low": float(auc_low), "auc_high": float(auc_high), "interval": {"over": over},
    }  # fmt: skip


def _thin_curve(scores: Floats, is_target: Bools) -> dict[str, list[float | None]]:
    """At most `_MAX_POINTS` points of the DET curve, its ends among them; a threshold above all scores is None."""
    curve = det_curve(scores, is_target)
    n = len(curve.thresholds)
    kept = np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).round().astype(np.int64))
    names = ("thresholds", "miss_rate", "false_alarm_rate")
    return {name: [_number(value) for value in getattr(curve, name)[kept]] for name in names}


def _list_thresholds(scores: Floats, is_target: Bools) -> list[dict[str, float | None]]:
    """For each of `FALSE_ALARM_RATES` the threshold, and what it gives on these very scores."""
    rows: list[dict[str, float | None]] = []
    for rate in FALSE_ALARM_RATES:
        threshold = threshold_for(scores, is_target, rate)
        taken = scores >= threshold
        rows.append({
            "at_most": rate, "threshold": _number(threshold),
            "false_alarm_rate": _mean(taken[~is_target]), "miss_rate": _mean(~taken[is_target]),
        })  # fmt: skip
    return rows


def _per_label(
    labels: Sequence[str],
    truth: Ints,
    posteriors: Floats,
    confusion: Ints,
    speakers: Sequence[str | None],
    seed: int,
) -> dict[str, dict[str, Any]]:
    rows = {}
    for at, label in enumerate(labels):
        n = int(confusion[at].sum())
        rows[label] = {"n": n, **_share("recall", int(confusion[at, at]), n)}
        if len(labels) > 2:
            rows[label] |= measure_scores(posteriors[:, at], truth == at, speakers, seed)
    return rows


def _per_generator(
    labels: Sequence[str],
    truth: Ints,
    posteriors: Floats,
    is_right: Bools,
    speakers: Sequence[str | None],
    generators: Sequence[str | None],
    seed: int,
) -> list[dict[str, Any]]:
    """Of each label's generators: their recordings against all of other labels, by the posterior of their label."""
    known = {(int(at), name) for at, name in zip(truth, generators, strict=True) if name is not None}
    rows = []
    for at, generator in sorted(known):
        own = np.array([name == generator for name in generators]) & (truth == at)
        used = np.flatnonzero(own | (truth != at)).tolist()
        scores = measure_scores(posteriors[used, at], own[used], [speakers[i] for i in used], seed)
        n = int(own.sum())
        right = _share("accuracy", int(is_right[own].sum()), n)
        rows.append({"generator": generator, "label": labels[at], "n": n, **right, **scores})
    return rows


def _per_speaker(speakers: Sequence[str | None], is_right: Bools) -> list[dict[str, Any]]:
    counts: dict[str, list[int]] = {}
    for name, right in zip(speakers, is_right.tolist(), strict=True):
        if name is not None:
            count = counts.setdefault(name, [0, 0])
            count[0] += 1
            count[1] += right
    rows = [{"speaker": name, "n": n, "accuracy": n_right / n} for name, (n, n_right) in sorted(counts.items())]
    return sorted(rows, key=lambda row: (row["accuracy"], -int(row["n"])))


def _share(name: str, count: int, n: int) -> dict[str, float | None]:
    low, high = wilson_interval(count, n)
    return {name: count / n if n else None, f"{name}_low": low, f"{name}_high": high}


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def describe_interval(interval: dict[str, Any]) -> str:
    """What an interval is over, in words: ``over 20 speakers``."""
    n, n_speakers = interval["n"], interval["n_speakers"]
    if interval["over"] == "recordings":
        return f"over {n} recordings"
    more = f" and {n - n_speakers} recordings without one" if n > n_speakers else ""
    return f"over {n_speakers} speakers{more}"
