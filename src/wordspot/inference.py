"""An exported file in ONNX Runtime: checked, loaded, and run over a stream with its states in place.

`open_model` loads a file. `make_runner` gives what turns samples at the model's rate into scores: `StreamRunner` carries
a streaming network's states, `WindowRunner` slides a window over the sound for a network that takes whole clips. Both
give the same: the posteriors of every clip's length of audio, row by row, with the sample at which each ends.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.card import MAX_FILE_BYTES, Card, read_card
from wordspot.errors import CardError, ConfigError, NotFoundError
from wordspot.self_test import difference, self_test_scores

Samples = NDArray[np.float32]
Scores = NDArray[np.float32]

DEFAULT_MODEL = "default.onnx"
_BLOCK_SECONDS = 4.0  # a stream's longest call: where long ones are fastest, and memory stays small
_WINDOWS_PER_CALL, _VALUES_PER_CALL = 32, 1 << 21
_BUFFERS_KEPT = 8  # lengths of calls whose buffers are kept; a live stream has one or two


@dataclass(frozen=True)
class Model:
    """An exported file, loaded; any number of streams can share it. session: an `onnxruntime.InferenceSession`."""

    card: Card
    session: Any


def open_model(model: Path | str | bytes | None = None, *, threads: int = 1, self_test: bool = True) -> Model:
    """Check and load an exported file.

    Args:
        model: the file, or its content; None takes the model that comes with wordspot.
        threads: that one call may use.
        self_test: run the file's self-test and refuse a file that fails it.

    Raises:
        NotFoundError: no such file.
        CardError: no such file as wordspot writes, one that ONNX Runtime cannot run, or whose self-test fails.
    """
    name, data = read_model(model)
    try:
        card = read_card(data)
    except CardError as error:
        raise CardError(f"{name}: {str(error).removeprefix('the model: ')}") from error
    opened = Model(card, _open_session(name, data, threads))
    if self_test:
        _run_self_test(name, opened)
    return opened


def make_runner(model: Model, stride_ms: float = 30.0) -> StreamRunner | WindowRunner:
    """What runs `model` over a stream; `stride_ms` is for networks that take whole clips.

    Raises:
        ConfigError: a stride of less than a sample or more than a clip.
    """
    card = model.card
    if card.kind == "stream":
        return StreamRunner(model)
    stride = card.sample_rate * stride_ms / 1000
    if not 1 <= stride <= card.clip_samples:
        raise ConfigError(
            f"expected a stride from a sample to a clip of {1000 * card.clip_samples / card.sample_rate:g} ms, got {stride_ms:g} ms"
        )
    return WindowRunner(model, round(stride))


def judge_clips(model: Model, audio: Samples) -> Scores:
    """The posteriors of whole clips: float32 [n, clip_samples] → float32 [n, labels]."""
    card = model.card
    if card.kind == "clip":
        size = max(min(_WINDOWS_PER_CALL, _VALUES_PER_CALL // card.clip_samples), 1)
        pieces = (np.ascontiguousarray(audio[start : start + size]) for start in range(0, len(audio), size))
        parts = [model.session.run(["scores"], {"audio": piece})[0] for piece in pieces]
        return np.concatenate([np.zeros((0, len(card.labels)), np.float32), *parts])
    states = {state.name: np.zeros(state.shape, np.float32) for state in card.states}
    scores = np.empty((len(audio), len(card.labels)), np.float32)
    for row, clip in enumerate(audio):
        scores[row] = model.session.run(["scores"], {"audio": clip[None], **states})[0][0, -1]
    return scores


class StreamRunner:
    """A streaming network over a stream. Its states stay in two sets of buffers that take turns.

    Scores before the first whole clip has been heard are not given out. Samples wait until a whole hop is there.
    """

    def __init__(self, model: Model) -> None:
        card = model.card
        self._session, self._step, self._n_labels = model.session, card.step_samples, len(card.labels)
        self._shapes = [(state.name, state.shape) for state in card.states]
        self._n_early = card.clip_samples // card.step_samples - 1
        self._most_hops = max(int(_BLOCK_SECONDS * card.sample_rate) // self._step, 1)
        self._states = tuple([np.zeros(shape, np.float32) for _, shape in self._shapes] for _ in range(2))
        self._calls: dict[int, tuple[_Call, _Call]] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the state before a stream began."""
        for buffers in self._states:
            for buffer in buffers:
                buffer.fill(0)
        self._turn, self._n_hops = 0, 0
        self._waiting = np.zeros(0, np.float32)

    def feed(self, audio: Samples) -> tuple[Scores, NDArray[np.int64]]:
        """audio: float32 [samples] → scores [n, labels], and the sample at which the clip of each row ends: int64 [n]."""
        if len(self._waiting):
            audio = np.concatenate([self._waiting, audio])
        n_hops = len(audio) // self._step
        used = n_hops * self._step
        self._waiting = audio[used:].copy()  # not a view, which would keep the whole
        if 0 < n_hops <= self._most_hops:
            scores = self._run(audio[:used], n_hops)
        else:
            size = self._most_hops * self._step
            pieces = [audio[start : min(start + size, used)] for start in range(0, used, size)]
            parts = [self._run(piece, len(piece) // self._step) for piece in pieces]
            scores = np.concatenate([np.zeros((0, self._n_labels), np.float32), *parts])
        first = self._n_hops
        self._n_hops += n_hops
        early = min(max(self._n_early - first, 0), n_hops)
        ends = np.arange(first + early + 1, first + n_hops + 1, dtype=np.int64) * self._step
        return (scores[early:] if early else scores), ends

    def _run(self, audio: Samples, n_hops: int) -> Scores:
        calls = self._calls.get(n_hops) or self._prepare(n_hops)
        call = calls[self._turn]
        call.audio[0] = audio
        self._session.run_with_iobinding(call.binding)
        self._turn ^= 1
        return call.scores[0].copy()

    def _prepare(self, n_hops: int) -> tuple[_Call, _Call]:
        """Buffers for calls of so many hops: one call for each direction between the two sets of states."""
        import onnxruntime

        if len(self._calls) >= _BUFFERS_KEPT:
            del self._calls[next(iter(self._calls))]
        audio = np.zeros((1, n_hops * self._step), np.float32)
        scores = np.zeros((1, n_hops, self._n_labels), np.float32)
        calls = []
        for before, after in (self._states, self._states[::-1]):
            inputs = {"audio": audio, **dict(zip((name for name, _ in self._shapes), before, strict=True))}
            outputs = {"scores": scores, **dict(zip((f"new_{name}" for name, _ in self._shapes), after, strict=True))}
            binding, values = self._session.io_binding(), []
            for bind, arrays in ((binding.bind_ortvalue_input, inputs), (binding.bind_ortvalue_output, outputs)):
                for name, array in arrays.items():
                    values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))  # shares the array's memory
                    bind(name, values[-1])
            calls.append(_Call(binding, audio, scores, values))
        self._calls[n_hops] = calls[0], calls[1]
        return self._calls[n_hops]


