"""Choose the threshold of a model of whole recordings for a wanted rate of false alarms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wordspot.config import DecoderConfig
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.evaluate import choose_recordings, load_for_evaluation, predict_recordings
from wordspot.evaluation.judging import judge_of_file
from wordspot.evaluation.scores import threshold_for
from wordspot.intervals import wilson_interval
from wordspot.metrics import Bools, Floats
from wordspot.progress import OnProgress, ignore
from wordspot.runtime.modelfile.card import Card, read_card


@dataclass(frozen=True)
class ThresholdMetrics:
    """A threshold, and what it gives on the recordings tuned on."""

    threshold: float
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
        wanted: the false-alarm rate that was allowed.
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
    wanted: float
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
            "n_targets": self.n_targets,
            "n_others": self.n_others,
            "before": asdict(self.before),
            "after": asdict(self.after),
        }


def tune_recordings(
    model: Path, lists: Sequence[Path | str], out: Path, false_alarm_rate: float | None, progress: OnProgress = ignore
) -> tuple[Card, DecoderConfig, RecordingsTuning]:
    """Choose the threshold of the first label on the validation set of a list of recordings.

    Args:
        model: an exported file of two labels.
        lists: one list of recordings.
        out: where the copy will be written; it is not written here.
        false_alarm_rate: the fraction of the other class that may be accepted as the first label.
        progress: called while recordings are decoded and evaluated.

    Returns:
        the file's card, the decoder settings with the new threshold, and the result.

    Raises:
        ConfigError: a missing rate, one that makes no sense, or more than two labels.
        DataError: a class is missing from the validation set, or no threshold keeps to the rate.
    """
    data, wanted = _check(lists, false_alarm_rate)
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
    threshold = threshold_for(scores, is_target, wanted)
    if threshold > 1:
        raise DataError(
            f"{data}: a recording of {card.labels[1]} is predicted as {card.labels[0]} with certainty, so no threshold keeps "
            f"to {wanted:g}; allow more false alarms"
        )
    result = RecordingsTuning(
        model=str(model),
        data=str(data),
        out=out,
        labels=card.labels,
        wanted=wanted,
        n_targets=int(is_target.sum()),
        n_others=int((~is_target).sum()),
        before=_measure(scores, is_target, judge.threshold),
        after=_measure(scores, is_target, threshold),
        warnings=_limits(wanted, int((~is_target).sum()), card.labels[1]),
    )
    thresholds = {**card.decoder.thresholds, card.labels[0]: threshold}
    return card, dataclasses.replace(card.decoder, thresholds=thresholds), result


def _check(lists: Sequence[Path | str], rate: float | None) -> tuple[Path, float]:
    if len(lists) != 1:
        raise ConfigError(f"{len(lists)} lists of recordings are given; name one, a CSV file or a folder of classes")
    if rate is None:
        raise ConfigError(
            "`false_alarm_rate` is missing: the fraction of the other class that may be accepted as the first label"
        )
    if not 0 <= rate < 1:
        raise ConfigError(f"`false_alarm_rate` must lie between 0 and 1 (0.01: one in a hundred), got {rate:g}")
    return Path(lists[0]), rate


def _measure(scores: Floats, is_target: Bools, threshold: float) -> ThresholdMetrics:
    accepted = scores >= threshold
    return ThresholdMetrics(threshold, float((~accepted[is_target]).mean()), float(accepted[~is_target].mean()))


def _limits(rate: float, n_others: int, other: str) -> tuple[str, ...]:
    """What so few recordings cannot show."""
    highest = wilson_interval(int(rate * n_others + 1e-9), n_others)[1]
    if highest <= 2 * rate:
        return ()
    return (
        f"{n_others} recordings of {other} cannot show a false-alarm rate of {100 * rate:g} %: the true rate may be "
        f"{100 * highest:.1f} % (95 %)",
    )
