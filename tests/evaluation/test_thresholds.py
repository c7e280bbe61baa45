"""The search for thresholds against all possibilities."""

from __future__ import annotations

import dataclasses
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.made_bench import WORDS, bench
from wordspot.config import DecoderConfig
from wordspot.data.truth import SpokenWord
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.curves import make_curves, sweep, total_curve
from wordspot.evaluation.thresholds import (
    choose_thresholds,
    extrapolate_threshold,
    hours_needed,
    tune_classic,
    tune_windows,
    tune_words,
)
from wordspot.metrics import StreamCurve
from wordspot.presets import CLASSIC_DECODER

__all__ = ["bench"]


def test_hours_that_a_target_needs() -> None:
    assert hours_needed(0.5) == pytest.approx(2 * math.log(40))
    assert hours_needed(0) == math.inf


tables = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=4, max_size=4)


@settings(deadline=None)
@given(st.lists(tables, min_size=1, max_size=3), st.integers(0, 12))
@pytest.mark.slow
def test_chosen_thresholds_are_the_best_of_all(counts: list[list[tuple[int, int]]], budget: int) -> None:
    grid = np.array([0.2, 0.4, 0.6, 0.8])
    curves = {
        f"w{n}": StreamCurve(grid, np.array([h for h, _ in one]), np.array([f for _, f in one]), 6, 1.0)
        for n, one in enumerate(counts)
    }
    chosen = choose_thresholds(curves, budget, dict.fromkeys(curves, 0.5))
    at = [int(np.flatnonzero(grid == chosen[word])[0]) for word in curves]
    hits, accepts = (sum(one[position][part] for one, position in zip(counts, at, strict=True)) for part in (0, 1))
    least = sum(min(f for _, f in one) for one in counts)
    sums = [
        (sum(h for h, _ in one), -sum(f for _, f in one))
        for one in product(*counts)
        if sum(f for _, f in one) <= max(budget, least)
    ]
    assert (hits, -accepts) == max(sums)


def test_a_tail_is_extrapolated_by_its_mean_excess() -> None:
    """By hand: four scores exceed the first logit by 5 / 4 on the mean; one in two hours is 5 / 4 · 4 · (√2 - 1) above it."""
    grid = 1 / (1 + np.exp(-np.arange(6.0)))
    accepts = np.array([4, 2, 1, 0, 0, 0])
    curve = StreamCurve(grid, np.full(6, 9), accepts, 9, 2.0)
    threshold = extrapolate_threshold(curve, 2.0, 0.5)
    assert threshold is not None
    assert math.log(threshold / (1 - threshold)) == pytest.approx(5 * (math.sqrt(2) - 1))
    lower = extrapolate_threshold(curve, 2.0, 1.0)
    assert lower is not None
    assert lower < threshold
    assert extrapolate_threshold(curve, 2.0, 1e-9) == grid[-1]
    assert extrapolate_threshold(curve, 2.0, 3.0) is None  # more than there are
    assert extrapolate_threshold(StreamCurve(grid, np.full(6, 9), np.minimum(accepts, 2), 9, 2.0), 2.0, 0.5) is None  # too few


@pytest.mark.parametrize(("n", "wanted"), [(12, 0.5), (12, 3.0), (4, 0.5)])
def test_extrapolated_thresholds_let_through_as_many_as_wanted(n: int, wanted: float) -> None:
    """On the mean over many samples of an exponential tail, of which as many as at most, or n, are seen."""
    rng, logits, scale = np.random.default_rng(0), np.arange(0, 30, 0.1), 1.3
    grid = 1 / (1 + np.exp(-logits))
    let_through = []
    for _ in range(1000):
        accepts = (rng.exponential(scale, n)[:, None] > logits).sum(axis=0)
        threshold = extrapolate_threshold(StreamCurve(grid, np.zeros(len(grid), int), accepts, 0, 1.0), 1.0, wanted)
        assert threshold is not None
        let_through.append(n * np.exp(-math.log(threshold / (1 - threshold)) / scale))
    assert np.mean(let_through) == pytest.approx(wanted, rel=0.1)


def test_a_tail_begins_where_twelve_are_left() -> None:
    """What lies below does not count, however much it is."""
    grid = 1 / (1 + np.exp(-np.arange(8.0)))
    found = [
        extrapolate_threshold(StreamCurve(grid, np.full(8, 9), np.array([many, 40, 12, 6, 3, 1, 0, 0]), 9, 2.0), 2.0, 0.5)
        for many in (41, 400)
    ]
    assert found[0] is not None
    assert found[0] == found[1]


