"""A server on loopback that sends a few files, and breaks off where it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wordspot.data.fetch import Published


class FileServer(ThreadingHTTPServer):
    """Serves `files` by name, with ranges; the first response of each in `cut` ends after that many bytes."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.asked = files, dict[str, int](), list[tuple[str, str | None]]()
        self.base = f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name, wanted = self.path.rsplit("/", 1)[1], self.headers.get("Range")
        self.server.asked.append((name, wanted))
        self.close_connection = True
        if name not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[name]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[start:][: self.server.cut.pop(name, None)])

    def log_message(self, *args: object) -> None:
        pass


def published(name: str, body: bytes) -> Published:
    """The entry of a file whose publisher does not answer."""
    return Published("http://127.0.0.1:9", name, hashlib.sha256(body).hexdigest(), len(body))


@contextlib.contextmanager
def serve_files(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    """A running server; downloads go to ``tmp_path/cache``, without pauses between attempts and without a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    monkeypatch.setattr("wordspot.data.fetch.time.sleep", lambda seconds: None)
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    running = FileServer(files)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()
