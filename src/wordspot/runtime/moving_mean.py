"""The mean of the rows of scores of the last milliseconds: exact, so that it neither drifts nor depends on chunk sizes.

Scores are rounded to multiples of 2**-30 and counted in that unit. As float64, their sums are exact in any order for fewer
than 2**23 rows.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import WordspotError

UNIT = 2.0**30
_TOLERANCE = 1e-3  # a softmax in float32 may end a little beyond 1

Rows = NDArray[np.float64]


class ScoreError(WordspotError, ValueError):
    """Scores or times that a decoder cannot process."""


@dataclass(frozen=True)
class Means:
    """Means, one for each new row.

    Attributes:
        rows: float64 [n, labels], mean scores.
        counts: int64 [n], how many rows each mean is of.
        oldest: float64 [n], the time of the oldest of those rows.
        newest: float64 [n, labels], the new rows themselves, in units of 2**-30.
    """

    rows: Rows
    counts: NDArray[np.int64]
    oldest: Rows
    newest: Rows


class MovingMean:
    """Means over the rows of the last `average_ms`. Rows are in units of 2**-30, so all sums are exact."""

    def __init__(self, n_labels: int, average_ms: float) -> None:
        self._average_ms = average_ms
        self._kept: deque[tuple[float, Rows]] = deque()
        self._sum: Rows = np.zeros(n_labels)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def oldest_ms(self) -> float:
        return self._kept[0][0] if self._kept else -math.inf

    @property
    def newest(self) -> Rows:
        """The row that was added last."""
        return self._kept[-1][1]

    def add(self, row: Rows, time: float) -> Rows:
        """Add a row float64 [labels]; return the mean float64 [labels] that includes it."""
        kept = self._kept
        kept.append((time, row))
        self._sum += row
        while kept[0][0] < time - self._average_ms:
            self._sum -= kept.popleft()[1]
        return self._sum / (len(kept) * UNIT)

    def extend(self, rows: Rows, times: Rows) -> Means:
        """Add rows float64 [n, labels], n >= 1."""
        n_kept = len(self._kept)
        if n_kept:
            rows = np.concatenate([np.stack([row for _, row in self._kept]), rows])
            times = np.concatenate([[time for time, _ in self._kept], times])
        stops = np.arange(n_kept + 1, len(rows) + 1)
        starts = np.searchsorted(np.maximum.accumulate(times), times[n_kept:] - self._average_ms)
        sums = np.concatenate([np.zeros((1, rows.shape[1])), rows.cumsum(axis=0)])
        kept_sums = sums[stops] - sums[starts]
        keep = int(starts[-1])
        self._kept = deque((time, row.copy()) for time, row in zip(times[keep:].tolist(), rows[keep:], strict=True))
        self._sum = kept_sums[-1].copy()
        counts = stops - starts
        return Means(kept_sums / (counts[:, None] * UNIT), counts, times[starts], rows[n_kept:])


def in_units(scores: NDArray[np.floating]) -> Rows:
    """Round scores to multiples of 2**-30, and return them in that unit."""
    units: Rows = np.rint(np.multiply(scores, UNIT, dtype=np.float64))
    low, high = float(np.minimum.reduce(units, axis=None)), float(np.maximum.reduce(units, axis=None))
    if low >= 0 and high <= UNIT:
        return units
    if low >= -_TOLERANCE * UNIT and high <= (1 + _TOLERANCE) * UNIT:
        return np.clip(units, 0, UNIT)
    bad = scores[~np.isfinite(scores)]
    what = f"{bad[0]}" if bad.size else f"{low / UNIT:g} to {high / UNIT:g}"
    raise ScoreError(f"scores must be finite and lie between 0 and 1 (posteriors, not logits), got {what}")
