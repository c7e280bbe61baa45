"""`serve`: the web page, HTTP, a WebSocket and, on request, Home Assistant's Wyoming protocol, until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError
from wordspot.server.app import AddRoutes
from wordspot.server.config import DEFAULT_HOST, ServerSettings
from wordspot.server.page_models import make_page_models, not_runnable
from wordspot.server.pages import page_folder
from wordspot.server.served import ServedModel, load_models, model_paths
from wordspot.server.streams import StreamPool
from wordspot.server.web_server import WebServer, bind
from wordspot.server.workers import check_workers, serve_workers


@dataclass(frozen=True)
class Serving:
    """A server that has started.

    Attributes:
        url: of the page.
        models: what it offers; the first is used if a client names none.
        wyoming: host and port of the Wyoming protocol; None: not served.
        announced: the name in the local network and the addresses; None: not announced.
        not_runnable: names of models that the page cannot run; onnxruntime-web is missing from some installations.
    """

    url: str
    models: tuple[ServedModel, ...]
    wyoming: tuple[str, int] | None = None
    announced: tuple[str, tuple[str, ...]] | None = None
    not_runnable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The addresses and the models as a JSON object."""
        return {
            "url": self.url,
            "models": [model.summary() for model in self.models],
            "wyoming": list(self.wyoming) if self.wyoming else None,
            "announced": [self.announced[0], list(self.announced[1])] if self.announced else None,
            "not_runnable": list(self.not_runnable),
        }


def serve(
    models: Path | str | Sequence[Path | str] | None = None,
    *,
    tls_cert: Path | str | None = None,
    tls_key: Path | str | None = None,
    wyoming_port: int | None = None,
    wyoming_host: str = DEFAULT_HOST,
    zeroconf: bool = False,
    workers: int = 1,
    add_routes: AddRoutes | None = None,
    on_start: Callable[[Serving], None] | None = None,
    **settings: Any,
) -> None:
    """Serve models until SIGINT or SIGTERM.

    Args:
        models: files that `export` wrote; the first is used if a client names none. None: the model that comes with
            wordspot.
        tls_cert: a certificate (PEM), for https.
        tls_key: its key (PEM).
        wyoming_port: also serve Home Assistant's Wyoming protocol on this port; 0: any that is free.
        wyoming_host: the address for Wyoming, which has no token.
        zeroconf: announce the Wyoming port in the local network.
        workers: processes that share the port, on Linux; the limits are those of each.
        add_routes: makes further routes; see `make_app`.
        on_start: called when everything has started.
        settings: the fields of `ServerSettings`: `host`, `port`, `token`, `allow_origins`, `record_dir`, `page_weights`,
            `gain`, `save` and the limits.

    Raises:
        KeyboardInterrupt: on SIGINT.
        ConfigError: a setting that makes no sense, or an address that cannot be used.
        NotFoundError: no such model or certificate.
        CardError: not a model, or a damaged one.
    """
    if zeroconf and wyoming_port is None:
        raise ConfigError("`zeroconf` announces the port of the Wyoming protocol; set `wyoming_port` too")
    if settings.get("save") is not None and wyoming_port is None:
        raise ConfigError("`save` keeps what satellites send by the Wyoming protocol; set `wyoming_port` too")
    checked, tls = ServerSettings(**settings), find_tls(tls_cert, tls_key)
    served = load_models(model_paths(models))
    if workers != 1:
        if add_routes is not None:
            raise ConfigError("further routes are served by one process only; leave out `workers` or `add_routes`")
        check_workers(workers, wyoming_port)
        missing = tuple(not_runnable(make_page_models(served, checked.page_weights), page_folder()))
        serve_workers(
            workers, model_paths(models), served, checked, tls,
            lambda url: on_start and on_start(Serving(url, tuple(served), not_runnable=missing)),
        )  # fmt: skip
        return
    pool = StreamPool(served, threads=checked.n_threads, max_streams=checked.max_streams, gain=checked.gain)
    with contextlib.ExitStack() as opened:
        wyoming: socket.socket | None = None
        if wyoming_port is not None:
            wyoming = bind(wyoming_host, wyoming_port, parameters="`wyoming_port` or `wyoming_host`")
            opened.enter_context(wyoming)
        addresses = _reachable(wyoming_host) if zeroconf else []
        web = WebServer(served, checked, tls=tls, pool=pool, add_routes=add_routes)
        opened.callback(web.close)
        asyncio.run(_run(web, pool, checked, wyoming, addresses, on_start))


async def _run(
    web: WebServer,
    pool: StreamPool,
    settings: ServerSettings,
    listening: socket.socket | None,
    addresses: Sequence[str],
    on_start: Callable[[Serving], None] | None,
) -> None:
    """Start everything, report it, and serve until interrupted."""
    wyoming: tuple[str, int] | None = None
    announced: tuple[str, tuple[str, ...]] | None = None
    async with contextlib.AsyncExitStack() as started:
        if listening is not None:
            from wordspot.server.wyoming import serve_wyoming

            other = await serve_wyoming(pool, listening, settings)
            started.push_async_callback(other.wait_closed)
            started.callback(other.close)
            wyoming = listening.getsockname()[:2]
        if wyoming and addresses:
            from wordspot.server.announce import announce

            announcement = await announce(addresses, wyoming[1])
            started.push_async_callback(announcement.withdraw)
            announced = announcement.name, tuple(addresses)
        if on_start is not None:
            on_start(Serving(web.url, pool.models, wyoming, announced, tuple(web.not_runnable)))
        await web.serve()


def _reachable(host: str) -> list[str]:
    from wordspot.server.announce import reachable_addresses

    return reachable_addresses(host)


def find_tls(cert: Path | str | None, key: Path | str | None) -> tuple[Path, Path] | None:
    """The files of a certificate and its key; None if neither is given.

    Raises:
        ConfigError: only one is given.
        NotFoundError: no such file.
    """
    if (cert is None) != (key is None):
        raise ConfigError("`tls_cert` and `tls_key` belong together; give both")
    if cert is None or key is None:
        return None
    files = Path(cert), Path(key)
    for path in files:
        if not path.is_file():
            raise NotFoundError(f"{path}: expected a PEM file, but there is no such file")
    return files
