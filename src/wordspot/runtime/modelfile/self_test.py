"""The self-test of an exported file: compare its scores with those stored in its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.runtime.modelfile.card import Card, most_at_once, self_test_signal
from wordspot.runtime.modelfile.session import Array, judge_clips, run_stream

_LOG_FLOOR = -10.0  # posteriors below e**-10 count as equal


@dataclass(frozen=True)
class SelfTestResult:
    """How far the scores of a file differ from those at export.

    Attributes:
        rows: how many rows of scores were compared.
        difference: the largest difference between the logarithms of two posteriors.
        tolerance: the largest difference that is allowed.
    """

    rows: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "rows": self.rows,
            "difference": self.difference,
            "tolerance": self.tolerance,
            "passed": self.passed,
        }


def run_self_test(session: Any, card: Card) -> SelfTestResult:
    """Run the self-test of a file.

    Args:
        session: of the file, as `open_session` or `open_engine` opens it.
        card: of the file.

    Raises:
        CardError: ONNX Runtime cannot run the file.
    """
    scores = self_test_scores(session, card)
    apart = difference(scores, np.exp(np.array(card.self_test.log_posteriors)))
    return SelfTestResult(len(scores), apart, card.self_test.tolerance)


def self_test_audio(card: Card) -> Array:
    """The audio of the self-test: a stream float32 [1, n_samples], or clips [rows, clip_samples]."""
    signal = self_test_signal(card.self_test)
    if card.kind == "stream":
        return signal[None]
    return np.stack([signal[end - card.clip_samples : end] for end in card.self_test.ends])


def self_test_rows(card: Card, scores: Array) -> Array:
    """Pick the rows [rows, labels] that the card stores from the scores for `self_test_audio`."""
    if card.kind == "stream":
        result: Array = scores[0][[end // card.step_samples - 1 for end in card.self_test.ends]]
        return result
    return scores


def self_test_scores(session: Any, card: Card) -> Array:
    """Compute the scores [rows, labels] that the self-test compares.

    Raises:
        CardError: ONNX Runtime cannot run the file.
    """
    audio = self_test_audio(card)
    if card.kind == "clip":
        return judge_clips(session, card, audio)
    return self_test_rows(card, run_stream(session, card, audio, most_at_once(card)))


def difference(scores: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference between the logarithms of two arrays of posteriors; those below e**-10 count as e**-10.

    If a posterior is near 0 or 1, its logarithm or that of another label still shows a change. NaN, negative scores and
    another shape count as a difference of 1.
    """
    if scores.shape != expected.shape:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.maximum(np.log(np.asarray(values, np.float64)), _LOG_FLOOR) for values in (scores, expected)]
    return float(np.nan_to_num(np.abs(logs[0] - logs[1]), nan=1.0, posinf=1.0).max(initial=0.0))
