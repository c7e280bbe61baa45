"""A server in a thread on a free port, with models small enough to compute by hand, for tests over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.made_onnx import RATE, made_model
from support.made_recordings import recording_model
from wordspot.server.app import AddRoutes
from wordspot.server.config import ServerSettings
from wordspot.server.served import ServedModel, load_models
from wordspot.server.streams import StreamPool
from wordspot.server.web_server import WebServer

CLIP = RATE // 10
SETTINGS = ServerSettings(port=0, threads=2)


def made_models(folder: Path) -> list[ServedModel]:
    """`words` hears a stream of constant sound (an "a"; negative: a "b"), `clips` judges clips, `person` recordings."""
    contents = {
        "words": made_model(clip_samples=CLIP),
        "clips": made_model("clip", clip_samples=CLIP),
        "person": recording_model(),
    }
    for name, data in contents.items():
        (folder / f"{name}.onnx").write_bytes(data)
    return load_models([folder / f"{name}.onnx" for name in contents])


class Running:
    """A server that runs; `port` is its port."""

    def __init__(self, web: WebServer, pool: StreamPool, secure: ssl.SSLContext | None) -> None:
        self.web, self.pool, self.port, self._secure = web, pool, web.port, secure
        self.ws = f"ws{'s' if secure else ''}://127.0.0.1:{web.port}/v1/listen"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, seconds: float = 10
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers with lower-case names, body."""
        if self._secure:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=seconds, context=self._secure
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError):  # the server may refuse a body before all of it was sent
                connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def get_json(self, path: str, **options: Any) -> Any:
        status, _, body = self.ask("GET", path, **options)
        assert status == 200, body
        return json.loads(body)

    def counted(self, line: str) -> float:
        """The value of a line of /metrics that begins so; 0 where there is none."""
        rows = [row for row in self.ask("GET", "/metrics")[2].decode().splitlines() if row.startswith(line)]
        return sum(float(row.rsplit(" ", 1)[1]) for row in rows)

    def raw(self, receive_bytes: int = 0) -> socket.socket:
        """A bare connection, which takes no more than about `receive_bytes` before it is read."""
        raw = socket.socket()
        raw.settimeout(10)
        if receive_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        raw.connect(("127.0.0.1", self.port))
        return raw


@contextlib.contextmanager
def running(
    models: list[ServedModel],
    *,
    folder: Path | None = None,
    tls: tuple[Path, Path] | None = None,
    secure: ssl.SSLContext | None = None,
    add_routes: AddRoutes | None = None,
    **changes: Any,
) -> Iterator[Running]:
    """A server with `SETTINGS` and `changes` of them. Its socket listens already: early requests wait in the backlog."""
    settings = replace(SETTINGS, **changes)
    pool = StreamPool(models, threads=settings.n_threads, max_streams=settings.max_streams, gain=settings.gain)
    web = WebServer(models, settings, tls=tls, pool=pool, folder=folder, add_routes=add_routes)
    thread = threading.Thread(target=lambda: asyncio.run(web.serve()))
    thread.start()
    try:
        yield Running(web, pool, secure)
    finally:
        web.stop()
        thread.join(20)
        assert not thread.is_alive()


def wait_until(holds: Any, seconds: float = 10.0) -> None:
    """Wait for something to hold, and fail where it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)
