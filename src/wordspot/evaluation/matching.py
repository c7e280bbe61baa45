"""Match detections in a stream with the words that are known to be spoken in it.

Conventions. Times are milliseconds of audio since the stream began. An annotated `_silence_` is not a word and is ignored;
a spoken word that the model does not know is an *other word*.

A spoken word of the model's is a *hit* if one detection of its own label has a time within [start, end + tolerance]; it is
*missed* otherwise. Each detection is used once, and as many pairs are made as possible. Every other detection of a word is
a *false accept*, including a second one of the same word; its kind says what was spoken there. Detections of `_unknown_`
are not accepts. If the annotations do not say where a word ends, it is taken to be as long as a clip.

`false_accepts` computes rates from matched streams; `streaming_accuracy` has TensorFlow's classic, more lenient rule.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
from wordspot.presets import TIME_TOLERANCE_MS

if TYPE_CHECKING:
    from wordspot.data.truth import SpokenWord
    from wordspot.runtime.decoder import Detection

#: What is spoken during a false accept; see `FalseAccept`.
KINDS = ("repeat", "keyword", "other word", "no word")


def words_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The words among a model's labels."""
    return tuple(label for label in labels if label not in (SILENCE_LABEL, UNKNOWN_LABEL))


@dataclass(frozen=True)
class Hit:
    """A spoken word and its detection."""

    word: SpokenWord
    detection: Detection

    @property
    def latency_ms(self) -> float | None:
        """From the word's end until the detection was emitted; None if the annotation does not say where it ends."""
        return None if self.word.end_ms is None else self.detection.emitted_ms - self.word.end_ms


@dataclass(frozen=True)
class FalseAccept:
    """A detection that hits nothing.

    Attributes:
        detection: of the model's word.
        kind: ``repeat`` (the word was spoken there and is hit already), ``keyword`` (another word of the model was
            spoken), ``other word`` (a word that the model does not know was), or ``no word``.
        heard: the label spoken there, or empty.
    """

    detection: Detection
    kind: str
    heard: str


@dataclass(frozen=True)
class Matching:
    """One stream matched: each spoken word of the model is a hit or a miss, each detection a hit or a false accept."""

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
    """Match one stream's detections with the words spoken in it, by the rule above.

    Args:
        detections: in any order; those of labels that are not in `words` are ignored.
        truth: the annotated words, in any order.
        words: the words of the model, without `_silence_` and `_unknown_`.
        clip_ms: length of a word whose end is not known.
        tolerance_ms: how long after a word's end its detection counts.
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
    """The numbers of hits and false accepts that `match_words` finds for each word: int64 [words, 2]."""
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
    """Pair times with spans that contain them, each used once, as many as possible.

    Each time in turn gets the free span around it that ends first, since leaving that one for later could only lose it.

    Args:
        times: ascending.
        spans: (start, end), by ascending start; both ends belong to it.

    Returns:
        (position of a time, position of its span), by ascending time.
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
    """What was spoken during a false accept: a word of its own label if there is one, else the one that began last."""
    here = [word for word, (start, end) in zip(spoken, spans, strict=True) if start <= accept.time_ms <= end]
    if not here:
        return FalseAccept(accept, "no word", "")
    heard = max(here, key=lambda word: (word.label == accept.label, word.start_ms)).label
    kind = "repeat" if heard == accept.label else "keyword" if heard in words else "other word"
    return FalseAccept(accept, kind, heard)
