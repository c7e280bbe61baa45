"""The events of streams (hits, misses and false accepts) with their sound, and the scores over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.audio.samples import Samples
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.matching import Matching
from wordspot.runtime.moving_mean import MovingMean, in_units

#: How many events of each kind can be played.
MAX_PLAYED = {"false accept": 16, "miss": 16, "hit": 6}


@dataclass(frozen=True)
class Event:
    """A hit, a miss or a false accept in a stream.

    Attributes:
        stream: number of the stream.
        kind: ``hit``, ``miss`` or ``false accept``.
        label: the word.
        time_ms: where it is marked.
        text: one line about it.
        weight: priority of the event among those of its kind.
    """

    stream: int
    kind: str
    label: str
    time_ms: float
    text: str
    weight: float


def list_events(bench: Bench, matchings: Sequence[Matching]) -> list[Event]:
    """All hits, misses and false accepts.

    False accepts with the highest score, misses with the lowest and the latest hits have the largest weight.
    """
    events = []
    for position, (stream, matching) in enumerate(zip(bench.streams, matchings, strict=True)):
        for hit in matching.hits:
            latency = hit.latency_ms
            late = "" if latency is None else f", {latency:.0f} ms after its end"
            text = f"hit: {hit.word.label}, score {hit.detection.score:.2f}{late}"
            weight = hit.detection.emitted_ms - hit.word.start_ms if latency is None else latency
            events.append(Event(position, "hit", hit.word.label, hit.detection.time_ms, text, weight))
        for word in matching.misses:
            end = word.start_ms + bench.clip_ms if word.end_ms is None else word.end_ms
            best = _best_score(stream, bench.labels.index(word.label), word.start_ms, end + bench.tolerance_ms)
            text = f"missed: {word.label}, its best posterior was {best:.2f}"
            events.append(Event(position, "miss", word.label, end, text, -best))
        for one in matching.false_accepts:
            heard = f" while {one.heard} was spoken" if one.heard else ""
            what = "second accept" if one.kind == "repeat" else "false accept"
            text = f"{what}: {one.detection.label}, score {one.detection.score:.2f}{heard}"
            event = Event(position, "false accept", one.detection.label, one.detection.time_ms, text, one.detection.score)
            events.append(event)
    return events


def most_telling(events: Sequence[Event]) -> list[Event]:
    """The events with the largest weights, at most `MAX_PLAYED` of each kind: false accepts, then misses, then hits."""
    chosen = []
    for kind, most in MAX_PLAYED.items():
        of_kind = sorted((event for event in events if event.kind == kind), key=lambda event: -event.weight)
        chosen += sorted(of_kind[:most], key=lambda event: (event.stream, event.time_ms))
    return chosen


def cut_pieces(path: Path, spans_ms: Sequence[tuple[float, float]]) -> tuple[list[Samples], int]:
    """The audio of each (start, stop) of a file, which is read once, block by block, and its sample rate in Hz."""
    rate, blocks = read_blocks(path, thorough=False)
    spans = [(max(round(start * rate / 1000), 0), round(stop * rate / 1000)) for start, stop in spans_ms]
    pieces: list[list[Samples]] = [[] for _ in spans]
    begin = 0
    for block in blocks:
        for piece, (start, stop) in zip(pieces, spans, strict=True):
            if start < begin + len(block) and stop > begin:
                piece.append(block[max(start - begin, 0) : stop - begin])
        begin += len(block)
    return [np.concatenate(piece) if piece else np.zeros(0, np.float32) for piece in pieces], rate


def smooth(stream: ScoredStream, columns: Sequence[int], average_ms: float) -> NDArray[np.float32]:
    """The smoothed posteriors that a threshold is compared with: means over `average_ms`, float32 [n, columns]."""
    if not len(stream.end_ms):
        return np.zeros((0, len(columns)), np.float32)
    means = MovingMean(len(columns), average_ms).extend(in_units(stream.scores[:, columns]), stream.end_ms)
    return means.rows.astype(np.float32)


def _best_score(stream: ScoredStream, column: int, first_ms: float, last_ms: float) -> float:
    """The highest posterior between two times."""
    rows = slice(*np.searchsorted(stream.end_ms, [first_ms, last_ms]))
    return float(stream.scores[rows, column].max(initial=0.0))
