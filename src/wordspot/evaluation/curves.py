"""DET curves over all thresholds: misses against false accepts per hour.

A point of a curve is what the decoder itself gives for the stored scores if every word has that one threshold. It is the
decoder of the device, not a model of it, so the point is exact. Words compete in the decoder, so with a different threshold
for each word the counts may differ from these curves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordspot.config import DecoderConfig
from wordspot.metrics import Ints, StreamCurve

if TYPE_CHECKING:
    from wordspot.evaluation.bench import Bench

#: Evenly spaced on the logistic scale, since scores crowd at 0 and 1: 0.0067 to 0.999994.
THRESHOLDS = tuple(round(1 / (1 + math.exp(-(step * 0.15 - 5))), 7) for step in range(115))

#: False accepts per hour at which `operating_points` reports the misses.
TARGETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def sweep(bench: Bench, config: DecoderConfig, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[Ints]:
    """Hits and false accepts of each word, int64 [words, 2], at one threshold after another."""
    for threshold in thresholds:
        yield bench.count(config.with_threshold(threshold))


def make_curves(bench: Bench, counts: Sequence[Ints], thresholds: Sequence[float] = THRESHOLDS) -> dict[str, StreamCurve]:
    """The curve of each word, from the counts that `sweep` gave."""
    table, grid, spoken = np.stack(counts), np.array(thresholds), bench.n_spoken
    return {
        word: StreamCurve(grid, table[:, position, 0], table[:, position, 1], spoken[word], bench.hours)
        for position, word in enumerate(bench.words)
    }


def total_curve(curves: Mapping[str, StreamCurve]) -> StreamCurve:
    """The curve of all words together, with one threshold for all of them."""
    parts = list(curves.values())
    hits = np.sum([curve.n_hits for curve in parts], axis=0)
    accepts = np.sum([curve.n_false_accepts for curve in parts], axis=0)
    return StreamCurve(parts[0].thresholds, hits, accepts, sum(curve.n_words for curve in parts), parts[0].hours)


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold with the fewest misses at a bounded rate of false accepts.

    Attributes:
        at_most_per_hour: the bound.
        threshold: of all words.
        miss_rate: at this threshold; None if no word was spoken.
        false_accepts_per_hour: at this threshold.
    """

    at_most_per_hour: float
    threshold: float
    miss_rate: float | None
    false_accepts_per_hour: float

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


def operating_points(curve: StreamCurve) -> tuple[OperatingPoint, ...]:
    """Operating points without any false accept and at each rate of `TARGETS` that the hours tested can tell from none.

    Of equally good thresholds the highest is chosen; if no word was spoken, the lowest.
    """
    points = []
    for target in (0.0, *(target for target in TARGETS if target * curve.hours >= 1)):
        within = (curve.false_accepts_per_hour <= target).nonzero()[0]
        if not len(within):
            continue
        best = int(max(within, key=lambda at: (curve.n_hits[at], at)) if curve.n_words else within[0])
        points.append(
            OperatingPoint(
                target,
                float(curve.thresholds[best]),
                float(curve.miss_rate[best]) if curve.n_words else None,
                float(curve.false_accepts_per_hour[best]),
            )
        )
    return tuple(points)


def curve_json(curve: StreamCurve) -> dict[str, Any]:
    """A curve's counts; rates follow from ``n_words`` and the hours."""
    return {
        "n_words": curve.n_words,
        "thresholds": curve.thresholds.tolist(),
        "n_hits": curve.n_hits.tolist(),
        "n_false_accepts": curve.n_false_accepts.tolist(),
    }
