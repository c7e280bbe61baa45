"""Runs the application: binds the port, sets what uvicorn leaves open, and serves until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from wordspot.errors import ConfigError
from wordspot.server.app import make_app
from wordspot.server.config import ServerSettings
from wordspot.server.served import ServedModel
from wordspot.server.streams import StreamPool
from wordspot.server.watch import Watch, guarded_http, guarded_websocket

_BACKLOG = 2048
_MAX_HEAD_BYTES = 16 << 10
_STOP_SECONDS = 3


class WebServer:
    """The web page, HTTP and the WebSocket on one port.

    Args:
        models: what it offers; the first is taken where a client names none.
        settings: where it listens, who may use it, and how much.
        tls: the files of a certificate and of its key; None: plain http.
        pool: streams shared with another protocol; None: its own.
        folder: the page's files; None: those of this installation.

    Raises:
        ConfigError: the port is taken, the address is not this machine's, or the certificate cannot be read.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        settings: ServerSettings,
        *,
        tls: tuple[Path, Path] | None = None,
        pool: StreamPool | None = None,
        folder: Path | None = None,
    ) -> None:
        app = make_app(models, settings, pool=pool, folder=folder)
        self._settings, self._measures, self._scheme = settings, app.state.measures, "https" if tls else "http"
        config = uvicorn.Config(
            app, http=guarded_http(settings, self._measures), ws=guarded_websocket(settings),
            ws_max_size=settings.max_frame_bytes, ws_per_message_deflate=False,
            ws_ping_interval=None,  # its answer would wait behind sound that is held back; `Watch` finds dead clients
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES, timeout_graceful_shutdown=_STOP_SECONDS,
            log_config=None, access_log=False, server_header=False, proxy_headers=False, backlog=_BACKLOG,
            ssl_certfile=tls[0] if tls else None, ssl_keyfile=tls[1] if tls else None,
        )  # fmt: skip
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"expected a certificate and its key as PEM files, but {error}") from error
        # What clients send wrong is no news, and `Guard` logs what fails here.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server, self._is_stopped = uvicorn.Server(config), False
        _allow_many_files(2 * settings.max_connections)  # Wyoming may have as many
        self._socket = bind(settings.host, settings.port)
        connections = self._server.server_state.connections
        self._measures.gauge("connections", lambda: len(connections))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = self._settings.host
        shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1", "") else host
        return f"{self._scheme}://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    async def serve(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM.

        Raises:
            KeyboardInterrupt: SIGINT came.
        """
        watch = asyncio.create_task(Watch(self._server.server_state.connections, self._settings, self._measures).run())
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            self._socket.close()
        if not self._is_stopped:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """End `serve`, from any thread."""
        self._is_stopped = True
        self._server.should_exit = True


def bind(host: str, port: int, *, options: str = "--port or --host") -> socket.socket:
    """A listening socket. `options`: those that would name another address.

    Raises:
        ConfigError: the port is taken, may not be used, or the address is not this machine's.
    """
    if not 0 <= port <= 65_535:  # create_server would leave its socket open
        raise ConfigError(f"cannot listen on port {port}: expected 0 to 65535; name another {options}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; name another {options}"
        ) from error


def _allow_many_files(n_connections: int) -> None:
    """Each connection is an open file, and systems allow a process 1024 unless it asks."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # no such thing on Windows
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = n_connections + 256
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve_all(web: WebServer, beside: Sequence[Callable[[], Any]] = ()) -> None:
    """Serve until interrupted. `beside`: async functions that each start another server and give it back, to be closed."""

    async def all_of_them() -> None:
        async with contextlib.AsyncExitStack() as started:
            for start in beside:
                other = await start()
                started.push_async_callback(other.wait_closed)
                started.callback(other.close)
            await web.serve()

    asyncio.run(all_of_them())