@dataclass(frozen=True)
class _Call:
    """A prepared call. The values, and the arrays whose memory they share, must live as long as the binding."""

    binding: Any
    audio: Samples
    scores: Scores
    values: list[Any]


class WindowRunner:
    """A network that takes whole clips, over a stream: a window of a clip's length, moved on by `stride` samples."""

    def __init__(self, model: Model, stride: int) -> None:
        self._model, self._stride, self._size = model, stride, model.card.clip_samples
        self.reset()

    def reset(self) -> None:
        """Back to the state before a stream began."""
        self._kept, self._start = np.zeros(0, np.float32), 0

    def feed(self, audio: Samples) -> tuple[Scores, NDArray[np.int64]]:
        """audio: float32 [samples] → scores [n, labels], and the sample at which the window of each row ends."""
        audio = np.concatenate([self._kept, audio]) if len(self._kept) else audio
        n_windows = max((len(audio) - self._size) // self._stride + 1, 0)
        used = n_windows * self._stride
        if n_windows:
            windows = sliding_window_view(audio, self._size)[:: self._stride][:n_windows]
            scores = judge_clips(self._model, windows)
        else:
            scores = np.zeros((0, len(self._model.card.labels)), np.float32)
        ends = self._start + self._size + np.arange(n_windows, dtype=np.int64) * self._stride
        self._kept, self._start = audio[used:].copy(), self._start + used
        return scores, ends


def read_model(model: Path | str | bytes | None) -> tuple[str, bytes]:
    """A name for error messages, and the file's content."""
    if isinstance(model, bytes):
        return "the model", model
    if model is None:
        default = importlib.resources.files("wordspot") / DEFAULT_MODEL
        if not default.is_file():
            raise NotFoundError(
                f"{DEFAULT_MODEL}: the model that comes with wordspot is missing from this installation; "
                "name a file that `wordspot export` wrote"
            )
        return DEFAULT_MODEL, default.read_bytes()
    path = Path(model)
    if not path.is_file():
        kind = "it is a folder" if path.is_dir() else "there is no such file"
        raise NotFoundError(f"{path}: expected a model, a file that `wordspot export` wrote, but {kind}")
    with path.open("rb") as file:
        return str(path), file.read(MAX_FILE_BYTES + 1)  # one more: too long a file is refused as such


def _open_session(name: str, data: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle between two calls, not busy
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of its errors is a class of its own below Exception
        raise CardError(f"{name}: ONNX Runtime cannot load it ({_reason(error)}); export it again") from error


def _run_self_test(name: str, model: Model) -> None:
    """Compare with what torch gave for the file's own signal."""
    test = model.card.self_test
    try:
        scores = self_test_scores(model.session, model.card)
    except Exception as error:
        raise CardError(f"{name}: ONNX Runtime cannot run it ({_reason(error)}); export it again") from error
    expected = np.exp(np.array(test.log_posteriors))
    if scores.shape != expected.shape:
        raise CardError(
            f"{name}: gives scores of shape {scores.shape}, its card says {expected.shape}; export it again"
        )
    apart = difference(scores, expected)
    if not apart <= test.tolerance:
        raise CardError(
            f"{name}: fails its self-test: scores differ by {apart:.2g} from those it was exported with, "
            f"{test.tolerance:.2g} are allowed; the file is damaged, copy or export it again"
        )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
