"""What runs an exported file, ONNX Runtime or the C engine, and running clips or a stream through it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import CardError
from wordspot.runtime.modelfile.card import Card, most_at_once
from wordspot.runtime.modelfile.engine.session import EngineSession
from wordspot.runtime.modelfile.onnx_runtime import import_onnxruntime

Array = NDArray[np.float32]


def open_session(model: bytes, threads: int = 1) -> Any:
    """Open an ONNX Runtime session.

    Args:
        model: the content of a file that `read_card` has accepted.
        threads: how many threads one call may use.

    Raises:
        CardError: ONNX Runtime rejects the file.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle between two calls, not busy
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise CardError(f"ONNX Runtime cannot load this model: {_one_line(error)}") from error


def judge_clips(session: Any, card: Card, clips: Array) -> Array:
    """Score any number of clips, each on its own: float32 [n, clip_samples] → [n, labels].

    A streaming network's scores of a clip are those at its end.

    Raises:
        CardError: ONNX Runtime cannot run the file.
    """
    most = most_at_once(card)
    if isinstance(session, EngineSession):
        return session.score_clips(clips)
    if card.kind == "clip":
        starts = range(0, len(clips), most)
        rows = [run_clips(session, np.ascontiguousarray(clips[start : start + most])) for start in starts]
    else:
        rows = [run_stream(session, card, clip[None], most)[0, -1:] for clip in clips]
    return np.concatenate([np.zeros((0, len(card.labels)), np.float32), *rows])


def run_clips(session: Any, audio: Array) -> Array:
    """Score clips in one call: float32 [n, clip_samples] → [n, labels].

    Raises:
        CardError: ONNX Runtime cannot run the file.
    """
    scores: Array = _run(session, {"audio": audio})[0]
    return scores


def run_stream(session: Any, card: Card, audio: Array, n_steps: int) -> Array:
    """Score a stream, fed `n_steps` steps at a time: float32 [1, samples] → [1, steps, labels].

    Raises:
        CardError: ONNX Runtime cannot run the file.
    """
    if isinstance(session, EngineSession):
        return session.score_stream(audio[0])[None]
    states = {state.name: np.zeros(state.shape, np.float32) for state in card.states}
    whole, size = audio.shape[1] // card.step_samples * card.step_samples, n_steps * card.step_samples
    rows = []
    for start in range(0, whole, size):
        scores, *after = _run(session, {"audio": audio[:, start : min(start + size, whole)], **states})
        rows.append(scores)
        states = dict(zip(states, after, strict=True))
    return np.concatenate(rows, axis=1)


def _run(session: Any, feeds: dict[str, Array]) -> list[Any]:
    try:
        outputs: list[Any] = session.run(None, feeds)
    except Exception as error:
        raise CardError(f"ONNX Runtime cannot run this model: {_one_line(error)}") from error
    return outputs


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
