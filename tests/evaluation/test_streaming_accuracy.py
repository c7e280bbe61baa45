"""The classic streaming test: the golden case of TensorFlow, and cases by hand."""

from __future__ import annotations

import dataclasses

import pytest

from wordspot.data.truth import SpokenWord
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.streaming_accuracy import ClassicCounts, classic_truth, count_classic, found_words
from wordspot.runtime.decoder import Detection

LABELS = ("_silence_", "_unknown_", "a", "b")
WORDS = ("a", "b")


def heard(label: str, time_ms: float, emitted_ms: float | None = None, score: float = 0.9) -> Detection:
    return Detection(label, time_ms, score, time_ms if emitted_ms is None else emitted_ms)


def test_classic_golden_case() -> None:
    figures = count_classic([("a", 1200), ("b", 5000), ("a", 8700)], [("a", 1000), ("b", 9000)], 500)
    assert figures == ClassicCounts(n_truth=2, n_matched=2, n_correct=1, n_wrong=1, n_false_positive=1)
    assert figures.to_json() == {
        "n_truth": 2, "n_matched": 2, "n_correct": 1, "n_wrong": 1, "n_false_positive": 1,
        "matched": 1.0, "correct": 0.5, "wrong": 0.5, "false_positive": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "truth", "counts"),
    [
        # the second "a" is nearer to the second entry, yet takes the first within reach, which is matched
        ([("a", 1000), ("a", 1400)], [("a", 1000), ("a", 1500)], (2, 1, 1, 1, 0)),
        # a word that was taken by another label stays matched: the right label comes too late
        ([("b", 900), ("a", 1000)], [("a", 1000)], (1, 1, 0, 2, 0)),
        # the tolerance belongs to it, a little more does not
        ([("a", 500), ("a", 1500.5)], [("a", 1000)], (1, 1, 1, 0, 1)),
        # the file's order decides, not time
        ([("a", 1200)], [("b", 1400), ("a", 1200)], (2, 1, 0, 1, 0)),
        ([], [("a", 1000)], (1, 0, 0, 0, 0)),
        ([("a", 1000)], [], (0, 0, 0, 0, 1)),
    ],
)
def test_classic_matching_by_hand(
    found: list[tuple[str, float]], truth: list[tuple[str, float]], counts: tuple[int, ...]
) -> None:
    assert dataclasses.astuple(count_classic(found, truth, 500)) == counts


def test_classic_metrics_without_words_have_no_rates() -> None:
    assert count_classic([("a", 0)], [], 500).to_json()["false_positive"] is None
    assert ClassicCounts(1, 1, 1, 0, 0) + ClassicCounts(2, 1, 0, 1, 3) == ClassicCounts(3, 2, 1, 1, 3)


def test_found_words_stand_at_the_start_of_their_window() -> None:
    assert found_words([heard("a", 1700, emitted_ms=1900)], 1000) == [("a", 700)]


def test_classic_truth_knows_unknown_words_and_no_silence() -> None:
    truth = [SpokenWord("bed", 100, 400), SpokenWord("_silence_", 0, None), SpokenWord("b", 50, None)]
    assert classic_truth(truth, LABELS) == [("_unknown_", 100), ("b", 50)]
    assert words_of(LABELS) == WORDS
