"""Intervals of proportions and of counts of rare events against published tables, scipy and hand-computed cases."""

from __future__ import annotations

import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from wordspot.intervals import Estimate, EventRate, Proportion, mean_interval, poisson_interval, wilson_interval


@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_published_one(n_right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(n_right, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(n - n_right, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_scipys(counts: tuple[int, int]) -> None:
    expected = scipy.stats.binomtest(*counts).proportion_ci(method="wilson")
    low, high = wilson_interval(*counts)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_wilson_interval_of_nothing_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 30, 100, 1234])
def test_the_poisson_interval_is_that_of_chi_square(n: int) -> None:
    low, high = poisson_interval(n)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * n) / 2 if n else 0, rel=1e-9)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * n + 2) / 2, rel=1e-9)


def test_no_event_leaves_the_logarithm_of_forty() -> None:
    """exp(-mean) = 0.025 at mean = ln 40."""
    assert poisson_interval(0) == (0, pytest.approx(math.log(40), rel=1e-12))
    with pytest.raises(ValueError, match="at least 0, got -1"):
        poisson_interval(-1)


def test_a_rate_is_reported_with_its_hours() -> None:
    rate = EventRate(3, 1.5)
    assert rate.per_hour == 2
    assert rate.interval == pytest.approx((0.618672 / 1.5, 8.767273 / 1.5), abs=1e-6)  # Garwood's table for 3 events
    assert math.isnan(EventRate(0, 0).per_hour)
    assert all(math.isnan(end) for end in EventRate(0, 0).interval)


def test_a_proportion_and_a_rate_as_json() -> None:
    low, high = wilson_interval(3, 8)
    assert Proportion(3, 8).to_json("miss_rate") == {"miss_rate": 3 / 8, "miss_rate_low": low, "miss_rate_high": high}
    assert Proportion(0, 0).to_json("x") == {"x": None, "x_low": 0, "x_high": 1}, "nothing was measured"
    assert EventRate(2, 0).to_json("x") == {"x": None, "x_low": None, "x_high": None}, "NaN is no JSON"
    assert EventRate(2, 4).to_json("x")["x"] == 0.5
    assert Estimate(None, None, None).to_json("eer") == {"eer": None, "eer_low": None, "eer_high": None}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 31, 200])
def test_the_interval_of_a_mean_is_scipys(n: int) -> None:
    values = [math.sin(7 * number) for number in range(n)]
    mean, error = sum(values) / n, scipy.stats.sem(values)
    expected = scipy.stats.t.interval(0.95, n - 1, loc=mean, scale=error)
    found = mean_interval(values)
    assert (found.value, found.low, found.high) == pytest.approx((mean, *expected), abs=1e-9)


def test_the_mean_of_one_value_has_no_interval() -> None:
    assert mean_interval([0.5]) == Estimate(0.5, None, None)
    assert mean_interval([]) == Estimate(None, None, None)
    assert mean_interval([0.5, 0.5]) == Estimate(0.5, 0.5, 0.5)
