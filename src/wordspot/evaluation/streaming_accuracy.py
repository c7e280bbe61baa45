"""The counts of TensorFlow's ``test_streaming_accuracy``, the classic test of keyword spotting on streams.

A detected word stands at the start of its window. It is paired with the first annotated word within the tolerance, whether
or not that one is matched already: the same label and not yet matched is correct, anything else is wrong, and no word there
is a false positive. So a second detection of one word counts as wrong, and a word may be matched by one of another label.
Rates are fractions of the annotated words. `matching` has the stricter rule that wordspot reports by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
from wordspot.presets import TIME_TOLERANCE_MS

if TYPE_CHECKING:
    from wordspot.data.truth import SpokenWord
    from wordspot.runtime.decoder import Detection


@dataclass(frozen=True)
class ClassicCounts:
    """Counts of the classic test. They add up over streams."""

    n_truth: int = 0
    n_matched: int = 0
    n_correct: int = 0
    n_wrong: int = 0
    n_false_positive: int = 0

    def __add__(self, other: ClassicCounts) -> ClassicCounts:
        return ClassicCounts(
            self.n_truth + other.n_truth,
            self.n_matched + other.n_matched,
            self.n_correct + other.n_correct,
            self.n_wrong + other.n_wrong,
            self.n_false_positive + other.n_false_positive,
        )

    @property
    def counts(self) -> dict[str, int]:
        """The four counts by name."""
        return {
            "matched": self.n_matched,
            "correct": self.n_correct,
            "wrong": self.n_wrong,
            "false_positive": self.n_false_positive,
        }

    @property
    def rates(self) -> dict[str, float | None]:
        """The four counts as fractions of the annotated words; None if there are none."""
        return {name: count / self.n_truth if self.n_truth else None for name, count in self.counts.items()}

    def to_json(self) -> dict[str, Any]:
        return {"n_truth": self.n_truth, **{f"n_{name}": count for name, count in self.counts.items()}, **self.rates}


def count_classic(
    found: Iterable[tuple[str, float]], truth: Sequence[tuple[str, float]], tolerance_ms: float = TIME_TOLERANCE_MS
) -> ClassicCounts:
    """Match detections with annotated words by the classic rule.

    Args:
        found: (label, ms of the window's start), in the order found; see `found_words`.
        truth: (label, ms at which the clip begins), in the order of the file; see `classic_truth`.
        tolerance_ms: how far apart they may be, inclusive.
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
    return ClassicCounts(len(truth), len(matched), n_correct, n_wrong, n_false_positive)


def found_words(detections: Iterable[Detection], clip_ms: float) -> list[tuple[str, float]]:
    """Detections as the classic test counts them: at the start of the window of `clip_ms` that ends at their time."""
    return [(detection.label, detection.time_ms - clip_ms) for detection in detections]


def classic_truth(truth: Iterable[SpokenWord], labels: Sequence[str]) -> list[tuple[str, float]]:
    """Annotated words as the classic test counts them: a word that is not the model's is `_unknown_`."""
    return [
        (word.label if word.label in labels else UNKNOWN_LABEL, word.start_ms) for word in truth if word.label != SILENCE_LABEL
    ]
