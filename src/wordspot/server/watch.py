"""Watches the connections themselves, below HTTP and WebSocket: too many, those that ask nothing, those that do not read.

uvicorn waits for ever for a request's head, and keeps what a client does not read. `guarded_http` closes a connection
beyond the allowed number as soon as it is made; `Watch` looks at all of them twice a second and cuts off

- one that has no request under way and began none for `request_seconds`;
- one that left what it was sent unread for `send_seconds`, or much of it at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from wordspot.server.config import ServerSettings
from wordspot.server.counters import Measures

EVERY_SECONDS = 0.5
_PROGRESS = 16 << 10  # bytes that a slow reader must take in `send_seconds`
_MOST_UNREAD = 1 << 20  # bytes; answers are sent in pieces, so that only unread pongs and the like pile up


#: Parts of one message.
_MOST_FRAGMENTS = 1024


def guarded_http(settings: ServerSettings, measures: Measures) -> type[H11Protocol]:
    """uvicorn's HTTP protocol, which closes connections beyond `max_connections` at once."""

    class GuardedHttp(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > settings.max_connections:
                measures.count("refused_total", reason="connections")
                transport.abort()

    return GuardedHttp


def guarded_websocket(settings: ServerSettings) -> type[WebSocketsSansIOProtocol]:
    """uvicorn's WebSocket protocol, which waits no longer than `send_seconds` for the answer to its last word."""

    class GuardedWebSocket(WebSocketsSansIOProtocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.close_timeout = min(self.close_timeout, settings.send_seconds)

        def handle_cont(self, event: Any) -> None:
            super().handle_cont(event)
            if len(self.frames) > _MOST_FRAGMENTS:  # empty ones weigh nothing by `max_frame_bytes`
                self.transport.abort()

    return GuardedWebSocket


@dataclass
class _Seen:
    """What the last looks at a connection found.

    cycle: the request that was under way or last, and since when (s) none has been.
    unread: the most bytes that waited to be read since `read_at` (s), when the client last read.
    """

    cycle: Any
    asked_at: float
    unread: int
    read_at: float


class Watch:
    """Cuts off connections that only cost. `run` it beside the server.

    Args:
        connections: uvicorn's own set of protocols.
        settings: how long is too long.
        measures: where those that are cut off are counted.
    """

    def __init__(self, connections: Set[Any], settings: ServerSettings, measures: Measures) -> None:
        self._connections, self._settings, self._measures = connections, settings, measures
        self._seen: WeakKeyDictionary[Any, _Seen] = WeakKeyDictionary()

    async def run(self) -> None:
        """Look at all connections, again and again, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self.look(clock())
            await asyncio.sleep(EVERY_SECONDS)

    def look(self, now: float) -> None:
        """Look at all connections once; `now` in seconds."""
        for protocol in list(self._connections):
            if protocol.transport is None:
                continue
            seen = self._seen.setdefault(protocol, _Seen(None, now, 0, now))
            reason = self._reason(protocol, seen, now)
            if reason:
                self._measures.count("refused_total", reason=reason)
                protocol.transport.abort()

    def _reason(self, protocol: Any, seen: _Seen, now: float) -> str:
        unread = protocol.transport.get_write_buffer_size()
        seen.unread = max(seen.unread, unread)
        if unread == 0 or unread <= seen.unread - _PROGRESS:
            seen.unread, seen.read_at = unread, now
        if unread > _MOST_UNREAD or now - seen.read_at > self._settings.send_seconds:
            return "slow_reader"
        if isinstance(protocol, H11Protocol):
            cycle = protocol.cycle
            if cycle is not seen.cycle or (cycle is not None and not cycle.response_complete):
                seen.cycle, seen.asked_at = cycle, now
            if now - seen.asked_at > self._settings.request_seconds:
                return "no_request"
        return ""
