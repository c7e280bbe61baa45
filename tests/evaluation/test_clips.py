"""From predictions and ground truth to metrics: a small example computed by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from wordspot.evaluation.clips import measure_clips

LABELS = ["_silence_", "_unknown_", "yes", "no"]
TRUTH = [0, 1, 1, 2, 2, 2, 3]
POSTERIORS = [
    [0.97, 0.01, 0.01, 0.01],  # silence, heard as such
    [0.10, 0.60, 0.20, 0.10],  # unknown, heard as such
    [0.05, 0.15, 0.75, 0.05],  # unknown, heard as yes
    [0.00, 0.05, 0.92, 0.03],  # yes
    [0.10, 0.10, 0.70, 0.10],  # yes
    [0.00, 0.64, 0.30, 0.06],  # yes, heard as unknown
    [0.01, 0.01, 0.01, 0.97],  # no
]
SPEAKERS = [None, "ann", "bob", "ann", "bob", "bob", "ann"]


def measures() -> dict[str, Any]:
    return measure_clips(LABELS, np.array(TRUTH), np.array(POSTERIORS), SPEAKERS).to_json()


def test_the_keys_are_the_promised_ones() -> None:
    measured = measures()
    assert list(measured) == [
        "accuracy", "accuracy_low", "accuracy_high", "keyword_accuracy", "n", "labels", "confusion", "per_label",
        "speakers", "calibration",
    ]  # fmt: skip
    assert list(measured["per_label"]) == LABELS
    assert set(measured["per_label"]["yes"]) == {
        "n",
        "precision",
        "recall",
        "recall_low",
        "recall_high",
        "equal_error_rate",
        "area_under_roc",
    }
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_the_entire_by_hand() -> None:
    measured = measures()
    assert (measured["n"], measured["labels"]) == (7, LABELS)
    assert measured["accuracy"] == pytest.approx(5 / 7)
    # Wilson's interval of 5 in 7
    assert (measured["accuracy_low"], measured["accuracy_high"]) == pytest.approx((0.3589, 0.9178), abs=5e-5)
    assert measured["keyword_accuracy"] == pytest.approx(3 / 4), "of yes and no, not of unknown and silence"
    assert measured["confusion"] == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 2, 0], [0, 0, 0, 1]]


def test_each_label_by_hand() -> None:
    yes, unknown, silence = (measures()["per_label"][label] for label in ("yes", "_unknown_", "_silence_"))
    assert (yes["n"], yes["precision"], yes["recall"]) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    # Wilson's interval of 2 in 3
    assert (yes["recall_low"], yes["recall_high"]) == pytest.approx((0.2077, 0.9385), abs=5e-5)
    # targets .92 .70 .30; others .75 .20 .01 .01: of twelve pairs, .75 stands above .70 and above .30
    assert yes["area_under_roc"] == pytest.approx(10 / 12)
    # down to .92: misses 2/3, alarms 0; .75: 2/3, 1/4; .70: 1/3, 1/4; .30: 0, 1/4
    assert yes["equal_error_rate"] == pytest.approx(1 / 4)
    # targets .60 .15; others .64 above both, .10 .05 .01 .01 below: two pairs in ten wrong
    assert unknown["area_under_roc"] == pytest.approx(8 / 10)
    assert unknown["precision"] == unknown["recall"] == 0.5
    assert (silence["area_under_roc"], silence["equal_error_rate"], silence["recall"]) == (1, 0, 1)


def test_speakers_leave_out_who_says_nothing() -> None:
    # ann: 3 of 3; bob: 1 of 3
    speakers = measures()["speakers"]
    assert speakers["n"] == 2
    assert speakers["mean"] == pytest.approx(2 / 3)
    assert speakers["lowest"] == pytest.approx(1 / 3)
    assert speakers["quartiles"] == pytest.approx([1 / 2, 2 / 3, 5 / 6])
    assert speakers["worst"] == [
        {"speaker": "bob", "accuracy": pytest.approx(1 / 3), "n": 3},
        {"speaker": "ann", "accuracy": 1.0, "n": 3},
    ]


def test_calibration_by_hand() -> None:
    calibration = measures()["calibration"]
    assert calibration["counts"] == [0, 0, 0, 0, 0, 0, 2, 2, 0, 3]
    assert calibration["confidence"] == [None] * 6 + [
        pytest.approx(0.62),
        pytest.approx(0.725),
        None,
        pytest.approx(2.86 / 3),
    ]
    assert calibration["accuracy"] == [None] * 6 + [0.5, 0.5, None, 1.0]
    assert calibration["error"] == pytest.approx((2 * 0.12 + 2 * 0.225 + 0.14) / 7)
    assert calibration["edges"] == pytest.approx([edge / 10 for edge in range(11)])


def test_what_is_missing_is_none() -> None:
    only_silence = measure_clips(LABELS, np.array([0]), np.array([[0.4, 0.3, 0.2, 0.1]]), [None]).to_json()
    assert only_silence["accuracy"] == 1
    assert only_silence["keyword_accuracy"] is None
    assert only_silence["speakers"] == {"n": 0, "mean": None, "lowest": None, "quartiles": [None] * 3, "worst": []}
    yes = only_silence["per_label"]["yes"]
    assert (yes["n"], yes["precision"], yes["recall"], yes["recall_low"], yes["recall_high"]) == (0, None, None, 0, 1)
    assert yes["equal_error_rate"] is yes["area_under_roc"] is None
    json.dumps(only_silence, allow_nan=False)


def test_no_clips_at_all() -> None:
    nothing = measure_clips(LABELS, np.zeros(0, np.int64), np.zeros((0, 4)), []).to_json()
    assert (nothing["n"], nothing["accuracy"], nothing["accuracy_low"], nothing["accuracy_high"]) == (0, None, 0, 1)
    assert nothing["per_label"]["no"]["area_under_roc"] is None
    assert nothing["calibration"]["error"] is None
    json.dumps(nothing, allow_nan=False)
