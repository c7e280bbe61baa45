"""Misses, false accepts per hour and latency by hand."""

from __future__ import annotations

import pytest

from wordspot.data.truth import SpokenWord
from wordspot.evaluation.false_accepts import measure_detections
from wordspot.evaluation.matching import match_words
from wordspot.intervals import poisson_interval
from wordspot.runtime.decoder import Detection

LABELS = ("_silence_", "_unknown_", "a", "b")
WORDS = ("a", "b")


def heard(label: str, time_ms: float, emitted_ms: float | None = None, score: float = 0.9) -> Detection:
    return Detection(label, time_ms, score, time_ms if emitted_ms is None else emitted_ms)


def test_metrics_by_hand() -> None:
    """Two streams, half an hour together: "a" spoken five times and detected three times, "b" never spoken."""
    truth = [SpokenWord("a", 10_000 * n, 10_000 * n + 500) for n in range(4)]
    first = [heard("a", 10_600 + 10_000 * n, 10_700 + 10_000 * n + 100 * n) for n in range(3)]  # latencies 200, 300, 400
    matchings = [
        match_words([*first, heard("b", 5000), heard("b", 10_100)], truth, WORDS, 1000, 750),
        match_words([heard("a", 90_000)], [SpokenWord("a", 50, None)], WORDS, 1000, 750),
    ]
    measures = measure_detections(matchings, WORDS, 0.5).to_json()
    low, high = poisson_interval(3)
    assert {name: measures[name] for name in ("hours", "n_words", "n_hits", "n_misses", "miss_rate")} == {
        "hours": 0.5,
        "n_words": 5,
        "n_hits": 3,
        "n_misses": 2,
        "miss_rate": 0.4,
    }
    assert (measures["miss_rate_low"], measures["miss_rate_high"]) == pytest.approx((0.117621, 0.769276), abs=1e-6)  # Wilson
    assert measures["n_false_accepts"] == 3
    assert measures["false_accepts_per_hour"] == 6
    assert measures["false_accepts_per_hour_low"] == 2 * low
    assert measures["false_accepts_per_hour_high"] == 2 * high
    assert measures["false_accepts_by_kind"] == {"repeat": 0, "keyword": 1, "other word": 0, "no word": 2}
    assert measures["triggered_by"] == {"a": 1}
    assert measures["latency_ms"] == {"n": 3, "median": 300, "quantile_90": pytest.approx(380)}
    b = measures["per_word"]["b"]
    assert (b["n_words"], b["miss_rate"], b["n_false_accepts"], b["latency_ms"]["median"]) == (0, None, 2, None)
    assert measures["per_word"]["a"]["n_false_accepts"] == 1


def test_metrics_of_no_audio() -> None:
    measures = measure_detections([], WORDS, 0).to_json()
    assert measures["miss_rate"] is measures["false_accepts_per_hour"] is measures["false_accepts_per_hour_high"] is None