def test_a_plateau_is_entered_three_quarters_up() -> None:
    grid = np.arange(1, 9) / 10
    curve = StreamCurve(grid, np.array([3, 3, 3, 3, 3, 3, 2, 1]), np.array([4, 1, 0, 0, 0, 0, 0, 0]), 3, 1.0)
    assert choose_thresholds({"a": curve}, 0, {"a": 0.5}) == {"a": 0.6}  # of 0.3, 0.4, 0.5, 0.6
    assert choose_thresholds({"a": curve}, 100, {"a": 0.5}) == {"a": 0.6}  # false accepts that gain nothing are not spent


def test_a_word_never_spoken_is_not_lowered() -> None:
    grid = np.array([0.2, 0.4, 0.6, 0.8])
    none = StreamCurve(grid, np.zeros(4, int), np.array([9, 2, 0, 0]), 0, 1.0)
    assert choose_thresholds({"a": none}, 5, {"a": 0.7}) == {"a": 0.7}
    assert choose_thresholds({"a": none}, 0, {"a": 0.3}) == {"a": 0.6}
    assert choose_thresholds({"a": none}, 0, {"a": 0.9}) == {"a": 0.9}


@pytest.mark.parametrize("per_hour", [0, 60, 400])
@pytest.mark.slow
def test_tuning_keeps_to_its_budget_and_detects_more(bench: Bench, per_hour: float) -> None:
    config = DecoderConfig(threshold=0.9)
    curves = make_curves(bench, list(sweep(bench, config)))
    tuned = tune_words(bench, config, curves, per_hour)
    hits, accepts = bench.count(tuned).sum(axis=0)
    assert accepts <= per_hour * bench.hours
    assert set(tuned.thresholds) == set(WORDS)
    total = total_curve(curves)
    assert hits >= total.n_hits[total.n_false_accepts <= per_hour * bench.hours].max()  # of one threshold for all


def test_the_window_with_the_most_hits_within_the_budget_is_chosen() -> None:
    """A word of 100 ms at 2 s, and one high row of noise at 1 s: only a mean over several rows tells them apart."""
    scores = np.zeros((300, 3), np.float32)
    scores[100, 2] = scores[200:210, 2] = 0.9
    end_ms = 10.0 * np.arange(1, 301)
    stream = ScoredStream(scores, end_ms, (SpokenWord("yes", 2000, 2100),), 3000.0)
    made = Bench((stream,), ("_silence_", "_unknown_", "yes"), 1000.0, 750.0)
    configs = [DecoderConfig(average_ms=ms, threshold=0.5) for ms in (0.0, 60.0, 2000.0)]
    assert [made.count(config).tolist() for config in configs] == [[[1, 1]], [[1, 0]], [[0, 0]]]
    assert tune_windows(made, configs, 0) == configs[1]
    assert tune_windows(made, configs[:1], 0) == configs[0]
    assert tune_windows(made, [configs[1], dataclasses.replace(configs[1], average_ms=50.0)], 0) == configs[1]


def test_classic_tuning_is_the_best_of_its_grid(bench: Bench) -> None:
    grid = {
        "average_ms": (200.0, 500.0),
        "suppression_ms": (500.0,),
        "minimum_count": (3,),
        "threshold": (0.3, 0.6, 0.9),
    }
    config = dataclasses.replace(CLASSIC_DECODER, stride_ms=30)
    all_figures = [
        bench.count_classic(dataclasses.replace(config, average_ms=average, threshold=threshold))
        for average, threshold in product(grid["average_ms"], grid["threshold"])
    ]
    calls: list[None] = []
    for limit, within in ((0.02, True), (-1, False)):
        tuned, is_within = tune_classic(bench, config, limit, lambda: calls.append(None), grid)
        best = bench.count_classic(tuned)
        assert is_within == within
        if within:
            kept = [one for one in all_figures if max(one.n_wrong, one.n_false_positive) <= limit * one.n_truth]
            assert 0 < len(kept) < 6
            assert best.n_correct == max(one.n_correct for one in kept)
        else:
            assert max(best.n_wrong, best.n_false_positive) == min(max(one.n_wrong, one.n_false_positive) for one in all_figures)
    assert len(calls) == 12
