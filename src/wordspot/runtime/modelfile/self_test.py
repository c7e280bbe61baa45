"""The self-test of an exported file: does it still give the scores that its card holds?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.runtime.modelfile.card import Card, most_at_once, self_test_signal
from wordspot.runtime.modelfile.session import Array, judge_clips, run_stream

_LOG_FLOOR = -10.0  # posteriors below e**-10 count as equal


def self_test_audio(card: Card) -> Array:
    """What the self-test feeds: a stream [1, n_samples], or clips [rows, clip_samples]."""
    signal = self_test_signal(card.self_test)
    if card.kind == "stream":
        return signal[None]
    return np.stack([signal[end - card.clip_samples : end] for end in card.self_test.ends])


def self_test_rows(card: Card, scores: Array) -> Array:
    """Of the scores for `self_test_audio`, the rows that the card has: [rows, labels]."""
    if card.kind == "stream":
        return scores[0][[end // card.step_samples - 1 for end in card.self_test.ends]]
    return scores


def self_test_scores(session: Any, card: Card) -> Array:
    """The scores [rows, labels] that the card's self-test is about.

    Raises:
        CardError: onnxruntime cannot run the file.
    """
    audio = self_test_audio(card)
    if card.kind == "clip":
        return judge_clips(session, card, audio)
    return self_test_rows(card, run_stream(session, card, audio, most_at_once(card)))


def difference(scores: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference between the logarithms of two arrays of posteriors; those below e**-10 count as e**-10.

    Where a posterior nears 1 or 0, its logarithm, or its rival's, still tells. NaN, and a score below 0, count as 1.
    """
    if scores.shape != expected.shape:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.maximum(np.log(np.asarray(values, np.float64)), _LOG_FLOOR) for values in (scores, expected)]
    return float(np.nan_to_num(np.abs(logs[0] - logs[1]), nan=1.0, posinf=1.0).max(initial=0.0))


def verify(session: Any, card: Card) -> dict[str, Any]:
    """Run the self-test: how far the scores are from those of the card, how far they may be, and whether that holds.

    Raises:
        CardError: onnxruntime cannot run the file.
    """
    scores = self_test_scores(session, card)
    apart = difference(scores, np.exp(np.array(card.self_test.log_posteriors)))
    tolerance = card.self_test.tolerance
    return {"rows": len(scores), "difference": apart, "tolerance": tolerance, "passed": apart <= tolerance}
