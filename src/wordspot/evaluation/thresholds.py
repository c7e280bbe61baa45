"""Search for decoder settings on a bench of streams.

`choose_thresholds` is exact for DET curves. But words compete in the decoder, so `tune_words` starts from its thresholds and
refines them with the decoder on all words together. `tune_classic` searches a grid of settings of the classic recogniser.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench
from wordspot.evaluation.curves import THRESHOLDS
from wordspot.intervals import poisson_interval
from wordspot.metrics import Ints, StreamCurve

#: Settings of the classic recogniser that `tune_classic` tries.
CLASSIC_GRID: dict[str, tuple[Any, ...]] = {
    "average_ms": (200.0, 350.0, 500.0, 750.0, 1000.0),
    "suppression_ms": (500.0, 750.0, 1000.0, 1500.0),
    "minimum_count": (1, 3, 10),
    "threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
}


N_CLASSIC = math.prod(len(values) for values in CLASSIC_GRID.values())


#: The most wrong words, and the most false positives, that `tune_classic` wants: a fraction of the annotated words.
CLASSIC_LIMIT = 0.02
N_ROUNDS = 3  # over all words, at most


_NEAR = 4  # neighbouring thresholds tried for each word
_MOST_IN_TAIL, _FEWEST_IN_TAIL = 12, 3  # false accepts by which a tail is fitted


def hours_needed(per_hour: float) -> float:
    """Hours that must pass without a false accept to show, at 95 %, a rate of at most `per_hour`."""
    return poisson_interval(0)[1] / per_hour if per_hour > 0 else math.inf


def choose_thresholds(curves: Mapping[str, StreamCurve], budget: int, current: Mapping[str, float]) -> dict[str, float]:
    """The threshold of each word that gives the most hits with at most `budget` false accepts, over all words together.

    Exact for the given curves, by dynamic programming over the budget. If several thresholds of a word give the same
    counts, the one three quarters up is chosen, since a miss is noticed at once and a false accept only after hours. A word
    that was never spoken cannot be tuned: it keeps its `current` threshold, or gets a higher one if that saves false
    accepts. If even the highest thresholds exceed the budget, each word gets its fewest false accepts.
    """
    options = {word: _options(curve, current[word]) for word, curve in curves.items()}
    budget = min(budget, sum(max(accepts for _, accepts, _ in one) for one in options.values()))
    budget = max(budget, sum(min(accepts for _, accepts, _ in one) for one in options.values()))
    best = np.zeros(budget + 1)  # value of the words so far, by false accepts spent at most
    chosen: list[Ints] = []
    for one in options.values():
        values = np.full((len(one), budget + 1), -np.inf)
        for row, (hits, accepts, _) in enumerate(one):
            if accepts <= budget:  # a false accept is worth a little, so that ties are won by fewer
                values[row, accepts:] = best[: budget + 1 - accepts] + hits - accepts * 1e-6
        chosen.append(values.argmax(axis=0))
        best = values.max(axis=0)
    thresholds, left = {}, budget
    for word, choice in zip(reversed(options), reversed(chosen), strict=True):
        _, accepts, thresholds[word] = options[word][choice[left]]
        left -= accepts
    return {word: thresholds[word] for word in curves}


def extrapolate_threshold(curve: StreamCurve, hours: float, per_hour: float) -> float | None:
    """The threshold at which a word would have `per_hour` false accepts, estimated from more of them than that.

    In an hour or two, a low rate allows no false accept at all, so that the single highest score would decide. But the logits of
    the highest scores fall off exponentially above any high value (Pickands 1975): the mean by which the last n = 12 exceed one
    estimates how much higher a threshold must be for each fewer. Since it is an estimate, a threshold too low costs more false
    accepts than one as much too high saves. Over all samples of n, c times the mean lets through n (1 + c / n)^-n: the c is
    taken for which these are as many as wanted, not the logarithm, with which there are 1.4 times as many (n = 12, one in 24).

    Args:
        curve: hits and false accepts by threshold.
        hours: of the streams.
        per_hour: the wanted rate.

    Returns:
        The threshold, or None if there are too few false accepts to tell, or the rate allows as many as are used.
    """
    few = np.flatnonzero(curve.n_false_accepts <= _MOST_IN_TAIL)
    if not len(few):
        return None
    thresholds, accepts = curve.thresholds[few[0] :], curve.n_false_accepts[few[0] :]
    n = int(accepts[0])
    if n < max(_FEWEST_IN_TAIL, per_hour * hours):
        return None
    logits = np.log(thresholds / (1 - thresholds))
    mean_excess = float(np.sum((accepts[1:] + accepts[:-1]) / 2 * np.diff(logits))) / n
    wanted = float(logits[0]) + mean_excess * n * ((n / (per_hour * hours)) ** (1 / n) - 1)
    return float(min(1 / (1 + math.exp(-wanted)), thresholds[-1]))


def _options(curve: StreamCurve, current: float) -> list[tuple[int, int, float]]:
    """(hits, false accepts, threshold) of each run of thresholds that give the same counts."""
    keep = np.ones(len(curve.thresholds), bool) if curve.n_words else curve.thresholds >= current
    if not keep.any():
        return [(0, 0, current)]  # a word never spoken, with a threshold above all
    thresholds, hits, accepts = curve.thresholds[keep], curve.n_hits[keep], curve.n_false_accepts[keep]
    starts = np.flatnonzero(np.append(True, (np.diff(hits) != 0) | (np.diff(accepts) != 0)))
    stops = np.append(starts[1:], len(thresholds))
    options = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        threshold = float(thresholds[start + (stop - start) * 3 // 4])
        if not curve.n_words:
            threshold = current if start == 0 else float(thresholds[start])
        options.append((int(hits[start]), int(accepts[start]), threshold))
    return options


def tune_words(
    bench: Bench,
    config: DecoderConfig,
    curves: Mapping[str, StreamCurve],
    per_hour: float,
    progress: Callable[[], None] = lambda: None,
) -> DecoderConfig:
    """`config` with a threshold for each word: few misses at no more than `per_hour` false accepts, over all words.

    Starts with `choose_thresholds`. Then it moves one word's threshold at a time and runs the decoder on all words, as long
    as that improves the result: first to keep to the budget, then for more hits, then for fewer false accepts.

    Args:
        bench: the streams.
        config: the decoder's settings.
        curves: of each word.
        per_hour: wanted false accepts per hour.
        progress: called after each word.
    """
    budget = math.floor(per_hour * bench.hours + 1e-9)
    start = {word: config.threshold_of(word) for word in bench.words}
    chosen = dataclasses.replace(config, thresholds=choose_thresholds(curves, budget, start))
    spoken = bench.n_spoken
    best = _worth(bench.count(chosen), budget)
    for _ in range(N_ROUNDS):
        before = best
        for word in bench.words:
            for threshold in _neighbours(chosen.thresholds[word], may_fall=spoken[word] > 0):
                trial = dataclasses.replace(chosen, thresholds={**chosen.thresholds, word: threshold})
                if (worth := _worth(bench.count(trial), budget)) > best:
                    chosen, best = trial, worth
            progress()
        if best == before:
            break
    return chosen


def tune_windows(bench: Bench, tuned: Sequence[DecoderConfig], per_hour: float) -> DecoderConfig:
    """The best of several tuned settings, which differ in the time they average over; the first of equals."""
    budget = math.floor(per_hour * bench.hours + 1e-9)
    return max(tuned, key=lambda config: _worth(bench.count(config), budget))


def _worth(counts: Ints, budget: int) -> tuple[int, int, int]:
    """What `tune_words` maximises, the first number first."""
    hits, accepts = (int(number) for number in counts.sum(axis=0))
    return min(budget - accepts, 0), hits, -accepts


def _neighbours(threshold: float, *, may_fall: bool) -> list[float]:
    """Thresholds around one, the nearest first."""
    at = int(np.searchsorted(THRESHOLDS, threshold))
    near = range(max(at - _NEAR, 0), min(at + _NEAR + 1, len(THRESHOLDS)))
    values = [THRESHOLDS[position] for position in sorted(near, key=lambda position: abs(position - at))]
    return [value for value in values if value > threshold or (may_fall and value < threshold)]


def tune_classic(
    bench: Bench,
    config: DecoderConfig,
    limit: float = CLASSIC_LIMIT,
    progress: Callable[[], None] = lambda: None,
    grid: Mapping[str, Sequence[Any]] = CLASSIC_GRID,
) -> tuple[DecoderConfig, bool]:
    """The settings of `grid` with the most correct words, and whether they keep within `limit`.

    Wrong words and false positives may each be at most `limit` of the annotated words. If no settings keep to that, those
    that exceed it least are returned.
    """
    best, best_worth = config, (-math.inf, 0, 0)
    for values in product(*grid.values()):
        settings: dict[str, Any] = dict(zip(grid, values, strict=True))
        trial = dataclasses.replace(config, thresholds={}, **settings)
        counts = bench.count_classic(trial)
        over = max(counts.n_wrong, counts.n_false_positive) - limit * counts.n_truth - 1e-9
        worth = (min(-over, 0.0), counts.n_correct, -counts.n_wrong - counts.n_false_positive)
        if worth > best_worth:
            best, best_worth = trial, worth
        progress()
    return best, best_worth[0] >= 0
