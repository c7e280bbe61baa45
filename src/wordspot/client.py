"""A client of ``/v1/listen``: sound to a `wordspot serve` elsewhere, detections back. docs/protocol.md says how they speak.

In asyncio::

    async with listen("ws://localhost:8765/v1/listen", sample_rate=16_000) as stream:
        await stream.send(samples)          # as often as there is sound
        async for event in stream:          # in another task: Detection and Scores
            ...

and without::

    for detection in hear("ws://localhost:8765/v1/listen", blocks, sample_rate=16_000):
        ...
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import connect as connect_sync

from wordspot.audio.samples import check_samples, to_int16
from wordspot.errors import WordspotError
from wordspot.runtime.decoder import Detection

_FRAME_BYTES = 1 << 15  # a second of sound at 16 kHz: below what any server takes as one message


class ServerError(WordspotError, ConnectionError):
    """The server refused, reported an error, is gone, or speaks something else."""


@dataclass(frozen=True)
class Scores:
    """The posteriors of the clip that ends at `time_ms`, where they were asked for."""

    time_ms: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Ready:
    """What the server said when the stream began."""

    model: str
    labels: tuple[str, ...]
    sample_rate: int


Event = Detection | Scores


class Client:
    """One stream. `listen` makes it. One task may send while another iterates over the events.

    ready: what the server said when the stream began.
    """

    def __init__(self, connection: ClientConnection, ready: Ready) -> None:
        self._connection, self.ready = connection, ready

    async def send(self, samples: ArrayLike) -> None:
        """Send the next samples: float32 or float64 in [-1, 1], or int16, [n]; they travel as 16 bits.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale.
            ServerError: the server has ended the stream; its reason stands in the events.
        """
        for frame in frames_of(samples):
            try:
                await self._connection.send(frame)
            except ConnectionClosed as error:
                raise _ended(error) from error

    async def end(self) -> None:
        """No more sound comes: the server gives what waited, and the iteration over the events ends."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(json.dumps({"type": "end"}))

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, until the server has said the last.

        Raises:
            ServerError: the server reports an error, or is gone.
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
    scores: bool = False,
    token: str | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """A stream to the server at `url`, such as ``ws://localhost:8765/v1/listen``.

    Args:
        model: its name there; None: the server's first.
        sample_rate: Hz, of what will be sent; None: the model's own.
        threshold: what a score must exceed, for every word; None: as the model says.
        scores: give `Scores` too, at most 20 a second of sound.
        token: the server's, where it wants one.
        options: for ``websockets.asyncio.client.connect``, such as ``ssl``.

    Raises:
        ServerError: no server there, it refuses, or knows no such model.
    """
    async with contextlib.AsyncExitStack() as stack:
        options.setdefault("ping_timeout", None)  # a server that holds sound back answers pings as late
        opening = connect(url, additional_headers=_headers(token), compression=None, **options)
        try:
            connection = await stack.enter_async_context(opening)
        except (OSError, InvalidHandshake, InvalidURI) as error:  # TimeoutError is an OSError
            raise _refused(url, error) from error
        try:
            await connection.send(start_message(model, sample_rate, threshold, scores))
            ready = parse_ready(await connection.recv())
        except ConnectionClosed as error:
            raise _ended(error) from error
        yield Client(connection, ready)


def hear(
    url: str,
    blocks: Iterable[ArrayLike],
    *,
    model: str | None = None,
    sample_rate: int | None = None,
    threshold: float | None = None,
    token: str | None = None,
    **options: Any,
) -> Iterator[Detection]:
    """The detections that blocks of sound bring, as soon as the server gives them, without asyncio. Arguments as `listen`.

    Between two blocks it gives what has come by then; after the last it waits for the server's last word.

    Raises:
        ServerError: as `listen`, and when the server reports an error or is gone.
        AudioError: NaN or infinity, another type or shape, another scale.
    """
    with contextlib.ExitStack() as stack:
        try:
            options.setdefault("ping_timeout", None)
            opening = connect_sync(url, additional_headers=_headers(token), compression=None, **options)
            connection = stack.enter_context(opening)
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise _refused(url, error) from error
        try:
            connection.send(start_message(model, sample_rate, threshold, scores=False))
            parse_ready(connection.recv())
            for block in blocks:
                for frame in frames_of(block):
                    connection.send(frame)
                with contextlib.suppress(TimeoutError):
                    while isinstance(event := parse_event(connection.recv(timeout=0)), Detection):
                        yield event
            connection.send(json.dumps({"type": "end"}))
            while (event := parse_event(connection.recv())) is not None:
                if isinstance(event, Detection):
                    yield event
        except ConnectionClosed as error:
            raise _ended(error) from error


def start_message(model: str | None, sample_rate: int | None, threshold: float | None, scores: bool) -> str:
    """The first message of a stream."""
    wanted = {"model": model, "sample_rate": sample_rate, "threshold": threshold}
    given = {name: value for name, value in wanted.items() if value is not None}
    return json.dumps({"type": "start", "format": "pcm16", "scores": scores, **given})


def frames_of(samples: ArrayLike) -> Iterator[bytes]:
    """Samples as messages of 16-bit little-endian numbers.

    Raises:
        AudioError: NaN or infinity, another type or shape, another scale.
    """
    audio = check_samples(samples)
    whole = audio if audio.dtype == np.int16 else to_int16(np.asarray(audio, np.float32))
    data = whole.astype("<i2", copy=False).tobytes()
    for start in range(0, len(data), _FRAME_BYTES):
        yield data[start : start + _FRAME_BYTES]


def parse_ready(message: str | bytes) -> Ready:
    """The server's first message.

    Raises:
        ServerError: it reports an error, or says something else.
    """
    value = _object(message)
    try:
        if value["type"] == "ready":
            return Ready(str(value["model"]), tuple(map(str, value["labels"])), int(value["sample_rate"]))
    except (KeyError, TypeError, ValueError):
        pass
    raise _strange(message)


def parse_event(message: str | bytes) -> Event | None:
    """A later message; None is the server's last word.

    Raises:
        ServerError: it reports an error, or says something else.
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
    except (KeyError, TypeError, ValueError, AttributeError):
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
        raise ServerError(f"the server says: {' '.join(str(value.get('message', '')).split())[:500]}")
    return value


def _strange(message: str | bytes) -> ServerError:
    return ServerError(f"expected an event of a wordspot server, got {message[:60]!r}; is it one?")


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refused(url: str, error: Exception) -> ServerError:
    if isinstance(error, InvalidStatus):
        body = bytes(error.response.body or b"")[:500]
        try:
            reason = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            reason = f"HTTP status {error.response.status_code}"
        return ServerError(f"{url}: the server refuses: {reason}")
    reason = " ".join(str(error).split()) or type(error).__name__
    return ServerError(f"{url}: expected a wordspot server, but {reason}; is `wordspot serve` running there?")


def _ended(error: ConnectionClosed) -> ServerError:
    reason = error.rcvd.reason if error.rcvd and error.rcvd.reason else "without a reason"
    return ServerError(f"the server ended the stream: {reason}")
