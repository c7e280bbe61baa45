"""Many streams at once: each has its own detector, all share the models, and a few threads process them in turn.

The event loop never waits for a model: `StreamPool.feed` passes the samples to a thread, half a second of audio at a
time, so that a client that sends a lot at once delays the others by no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.gain import Gain, LevelWatch
from wordspot.config import DecoderConfig
from wordspot.errors import AudioError, ConfigError, WordspotError
from wordspot.progress import OnNote, ignore_note
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.keep import Keeper
from wordspot.server.counters import Counters
from wordspot.server.served import ServedModel, find_model

MIN_RATE, MAX_RATE = 8_000, 192_000
SCORES_MS = 50.0
"""Milliseconds of audio between two rows of scores that are sent: at most 20 a second."""
_PIECE_SECONDS = 0.5
_THREADS = 2

Scores = list[tuple[float, NDArray[np.float32]]]


class FullError(WordspotError, RuntimeError):
    """The limit of open streams is reached."""


class Stream:
    """One stream through one model. Belongs to one task; `StreamPool.open` makes it.

    Attributes:
        model: the model that processes it.
        sample_rate: Hz, of what is fed.
        n_samples: all samples fed so far.
    """

    def __init__(
        self,
        model: ServedModel,
        decoder: DecoderConfig,
        sample_rate: int,
        wants_scores: bool,
        gain: Gain = None,
        on_note: OnNote | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.model, self._decoder, self._gain, self._note = model, decoder, gain, on_note or ignore_note
        self._keeper = keeper
        self.restart(sample_rate)
        self._wants_scores, self._rows, self._shown_ms = wants_scores, Scores(), -math.inf

    def restart(self, sample_rate: int) -> None:
        """Begin at 0 ms, with audio of another rate.

        Raises:
            AudioError: a sample rate outside 8000 to 192000 Hz.
        """
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise AudioError(f"the sample rate must lie between {MIN_RATE} and {MAX_RATE} Hz, got {sample_rate}")
        self.sample_rate, self.n_samples = sample_rate, 0
        self._detector = Detector(self.model.model, self._decoder, sample_rate, gain=self._gain)
        self._watch = LevelWatch(sample_rate, self._note, self._gain)

    def feed(self, samples: NDArray[Any]) -> list[Detection]:
        """The detections that `samples`, float32 or int16 [n], complete. Called in the pool's threads.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale. The stream is unchanged.
        """
        detections, scores, end_ms = self._detector.feed_scored(samples)
        self._keep_scores(scores, end_ms)
        if self._keeper:
            self._keeper.feed(samples, detections, scores, end_ms)
            self._keeper.keep_wanted(detections)
        self._watch.feed(samples)
        self.n_samples += len(samples)
        return detections

    def flush(self) -> list[Detection]:
        """End the stream: the detections that were pending. The next `feed` starts a new stream at 0 ms."""
        detections, scores, end_ms = self._detector.flush_scored()
        self._keep_scores(scores, end_ms)
        if self._keeper:
            self._keeper.keep_wanted(detections)
            self._keeper.finish(detections, scores, end_ms)
        self._shown_ms = -math.inf
        return detections

    @property
    def is_kept(self) -> bool:
        """Whether the sound of detections is kept."""
        return self._keeper is not None

    def end_keeping(self) -> None:
        """Write the recordings that wait for more sound. Called in the pool's threads when the stream is closed."""
        if self._keeper:
            self._keeper.finish()

    def take_scores(self) -> Scores:
        """The scores since the last call, at most one row every `SCORES_MS`, if the stream was opened with `scores`.

        Returns:
            (end in ms, posteriors float32 [labels]) of each row.
        """
        rows, self._rows = self._rows, []
        return rows

    def _keep_scores(self, scores: NDArray[np.float32], end_ms: NDArray[np.float64]) -> None:
        if self._wants_scores:
            for time, row in zip(end_ms.tolist(), scores, strict=True):
                if time >= self._shown_ms + SCORES_MS:
                    self._rows.append((time, row))
                    self._shown_ms = time


