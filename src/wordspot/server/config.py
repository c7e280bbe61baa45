"""What the server listens on, who may use it, and how much of everything one client may take. Checked when made."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.config import shown
from wordspot.errors import ConfigError

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_WYOMING_PORT = "127.0.0.1", 8765, 10400
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^\s/:@?#\[\]]+)(:\d{1,5})?")


@dataclass(frozen=True)
class ServerSettings:
    """Settings of one server. Times are in seconds, sizes in bytes.

    host: the address that the server binds to.
    token: what clients of ``/v1/`` must show; empty: nothing.
    allow_origins: pages from elsewhere that may use it, such as ``https://example.org``; their hosts may name the server.
    record_dir: where the page may save recordings; None: nowhere.
    threads: how many streams are judged at the same time; 0: as many as the machine has cores, at most 4.
    max_frame_bytes: of one WebSocket message.
    max_connections: at the same time, of any kind; one more is closed at once.
    max_streams: at the same time, with the state of a detector each.
    max_upload_bytes, max_upload_seconds: of a sound file: its size, and how long it plays.
    max_uploads: that are received and judged at the same time.
    max_recordings: that the page may save while the server runs.
    request_seconds: until a request's head has come, and from one request to the next.
    upload_seconds: until a request's body has come.
    start_seconds: until a WebSocket's first message.
    idle_seconds: without a sample on a WebSocket.
    send_seconds: that a client may leave what it is sent unread.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""
    allow_origins: tuple[str, ...] = ()
    record_dir: Path | None = None
    threads: int = 0
    max_frame_bytes: int = 1 << 18
    max_connections: int = 2000
    max_streams: int = 1200
    max_upload_bytes: int = 32 << 20
    max_upload_seconds: float = 300.0
    max_uploads: int = 8
    max_recordings: int = 20_000
    request_seconds: float = 20.0
    upload_seconds: float = 60.0
    start_seconds: float = 10.0
    idle_seconds: float = 300.0
    send_seconds: float = 10.0

    def __post_init__(self) -> None:
        _check(self, "port", 0, 65_535)
        _check(self, "threads", 0, 256)
        _check(self, "max_frame_bytes", 1 << 8, 1 << 24)
        for name in ("max_connections", "max_streams"):
            _check(self, name, 1, 1_000_000)
        _check(self, "max_upload_bytes", 1 << 10, 1 << 30)
        _check(self, "max_upload_seconds", 0.1, 36_000)
        _check(self, "max_uploads", 1, 1000)
        _check(self, "max_recordings", 1, 10_000_000)
        for name in ("request_seconds", "upload_seconds", "start_seconds", "idle_seconds", "send_seconds"):
            _check(self, name, 0.05, 86_400)
        if self.token and not _TOKEN.fullmatch(self.token):
            raise ConfigError(
                "expected a token of 8 to 512 letters, digits and . _ ~ + / = -, got another; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
        for origin in self.allow_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(
                    f"expected an origin such as https://example.org, without a path, got {shown(origin)}"
                )
        object.__setattr__(self, "allow_origins", tuple(origin.lower() for origin in self.allow_origins))

    @property
    def n_threads(self) -> int:
        """How many streams are judged at the same time."""
        return self.threads or min(os.cpu_count() or 1, 4)


def _check(settings: Any, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low:g} and {high:g}, got {shown(value)}")
