"""Where the server listens, who may use it, and its limits. Checked on construction."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.audio.gain import Gain, check_gain
from wordspot.errors import ConfigError
from wordspot.formats import shown
from wordspot.runtime.kept_files import SAVE_MB
from wordspot.runtime.modelfile.engine.blob import WEIGHTS

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_WYOMING_PORT = "127.0.0.1", 8765, 10400
PAGE_WEIGHTS = "int8"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^\s/:@?#\[\]]+)(:\d{1,5})?")


@dataclass(frozen=True)
class ServerSettings:
    """Settings of one server. Times are in seconds, sizes in bytes.

    Attributes:
        host: the address to bind to.
        port: 0 for any that is free.
        token: what clients of ``/v1/`` must send; empty: nothing.
        allow_origins: other pages that may use the server, such as ``https://example.org``; their hosts are also accepted
            as names of the server.
        record_dir: where the page may save recordings; None: nowhere.
        page_weights: of models that the page runs in wordspot's engine: ``"int8"``, or ``"float32"``, four times as large.
        gain: dB by which the audio of streams that name no gain is raised, or ``"auto"``; None: not at all.
        save: where the sound of the detections of satellites (Wyoming) is kept, in a folder each; None: nowhere.
        save_mb: the most megabytes that this sound may take; the oldest is removed.
        threads: how many streams are processed at the same time; 0: as many as the machine has cores, at most 4.
        max_frame_bytes: the longest WebSocket message.
        max_connections: open connections of any kind; further ones are closed at once.
        max_streams: open streams, each with the state of a detector.
        max_upload_bytes: the largest sound file.
        max_upload_seconds: the longest sound file.
        max_uploads: files that are received and judged at the same time.
        max_recordings: recordings that the page may save while the server runs.
        request_seconds: how long a connection may have no request in progress.
        upload_seconds: how long the body of a request may take.
        start_seconds: how long the first message of a WebSocket may take.
        idle_seconds: how long a WebSocket may send no audio.
        send_seconds: how long a client may leave unread what it is sent.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""
    allow_origins: Sequence[str] = ()
    record_dir: Path | str | None = None
    page_weights: str = PAGE_WEIGHTS
    gain: Gain = None
    save: Path | str | None = None
    save_mb: float = SAVE_MB
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
        check_gain(self.gain)
        if self.page_weights not in WEIGHTS:
            raise ConfigError(f"`page_weights` must be {' or '.join(WEIGHTS)}, got {shown(self.page_weights)}")
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
                "`token` must have 8 to 512 letters, digits and . _ ~ + / = -; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
        origins = [self.allow_origins] if isinstance(self.allow_origins, str) else self.allow_origins
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(f"{shown(origin)} is no origin; name one such as https://example.org, without a path")
        object.__setattr__(self, "allow_origins", tuple(origin.lower() for origin in origins))

    @property
    def n_threads(self) -> int:
        """How many streams are processed at the same time."""
        return self.threads or min(os.cpu_count() or 1, 4)


def _check(settings: Any, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    if not low <= value <= high:
        raise ConfigError(f"`{name}` must lie between {low:g} and {high:g}, got {shown(value)}")
