"""Streams with stored scores, decoded again and again with different settings.

The network runs once over each stream (`score_stream`); a `Bench` then measures any decoder settings on the stored scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.config import DecoderConfig
from wordspot.evaluation.curves import OperatingPoint, curve_json, operating_points, total_curve
from wordspot.evaluation.false_accepts import DetectionMetrics, measure_detections
from wordspot.evaluation.matching import Matching, count_words, match_words, words_of
from wordspot.evaluation.streaming_accuracy import ClassicCounts, classic_truth, count_classic, found_words
from wordspot.metrics import Ints, StreamCurve
from wordspot.overrides import decoder_to_json
from wordspot.runtime.decoder import Detection, make_decoder
from wordspot.runtime.detector import CLIP_STRIDE_MS, Scorer
from wordspot.runtime.model import Model

if TYPE_CHECKING:
    from wordspot.data.truth import SpokenWord

MS_PER_HOUR = 3_600_000.0


@dataclass(frozen=True)
class ScoredStream:
    """A stream after the network.

    Attributes:
        scores: float32 [n, labels], posteriors.
        end_ms: float64 [n], where in the stream the clip of each row ends.
        truth: the words spoken in it.
        duration_ms: of its audio.
    """

    scores: NDArray[np.float32]
    end_ms: NDArray[np.float64]
    truth: tuple[SpokenWord, ...]
    duration_ms: float


@dataclass(frozen=True)
class Bench:
    """Scored streams to measure decoder settings on.

    Attributes:
        streams: the streams.
        labels: of the model, including `_silence_` and `_unknown_`.
        clip_ms: length of a word whose end is not annotated.
        tolerance_ms: how long after a word's end its detection counts.
    """

    streams: tuple[ScoredStream, ...]
    labels: tuple[str, ...]
    clip_ms: float
    tolerance_ms: float

    @property
    def words(self) -> tuple[str, ...]:
        """The words among the labels."""
        return words_of(self.labels)

    @property
    def hours(self) -> float:
        """Of audio, in all."""
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

    def count_classic(self, config: DecoderConfig) -> ClassicCounts:
        """The counts of the classic streaming test over all streams."""
        total = ClassicCounts()
        for stream, found in zip(self.streams, self.decode(config), strict=True):
            truth = classic_truth(stream.truth, self.labels)
            total += count_classic(found_words(found, self.clip_ms), truth, self.tolerance_ms)
        return total

    def match(self, config: DecoderConfig) -> tuple[Matching, ...]:
        """Hits, misses and false accepts in each stream."""
        found = zip(self.streams, self.decode(config), strict=True)
        return tuple(match_words(one, stream.truth, self.words, self.clip_ms, self.tolerance_ms) for stream, one in found)


def decode(stream: ScoredStream, config: DecoderConfig, labels: Sequence[str]) -> list[Detection]:
    """All detections in one stream."""
    decoder = make_decoder(config, labels)
    return [*decoder.feed(stream.scores, stream.end_ms), *decoder.flush()]


def score_stream(
    model: Model,
    path: Path,
    truth: tuple[SpokenWord, ...],
    stride_ms: float = 0.0,
    progress: Callable[[int], None] = lambda n_blocks: None,
) -> ScoredStream:
    """Run the network over a sound file.

    Args:
        model: an opened model.
        path: a file of any length and sample rate, read block by block.
        truth: the words spoken in it.
        stride_ms: from one score to the next, for a model that takes whole clips; 0 is the default.
        progress: called with the number of seconds that have been scored.

    Raises:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, or not finite.
    """
    rate, blocks = read_blocks(path)
    scorer = Scorer(model, sample_rate=rate, stride_ms=stride_ms or CLIP_STRIDE_MS)
    parts, n_samples = [], 0
    for number, block in enumerate(blocks, 1):
        parts.append(scorer.feed(block))
        n_samples += len(block)
        progress(number)
    parts.append(scorer.flush())
    scores, end_ms = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ScoredStream(scores, end_ms, truth, 1000 * n_samples / rate)


@dataclass(frozen=True)
class BenchMetrics:
    """How well a decoder's settings detect words on a bench.

    Attributes:
        decoder: the settings.
        tolerance_ms: how long after a word's end its detection counts.
        detections: misses, false accepts per hour and latency.
        classic: the counts of the classic streaming test.
        points: operating points of all words together.
        curves: the DET curve of each word, and of all words under ``all words``, which comes first.
        matchings: hits, misses and false accepts in each stream.
    """

    decoder: DecoderConfig
    tolerance_ms: float
    detections: DetectionMetrics
    classic: ClassicCounts
    points: tuple[OperatingPoint, ...]
    curves: dict[str, StreamCurve]
    matchings: tuple[Matching, ...]

    def to_json(self, *, events: bool = True) -> dict[str, Any]:
        """JSON-able; without `events` each hit, miss and false accept is left out."""
        return {
            "decoder": decoder_to_json(self.decoder),
            "time_tolerance_ms": self.tolerance_ms,
            **self.detections.to_json(),
            "classic": self.classic.to_json(),
            "operating_points": [point.to_json() for point in self.points],
            "det_curves": {name: curve_json(curve) for name, curve in self.curves.items()},
            **({"events": [events_json(matching) for matching in self.matchings]} if events else {}),
        }


def measure_bench(bench: Bench, config: DecoderConfig, curves: Mapping[str, StreamCurve]) -> BenchMetrics:
    """All metrics of `config` on a bench, given the curve of each word."""
    matchings, all_words = bench.match(config), total_curve(curves)
    return BenchMetrics(
        decoder=config,
        tolerance_ms=bench.tolerance_ms,
        detections=measure_detections(matchings, bench.words, bench.hours),
        classic=bench.count_classic(config),
        points=operating_points(all_words),
        curves={"all words": all_words, **curves},
        matchings=matchings,
    )


def events_json(matching: Matching) -> dict[str, Any]:
    """The hits, misses and false accepts of one stream."""
    return {
        "hits": [
            {"word": dataclasses.asdict(hit.word), "detection": dataclasses.asdict(hit.detection), "latency_ms": hit.latency_ms}
            for hit in matching.hits
        ],
        "misses": [dataclasses.asdict(word) for word in matching.misses],
        "false_accepts": [
            {"detection": dataclasses.asdict(one.detection), "kind": one.kind, "heard": one.heard}
            for one in matching.false_accepts
        ],
    }
