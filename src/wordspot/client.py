"""A client of `wordspot serve`: sends audio to its WebSocket ``/v1/listen`` and receives detections. See docs/protocol.md.

With asyncio::

    async with listen("ws://localhost:8765/v1/listen", sample_rate=16_000) as stream:
        await stream.send(samples)          # whenever there is audio
        async for event in stream:          # in another task: Detection and Scores
            ...

and without::

    for detection in detect("ws://localhost:8765/v1/listen", blocks, sample_rate=16_000):
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from wordspot.audio.samples import check_samples, to_int16
from wordspot.errors import WordspotError
from wordspot.runtime.decoder import Detection

_FRAME_BYTES = 1 << 15  # a second of audio at 16 kHz; every server accepts messages of this size


class ServerError(WordspotError, ConnectionError):
    """The server refused the request, reported an error, ended the connection, or is not a wordspot server."""


@dataclass(frozen=True)
class Scores:
    """The posteriors of the clip that ends at `time_ms`. Sent only if the stream was opened with `scores`."""

    time_ms: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Ready:
    """The first message of the server."""

    model: str
    labels: tuple[str, ...]
    sample_rate: int


Event = Detection | Scores


class Client:
    """One stream, made by `listen`. One task may send while another iterates over the events.

    Attributes:
        ready: the model, its labels and the sample rate, from the server.
    """

    def __init__(self, connection: ClientConnection, ready: Ready) -> None:
        self._connection, self.ready = connection, ready

    async def send(self, samples: ArrayLike) -> None:
        """Send the next samples: float32 or float64 in [-1, 1], or int16, [n]. They are sent as 16-bit integers.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale.
            ServerError: the server has ended the stream; iterating over the events gives the reason.
        """
        for frame in frames_of(samples):
            try:
                await self._connection.send(frame)
            except ConnectionClosed as error:
                raise _ended(error) from error

    async def end(self) -> None:
        """End the audio: the server sends the pending detections, and then the iteration over the events ends."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(json.dumps({"type": "end"}))

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, until the stream ends.

        Raises:
            ServerError: the server reported an error, or ended the connection.
        """
        while True:
            try:
                event = parse_event(await self._connection.recv())
            except ConnectionClosed as error:
                raise _ended(error) from error
            if event is None:
                return
            yield event


@contextlib.asynccontextmanager
async def listen(
    url: str,
    *,
    model: str | None = None,
    sample_rate: int | None = None,
    threshold: float | None = None,
    gain: float | str | None = None,
    scores: bool = False,
    token: str | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """Open a stream to the server at `url`, such as ``ws://localhost:8765/v1/listen``.

    Args:
        model: its name on the server; None: the server's first model.
        sample_rate: Hz, of what will be sent; None: the model's own.
        threshold: what a score must exceed, for every word; None: the model's own thresholds.
        gain: dB by which the server raises quiet audio, or ``"auto"``; None: the server's.
        scores: receive `Scores` too, at most 20 per second of audio.
        token: the server's token, if it has one.
        options: for ``websockets.asyncio.client.connect``, such as ``ssl``.

    Raises:
        ServerError: there is no server, it refused the request, or it has no such model.
    """
    async with contextlib.AsyncExitStack() as stack:
        options.setdefault("ping_timeout", None)  # a busy server answers pings as late as audio
        try:
            opening = connect(url, additional_headers=_headers(token), compression=None, **options)
            connection = await stack.enter_async_context(opening)
        except (OSError, InvalidHandshake, InvalidURI) as error:  # TimeoutError is an OSError
            raise _refused(url, error) from error
        try:
            await connection.send(start_message(model, sample_rate, threshold, scores, gain))
            ready = parse_ready(await connection.recv())
        except ConnectionClosed as error:
            raise _ended(error) from error
        yield Client(connection, ready)


def detect(
    url: str,
    blocks: Iterable[ArrayLike],
    *,
    model: str | None = None,
    sample_rate: int | None = None,
    threshold: float | None = None,
    gain: float | str | None = None,
    token: str | None = None,
    **options: Any,
) -> Iterator[Detection]:
    """Send blocks of audio and yield the detections, without asyncio. Arguments as for `listen`.

    Between two blocks, it yields the detections that have arrived; after the last block, it waits for the rest. The connection
    is served by an event loop in a thread of its own: a TLS socket must not be read and written by two threads at once.

    Raises:
        ServerError: as `listen`, and if the server reported an error or ended the connection.
        AudioError: NaN or infinity, another type or shape, another scale.
    """
    opening = listen(
        url, model=model, sample_rate=sample_rate, threshold=threshold, gain=gain, scores=False, token=token, **options
    )
    with _event_loop() as loop, _entered(opening, loop) as stream:
        events = _Events(stream)
        receiving = asyncio.run_coroutine_threadsafe(events.receive(), loop)
        try:
            for block in blocks:
                asyncio.run_coroutine_threadsafe(stream.send(block), loop).result()
                yield from events.arrived()
            asyncio.run_coroutine_threadsafe(stream.end(), loop).result()
            yield from events.rest()
        finally:
            receiving.cancel()


class _Events:
    """The detections of a stream, handed from its event loop to another thread; None or an error ends them."""

    def __init__(self, stream: Client) -> None:
        self._stream, self._queue = stream, queue.SimpleQueue[Detection | Exception | None]()

    async def receive(self) -> None:
        try:
            async for event in self._stream:
                if isinstance(event, Detection):
                    self._queue.put(event)
            self._queue.put(None)
        except Exception as error:
            self._queue.put(error)

    def arrived(self) -> Iterator[Detection]:
        """What is there, without waiting."""
        while not self._queue.empty():
            event = self._queue.get()
            if isinstance(event, Exception):
                raise event
            if event is not None:
                yield event

    def rest(self) -> Iterator[Detection]:
        """All until the end of the stream."""
        while (event := self._queue.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wordspot client", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def _entered(opening: contextlib.AbstractAsyncContextManager[Client], loop: asyncio.AbstractEventLoop) -> Iterator[Client]:
    stream = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
    try:
        yield stream
    finally:
        asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()


def start_message(
    model: str | None, sample_rate: int | None, threshold: float | None, scores: bool, gain: float | str | None = None
) -> str:
    """The first message of a stream."""
    wanted = {"model": model, "sample_rate": sample_rate, "threshold": threshold, "gain": gain}
    given = {name: value for name, value in wanted.items() if value is not None}
    return json.dumps({"type": "start", "format": "pcm16", "scores": scores, **given})


def frames_of(samples: ArrayLike) -> Iterator[bytes]:
    """Samples as messages of 16-bit little-endian integers.

    Raises:
        AudioError: NaN or infinity, another type or shape, another scale.
    """
    audio = check_samples(samples)
    whole = audio if audio.dtype == np.int16 else to_int16(np.asarray(audio, np.float32))
    data = whole.astype("<i2", copy=False).tobytes()
    for start in range(0, len(data), _FRAME_BYTES):
        yield data[start : start + _FRAME_BYTES]


def parse_ready(message: str | bytes) -> Ready:
    """Parse the server's first message.

    Raises:
        ServerError: it is an error message, or not a message of wordspot.
    """
    value = _object(message)
    try:
        if value["type"] == "ready":
            return Ready(str(value["model"]), tuple(map(str, value["labels"])), int(value["sample_rate"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise _strange(message)


def parse_event(message: str | bytes) -> Event | None:
    """Parse a later message. None is the end of the stream.

    Raises:
        ServerError: it is an error message, or not a message of wordspot.
    """
    value = _object(message)
    try:
        if value["type"] == "end":
            return None
        if value["type"] == "detection":
            times = float(value["time_ms"]), float(value["emitted_ms"])
            return Detection(str(value["label"]), times[0], float(value["score"]), times[1])
        if value["type"] == "scores":
            return Scores(float(value["time_ms"]), {str(key): float(one) for key, one in value["scores"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    raise _strange(message)


def _object(message: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise _strange(message) from error
    if not isinstance(value, dict):
        raise _strange(message)
    if value.get("type") == "error":
        raise ServerError(f"the server reported: {' '.join(str(value.get('message', '')).split())[:500]}")
    return value


def _strange(message: str | bytes) -> ServerError:
    return ServerError(f"{message[:60]!r} is no message of a wordspot server; is it one?")


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refused(url: str, error: Exception) -> ServerError:
    if isinstance(error, InvalidStatus):
        body = bytes(error.response.body or b"")[:500]
        try:
            reason = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            reason = f"HTTP status {error.response.status_code}"
        return ServerError(f"{url}: the server refused the request: {reason}")
    reason = " ".join(str(error).split()) or type(error).__name__
    return ServerError(f"{url}: no wordspot server: {reason}; is `wordspot serve` running there?")


def _ended(error: ConnectionClosed) -> ServerError:
    reason = error.rcvd.reason if error.rcvd and error.rcvd.reason else "no reason given"
    return ServerError(f"the server ended the stream: {reason}")
