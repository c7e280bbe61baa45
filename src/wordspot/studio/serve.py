"""`studio`: serves the page on which words are recorded, trained and tried, until interrupted."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError
from wordspot.files import atomic_path
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.server.config import ServerSettings
from wordspot.server.serve import find_tls
from wordspot.server.served import load_models
from wordspot.server.web_server import WebServer
from wordspot.studio.project import StudioFolder
from wordspot.studio.routes import StudioRoutes
from wordspot.studio.training import Training

_TOKEN = ".token"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class OpenStudio:
    """A studio that has started.

    Attributes:
        url: of the page, with the token if there is one. Whoever has it may use the studio.
        folder: with the projects.
        resumed: the project whose training goes on; empty: none.
        has_engine: whether the page can run models: the engine in WebAssembly is missing from some installations.
    """

    url: str
    folder: Path
    resumed: str
    has_engine: bool


def studio(
    folder: Path | str = "studio",
    *,
    speech: Path | str | None = None,
    tls_cert: Path | str | None = None,
    tls_key: Path | str | None = None,
    on_start: Callable[[OpenStudio], None] | None = None,
    **settings: Any,
) -> None:
    """Serve the studio until SIGINT or SIGTERM.

    A training that was running when the last studio in this folder ended goes on; one that runs when this one ends is paused.

    Args:
        folder: where the projects are, each a folder in it; created if it is missing.
        speech: recordings of speech without the words, for every training; see `wordspot.new`.
        tls_cert, tls_key: a certificate and its key (PEM), for https, which microphones on other machines need.
        on_start: called when it has started.
        settings: the fields of `ServerSettings`. If `host` is not this machine alone, a token is made unless one is given.

    Raises:
        KeyboardInterrupt: on SIGINT.
        ConfigError: a setting that makes no sense, or an address that cannot be used.
        NotFoundError: no such folder of speech, or certificate.
        OSError: the folder cannot be created.
    """
    root = Path(folder).resolve()
    if speech is not None and not Path(speech).is_dir():
        raise NotFoundError(f"{speech}: no such folder; expected recordings of speech in it")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is a file; expected a folder for the projects")
    root.mkdir(parents=True, exist_ok=True)
    host = settings.get("host", ServerSettings.host)
    if host not in _LOOPBACK and not settings.get("token"):
        settings["token"] = _own_token(root)
    checked, tls = ServerSettings(**settings), find_tls(tls_cert, tls_key)
    projects = StudioFolder(root)
    training = Training(projects, None if speech is None else Path(speech).resolve())
    web = WebServer(
        load_models([None]), checked, tls=tls,
        add_routes=lambda uploads: StudioRoutes(projects, training, uploads, lambda: _link(web.url, host)).routes(),
    )  # fmt: skip
    try:
        resumed = training.recover()
        if on_start is not None:
            key = f"#token={checked.token}" if checked.token else ""
            on_start(OpenStudio(f"{web.url}studio/{key}", root, resumed.name if resumed else "", has_wasm()))
        asyncio.run(web.serve())
    finally:
        training.pause()
        web.close()


def _link(url: str, host: str) -> str:
    """The address of the page for other machines; empty if the studio is open to this one only."""
    if host in _LOOPBACK:
        return ""
    address = _own_address() if host in ("0.0.0.0", "::") else host
    return f"{url.replace('//localhost', f'//{address}')}studio/" if address else ""


def _own_address() -> str:
    """This machine's address in its network; empty if it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: only the route to it is looked up
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _own_token(root: Path) -> str:
    """The token of the studios in this folder, made on first use; only its owner may read the file."""
    path = root / _TOKEN
    token = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not token:  # an empty file would leave the studio open
        token = secrets.token_urlsafe(24)
        with atomic_path(path) as temporary:
            temporary.chmod(0o600)
            temporary.write_text(token, encoding="utf-8")
    return token
