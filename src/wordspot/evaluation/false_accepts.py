"""Miss rate, false accepts per hour and latency of a detector on streams, from what `matching` matched.

False accepts are counted over all hours tested, none of the audio is left out, and their rate has the exact interval of a
Poisson count. *Latency* is the audio that had been consumed when a hit was emitted, after the end of the word; it is known
only if the annotations say where words end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wordspot.evaluation.matching import KINDS, FalseAccept, Hit, Matching
from wordspot.formats import finite
from wordspot.intervals import EventRate, Proportion


@dataclass(frozen=True)
class Latency:
    """The latency of hits, in milliseconds; None if the annotations say of no hit where its word ends."""

    n: int
    median_ms: float | None
    quantile_90_ms: float | None

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "median": self.median_ms, "quantile_90": self.quantile_90_ms}


@dataclass(frozen=True)
class WordMetrics:
    """How well a word, or all words together, are detected.

    Attributes:
        missed: spoken words that were not detected, of all that were spoken.
        false_accepts: detections that hit no word, over the hours tested.
        by_kind: the number of false accepts of each of `matching.KINDS`.
        triggered_by: the number of false accepts while each label was spoken, most frequent first.
        latency: of the hits.
    """

    missed: Proportion
    false_accepts: EventRate
    by_kind: dict[str, int]
    triggered_by: dict[str, int]
    latency: Latency

    @property
    def n_words(self) -> int:
        """How often the words were spoken."""
        return self.missed.n

    @property
    def miss_rate(self) -> float | None:
        """None if no word was spoken."""
        return self.missed.rate

    @property
    def false_accepts_per_hour(self) -> float | None:
        """None for no audio."""
        return finite(self.false_accepts.per_hour)

    def to_json(self) -> dict[str, Any]:
        return {
            "n_words": self.n_words,
            "n_hits": self.n_words - self.missed.count,
            "n_misses": self.missed.count,
            **self.missed.to_json("miss_rate"),
            "n_false_accepts": self.false_accepts.n,
            **self.false_accepts.to_json("false_accepts_per_hour"),
            "false_accepts_by_kind": self.by_kind,
            "triggered_by": self.triggered_by,
            "latency_ms": self.latency.to_json(),
        }


@dataclass(frozen=True)
class DetectionMetrics:
    """How well a model's words are detected in streams.

    Attributes:
        hours: of audio tested.
        all_words: all words together.
        per_word: each word by itself.
    """

    hours: float
    all_words: WordMetrics
    per_word: dict[str, WordMetrics]

    def to_json(self) -> dict[str, Any]:
        per_word = {word: row.to_json() for word, row in self.per_word.items()}
        return {"hours": self.hours, **self.all_words.to_json(), "per_word": per_word}


def measure_detections(matchings: Sequence[Matching], words: Sequence[str], hours: float) -> DetectionMetrics:
    """Misses, false accepts per hour and latency over one or more streams.

    Args:
        matchings: one per stream.
        words: of the model.
        hours: of audio tested, in all.
    """
    hits = [hit for matching in matchings for hit in matching.hits]
    misses = [word.label for matching in matchings for word in matching.misses]
    accepts = [accept for matching in matchings for accept in matching.false_accepts]
    per_word = {
        word: _measure_word(
            [hit for hit in hits if hit.word.label == word],
            misses.count(word),
            [accept for accept in accepts if accept.detection.label == word],
            hours,
        )
        for word in words
    }
    return DetectionMetrics(hours, _measure_word(hits, len(misses), accepts, hours), per_word)


def _measure_word(hits: Sequence[Hit], n_misses: int, accepts: Sequence[FalseAccept], hours: float) -> WordMetrics:
    kinds = Counter(accept.kind for accept in accepts)
    latencies = [latency for hit in hits if (latency := hit.latency_ms) is not None]
    return WordMetrics(
        missed=Proportion(n_misses, len(hits) + n_misses),
        false_accepts=EventRate(len(accepts), hours),
        by_kind={kind: kinds[kind] for kind in KINDS},
        triggered_by=dict(Counter(accept.heard for accept in accepts if accept.heard).most_common()),
        latency=Latency(
            len(latencies),
            float(np.median(latencies)) if latencies else None,
            float(np.quantile(latencies, 0.9)) if latencies else None,
        ),
    )
