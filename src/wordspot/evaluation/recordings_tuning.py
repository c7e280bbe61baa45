"""Choose the threshold of a model of whole recordings for a wanted rate of false alarms, and when it says "cannot tell"."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.condition import Condition
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.answered import distances_of, find_answered, measure_conditions, within
from wordspot.evaluation.evaluate import choose_recordings, load_for_evaluation, predict_recordings
from wordspot.evaluation.judging import judge_of_file
from wordspot.evaluation.scores import threshold_for
from wordspot.intervals import wilson_interval
from wordspot.limits import Limits
from wordspot.metrics import Bools, Floats
from wordspot.progress import OnProgress, ignore
from wordspot.runtime.modelfile.card import Card, read_card


@dataclass(frozen=True)
class ThresholdMetrics:
    """A threshold and limits, and what they give on the recordings tuned on.

    Attributes:
        threshold: of the posterior of the first label.
        limits: beyond which the model cannot tell.
        answered: share of the recordings within the limits: the mean over the two classes.
        miss_rate: of the targets among them.
        false_alarm_rate: of the others among them.
    """

    threshold: float
    limits: Limits
    answered: float
    miss_rate: float
    false_alarm_rate: float


@dataclass(frozen=True)
class RecordingsTuning:
    """The result of `tune` for a model of whole recordings.

    Attributes:
        model: the file.
        data: the list of recordings, of which the validation set was used.
        out: the copy with the new threshold.
        labels: the two classes, the target first.
        wanted: the false-alarm rate that was allowed; None: the threshold is as it was.
        error_rate: the error rate among the answered that was allowed; None: the limits are as they were.
        n_targets: recordings of the target in the validation set.
        n_others: recordings of the other class.
        before: the threshold as it was.
        after: the new one.
        warnings: what so few recordings cannot show.
    """

    model: str
    data: str
    out: Path
    labels: tuple[str, ...]
    wanted: float | None
    error_rate: float | None
    n_targets: int
    n_others: int
    before: ThresholdMetrics
    after: ThresholdMetrics
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "data": self.data,
            "out": str(self.out),
            "labels": list(self.labels),
            "at_most": self.wanted,
            "error_rate": self.error_rate,
            "n_targets": self.n_targets,
            "n_others": self.n_others,
            "before": asdict(self.before),
            "after": asdict(self.after),
        }


def tune_recordings(
    model: Path,
    lists: Sequence[Path | str],
    out: Path,
    false_alarm_rate: float | None,
    error_rate: float | None = None,
    progress: OnProgress = ignore,
) -> tuple[Card, RecordingsTuning]:
    """Choose the threshold of the first label, and the limits, on the validation set of a list of recordings.

    Args:
        model: an exported file of two labels.
        lists: one list of recordings.
        out: where the copy will be written; it is not written here.
        false_alarm_rate: the fraction of the other class that may be accepted as the first label; None: the threshold stays.
        error_rate: the mean of the two classes' error rates that recordings within the limits may have; None: the limits stay.
        progress: called while recordings are decoded and evaluated.

    Returns:
        the file's card with the new threshold and limits, and the result.

    Raises:
        ConfigError: no rate, one that makes no sense, or more than two labels.
        DataError: a class is missing from the validation set, or no threshold or no limit keeps to the rate.
    """
    data = _check(lists, false_alarm_rate, error_rate)
    card = read_card(model)
    if len(card.labels) > 2:
        raise ConfigError(f"{model} has {len(card.labels)} classes and predicts the most likely one: it has no threshold")
    judge = judge_of_file(model)
    chosen = choose_recordings(data, load_for_evaluation(data, judge.config, progress=progress), "validation")
    is_target = chosen.truth == 0
    for label, count in zip(card.labels, (is_target.sum(), (~is_target).sum()), strict=True):
        if not count:
            raise DataError(f"{data}: the validation set has no recordings of {label}")
    scores = predict_recordings(judge, chosen, progress)[:, 0]
    conditions = measure_conditions(chosen.audio, judge.config)
    threshold, limits = judge.threshold, card.limits
    if false_alarm_rate is not None:
        threshold = _threshold(data, card, scores, is_target, false_alarm_rate)
    if error_rate is not None:
        limits = choose_limits(scores, is_target, threshold, conditions, error_rate)
    after = _measure(scores, is_target, threshold, limits, conditions)
    result = RecordingsTuning(
        model=str(model),
        data=str(data),
        out=out,
        labels=card.labels,
        wanted=false_alarm_rate,
        error_rate=error_rate,
        n_targets=int(is_target.sum()),
        n_others=int((~is_target).sum()),
        before=_measure(scores, is_target, judge.threshold, card.limits, conditions),
        after=after,
        warnings=() if false_alarm_rate is None else _cautions(false_alarm_rate, int((~is_target).sum()), card.labels[1]),
    )
    thresholds = {**card.decoder.thresholds, card.labels[0]: threshold}
    decoder = dataclasses.replace(card.decoder, thresholds=thresholds)
    return dataclasses.replace(card, decoder=decoder, limits=limits), result


def choose_limits(
    scores: Floats, is_target: Bools, threshold: float, conditions: Sequence[Condition], error_rate: float
) -> Limits:
    """The limits within which the mean of the two classes' error rates is at most `error_rate`.

    The margin is the smallest that reaches the rate. All but one in a hundred of the recordings are as long, as clean and as
    wide as the other limits demand: of what lies beyond them, nothing is known. At least one recording of each class is answered.

    Args:
        scores: float64 [n], posteriors of the target.
        is_target: bool [n].
        threshold: of the score.
        conditions: [n].
        error_rate: 0 to 1.

    Raises:
        DataError: no margin reaches the rate without leaving a class unanswered.
    """
    conditioned = Limits(
        least_s=_least([one.sound_s for one in conditions], 0.1),
        least_snr_db=_least([one.snr_db for one in conditions], 1.0),
        least_bandwidth_hz=_least([one.bandwidth_hz for one in conditions], 100.0),
    )
    distances, is_fine = distances_of(_both(scores), threshold), within(conditioned, conditions)
    is_wrong = (scores >= threshold) != is_target
    for margin in (0.0, *np.unique(distances).tolist()):
        answered = is_fine & (distances >= margin)
        of_each = [is_wrong[answered & one] for one in (is_target, ~is_target)]
        if all(len(one) for one in of_each) and sum(map(_rate, of_each)) / 2 <= error_rate:
            return dataclasses.replace(conditioned, margin=margin)
    raise DataError(
        f"no margin around the threshold brings the error rate down to {error_rate:g} on the validation set while recordings of "
        "both classes are answered; allow more errors, or train on more recordings"
    )


def _least(values: Sequence[float], step: float) -> float:
    """What all but one in a hundred of the values reach, rounded down to a multiple of `step`."""
    return max(float(np.floor(np.percentile(values, 1) / step) * step), 0.0)


def _check(lists: Sequence[Path | str], false_alarm_rate: float | None, error_rate: float | None) -> Path:
    if len(lists) != 1:
        raise ConfigError(f"{len(lists)} lists of recordings are given; name one, a CSV file or a folder of classes")
    if false_alarm_rate is None and error_rate is None:
        raise ConfigError(
            "`false_alarm_rate` is missing: the fraction of the other class that may be accepted as the first label; or "
            "`error_rate`, beyond which the model cannot tell"
        )
    for name, rate in (("false_alarm_rate", false_alarm_rate), ("error_rate", error_rate)):
        if rate is not None and not 0 <= rate < 1:
            raise ConfigError(f"`{name}` must lie between 0 and 1 (0.01: one in a hundred), got {rate:g}")
    return Path(lists[0])


def _threshold(data: Path, card: Card, scores: Floats, is_target: Bools, rate: float) -> float:
    threshold = threshold_for(scores, is_target, rate)
    if threshold > 1:
        raise DataError(
            f"{data}: a recording of {card.labels[1]} is predicted as {card.labels[0]} with certainty, so no threshold keeps "
            f"to {rate:g}; allow more false alarms"
        )
    return threshold


def _measure(
    scores: Floats, is_target: Bools, threshold: float, limits: Limits, conditions: Sequence[Condition]
) -> ThresholdMetrics:
    """What a threshold and limits give; an error rate of which no recording is answered is that of a guess."""
    answered = find_answered(_both(scores), threshold, limits, conditions)
    is_wrong = (scores >= threshold) != is_target
    share = (float(answered[is_target].mean()) + float(answered[~is_target].mean())) / 2
    rates = [_rate(is_wrong[answered & one]) for one in (is_target, ~is_target)]
    return ThresholdMetrics(threshold, limits, share, *rates)


def _both(scores: Floats) -> Floats:
    """Posteriors [n, 2] with the first label's scores [n]."""
    return np.stack([scores, 1 - scores], axis=1)


def _rate(wrong: Bools) -> float:
    """The share that is wrong; of none, that of a guess."""
    return float(wrong.mean()) if len(wrong) else 0.5


def _cautions(rate: float, n_others: int, other: str) -> tuple[str, ...]:
    """What so few recordings cannot show."""
    highest = wilson_interval(int(rate * n_others + 1e-9), n_others)[1]
    if highest <= 2 * rate:
        return ()
    return (
        f"{n_others} recordings of {other} cannot show a false-alarm rate of {100 * rate:g} %: the true rate may be "
        f"{100 * highest:.1f} % (95 %)",
    )
