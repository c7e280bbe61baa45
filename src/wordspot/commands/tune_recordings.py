"""What ``wordspot tune`` does with a model of the task recordings: a threshold for a wanted rate of false alarms."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.evaluate_recordings import choose_set, judge_all, judge_of_file, load_with_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.config import DecoderConfig

_FOR_STREAMS = ("false_accepts_per_hour", "truth", "no_words", "decoder")


def tune_recordings(model: Path, lists: list[Path], args: argparse.Namespace) -> tuple[DecoderConfig, dict[str, Any]]:
    """Choose the threshold of the first label on the validation set of a list of recordings.

    Returns:
        the decoder settings with it, and what it was and is: ``before`` and ``after``, each with threshold, miss_rate and
        false_alarm_rate on these recordings; n_targets and n_others.

    Raises:
        ConfigError: a missing rate, one that makes no sense, options for streams, or more than two labels.
        DataError: a class is missing from the validation set, or no threshold keeps to the rate.
    """
    from wordspot.errors import ConfigError, DataError
    from wordspot.evaluation.scores import threshold_for
    from wordspot.runtime.recordings import RecordingClassifier

    _check(args, lists)
    classifier = RecordingClassifier(model)
    labels, rate = classifier.labels, args.false_alarm_rate
    if len(labels) > 2:
        raise ConfigError(f"{model} tells {len(labels)} classes apart and takes the likeliest: it has no threshold")
    judge = judge_of_file(classifier)
    chosen = choose_set(lists[0], load_with_bar(lists[0], judge.config), "validation")
    is_target = chosen.truth == 0
    for label, count in zip(labels, (is_target.sum(), (~is_target).sum()), strict=True):
        if not count:
            raise DataError(f"{lists[0]}: expected recordings of {label} in the validation set, but there are none")
    scores = judge_all(judge, chosen)[:, 0]
    threshold = threshold_for(scores, is_target, rate)
    if threshold > 1:
        raise DataError(
            f"{lists[0]}: a recording of {labels[1]} is taken for {labels[0]} with certainty: no threshold keeps to "
            f"{rate:g}; allow more false alarms"
        )
    before = classifier.card.decoder
    return dataclasses.replace(before, thresholds={**before.thresholds, labels[0]: threshold}), {
        "model": str(model), "data": str(lists[0]), "out": str(args.out), "labels": list(labels),
        "at_most": rate, "n_targets": int(is_target.sum()), "n_others": int((~is_target).sum()),
        "before": _figures(scores, is_target, classifier.threshold), "after": _figures(scores, is_target, threshold),
    }  # fmt: skip


def note_limits(measures: dict[str, Any]) -> None:
    """What so few recordings cannot show."""
    from wordspot.commands import console
    from wordspot.intervals import wilson_interval

    rate, n = measures["at_most"], measures["n_others"]
    highest = wilson_interval(int(rate * n + 1e-9), n)[1]
    if highest > 2 * rate:
        console.note(
            f"{n} recordings of {measures['labels'][1]} cannot show {100 * rate:g} % false alarms: there may be "
            f"{100 * highest:.1f} % (95 %)"
        )


def print_tuned(measures: dict[str, Any]) -> None:
    """Before and after, as a table."""
    from wordspot.commands import console

    columns = ["", "threshold", "missed, percent", "false alarms, percent"]
    console.print_table(f"{measures['labels'][0]}, on the validation set", columns, [
        [name, f"{row['threshold']:.5g}", f"{100 * row['miss_rate']:.1f}", f"{100 * row['false_alarm_rate']:.1f}"]
        for name, row in (("before", measures["before"]), ("after", measures["after"]))
    ])  # fmt: skip
    console.say(f"these are the recordings that were tuned on; for figures: wordspot evaluate {measures['out']} LIST")


def _check(args: argparse.Namespace, lists: list[Path]) -> None:
    from wordspot.commands.test_stream import DECODER_FLAGS
    from wordspot.errors import ConfigError

    for name in (*_FOR_STREAMS, *DECODER_FLAGS):
        if getattr(args, name) not in (None, False, []):
            raise ConfigError(
                f"--{name.replace('_', '-')} is for streams; a model of recordings has --false-alarm-rate"
            )
    if len(lists) != 1:
        raise ConfigError(f"expected one list of recordings, a CSV file or a folder of classes, got {len(lists)}")
    rate = args.false_alarm_rate
    if rate is None:
        raise ConfigError("expected --false-alarm-rate X: how much of the other class may be taken for the first label")
    if not 0 <= rate < 1:
        raise ConfigError(f"--false-alarm-rate must lie between 0 and 1 (0.01: one in a hundred), got {rate:g}")


def _figures(scores: NDArray[np.float64], is_target: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    taken = scores >= threshold
    return {
        "threshold": threshold,
        "miss_rate": float((~taken[is_target]).mean()),
        "false_alarm_rate": float(taken[~is_target].mean()),
    }
