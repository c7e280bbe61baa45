"""The WebSocket ``/v1/listen``: audio in, events out. docs/protocol.md describes the messages.

One task serves a connection: it receives a message, processes it, sends the events, and only then receives the next one.
A client that sends faster than this is slowed down by its own connection, and nothing piles up in the server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from wordspot.audio.gain import Gain, check_gain
from wordspot.audio.raw import RawDecoder
from wordspot.errors import WordspotError
from wordspot.formats import shown
from wordspot.runtime.decoder import Detection
from wordspot.server.config import ServerSettings
from wordspot.server.refusals import log, note_of_client, refused, shown_peer
from wordspot.server.streams import FullError, Stream, StreamPool

FORMATS = {"pcm16": "s16le", "float32": "f32le"}
NORMAL, WRONG_DATA, POLICY, TOO_BIG, FAILED, FULL = 1000, 1003, 1008, 1009, 1011, 1013


@dataclass(frozen=True)
class Start:
    """The first message of a client, checked."""

    model: str | None = None
    sample_rate: int | None = None
    format: str = "pcm16"
    scores: bool = False
    threshold: float | None = None
    gain: Gain = None
    channels: int = 1
    channel: int | None = None


class _CloseError(Exception):
    """The connection ends with this code, and a sentence for the client if something is wrong."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def listen_route(pool: StreamPool, settings: ServerSettings) -> Callable[[WebSocket], Awaitable[None]]:
    """The handler of connections. An error in one ends that connection and nothing else."""

    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        try:
            try:
                await _serve(socket, pool, settings)
            except _CloseError as end:
                if end.code != NORMAL:
                    reason = "streams" if end.code == FULL else "stream"
                    refused(pool.counters, reason, socket.scope.get("client"), str(end))
                await _close(socket, end, settings)
            except (WebSocketDisconnect, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("a stream failed")
                pool.counters.count("errors_total", where="stream")
                await _close(socket, _CloseError(FAILED, "the server failed; see its log"), settings)
        except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
            pass  # the client is gone

    return listen


async def _serve(socket: WebSocket, pool: StreamPool, settings: ServerSettings) -> None:
    start = parse_start(await _first(socket, settings))
    peer = shown_peer(socket.scope.get("client"))
    note = partial(note_of_client, peer)
    try:
        stream = pool.open(
            start.model,
            sample_rate=start.sample_rate,
            threshold=start.threshold,
            scores=start.scores,
            gain=start.gain,
            on_note=note,
        )
    except WordspotError as error:
        raise _CloseError(FULL if isinstance(error, FullError) else POLICY, str(error)) from error
    try:
        decoder = RawDecoder(
            stream.sample_rate, FORMATS[start.format], start.channels,
            channel=start.channel, on_note=note, advice="send raw samples or WAV; /v1/label takes files of every kind",
        )  # fmt: skip
    except WordspotError as error:
        pool.close(stream)
        raise _CloseError(POLICY, str(error)) from error
    log.info("%s: a stream of %d Hz for %s", peer, stream.sample_rate, stream.model.name)
    try:
        ready = {
            "type": "ready",
            "model": stream.model.name,
            "labels": list(stream.model.card.labels),
            "sample_rate": stream.sample_rate,
            "format": start.format,
            "task": stream.model.task,
            "max_frame_bytes": settings.max_frame_bytes,
        }
        await _send(socket, settings, [ready])
        await _hear(socket, pool, stream, decoder, settings)
    finally:
        log.info("%s: the stream ended after %.1f s", peer, stream.n_samples / stream.sample_rate)
        pool.close(stream)


async def _first(socket: WebSocket, settings: ServerSettings) -> str:
    try:
        async with asyncio.timeout(settings.start_seconds):
            message = await socket.receive()
    except TimeoutError as error:
        raise _CloseError(POLICY, f"no start message came within {settings.start_seconds:g} s") from error
    text = _text_of(message)
    if text is None:
        raise _CloseError(WRONG_DATA, 'expected {"type": "start", ...} as the first message, got samples')
    return text


async def _hear(socket: WebSocket, pool: StreamPool, stream: Stream, decoder: RawDecoder, settings: ServerSettings) -> None:
    """Process audio until the client ends the stream, disconnects, or sends nothing for too long."""
    clock = asyncio.get_running_loop().time
    heard_at = clock()
    while True:
        try:
            async with asyncio.timeout_at(heard_at + settings.idle_seconds):
                message = await socket.receive()
        except TimeoutError as error:
            raise _CloseError(POLICY, f"no audio for {settings.idle_seconds:g} s; connect again to continue") from error
        arrived = time.perf_counter()
        text = _text_of(message)
        if text is not None:
            _check_end(text)
            found = [*await pool.feed(stream, decoder.end()), *await pool.flush(stream)]
            await _send(socket, settings, [*_events(stream, found), {"type": "end"}])
            raise _CloseError(NORMAL)
        samples = _samples(message["bytes"], decoder, settings)
        if decoder.sample_rate != stream.sample_rate:  # as the header of a WAV says
            try:
                stream.restart(decoder.sample_rate)
            except WordspotError as error:
                raise _CloseError(WRONG_DATA, str(error)) from error
        if len(samples):
            try:
                found = await pool.feed(stream, samples)
            except WordspotError as error:
                raise _CloseError(WRONG_DATA, str(error)) from error
            await _send(socket, settings, _events(stream, found))
            pool.counters.answered(time.perf_counter() - arrived)
            heard_at = clock()


def _text_of(message: Any) -> str | None:
    """The text of a message, or None for a message of bytes.

    Raises:
        WebSocketDisconnect: the client has disconnected.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
    text: str | None = message.get("text")
    return text


def parse_start(text: str) -> Start:
    """Parse the first message.

    Raises:
        _CloseError: it is not valid; the error says what was expected.
    """
    value = _json(text)
    if value.pop("type", None) != "start":
        raise _CloseError(WRONG_DATA, f'expected "type": "start" in the first message, got {shown(text[:60])}')
    known: dict[str, Any] = {"model": str, "sample_rate": int, "format": str, "scores": bool, "threshold": (int, float)}
    known |= {"gain": (int, float, str), "channels": int, "channel": int}
    for name, entry in list(value.items()):
        if name not in known:
            raise _CloseError(WRONG_DATA, f"the start message has {shown(name)}; it may have {', '.join(known)}")
        if entry is None:
            del value[name]
        elif not isinstance(entry, known[name]) or (isinstance(entry, bool) and name != "scores"):
            raise _CloseError(WRONG_DATA, f"{name} in the start message has the wrong type: {shown(entry)}")
    start = Start(**value)
    if start.format not in FORMATS:
        raise _CloseError(WRONG_DATA, f"the format {shown(start.format)} is unknown; use {' or '.join(FORMATS)}")
    if start.threshold is not None and not 0 <= start.threshold <= 1:  # NaN is not
        raise _CloseError(WRONG_DATA, f"threshold must lie between 0 and 1, got {shown(start.threshold)}")
    try:
        check_gain(start.gain)
    except WordspotError as error:
        raise _CloseError(WRONG_DATA, str(error)) from error
    return start


def _check_end(text: str) -> None:
    if _json(text).get("type") != "end":
        raise _CloseError(WRONG_DATA, f'expected samples, or {{"type": "end"}}, got {shown(text[:60])}')


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _CloseError(WRONG_DATA, f"the message is not JSON: {shown(text[:60])}") from error
    if not isinstance(value, dict):
        raise _CloseError(WRONG_DATA, f"the message must be a JSON object, got {shown(text[:60])}")
    return value


def _samples(data: bytes, decoder: RawDecoder, settings: ServerSettings) -> NDArray[Any]:
    if len(data) > settings.max_frame_bytes:
        raise _CloseError(TOO_BIG, f"a message of {len(data)} bytes is too large; send at most {settings.max_frame_bytes}")
    if not decoder.is_whole(data):
        raise _CloseError(WRONG_DATA, f"a message must hold whole samples of {decoder.frame_bytes} bytes, got {len(data)}")
    try:
        return decoder.feed(data)
    except WordspotError as error:
        raise _CloseError(WRONG_DATA, str(error)) from error


def _events(stream: Stream, found: list[Detection]) -> list[dict[str, Any]]:
    """The events of one message: scores, then detections."""
    labels = stream.model.card.labels
    rows: list[dict[str, Any]] = [
        {
            "type": "scores",
            "time_ms": round(time_ms, 3),
            "scores": {label: round(float(score), 6) for label, score in zip(labels, row, strict=True)},
        }
        for time_ms, row in stream.take_scores()
    ]
    return rows + [{"type": "detection", **one.to_json()} for one in found]


async def _send(socket: WebSocket, settings: ServerSettings, events: list[dict[str, Any]]) -> None:
    """Send events. Raises TimeoutError if the client does not read them in time."""
    if not events:
        return
    async with asyncio.timeout(settings.send_seconds):
        for event in events:
            await socket.send_text(json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


async def _close(socket: WebSocket, end: _CloseError, settings: ServerSettings) -> None:
    message = str(end)
    if message:
        await _send(socket, settings, [{"type": "error", "message": message}])
    async with asyncio.timeout(settings.send_seconds):
        await socket.close(end.code, message.encode()[:120].decode(errors="ignore"))
