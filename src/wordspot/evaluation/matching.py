"""Measures of detections on streams whose words are known: the classic tutorial's figures, and stricter ones beside them.

Conventions. Times are milliseconds of audio since the stream began. The truth's `_silence_` is nobody's word and is left
out; a spoken word that the model does not know is an *other word*.

Classic figures (`classic_figures`) are those of TensorFlow's ``test_streaming_accuracy``. A found word stands at the start
of its window. It takes the first truth entry within the tolerance, whether or not that was matched before: the same label
and not yet matched is correct, anything else is wrong, and no entry there is a false positive. So one detection too many
beside a word counts as wrong, and an entry may be matched by a word of another label. Rates are parts of the truth.

Ours (`match_words`) asks more. A spoken word of the model's is *hit* by at most one detection, of its own label, whose
time lies within [start, end + tolerance]; otherwise it is *missed*. The pairs are as many as can be. Every other detection
of a word is a *false accept*, also a second one for the same word, and is told by what was spoken there. Detections of
`_unknown_` are no accepts. False accepts are counted over all hours tested, with their exact Poisson interval; none of the
audio is left out. *Latency* is the audio that had been consumed when a hit came out, after the end of the word; it is
known only where the truth says where words end. Where it does not, a word is taken to be as long as a clip.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
from wordspot.metrics import EventRate, wilson_interval

if TYPE_CHECKING:
    from wordspot.data.truth import SpokenWord
    from wordspot.runtime.decoder import Detection

TIME_TOLERANCE_MS = 750.0
MS_PER_HOUR = 3_600_000.0
#: What a false accept was triggered by; see `FalseAccept`.
KINDS = ("repeat", "keyword", "other word", "no word")


def words_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The words among a model's labels."""
    return tuple(label for label in labels if label not in (SILENCE_LABEL, UNKNOWN_LABEL))


