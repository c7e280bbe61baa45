"""Run a loaded model over a stream.

`make_runner` returns what turns samples at the model's rate into scores: `EngineRunner` and `StreamRunner` carry the states of a
streaming network, in the C engine or in ONNX Runtime; `WindowRunner` slides a window over the audio for a network that scores
entire clips. All return the posteriors of every clip's length of audio, row by row, with the sample at which each ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.audio.samples import Samples
from wordspot.errors import ConfigError
from wordspot.runtime.model import Model
from wordspot.runtime.modelfile.card import Card, most_at_once
from wordspot.runtime.modelfile.engine.session import EngineSession
from wordspot.runtime.modelfile.onnx_runtime import import_onnxruntime
from wordspot.runtime.modelfile.session import judge_clips

Scores = NDArray[np.float32]

_BLOCK_SECONDS = 4.0  # the longest call of a stream: long enough to be fast, short enough to need little memory
_BUFFERS_KEPT = 8  # call lengths whose buffers are kept; a live stream has one or two


def make_runner(model: Model, stride_ms: float = 30.0) -> Any:
    """Make the runner for `model`.

    Args:
        model: an opened model.
        stride_ms: distance between two windows of a network that scores entire clips.

    Raises:
        ConfigError: a stride shorter than a sample or longer than a clip.
    """
    card = model.card
    if model.other is not None:
        return model.other.make_runner()
    if card.kind == "stream":
        return EngineRunner(model) if isinstance(model.session, EngineSession) else StreamRunner(model)
    stride = card.sample_rate * stride_ms / 1000
    if not 1 <= stride <= card.clip_samples:
        raise ConfigError(
            f"`stride_ms` must lie between a sample and a clip of {1000 * card.clip_samples / card.sample_rate:g} ms, "
            f"got {stride_ms:g} ms"
        )
    return WindowRunner(model, round(stride))


class HopRunner:
    """Runs a streaming network hop by hop. Samples wait until a hop is complete; scores before the first clip are not returned.

    Args:
        card: of the model.
        block_seconds: the most audio in one call.
    """

    def __init__(self, card: Card, block_seconds: float) -> None:
        self._step, self._n_labels = card.step_samples, len(card.labels)
        self._n_early = card.clip_samples // card.step_samples - 1
        self.most_hops = max(min(int(block_seconds * card.sample_rate) // self._step, most_at_once(card)), 1)
        self._n_hops, self._waiting = 0, np.zeros(0, np.float32)

    def reset(self) -> None:
        """Return to the state before the stream."""
        self._n_hops, self._waiting = 0, np.zeros(0, np.float32)

    def feed(self, audio: Samples) -> tuple[Scores, NDArray[np.int64]]:
        """Feed float32 [samples]; return scores [n, labels] and the sample at which the clip of each row ends, int64 [n]."""
        if len(self._waiting):
            audio = np.concatenate([self._waiting, audio])
        n_hops = len(audio) // self._step
        used = n_hops * self._step
        self._waiting = audio[used:].copy()  # not a view, which would keep all of it in memory
        if 0 < n_hops <= self.most_hops:
            scores = self._run(audio[:used], n_hops)
        else:
            size = self.most_hops * self._step
            pieces = [audio[start : min(start + size, used)] for start in range(0, used, size)]
            parts = [self._run(piece, len(piece) // self._step) for piece in pieces]
            scores = np.concatenate([np.zeros((0, self._n_labels), np.float32), *parts])
        first = self._n_hops
        self._n_hops += n_hops
        early = min(max(self._n_early - first, 0), n_hops)
        ends = np.arange(first + early + 1, first + n_hops + 1, dtype=np.int64) * self._step
        return (scores[early:] if early else scores), ends

    def _run(self, audio: Samples, n_hops: int) -> Scores:
        raise NotImplementedError


class EngineRunner(HopRunner):
    """Runs a streaming network in the C engine."""

    def __init__(self, model: Model, block_seconds: float = _BLOCK_SECONDS) -> None:
        super().__init__(model.card, block_seconds)
        self._stream = model.session.start_stream()

    def reset(self) -> None:
        """Return to the state before the stream."""
        super().reset()
        self._stream.reset()

    def _run(self, audio: Samples, n_hops: int) -> Scores:
        scores: Scores = self._stream.feed(audio, n_hops)
        return scores


class StreamRunner(HopRunner):
    """Runs a streaming network in ONNX Runtime. Its states are in two sets of buffers, input and output in turn.

    Args:
        model: an opened model.
        block_seconds: the most audio in one call.
    """

    def __init__(self, model: Model, block_seconds: float = _BLOCK_SECONDS) -> None:
        super().__init__(model.card, block_seconds)
        self._session = model.session
        self._shapes = [(state.name, state.shape) for state in model.card.states]
        self._states = tuple([np.zeros(shape, np.float32) for _, shape in self._shapes] for _ in range(2))
        self._calls: dict[int, tuple[_Call, _Call]] = {}
        self._turn = 0

    def reset(self) -> None:
        """Return to the state before the stream."""
        super().reset()
        for buffers in self._states:
            for buffer in buffers:
                buffer.fill(0)
        self._turn = 0

    def _run(self, audio: Samples, n_hops: int) -> Scores:
        calls = self._calls.get(n_hops) or self._prepare(n_hops)
        call = calls[self._turn]
        call.audio[0] = audio
        self._session.run_with_iobinding(call.binding)
        self._turn ^= 1
        scores: Scores = call.scores[0].copy()
        return scores

    def _prepare(self, n_hops: int) -> tuple[_Call, _Call]:
        """Make buffers for calls of `n_hops`: one call for each direction between the two sets of states."""
        onnxruntime = import_onnxruntime()
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
    """Runs a network that scores entire clips, on windows of a clip's length every `stride` samples."""

    def __init__(self, model: Model, stride: int) -> None:
        self._model, self._stride, self._size = model, stride, model.card.clip_samples
        self.reset()

    def reset(self) -> None:
        """Return to the state before the stream."""
        self._kept, self._start = np.zeros(0, np.float32), 0

    def feed(self, audio: Samples) -> tuple[Scores, NDArray[np.int64]]:
        """Feed float32 [samples]; return scores [n, labels] and the sample at which the window of each row ends, int64 [n]."""
        audio = np.concatenate([self._kept, audio]) if len(self._kept) else audio
        n_windows = max((len(audio) - self._size) // self._stride + 1, 0)
        used = n_windows * self._stride
        if n_windows:
            windows = sliding_window_view(audio, self._size)[:: self._stride][:n_windows]
            scores = judge_clips(self._model.session, self._model.card, windows)
        else:
            scores = np.zeros((0, len(self._model.card.labels)), np.float32)
        ends = self._start + self._size + np.arange(n_windows, dtype=np.int64) * self._stride
        self._kept, self._start = audio[used:].copy(), self._start + used
        return scores, ends
