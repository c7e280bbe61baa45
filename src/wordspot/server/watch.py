"""Limits on connections below HTTP and WebSocket: too many, idle ones, and clients that do not read.

uvicorn waits without limit for the head of a request and buffers what a client does not read. `ConnectionWatch` wraps
uvicorn's protocol classes in an `asyncio.Protocol` of its own, so that it sees every transport, and uses nothing else of
uvicorn. It closes a connection

- at once, if `max_connections` are open already;
- at once, if a WebSocket sends much more than `max_frame_bytes` without completing a message;
- within half a second, if it has had no request in progress for `request_seconds`, or is a closed WebSocket whose
  client does not hang up within `send_seconds`;
- within half a second, if it has not read what was sent to it for `send_seconds`, or has left more than 1 MiB unread.

These limits hold for each connection and for their number, not for each client: one address may open all connections,
and a TLS handshake is limited only by asyncio's own timeout of 60 s. On an open network, put a reverse proxy in front.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters
from wordspot.server.refusals import refused

EVERY_SECONDS = 0.5
_PROGRESS = 16 << 10  # bytes that a slow reader must read in `send_seconds`
_MOST_UNREAD = 1 << 20  # bytes; responses are sent in pieces, so only unread pongs and the like pile up
_SLACK = 64 << 10  # bytes of pings and frame headers that may come between two messages


@dataclass
class _Connection:
    """An open connection. Times are in seconds of `time.monotonic`.

    Attributes:
        peer: the client's address, in the form of an ASGI scope's ``client``.
        n_requests: requests in progress; an open WebSocket is one.
        has_asked: it has made a request, or been refused.
        asked_at: when the last request ended, or the connection was opened.
        is_ending: it was a WebSocket, which the application has closed.
        n_bytes: received since the application last got a message.
        most_unread: the most bytes that were waiting to be read since `read_at`, when the client last read.
    """

    transport: asyncio.Transport
    peer: tuple[str, int] | None
    n_requests: int = 0
    has_asked: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    is_ending: bool = False
    n_bytes: int = 0
    most_unread: int = 0
    read_at: float = field(default_factory=time.monotonic)


class ConnectionWatch:
    """Knows all connections of a web server and closes those that exceed a limit. `run` it beside the server."""

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._settings, self._counters = settings, counters
        self._open: dict[asyncio.Transport, _Connection] = {}
        self._by_peer: dict[tuple[str, int] | None, _Connection] = {}

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._open)

    @property
    def most_unread(self) -> int:
        """The most bytes that any client leaves unread at the moment."""
        return max((transport.get_write_buffer_size() for transport in list(self._open)), default=0)

    def wrapped(self, protocol: type[asyncio.Protocol], *, has_messages: bool = False) -> type[asyncio.Protocol]:
        """A protocol class that works as `protocol` does, with its connections watched.

        Args:
            protocol: a protocol class of uvicorn.
            has_messages: limit what a client may send without completing a message (WebSocket).
        """
        most = 2 * self._settings.max_frame_bytes + _SLACK if has_messages else None

        class Watched(_Watched):
            def __init__(self, **options: Any) -> None:
                super().__init__(self_, protocol(**options), most)

        self_ = self
        return Watched

    def noting(self, app: ASGIApp) -> ASGIApp:
        """`app`, with its requests noted: a connection is not idle while one is in progress."""

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            connection = self._by_peer.get(scope.get("client"))
            if connection is None:
                await app(scope, receive, send)
                return

            async def received() -> Message:
                message = await receive()
                connection.n_bytes = 0
                return message

            connection.n_requests, connection.has_asked = connection.n_requests + 1, True
            try:
                await app(scope, received, send)
            finally:
                connection.n_requests -= 1
                connection.asked_at = time.monotonic()
                connection.is_ending = scope["type"] == "websocket"

        return noted

    async def run(self) -> None:
        """Check all connections, again and again, until cancelled."""
        while True:
            self.check(time.monotonic())
            await asyncio.sleep(EVERY_SECONDS)

    def check(self, now: float) -> None:
        """Check all connections once; `now` in seconds of `time.monotonic`."""
        for connection in list(self._open.values()):
            if self._does_not_read(connection, now):
                self._cut_off(connection, "slow_reader", "the client does not read what it is sent")
            elif self._is_idle(connection, now):
                # Browsers open connections in advance, so this is not worth a warning.
                self._cut_off(connection, "no_request", "no request in time", level=logging.INFO)

    def opened(self, transport: asyncio.Transport) -> _Connection:
        """A connection was made, or its protocol changed. Closes it if there are too many."""
        connection = self._open.get(transport)
        if connection is None:
            name = transport.get_extra_info("peername")
            connection = _Connection(transport, (str(name[0]), int(name[1])) if name else None)
            self._open[transport] = self._by_peer[connection.peer] = connection
            if len(self._open) > self._settings.max_connections:
                message = f"all {self._settings.max_connections} connections (max_connections) are in use"
                self._cut_off(connection, "connections", message)
        return connection

    def closed(self, connection: _Connection) -> None:
        """A connection is closed. Logs it if there was no valid request, which uvicorn answers without a log line."""
        self._open.pop(connection.transport, None)
        if self._by_peer.get(connection.peer) is connection:
            del self._by_peer[connection.peer]
        if connection.n_bytes and not connection.has_asked:
            refused(self._counters, "no_http", connection.peer, "it did not send a valid HTTP request")

    def received(self, connection: _Connection, n_bytes: int, most: int | None) -> None:
        """A client sent bytes. Closes a WebSocket that sent more than `most` without completing a message."""
        connection.n_bytes += n_bytes
        if most is not None and connection.n_requests and connection.n_bytes > most:
            self._cut_off(connection, "no_message", f"{connection.n_bytes} bytes without a complete message")

    def _cut_off(self, connection: _Connection, reason: str, message: str, *, level: int = logging.WARNING) -> None:
        if not connection.transport.is_closing() or connection.transport.get_write_buffer_size():
            refused(self._counters, reason, connection.peer, message, level=level)
            connection.has_asked = True  # one line is enough
            connection.transport.abort()

    def _is_idle(self, connection: _Connection, now: float) -> bool:
        allowed = self._settings.send_seconds if connection.is_ending else self._settings.request_seconds
        return not connection.n_requests and now - connection.asked_at > allowed

    def _does_not_read(self, connection: _Connection, now: float) -> bool:
        unread = connection.transport.get_write_buffer_size()
        connection.most_unread = max(connection.most_unread, unread)
        if unread == 0 or unread <= connection.most_unread - _PROGRESS:
            connection.most_unread, connection.read_at = unread, now
        return unread > _MOST_UNREAD or now - connection.read_at > self._settings.send_seconds


class _Watched(asyncio.Protocol):
    """Passes all calls on to another protocol, and reports the connection to a `ConnectionWatch`."""

    def __init__(self, watch: ConnectionWatch, inner: asyncio.Protocol, most: int | None) -> None:
        self._watch, self._inner, self._most = watch, inner, most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)
        self._connection = self._watch.opened(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.closed(self._connection)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        self._watch.received(self._connection, len(data), self._most)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