@dataclass(frozen=True)
class ClassicFigures:
    """Counts of the classic test. They add up over streams."""

    n_truth: int
    n_matched: int
    n_correct: int
    n_wrong: int
    n_false_positive: int

    def __add__(self, other: ClassicFigures) -> ClassicFigures:
        return ClassicFigures(
            self.n_truth + other.n_truth, self.n_matched + other.n_matched, self.n_correct + other.n_correct,
            self.n_wrong + other.n_wrong, self.n_false_positive + other.n_false_positive,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Counts, and parts of the truth (None where there is no truth)."""
        counts = {
            "matched": self.n_matched, "correct": self.n_correct, "wrong": self.n_wrong,
            "false_positive": self.n_false_positive,
        }  # fmt: skip
        rates = {name: count / self.n_truth if self.n_truth else None for name, count in counts.items()}
        return {"n_truth": self.n_truth, **{f"n_{name}": count for name, count in counts.items()}, **rates}


def classic_figures(
    found: Iterable[tuple[str, float]], truth: Sequence[tuple[str, float]], tolerance_ms: float = TIME_TOLERANCE_MS
) -> ClassicFigures:
    """The classic matching.

    Args:
        found: (label, ms of the window's start), in the order found; see `found_words`.
        truth: (label, ms where the clip begins), in the order of the file; see `classic_truth`.
        tolerance_ms: how far apart they may be, this far included.
    """
    starts = np.array([start for _, start in truth], dtype=np.float64)
    matched: set[int] = set()
    n_correct = n_wrong = n_false_positive = 0
    for label, time in found:
        near = np.flatnonzero(np.abs(starts - time) <= tolerance_ms)
        if not len(near):
            n_false_positive += 1
            continue
        first = int(near[0])
        if truth[first][0] == label and first not in matched:
            n_correct += 1
        else:
            n_wrong += 1
        matched.add(first)
    return ClassicFigures(len(truth), len(matched), n_correct, n_wrong, n_false_positive)


def found_words(detections: Iterable[Detection], clip_ms: float) -> list[tuple[str, float]]:
    """Detections as the classic test counts them: at the start of the window of `clip_ms` that ends at their time."""
    return [(detection.label, detection.time_ms - clip_ms) for detection in detections]


def classic_truth(truth: Iterable[SpokenWord], labels: Sequence[str]) -> list[tuple[str, float]]:
    """The truth as the classic test counts it: a word that the model does not know is `_unknown_`."""
    return [
        (word.label if word.label in labels else UNKNOWN_LABEL, word.start_ms)
        for word in truth
        if word.label != SILENCE_LABEL
    ]


@dataclass(frozen=True)
class Hit:
    """A spoken word and its detection."""

    word: SpokenWord
    detection: Detection

    @property
    def latency_ms(self) -> float | None:
        """From the word's end to the detection's coming out; None where the truth does not say where it ends."""
        return None if self.word.end_ms is None else self.detection.emitted_ms - self.word.end_ms


@dataclass(frozen=True)
class FalseAccept:
    """A detection that hits nothing.

    kind: ``repeat`` (the word was spoken there, and is hit already), ``keyword`` (another word of the model was),
    ``other word`` (a word that the model does not know was), or ``no word``.
    heard: the label spoken there, or empty.
    """

    detection: Detection
    kind: str
    heard: str


@dataclass(frozen=True)
class Matching:
    """Every spoken word of the model is a hit or a miss, every detection of one is in a hit or a false accept."""

    hits: tuple[Hit, ...]
    misses: tuple[SpokenWord, ...]
    false_accepts: tuple[FalseAccept, ...]


def match_words(
    detections: Iterable[Detection],
    truth: Iterable[SpokenWord],
    words: Sequence[str],
    clip_ms: float,
    tolerance_ms: float = TIME_TOLERANCE_MS,
) -> Matching:
    """Match one stream's detections with what was spoken, by the rule above.

    Args:
        detections: in any order; those of labels beyond `words` are left out.
        truth: in any order.
        words: the words of the model, without `_silence_` and `_unknown_`.
        clip_ms: length of a word whose end is not known.
        tolerance_ms: how long after a word's end its detection may stand.
    """
    spoken = _in_order(truth)
    spans = [_span(word, clip_ms, tolerance_ms) for word in spoken]
    accepts = sorted((one for one in detections if one.label in words), key=lambda one: one.time_ms)
    pairs: dict[int, int] = {}
    for label in {one.label for one in accepts}:
        at = [position for position, one in enumerate(accepts) if one.label == label]
        of = [position for position, word in enumerate(spoken) if word.label == label]
        found = pair_times([accepts[position].time_ms for position in at], [spans[position] for position in of])
        pairs |= {at[first]: of[second] for first, second in found}
    hit = set(pairs.values())
    false = [accept for position, accept in enumerate(accepts) if position not in pairs]
    return Matching(
        tuple(Hit(spoken[word], accepts[accept]) for accept, word in sorted(pairs.items())),
        tuple(word for position, word in enumerate(spoken) if word.label in words and position not in hit),
        tuple(_explain(accept, spoken, spans, words) for accept in false),
    )


def count_words(
    detections: Iterable[Detection],
    truth: Iterable[SpokenWord],
    words: Sequence[str],
    clip_ms: float,
    tolerance_ms: float = TIME_TOLERANCE_MS,
) -> NDArray[np.int64]:
    """Hits and false accepts of each word, int64 [words, 2]: those of `match_words`, without saying which."""
    times: dict[str, list[float]] = {word: [] for word in words}
    spans: dict[str, list[tuple[float, float]]] = {word: [] for word in words}
    for one in sorted(detections, key=lambda one: one.time_ms):
        if one.label in times:
            times[one.label].append(one.time_ms)
    for spoken in _in_order(truth):
        if spoken.label in spans:
            spans[spoken.label].append(_span(spoken, clip_ms, tolerance_ms))
    hits = [len(pair_times(times[word], spans[word])) for word in words]
    return np.array([(n, len(times[word]) - n) for word, n in zip(words, hits, strict=True)], np.int64).reshape(-1, 2)


def pair_times(times: Sequence[float], spans: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """As many pairs (position of a time, position of a span around it) as there can be, each used once.

    Each time, from the first on, takes of the spans around it that are free the one that ends first: leaving that one for
    later could only lose it.

    Args:
        times: ascending.
        spans: (start, end), by ascending start; both ends belong to it.
    """
    pairs: list[tuple[int, int]] = []
    waiting: list[tuple[float, int]] = []  # (end, position) of the spans that have begun and are free
    n_begun = 0
    for position, time in enumerate(times):
        while n_begun < len(spans) and spans[n_begun][0] <= time:
            bisect.insort(waiting, (spans[n_begun][1], n_begun))
            n_begun += 1
        del waiting[: bisect.bisect_left(waiting, (time, -1))]
        if waiting:
            pairs.append((position, waiting.pop(0)[1]))
    return pairs


def _in_order(truth: Iterable[SpokenWord]) -> list[SpokenWord]:
    return sorted((word for word in truth if word.label != SILENCE_LABEL), key=lambda word: word.start_ms)


def _span(word: SpokenWord, clip_ms: float, tolerance_ms: float) -> tuple[float, float]:
    """When a detection of `word` counts: (first, last) ms."""
    end = word.start_ms + clip_ms if word.end_ms is None else word.end_ms
    return word.start_ms, end + tolerance_ms


def _explain(
    accept: Detection, spoken: Sequence[SpokenWord], spans: Sequence[tuple[float, float]], words: Sequence[str]
) -> FalseAccept:
    """Why a detection is false: a word of its own label first, else the one that began last."""
    here = [word for word, (start, end) in zip(spoken, spans, strict=True) if start <= accept.time_ms <= end]
    if not here:
        return FalseAccept(accept, "no word", "")
    heard = max(here, key=lambda word: (word.label == accept.label, word.start_ms)).label
    kind = "repeat" if heard == accept.label else "keyword" if heard in words else "other word"
    return FalseAccept(accept, kind, heard)


def measure_stream(matchings: Sequence[Matching], words: Sequence[str], hours: float) -> dict[str, Any]:
    """Figures over one or more streams, all words together and each by itself under ``per_word``.

    Args:
        matchings: one per stream.
        words: of the model.
        hours: of audio tested, in all.

    Returns:
        n_words, n_hits, n_misses; miss_rate with its 95 % interval (Wilson); n_false_accepts, false_accepts_per_hour with
        its 95 % interval (Poisson); false_accepts_by_kind, triggered_by (the spoken label); latency_ms: n, median and
        quantile_90. What cannot be computed is None.
    """
    hits = [hit for matching in matchings for hit in matching.hits]
    misses = [word for matching in matchings for word in matching.misses]
    accepts = [accept for matching in matchings for accept in matching.false_accepts]
    per_word = {
        word: _figures(
            [hit for hit in hits if hit.word.label == word], sum(miss.label == word for miss in misses),
            [accept for accept in accepts if accept.detection.label == word], hours,
        )
        for word in words
    }  # fmt: skip
    return {"hours": hours, **_figures(hits, len(misses), accepts, hours), "per_word": per_word}


def _figures(hits: Sequence[Hit], n_misses: int, accepts: Sequence[FalseAccept], hours: float) -> dict[str, Any]:
    n_words = len(hits) + n_misses
    low, high = wilson_interval(n_misses, n_words)
    rate = EventRate(len(accepts), hours)
    kinds = Counter(accept.kind for accept in accepts)
    latencies = [latency for hit in hits if (latency := hit.latency_ms) is not None]
    return {
        "n_words": n_words, "n_hits": len(hits), "n_misses": n_misses,
        "miss_rate": n_misses / n_words if n_words else None, "miss_rate_low": low, "miss_rate_high": high,
        "n_false_accepts": rate.n, "false_accepts_per_hour": _number(rate.per_hour),
        "false_accepts_per_hour_low": _number(rate.interval[0]),
        "false_accepts_per_hour_high": _number(rate.interval[1]),
        "false_accepts_by_kind": {kind: kinds[kind] for kind in KINDS},
        "triggered_by": dict(Counter(accept.heard for accept in accepts if accept.heard).most_common()),
        "latency_ms": {
            "n": len(latencies),
            "median": float(np.median(latencies)) if latencies else None,
            "quantile_90": float(np.quantile(latencies, 0.9)) if latencies else None,
        },
    }  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
