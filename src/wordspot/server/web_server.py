"""Runs the application: binds the port, configures uvicorn, and serves until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from wordspot.errors import ConfigError
from wordspot.server.app import AddRoutes, make_app
from wordspot.server.config import ServerSettings
from wordspot.server.served import ServedModel
from wordspot.server.streams import StreamPool
from wordspot.server.watch import ConnectionWatch

_BACKLOG = 2048
_MAX_HEAD_BYTES = 16 << 10
_STOP_SECONDS = 3


class WebServer:
    """The web page, HTTP and the WebSocket on one port.

    Args:
        models: what it offers; the first is used if a client names none.
        settings: where it listens, who may use it, and how much.
        tls: the files of a certificate and of its key; None: plain http.
        pool: streams shared with another protocol; None: its own.
        folder: the page's files; None: those of this installation.
        add_routes: makes further routes; see `make_app`.
        shares_port: whether other processes serve on the same port.

    Raises:
        ConfigError: the port is taken, the address is not this machine's, the certificate cannot be read, or recordings
            cannot be saved.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        settings: ServerSettings,
        *,
        tls: tuple[Path, Path] | None = None,
        pool: StreamPool | None = None,
        folder: Path | None = None,
        add_routes: AddRoutes | None = None,
        shares_port: bool = False,
    ) -> None:
        app = make_app(models, settings, pool=pool, folder=folder, add_routes=add_routes)
        self._settings, self._scheme = settings, "https" if tls else "http"
        self._watch = ConnectionWatch(settings, app.state.counters)
        app.state.counters.gauge("connections", lambda: len(self._watch))
        self.not_runnable: list[str] = app.state.not_runnable
        """Names of models that the page cannot run, because this installation lacks onnxruntime-web."""
        self._server, self._is_stopped = uvicorn.Server(_config(app, settings, self._watch, tls)), False
        _allow_many_files(2 * settings.max_connections)  # Wyoming may have as many
        self._socket = bind(settings.host, settings.port, is_shared=shares_port)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The URL of the page for a browser on this machine."""
        host = self._settings.host
        shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1", "") else host
        return f"{self._scheme}://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    @property
    def n_connections(self) -> int:
        """The number of open connections."""
        return len(self._watch)

    @property
    def most_unread(self) -> int:
        """The most bytes that any client leaves unread at the moment."""
        return self._watch.most_unread

    async def serve(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM.

        Raises:
            KeyboardInterrupt: on SIGINT.
        """
        watch = asyncio.create_task(self._watch.run())
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            self._socket.close()
        if not self._is_stopped:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Give the port back, for a server that is not to serve after all."""
        self._socket.close()

    def stop(self) -> None:
        """End `serve`, from any thread."""
        self._is_stopped = True
        self._server.should_exit = True


def _config(app: Any, settings: ServerSettings, watch: ConnectionWatch, tls: tuple[Path, Path] | None) -> uvicorn.Config:
    config = uvicorn.Config(
        watch.noting(app), http="h11", ws="websockets-sansio",
        ws_max_size=settings.max_frame_bytes, ws_per_message_deflate=False,
        ws_ping_interval=None,  # a pong would wait behind audio that is held back; `ConnectionWatch` finds dead clients
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES, timeout_graceful_shutdown=_STOP_SECONDS,
        log_config=None, access_log=False, server_header=False, proxy_headers=False, backlog=_BACKLOG,
        ssl_certfile=tls[0] if tls else None, ssl_keyfile=tls[1] if tls else None,
    )  # fmt: skip
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"`tls_cert` and `tls_key` must be a certificate and its key as PEM files: {error}") from error
    assert config.ws_protocol_class is not None
    config.http_protocol_class = watch.wrapped(config.http_protocol_class)
    config.ws_protocol_class = watch.wrapped(config.ws_protocol_class, has_messages=True)
    # Malformed requests are not worth a log line, and `Guard` logs failures of the application.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return config


def bind(host: str, port: int, *, parameters: str = "`port` or `host`", is_shared: bool = False) -> socket.socket:
    """A listening socket.

    Args:
        parameters: which ones of the caller choose the address, for the error message.
        is_shared: let other processes of this user listen on the port too; the system divides connections among them.

    Raises:
        ConfigError: the port is taken or may not be used, or the address is not this machine's.
    """
    if not 0 <= port <= 65_535:  # create_server would leave its socket open
        raise ConfigError(f"cannot listen on port {port}: expected 0 to 65535; use another {parameters}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=is_shared)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror or error}; use another {parameters}") from error


def _allow_many_files(n_connections: int) -> None:
    """Raise the limit of open files: each connection is one, and systems allow a process 1024 by default."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # there is no such limit on Windows
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = n_connections + 256
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
