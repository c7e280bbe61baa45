"""Proportions, rates of events and estimates, with their 95 % confidence intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wordspot.formats import finite

_Z95 = 1.959963984540054


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927); (0, 1) for no trials.

    The trials are assumed to be independent: with several recordings of few speakers the interval is too narrow.

    >>> [round(end, 4) for end in wilson_interval(81, 263)]  # an example of Newcombe 1998
    [0.2553, 0.3662]
    """
    if n == 0:
        return 0.0, 1.0
    share = count / n
    spread = _Z95 * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    middle, scale = share + _Z95**2 / (2 * n), 1 + _Z95**2 / n
    low = 0.0 if count == 0 else (middle - spread) / scale
    high = 1.0 if count == n else (middle + spread) / scale
    return low, high


@dataclass(frozen=True)
class Proportion:
    """`count` of `n` trials, with its 95 % interval (Wilson)."""

    count: int
    n: int

    @property
    def rate(self) -> float | None:
        """`count` / `n`; None for no trials."""
        return self.count / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.count, self.n)

    def to_json(self, name: str) -> dict[str, float | None]:
        """The rate and the ends of its interval, as ``name``, ``name_low`` and ``name_high``."""
        low, high = self.interval
        return {name: self.rate, f"{name}_low": low, f"{name}_high": high}


@functools.lru_cache(maxsize=4096)
def poisson_interval(n_events: int) -> tuple[float, float]:
    """The exact 95 % interval of the mean of a Poisson count (Garwood 1936).

    The lower end is the mean for which this many events or more have a probability of 2.5 %, the upper end the mean for
    which this many or fewer have. Both are half a quantile of chi-square. No events give (0, 3.69).

    Raises:
        ValueError: a negative count.
    """
    if n_events < 0:
        raise ValueError(f"a count of events must be at least 0, got {n_events}")
    low = 0.0 if n_events == 0 else _poisson_mean(n_events - 1, 0.975)
    return low, _poisson_mean(n_events, 0.025)


def _poisson_mean(n_events: int, probability: float) -> float:
    """The mean for which at most `n_events` have this probability, by bisection: it falls as the mean grows."""
    counts = np.arange(n_events + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    low, high = 0.0, n_events + 10 * math.sqrt(n_events + 1) + 10
    while (middle := (low + high) / 2) not in (low, high):
        terms = counts * math.log(middle) - log_factorials
        top = float(terms.max())
        log_probability = top + math.log(float(np.exp(terms - top).sum())) - middle
        low, high = (middle, high) if log_probability > math.log(probability) else (low, middle)
    return middle


@dataclass(frozen=True)
class EventRate:
    """A number of events in hours of audio: the events per hour, with the exact 95 % interval; NaN for no time."""

    n: int
    hours: float

    @property
    def per_hour(self) -> float:
        return self.n / self.hours if self.hours else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.hours:
            return math.nan, math.nan
        low, high = poisson_interval(self.n)
        return low / self.hours, high / self.hours

    def to_json(self, name: str) -> dict[str, float | None]:
        """The rate and the ends of its interval, as ``name``, ``name_low`` and ``name_high``."""
        low, high = self.interval
        return {name: finite(self.per_hour), f"{name}_low": finite(low), f"{name}_high": finite(high)}


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval; all three are None if it cannot be computed."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self, name: str) -> dict[str, float | None]:
        """The value and the ends of its interval, as ``name``, ``name_low`` and ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean of independent values, such as those of several seeds, with its 95 % interval by Student's t.

    Few values have a wide interval: of two it is 12.7 standard errors to each side, of ten 2.26. One value has none.

    >>> round(mean_interval([0.90, 0.92, 0.94]).low, 4)  # 0.92 - 4.303 * 0.02 / 3**0.5
    0.8703
    """
    n = len(values)
    if n < 2:
        return Estimate(values[0] if values else None, None, None)
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    spread = _student_t95(n - 1) * deviation / math.sqrt(n)
    return Estimate(mean, mean - spread, mean + spread)


@functools.lru_cache(maxsize=256)
def _student_t95(degrees: int) -> float:
    """What Student's t exceeds in absolute value with a probability of 5 % (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    low, high = 0.0, math.pi / 2  # of the arctangent of t / sqrt(degrees)
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if _student_within(middle, degrees) > 0.95 else (middle, high)
    return math.tan(low) * math.sqrt(degrees)


def _student_within(angle: float, degrees: int) -> float:
    """The probability that t lies within ± tan(`angle`) · sqrt(`degrees`)."""
    sine, cosine, is_odd = math.sin(angle), math.cos(angle), degrees % 2
    term, total = (cosine if is_odd else 1.0), 0.0
    for power in range(1 if is_odd else 0, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
