"""A file that runs in the C engine: its data, which all streams share, and the state of each stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.library import AVX2, AVX512, BASELINE, Library

Array = NDArray[np.float32]

_SCALE = np.float32(32768)  # the engine takes samples on the scale of 16-bit integers
_KEPT_HOPS = 16  # calls of at most so many hops, as in live streams, reuse their buffers
_VECTORS = {BASELINE: "", AVX2: ", AVX2", AVX512: ", AVX-512"}


class EngineSession:
    """A file's network in the C engine. Any number of streams, in any threads, can share it.

    Args:
        library: the compiled engine.
        blob: of the model, as `make_blob` makes it.
        card: of the same file.

    Raises:
        ValueError: the engine does not accept the blob.
    """

    def __init__(self, library: Library, blob: bytes, card: Card) -> None:
        self.library, self.n_labels, self.step = library, len(card.labels), card.step_samples
        self._buffer = np.empty(len(blob) + 64, np.uint8)  # the blob at a multiple of 64 bytes
        start = -self._buffer.ctypes.data % 64
        self._buffer[start : start + len(blob)] = np.frombuffer(blob, np.uint8)
        self._buffer.flags.writeable = False
        self._blob = self._buffer.ctypes.data + start, len(blob)
        self._state_bytes = int(library.size(*self._blob))
        if not self._state_bytes:
            raise ValueError("the engine does not accept the model's data")

    @property
    def name(self) -> str:
        """The name that commands show."""
        return f"C engine{_VECTORS.get(self.library.name, '')}"

    def start_stream(self) -> EngineStream:
        """A stream at 0 ms."""
        memory = np.empty(self._state_bytes, np.uint8)
        stream = self.library.init(memory.ctypes.data, self._state_bytes, *self._blob)
        if not stream:
            raise ValueError("the engine cannot start a stream")
        return EngineStream(self, memory, stream)

    def score_stream(self, audio: Array) -> Array:
        """Score a stream: float32 [samples] in [-1, 1] → [hops, labels]."""
        n_hops = len(audio) // self.step
        return self.start_stream().feed(audio[: n_hops * self.step], n_hops)

    def score_clips(self, clips: Array) -> Array:
        """Score clips, each on its own: float32 [n, samples] → scores at the end of each, [n, labels]."""
        stream, n_hops = self.start_stream(), clips.shape[1] // self.step
        scores = np.empty((len(clips), self.n_labels), np.float32)
        for row, clip in zip(scores, clips, strict=True):
            row[:] = stream.feed(clip[: n_hops * self.step], n_hops)[-1]
            stream.reset()
        return scores


class EngineStream:
    """The state of a stream, for one thread at a time."""

    def __init__(self, session: EngineSession, memory: NDArray[np.uint8], stream: int) -> None:
        self._session, self._memory, self._stream = session, memory, stream  # all must live as long as the stream
        self._feed, self._reset = session.library.feed, session.library.reset
        self._step, self._n_labels = session.step, session.n_labels
        self._audio = np.zeros(_KEPT_HOPS * self._step, np.float32)
        self._scores = np.zeros((_KEPT_HOPS, self._n_labels), np.float32)
        self._at = self._audio.ctypes.data, self._scores.ctypes.data

    def feed(self, audio: Array, n_hops: int) -> Array:
        """Feed the next hops: float32 [n_hops * step] in [-1, 1] → scores [n_hops, labels]."""
        size = n_hops * self._step
        if len(audio) != size:
            raise ValueError(f"{len(audio)} samples are not {n_hops} hops of {self._step}")
        if n_hops <= _KEPT_HOPS:
            np.multiply(audio, _SCALE, out=self._audio[:size])
            self._feed(self._stream, self._at[0], n_hops, self._at[1])
            return self._scores[:n_hops].copy()
        samples = np.multiply(audio, _SCALE, dtype=np.float32)
        scores = np.empty((n_hops, self._n_labels), np.float32)
        self._feed(self._stream, samples.ctypes.data, n_hops, scores.ctypes.data)
        return scores

    def self_test(self) -> float:
        """Run the self-test hop by hop, then reset. Returns the largest difference between logarithms of scores."""
        return float(self._session.library.self_test(self._stream))

    def reset(self) -> None:
        """Return to 0 ms."""
        self._reset(self._stream)
