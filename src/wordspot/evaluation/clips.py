"""From a network's answers and the truth to measures, ready for JSON, tables and reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot import metrics
from wordspot.labels import UNKNOWN


def measure_clips(
    labels: Sequence[str],
    truth: NDArray[np.int64],
    posteriors: NDArray[np.float64],
    speakers: Sequence[str | None],
) -> dict[str, Any]:
    """All measures of a set of clips.

    Args:
        labels: silence, unknown, then the words.
        truth: int64 [n], each clip's label.
        posteriors: float64 [n, labels], rows summing to 1.
        speakers: who speaks in each clip; None (silence) is left out of the spread over speakers.

    Returns:
        accuracy with its 95 % interval, keyword_accuracy (over clips of wanted words), n, labels, confusion (rows truth,
        columns answers), per_label, speakers and calibration. What cannot be computed is None.
    """
    predicted = posteriors.argmax(axis=1)
    is_right = predicted == truth
    n, n_right = len(truth), int(is_right.sum())
    low, high = metrics.wilson_interval(n_right, n)
    confusion = metrics.confusion_matrix(truth, predicted, len(labels))
    is_keyword = truth > UNKNOWN
    spoken = [position for position, speaker in enumerate(speakers) if speaker is not None]
    spread = metrics.speaker_spread([str(speakers[i]) for i in spoken], is_right[spoken])
    calibration = metrics.calibration(posteriors, truth)
    return {
        "accuracy": _number(n_right / n if n else math.nan),
        "accuracy_low": low,
        "accuracy_high": high,
        "keyword_accuracy": _number(is_right[is_keyword].mean() if is_keyword.any() else math.nan),
        "n": n,
        "labels": list(labels),
        "confusion": confusion.tolist(),
        "per_label": _per_label(labels, truth, posteriors, confusion),
        "speakers": {
            "n": spread.n_speakers,
            "mean": _number(spread.mean),
            "lowest": _number(spread.lowest),
            "quartiles": [_number(value) for value in spread.quartiles],
            "worst": [{"speaker": name, "accuracy": accuracy, "n": count} for name, accuracy, count in spread.worst],
        },
        "calibration": {
            "error": calibration.error,
            "edges": calibration.edges.tolist(),
            "counts": calibration.counts.tolist(),
            "confidence": [_number(value) for value in calibration.confidence],
            "accuracy": [_number(value) for value in calibration.accuracy],
        },
    }


def _per_label(
    labels: Sequence[str], truth: NDArray[np.int64], posteriors: NDArray[np.float64], confusion: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    precision, recall = metrics.precision_and_recall(confusion)
    measures = {}
    for position, label in enumerate(labels):
        curve = metrics.det_curve(posteriors[:, position], truth == position)
        low, high = metrics.wilson_interval(int(confusion[position, position]), int(confusion[position].sum()))
        measures[label] = {
            "n": int(confusion[position].sum()),
            "precision": _number(precision[position]),
            "recall": _number(recall[position]),
            "recall_low": low,
            "recall_high": high,
            "equal_error_rate": _number(metrics.equal_error_rate(curve)),
            "area_under_roc": _number(metrics.area_under_roc(curve)),
        }
    return measures


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
