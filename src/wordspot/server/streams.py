"""Many streams at once: each has a detector of its own, all share the models, and a few threads judge them in turn.

The event loop never waits for a network: `StreamPool.feed` hands the samples to a thread, half a second of sound at a
time, so that a client that sends much at once delays the others by no more than that.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.config import DecoderConfig
from wordspot.errors import AudioError, ConfigError, WordspotError
from wordspot.runtime.decoder import Detection, make_decoder
from wordspot.runtime.detector import CLIP_STRIDE_MS, Scorer
from wordspot.server.counters import Measures
from wordspot.server.served import ServedModel, find_model
from wordspot.server.workers import Workers

MIN_RATE, MAX_RATE = 8_000, 192_000
SCORES_MS = 50.0
"""Of sound, from one row of scores that is shown to the next: at most 20 a second."""
_PIECE_SECONDS = 0.5
_THREADS = 2

Scores = list[tuple[float, NDArray[np.float32]]]


class FullError(WordspotError, RuntimeError):
    """The server has as many streams as it may have."""


class Stream:
    """One stream through one model: samples in, detections out. Belongs to one task; `StreamPool.open` makes it.

    model: the model that hears it.
    sample_rate: Hz, of what is fed.
    n_samples: fed so far.
    """

    def __init__(self, model: ServedModel, decoder: DecoderConfig, sample_rate: int, wants_scores: bool) -> None:
        self.model, self.sample_rate, self.n_samples = model, sample_rate, 0
        stride_ms = decoder.stride_ms or CLIP_STRIDE_MS
        self._scorer = Scorer(model.model, sample_rate=sample_rate, stride_ms=stride_ms)
        self._decoder = make_decoder(decoder, model.card.labels)
        self._wants_scores, self._rows, self._shown_ms = wants_scores, Scores(), -math.inf

    def feed(self, samples: NDArray[Any]) -> list[Detection]:
        """The detections that `samples`, float32 or int16 [n], bring. Called by the pool's threads.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale. The stream is as it was before.
        """
        found = self._decode(*self._scorer.feed(samples))
        self.n_samples += len(samples)
        return found

    def flush(self) -> list[Detection]:
        """The stream ended: the detections that waited for more. The next `feed` begins a new stream at 0 ms."""
        found = self._decode(*self._scorer.flush()) + self._decoder.flush()
        self._decoder.reset()
        self.n_samples, self._shown_ms = 0, -math.inf
        return found

    def take_scores(self) -> Scores:
        """(end in ms, posteriors float32 [labels]) of rows `SCORES_MS` apart, since the last call, where they were asked for."""
        rows, self._rows = self._rows, []
        return rows

    def _decode(self, scores: NDArray[np.float32], end_ms: NDArray[np.float64]) -> list[Detection]:
        if not len(end_ms):
            return []
        if self._wants_scores:
            for time, row in zip(end_ms.tolist(), scores, strict=True):
                if time >= self._shown_ms + SCORES_MS:
                    self._rows.append((time, row))
                    self._shown_ms = time
        return self._decoder.feed(scores, end_ms)


class StreamPool:
    """Opens streams and feeds them in a few threads.

    Args:
        models: what streams can be opened for; the first is taken where none is named.
        threads: streams that are judged at the same time.
        max_streams: that may be open at the same time.
        measures: where streams, sound and detections are counted.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        threads: int = _THREADS,
        max_streams: int = 1200,
        measures: Measures | None = None,
    ) -> None:
        self.models = tuple(models)
        self.measures = measures or Measures()
        self.max_streams = max_streams
        self._open: set[Stream] = set()
        self._workers = Workers(threads, "wordspot-stream")

    def __len__(self) -> int:
        """The streams that are open."""
        return len(self._open)

    def open(
        self,
        name: str | None = None,
        *,
        sample_rate: int | None = None,
        threshold: float | None = None,
        scores: bool = False,
    ) -> Stream:
        """A new stream. Whoever opens it closes it.

        Args:
            name: of the model; None: the first.
            sample_rate: Hz, of what will be fed; None: the model's own.
            threshold: what a score must exceed, for every word; None: as the model says.
            scores: keep rows of scores for `Stream.take_scores`.

        Raises:
            FullError: `max_streams` are open.
            NotFoundError: no model of that name.
            ConfigError: a model that hears no streams, or a threshold outside 0 to 1.
            AudioError: a sample rate outside 8000 to 192000 Hz.
        """
        if len(self._open) >= self.max_streams:
            raise FullError(f"this server hears {self.max_streams} streams, which is all it may; try again later")
        model = find_model(self.models, name)
        if model.card.task.predicts_recordings:
            raise ConfigError(f"{model.name} tells what whole recordings are and hears no streams; take /v1/label")
        rate = model.card.sample_rate if sample_rate is None else sample_rate
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {rate}")
        decoder = model.card.decoder.with_threshold(threshold)
        stream = Stream(model, decoder, rate, scores)
        self._open.add(stream)
        self.measures.count("streams_total", model=model.name)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream; once more does no harm."""
        self._open.discard(stream)

    @contextlib.contextmanager
    def opened(self, name: str | None = None, **options: Any) -> Iterator[Stream]:
        """`open` as a context that closes the stream."""
        stream = self.open(name, **options)
        try:
            yield stream
        finally:
            self.close(stream)

    async def feed(self, stream: Stream, samples: NDArray[Any]) -> list[Detection]:
        """The detections that `samples` bring; float32 in [-1, 1] or int16 [n], mono, the stream's next ones.

        Raises:
            AudioError: as `Stream.feed`; what came before the bad half second has been heard then.
        """
        size = max(int(stream.sample_rate * _PIECE_SECONDS), 1)
        found: list[Detection] = []
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            found += await self._run(stream, stream.feed, piece)
            self.measures.count("audio_seconds_total", len(piece) / stream.sample_rate, model=stream.model.name)
        return found

    async def flush(self, stream: Stream) -> list[Detection]:
        """The stream ended: the detections that waited for more. It may be fed again, from 0 ms."""
        return await self._run(stream, stream.flush)

    def shutdown(self) -> None:
        """Wait for the threads, and end them."""
        self._open.clear()
        self._workers.shutdown()

    async def _run(self, stream: Stream, work: Any, *args: Any) -> list[Detection]:
        found: list[Detection] = await self._workers.run(work, *args)
        for detection in found:
            self.measures.count("detections_total", model=stream.model.name, label=detection.label)
        return found
