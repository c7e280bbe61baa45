"""`studio`: serves the page on which words are recorded, trained and tried, until interrupted."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from wordspot.errors import ConfigError, NotFoundError
from wordspot.files import atomic_path
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.server.config import DEFAULT_HOST
from wordspot.server.serve import Serving, serve
from wordspot.server.uploads import Uploads
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
        serving: the server that the studio is a part of.
    """

    url: str
    folder: Path
    resumed: str
    has_engine: bool
    serving: Serving

    def summary(self) -> str:
        """Where the page and the projects are, a line each."""
        lines = [f"The studio: {self.url}", f"Projects:   {self.folder}"]
        if self.resumed:
            lines.append(f"Training:   {self.resumed} goes on")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What a user should know, a sentence each."""
        notes = ["Ctrl-C ends it; a training that is running then goes on the next time"]
        if not self.has_engine:
            notes.append("the page cannot try models: the engine in WebAssembly is missing; run `make web` in a checkout")
        return notes


def studio(
    folder: Path | str = "studio",
    *,
    speech: Path | str | None = None,
    models: Path | str | Sequence[Path | str] | None = None,
    workers: int = 1,
    on_start: Callable[[OpenStudio], None] | None = None,
    **settings: Any,
) -> None:
    """Serve the studio, beside everything that `wordspot.serve` serves, until SIGINT or SIGTERM.

    A training that was running when the last studio in this folder ended goes on; one that runs when this one ends is paused.

    Args:
        folder: where the projects are, each a folder in it; created if it is missing.
        speech: recordings of speech without the words, for every training; see `wordspot.new`.
        models: for the other pages and protocols of the server, as in `wordspot.serve`.
        workers: always 1: several processes would each have their own studio.
        on_start: called when it has started.
        settings: the other arguments of `wordspot.serve`. If `host` is not this machine alone, a token is made unless one is
            given.

    Raises:
        KeyboardInterrupt: on SIGINT.
        ConfigError: a setting that makes no sense, or an address that cannot be used.
        NotFoundError: no such folder of speech, model or certificate.
        CardError: not a model, or a damaged one.
        OSError: the folder cannot be created.
    """
    if workers != 1:
        raise ConfigError(f"a studio is served by one process, got `workers` = {workers}; leave it out")
    root = Path(folder).resolve()
    if speech is not None and not Path(speech).is_dir():
        raise NotFoundError(f"{speech}: no such folder; expected recordings of speech in it")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is a file; expected a folder for the projects")
    root.mkdir(parents=True, exist_ok=True)
    host = settings.get("host", DEFAULT_HOST)
    if (host not in _LOOPBACK or settings.get("allow_origins")) and not settings.get("token"):  # a proxy may be before it
        settings["token"] = _own_token(root)
    training = Training(StudioFolder(root), None if speech is None else Path(speech).resolve())
    started: list[Serving] = []

    def begin(serving: Serving) -> None:
        started.append(serving)
        resumed = training.recover()
        if on_start is not None:
            key = f"#token={settings['token']}" if settings.get("token") else ""
            url = f"{serving.url}studio/{key}"
            on_start(OpenStudio(url, root, resumed.name if resumed else "", has_wasm(), serving))

    def routes(uploads: Uploads) -> list[BaseRoute]:
        return StudioRoutes(StudioFolder(root), training, uploads, lambda: _link(started, host)).routes()

    try:
        serve(models, add_routes=routes, on_start=begin, **settings)
    finally:
        if started:  # else this is not the server of a training that may be running
            training.pause()


def _link(started: Sequence[Serving], host: str) -> str:
    """The address of the page for other machines; empty if the studio is open to this one only, or is not open yet."""
    if host in _LOOPBACK or not started:
        return ""
    url = started[0].url
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
