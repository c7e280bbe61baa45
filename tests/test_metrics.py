"""Every measure against cases worked out by hand, brute force, and scikit-learn or scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot import metrics


def curve_of(scores: list[float], targets: list[int]) -> metrics.Curve:
    return metrics.det_curve(np.array(scores, dtype=np.float64), np.array(targets, dtype=bool))


@st.composite
def scored(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Scores with many ties, with at least one target and one other clip."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), max_size=30))
    pairs += [(draw(st.integers(0, 6)), 1), (draw(st.integers(0, 6)), 0)]
    pairs = draw(st.permutations(pairs))
    return [score / 6 for score, _ in pairs], [target for _, target in pairs]


# --- confusion, precision, recall --------------------------------------------------------------------------------------


def test_confusion_has_the_truth_in_rows() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 0]), 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]
    assert metrics.confusion_matrix(np.zeros(0, np.int64), np.zeros(0, np.int64), 2).tolist() == [[0, 0], [0, 0]]


def test_precision_and_recall_by_hand() -> None:
    # label 0: right once, answered three times, there twice; label 3: never there; label 2: never answered
    confusion = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [2, 0, 0, 1], [0, 0, 0, 0]])
    precision, recall = metrics.precision_and_recall(confusion)
    np.testing.assert_array_equal(precision, [1 / 3, 2 / 3, math.nan, 0])
    np.testing.assert_array_equal(recall, [1 / 2, 1, 0, math.nan])


def test_confusion_precision_and_recall_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    confusion = metrics.confusion_matrix(truth, predicted, 5)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(truth, predicted))
    precision, recall = metrics.precision_and_recall(confusion)
    expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(precision, expected[0])
    np.testing.assert_allclose(recall, expected[1])


# --- curves ------------------------------------------------------------------------------------------------------------


def test_det_curve_by_hand() -> None:
    curve = curve_of([0.6, 0.9, 0.5, 0.4, 0.7], [1, 1, 0, 1, 0])
    assert curve.thresholds.tolist() == [math.inf, 0.9, 0.7, 0.6, 0.5, 0.4]
    np.testing.assert_allclose(curve.miss_rate, [1, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 0], atol=1e-15)
    np.testing.assert_allclose(curve.false_alarm_rate, [0, 0, 1 / 2, 1 / 2, 1, 1])
    np.testing.assert_allclose(curve.hit_rate, [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1], atol=1e-15)


def test_det_curve_takes_ties_together() -> None:
    curve = curve_of([0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0])
    assert curve.thresholds.tolist() == [math.inf, 0.5, 0.1]
    assert curve.miss_rate.tolist() == [1, 0, 0]
    assert curve.false_alarm_rate.tolist() == [0, 0.5, 1]


@settings(deadline=None)
@given(scored())
def test_det_curve_counts_every_threshold(case: tuple[list[float], list[int]]) -> None:
    scores, targets = np.array(case[0]), np.array(case[1], dtype=bool)
    curve = metrics.det_curve(scores, targets)
    assert curve.thresholds.tolist() == [math.inf, *sorted(set(case[0]), reverse=True)]
    for threshold, misses, alarms in zip(curve.thresholds, curve.miss_rate, curve.false_alarm_rate, strict=True):
        assert misses == pytest.approx((scores[targets] < threshold).mean(), abs=1e-12)
        assert alarms == pytest.approx((scores[~targets] >= threshold).mean(), abs=1e-12)
    assert (np.diff(curve.miss_rate) <= 0).all()
    assert (np.diff(curve.false_alarm_rate) >= 0).all()
    assert (curve.miss_rate[0], curve.false_alarm_rate[0]) == (1, 0)
    assert (curve.miss_rate[-1], curve.false_alarm_rate[-1]) == (0, 1)


@settings(deadline=None)
@given(scored())
def test_roc_and_its_area_are_scikit_learns(case: tuple[list[float], list[int]]) -> None:
    scores, targets = case
    curve = curve_of(scores, targets)
    alarms, hits, thresholds = sklearn.metrics.roc_curve(targets, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_alarm_rate, alarms, atol=1e-12)
    np.testing.assert_allclose(curve.hit_rate, hits, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert metrics.area_under_roc(curve) == pytest.approx(sklearn.metrics.roc_auc_score(targets, scores))


def test_a_kind_that_is_missing_has_no_rate() -> None:
    only_targets, only_others = curve_of([0.2, 0.8], [1, 1]), curve_of([0.2, 0.8], [0, 0])
    assert only_targets.miss_rate.tolist() == [1, 0.5, 0]
    assert np.isnan(only_targets.false_alarm_rate).all()
    assert only_others.false_alarm_rate.tolist() == [0, 0.5, 1]
    assert np.isnan(only_others.miss_rate).all()
    for curve in (only_targets, only_others, curve_of([], [])):
        assert math.isnan(metrics.equal_error_rate(curve))
        assert math.isnan(metrics.area_under_roc(curve))


# --- area and equal error rate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "targets", "area", "equal"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 1, 0),  # apart
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0, 1),  # the wrong way round
        ([0.5, 0.5, 0.5], [1, 0, 1], 0.5, 0.5),  # no score at all: the straight line from (0, 1) to (1, 0)
        # 3 of 6 pairs the right way round; misses 2/3, 1/3 at alarms 1/2, 1/2: they meet at 1/2
        ([0.9, 0.6, 0.4, 0.7, 0.5], [1, 1, 1, 0, 0], 0.5, 0.5),
        # 3 pairs right, 1 tied; from (misses 1/2, alarms 0) to (0, 1/2): they meet half-way
        ([0.9, 0.8, 0.8, 0.3], [1, 1, 0, 0], 3.5 / 4, 0.25),
        # one alarm in four above all; misses 1/2 at alarms 1/4, then 0 at 1/4: they meet at 1/4
        ([0.9, 0.8, 0.7, 0.3, 0.2, 0.1], [0, 1, 1, 0, 0, 0], 6 / 8, 0.25),
        # from (1/2, 0) by a tie of one target and three others to (0, 3/4): a gap of 1/2 over a fall of 5/4
        ([0.9, 0.5, 0.5, 0.5, 0.5, 0.1], [1, 1, 0, 0, 0, 0], (4 + 1.5 + 1) / 8, 0.5 - 0.4 * 0.5),
    ],
)
def test_area_and_equal_error_rate_by_hand(scores: list[float], targets: list[int], area: float, equal: float) -> None:
    curve = curve_of(scores, targets)
    assert metrics.area_under_roc(curve) == pytest.approx(area)
    assert metrics.equal_error_rate(curve) == pytest.approx(equal)


@settings(deadline=None)
@given(scored())
def test_area_is_the_probability_to_rank_a_pair_correctly(case: tuple[list[float], list[int]]) -> None:
    pairs = list(zip(*case, strict=True))
    wins = [
        1.0 if target > other else 0.5 if target == other else 0.0
        for target, is_target in pairs
        for other, is_other_target in pairs
        if is_target and not is_other_target
    ]
    assert metrics.area_under_roc(curve_of(*case)) == pytest.approx(sum(wins) / len(wins))


@settings(deadline=None)
@given(scored())
def test_equal_error_rate_lies_where_the_rates_cross(case: tuple[list[float], list[int]]) -> None:
    scores, targets = case
    curve = curve_of(scores, targets)
    equal = metrics.equal_error_rate(curve)
    both = np.stack([curve.miss_rate, curve.false_alarm_rate])
    assert both.min(axis=0).max() - 1e-12 <= equal <= both.max(axis=0).min() + 1e-12
    turned = curve_of([-score for score in scores], [1 - target for target in targets])
    assert metrics.equal_error_rate(turned) == pytest.approx(equal), "misses and alarms changed places"
    twice = curve_of(scores * 2, targets * 2)
    assert metrics.equal_error_rate(twice) == pytest.approx(equal)


# --- calibration -------------------------------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    posteriors = np.array([[0.95, 0.05], [0.15, 0.85], [0.82, 0.18], [0.55, 0.45], [0.0, 1.0]])
    result = metrics.calibration(posteriors, np.array([0, 1, 1, 0, 0]))
    np.testing.assert_allclose(result.edges, np.arange(11) / 10)
    assert result.counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 2, 2]
    nan = math.nan
    np.testing.assert_allclose(result.confidence, [nan, nan, nan, nan, nan, 0.55, nan, nan, 0.835, 0.975])
    np.testing.assert_allclose(result.accuracy, [nan, nan, nan, nan, nan, 1, nan, nan, 0.5, 0.5])
    assert result.error == pytest.approx((0.45 + 2 * 0.335 + 2 * 0.475) / 5)


def test_calibration_puts_an_edge_into_the_upper_bin() -> None:
    for n_bins in (10, 20, 100):
        for edge in range(n_bins // 2 + 1, n_bins):
            top = edge / n_bins  # 0.57 · 100 is 56.99999999999999
            counts = metrics.calibration(np.array([[top, 1 - top]]), np.array([0]), n_bins).counts
            assert counts.argmax() == edge, top


def test_a_calibrated_network_has_no_error() -> None:
    posteriors = np.array([[0.75, 0.25]] * 4 + [[1.0, 0.0]] * 3)
    result = metrics.calibration(posteriors, np.array([0, 0, 0, 1, 0, 0, 0]))
    assert result.error == pytest.approx(0)
    assert math.isnan(metrics.calibration(np.zeros((0, 3)), np.zeros(0, np.int64)).error), "of no clips"


# --- speakers ----------------------------------------------------------------------------------------------------------


def test_speaker_spread_by_hand() -> None:
    # ann 2 of 2, bob 1 of 4, cid 0 of 1, dan 1 of 2, eve 1 of 4
    speakers = ["ann"] * 2 + ["bob"] * 4 + ["cid"] + ["dan"] * 2 + ["eve"] * 4
    right = np.array([1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0], dtype=bool)
    spread = metrics.speaker_spread(speakers, right, n_worst=4)
    assert spread.n_speakers == 5
    assert spread.mean == pytest.approx((1 + 0.25 + 0 + 0.5 + 0.25) / 5)
    assert spread.lowest == 0
    assert spread.quartiles == (0.25, 0.25, 0.5)
    assert spread.worst == (("cid", 0.0, 1), ("bob", 0.25, 4), ("eve", 0.25, 4), ("dan", 0.5, 2))


def test_among_equal_speakers_the_one_with_more_clips_comes_first() -> None:
    spread = metrics.speaker_spread(["a", "b", "b", "c", "c", "c"], np.array([0, 0, 0, 1, 1, 1], dtype=bool))
    assert spread.worst == (("b", 0.0, 2), ("a", 0.0, 1), ("c", 1.0, 3))
    assert spread.quartiles == (0.0, 0.0, 0.5)


def test_speaker_spread_without_speakers() -> None:
    spread = metrics.speaker_spread([], np.zeros(0, dtype=bool))
    assert (spread.n_speakers, spread.worst) == (0, ())
    assert all(math.isnan(value) for value in (spread.mean, spread.lowest, *spread.quartiles))
