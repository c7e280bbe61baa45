"""Scores of whole streams, kept and decoded again and again: figures, and DET curves over all thresholds.

The network has run once. A point of a curve is what the decoder itself gives for the kept scores when every word has that
one threshold, counted as `stream_measures` counts: the decoder of the device, not a model of it, so the point is exact.

Words compete in the decoder, so with another threshold for each word the counts may differ from these curves.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.config import DecoderConfig
from wordspot.evaluation.matching import (
    MS_PER_HOUR,
    ClassicFigures,
    Matching,
    classic_figures,
    classic_truth,
    count_words,
    found_words,
    match_words,
    measure_stream,
    words_of,
)
from wordspot.metrics import StreamCurve
from wordspot.overrides import decoder_to_json
from wordspot.runtime.decoder import Detection, make_decoder

if TYPE_CHECKING:
    from wordspot.data.truth import SpokenWord

#: Evenly spaced on the logistic scale, for scores crowd at 0 and 1: 0.0067 to 0.999994.
THRESHOLDS = tuple(round(1 / (1 + math.exp(-(step * 0.15 - 5))), 7) for step in range(115))

#: False accepts per hour at which the table says how many words are missed.
TARGETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredStream:
    """A stream after the network.

    scores: float32 [n, labels], posteriors; end_ms: float64 [n]; truth: what is spoken; duration_ms: of its audio.
    """

    scores: NDArray[np.float32]
    end_ms: NDArray[np.float64]
    truth: tuple[SpokenWord, ...]
    duration_ms: float


@dataclass(frozen=True)
class Bench:
    """Streams to measure settings on, and how.

    labels: of the model, with `_silence_` and `_unknown_`; clip_ms: what a score judges; tolerance_ms: of the matching.
    """

    streams: tuple[ScoredStream, ...]
    labels: tuple[str, ...]
    clip_ms: float
    tolerance_ms: float

    @property
    def words(self) -> tuple[str, ...]:
        return words_of(self.labels)

    @property
    def hours(self) -> float:
        return sum(stream.duration_ms for stream in self.streams) / MS_PER_HOUR

    @property
    def n_spoken(self) -> dict[str, int]:
        """How often each of the model's words was spoken."""
        spoken = [word.label for stream in self.streams for word in stream.truth]
        return {word: spoken.count(word) for word in self.words}

    def decode(self, config: DecoderConfig) -> list[list[Detection]]:
        """The detections in each stream."""
        return [decode(stream, config, self.labels) for stream in self.streams]

    def count(self, config: DecoderConfig) -> Ints:
        """Hits and false accepts of each word over all streams: int64 [words, 2]."""
        found = zip(self.streams, self.decode(config), strict=True)
        counts = [count_words(one, stream.truth, self.words, self.clip_ms, self.tolerance_ms) for stream, one in found]
        return np.sum(counts, axis=0, dtype=np.int64) if counts else np.zeros((len(self.words), 2), np.int64)

    def classic(self, config: DecoderConfig) -> ClassicFigures:
        """The classic figures over all streams."""
        total = ClassicFigures(0, 0, 0, 0, 0)
        for stream, found in zip(self.streams, self.decode(config), strict=True):
            truth = classic_truth(stream.truth, self.labels)
            total += classic_figures(found_words(found, self.clip_ms), truth, self.tolerance_ms)
        return total


def decode(stream: ScoredStream, config: DecoderConfig, labels: Sequence[str]) -> list[Detection]:
    """All detections of one stream."""
    decoder = make_decoder(config, labels)
    return [*decoder.feed(stream.scores, stream.end_ms), *decoder.flush()]


def sweep(bench: Bench, config: DecoderConfig, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[Ints]:
    """Hits and false accepts of each word, int64 [words, 2], at one threshold after another."""
    for threshold in thresholds:
        yield bench.count(config.with_threshold(threshold))


def make_curves(
    bench: Bench, counts: Sequence[Ints], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, StreamCurve]:
    """The curve of each word from what `sweep` gave."""
    table, grid, spoken = np.stack(counts), np.array(thresholds), bench.n_spoken
    return {
        word: StreamCurve(grid, table[:, position, 0], table[:, position, 1], spoken[word], bench.hours)
        for position, word in enumerate(bench.words)
    }


def total_curve(curves: Mapping[str, StreamCurve]) -> StreamCurve:
    """All words together, at one threshold for all of them."""
    parts = list(curves.values())
    hits = np.sum([curve.n_hits for curve in parts], axis=0)
    accepts = np.sum([curve.n_false_accepts for curve in parts], axis=0)
    return StreamCurve(parts[0].thresholds, hits, accepts, sum(curve.n_words for curve in parts), parts[0].hours)


def match_streams(bench: Bench, config: DecoderConfig) -> list[Matching]:
    """What was hit, missed and falsely accepted in each stream."""
    found = zip(bench.streams, bench.decode(config), strict=True)
    return [match_words(one, stream.truth, bench.words, bench.clip_ms, bench.tolerance_ms) for stream, one in found]


def measure(
    bench: Bench, config: DecoderConfig, matchings: Sequence[Matching], curves: Mapping[str, StreamCurve]
) -> dict[str, Any]:
    """Everything that is measured, ready for JSON."""
    all_words = total_curve(curves)
    return {
        "decoder": decoder_to_json(config),
        "time_tolerance_ms": bench.tolerance_ms,
        **measure_stream(matchings, bench.words, bench.hours),
        "classic": bench.classic(config).to_json(),
        "operating_points": operating_points(all_words),
        "det_curves": {name: curve_json(curve) for name, curve in {"all words": all_words, **curves}.items()},
        "events": [events_json(matching) for matching in matchings],
    }


def operating_points(curve: StreamCurve) -> list[dict[str, float | None]]:
    """The threshold for all words with the fewest misses at no more than so many false accepts per hour.

    Without any false accept, and at the rates of `TARGETS` that the hours tested can tell from none. Of equals the highest
    threshold; where nothing was spoken, the lowest.
    """
    points: list[dict[str, float | None]] = []
    for target in (0.0, *(target for target in TARGETS if target * curve.hours >= 1)):
        within = (curve.false_accepts_per_hour <= target).nonzero()[0]
        if not len(within):
            continue
        best = int(max(within, key=lambda at: (curve.n_hits[at], at)) if curve.n_words else within[0])
        points.append({
            "at_most_per_hour": target, "threshold": float(curve.thresholds[best]),
            "miss_rate": float(curve.miss_rate[best]) if curve.n_words else None,
            "false_accepts_per_hour": float(curve.false_accepts_per_hour[best]),
        })  # fmt: skip
    return points


def curve_json(curve: StreamCurve) -> dict[str, Any]:
    """A curve's counts; rates follow from ``n_words`` and the hours."""
    return {
        "n_words": curve.n_words, "thresholds": curve.thresholds.tolist(), "n_hits": curve.n_hits.tolist(),
        "n_false_accepts": curve.n_false_accepts.tolist(),
    }  # fmt: skip


def events_json(matching: Matching) -> dict[str, Any]:
    """What happened in one stream, event by event."""
    return {
        "hits": [
            {"word": dataclasses.asdict(hit.word), "detection": dataclasses.asdict(hit.detection),
             "latency_ms": hit.latency_ms}
            for hit in matching.hits
        ],
        "misses": [dataclasses.asdict(word) for word in matching.misses],
        "false_accepts": [
            {"detection": dataclasses.asdict(one.detection), "kind": one.kind, "heard": one.heard}
            for one in matching.false_accepts
        ],
    }  # fmt: skip
