"""An exported file in onnxruntime, without torch, and against its own card: what `verify`, loading and export itself run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import CardError
from wordspot.runtime.modelfile.card import Card, most_at_once, self_test_signal

Array = NDArray[np.float32]

_LOG_FLOOR = -10.0  # logarithms below tell of posteriors that no tolerance sees


def open_session(model: bytes, threads: int = 1) -> Any:
    """An onnxruntime session for a file that `read_card` took; one call may use so many threads.

    Raises:
        CardError: onnxruntime refuses the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle between two calls, not busy
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise CardError(f"expected a model that onnxruntime loads, but it says: {_one_line(error)}") from error


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


def judge_clips(session: Any, card: Card, clips: Array) -> Array:
    """The scores of any number of clips, each for itself: [n, clip_samples] → [n, labels]; a stream's are those at its end.

    Raises:
        CardError: onnxruntime cannot run the file.
    """
    most = most_at_once(card)
    if card.kind == "clip":
        starts = range(0, len(clips), most)
        rows = [run_clips(session, np.ascontiguousarray(clips[start : start + most])) for start in starts]
    else:
        rows = [run_stream(session, card, clip[None], most)[0, -1:] for clip in clips]
    return np.concatenate([np.zeros((0, len(card.labels)), np.float32), *rows])


def run_clips(session: Any, audio: Array) -> Array:
    """The scores of clips in one call: [n, clip_samples] → [n, labels].

    Raises:
        CardError: onnxruntime cannot run the file.
    """
    scores: Array = _run(session, {"audio": audio})[0]
    return scores


def run_stream(session: Any, card: Card, audio: Array, n_steps: int) -> Array:
    """The scores of a stream fed `n_steps` steps at a time: [1, samples] → [1, steps, labels].

    Raises:
        CardError: onnxruntime cannot run the file.
    """
    states = {state.name: np.zeros(state.shape, np.float32) for state in card.states}
    whole, size = audio.shape[1] // card.step_samples * card.step_samples, n_steps * card.step_samples
    rows = []
    for start in range(0, whole, size):
        scores, *after = _run(session, {"audio": audio[:, start : min(start + size, whole)], **states})
        rows.append(scores)
        states = dict(zip(states, after, strict=True))
    return np.concatenate(rows, axis=1)


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


def _run(session: Any, feeds: dict[str, Array]) -> list[Any]:
    try:
        outputs: list[Any] = session.run(None, feeds)
    except Exception as error:
        raise CardError(f"expected a model that onnxruntime runs, but it says: {_one_line(error)}") from error
    return outputs


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