class StreamPool:
    """Opens streams and feeds them in a few threads.

    Args:
        models: what streams can be opened for; the first is used if none is named.
        threads: how many streams are processed at the same time.
        max_streams: how many may be open at the same time.
        gain: of streams that name none: dB, or ``"auto"``.
        counters: where streams, audio and detections are counted.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        threads: int = _THREADS,
        max_streams: int = 1200,
        gain: Gain = None,
        counters: Counters | None = None,
    ) -> None:
        self.models = tuple(models)
        self.counters = counters or Counters()
        self.max_streams, self.gain = max_streams, gain
        self._open: set[Stream] = set()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="wordspot-stream")

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._open)

    def open(
        self,
        name: str | None = None,
        *,
        sample_rate: int | None = None,
        threshold: float | None = None,
        scores: bool = False,
        gain: Gain = None,
        on_note: OnNote | None = None,
        keeper: Keeper | None = None,
    ) -> Stream:
        """A new stream, which the caller must close.

        Args:
            name: of the model; None: the first.
            sample_rate: Hz, of what will be fed; None: the model's own.
            threshold: what a score must exceed, for every word; None: the model's own thresholds.
            scores: keep scores for `Stream.take_scores`.
            gain: dB by which quiet audio is raised, or ``"auto"``; None: the pool's.
            on_note: called, in the pool's threads, if the stream is very quiet for a minute.
            keeper: keeps the sound of detections; it is this stream's own.

        Raises:
            FullError: `max_streams` are open.
            NotFoundError: no model of that name.
            ConfigError: a model of whole recordings, or a threshold or a gain out of range.
            AudioError: a sample rate outside 8000 to 192000 Hz.
        """
        if len(self._open) >= self.max_streams:
            raise FullError(f"all {self.max_streams} streams of this server are in use; try again later")
        model = find_model(self.models, name)
        if model.card.task.predicts_recordings:
            raise ConfigError(f"{model.name} classifies whole recordings, not streams; use /v1/label")
        rate = model.card.sample_rate if sample_rate is None else sample_rate
        decoder = model.card.decoder.with_threshold(threshold)
        stream = Stream(model, decoder, rate, scores, self.gain if gain is None else gain, on_note, keeper)
        self._open.add(stream)
        self.counters.count("streams_total", model=model.name)
        return stream

    def close(self, stream: Stream) -> None:
        """Close a stream. Closing it again does nothing."""
        if stream in self._open:
            self._open.discard(stream)
            if stream.is_kept:
                self._threads.submit(stream.end_keeping)

    @contextlib.contextmanager
    def opened(self, name: str | None = None, **options: Any) -> Iterator[Stream]:
        """`open` as a context that closes the stream."""
        stream = self.open(name, **options)
        try:
            yield stream
        finally:
            self.close(stream)

    async def feed(self, stream: Stream, samples: NDArray[Any]) -> list[Detection]:
        """The detections that `samples`, the next of the stream, complete: float32 in [-1, 1] or int16 [n], mono.

        Raises:
            AudioError: as `Stream.feed`. Samples before the bad half second have been processed.
        """
        size = max(int(stream.sample_rate * _PIECE_SECONDS), 1)
        found: list[Detection] = []
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            found += await self._run(stream, stream.feed, piece)
            self.counters.count("audio_seconds_total", len(piece) / stream.sample_rate, model=stream.model.name)
        return found

    async def flush(self, stream: Stream) -> list[Detection]:
        """End the stream: the detections that were pending. It may be fed again, from 0 ms."""
        return await self._run(stream, stream.flush)

    def shutdown(self) -> None:
        """Wait for the threads, and end them."""
        self._open.clear()
        self._threads.shutdown()

    async def _run(self, stream: Stream, work: Callable[..., list[Detection]], *args: Any) -> list[Detection]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        for detection in found:
            self.counters.count("detections_total", model=stream.model.name, label=detection.label)
        return found
