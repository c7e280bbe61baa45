"""The web application: the routes, and the middleware around them. `guard` comes first."""

from __future__ import annotations

import contextlib
import importlib.resources
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from wordspot import __version__
from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters
from wordspot.server.guard import Guard
from wordspot.server.label import label_route
from wordspot.server.listen import listen_route
from wordspot.server.page_models import made_files, make_page_models, not_runnable
from wordspot.server.pages import Compression, MadeFiles, Page, page_folder
from wordspot.server.record import Records, record_route
from wordspot.server.refusals import printable, shown_peer
from wordspot.server.served import ServedModel
from wordspot.server.streams import StreamPool
from wordspot.server.uploads import Uploads

#: Makes routes, given what receives sound files.
AddRoutes = Callable[[Uploads], Sequence[BaseRoute]]

_METHODS = ("GET", "POST")
_SMALL = 1 << 10  # bytes; compressing less does not pay
_log = logging.getLogger("wordspot.server")


def make_app(
    models: Sequence[ServedModel],
    settings: ServerSettings,
    *,
    pool: StreamPool | None = None,
    folder: Path | None = None,
    add_routes: AddRoutes | None = None,
) -> Starlette:
    """The application.

    Args:
        models: what it offers; the first is used if a client names none.
        settings: who may use it, and how much.
        pool: streams shared with another protocol; None: its own.
        folder: the page's files; None: those of this installation.
        add_routes: makes further routes, which are tried before those of the page.

    Raises:
        ConfigError: `record_dir` cannot be written to.
    """
    if pool is None:
        pool = StreamPool(models, threads=settings.n_threads, max_streams=settings.max_streams, gain=settings.gain)
    streams, uploads = pool, Uploads(settings, pool.counters)
    folder, page_models = folder or page_folder(), make_page_models(models, settings.page_weights)
    pool.counters.gauge("streams", lambda: len(streams))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        uploads.shutdown()
        streams.shutdown()

    app = Starlette(
        routes=[
            *_api_routes(models, settings, pool, uploads),
            *(add_routes(uploads) if add_routes else ()),
            *_page_routes(made_files(page_models, _facts(settings)), folder),
        ],
        lifespan=lifespan,
        middleware=_middleware(settings, pool.counters),
        exception_handlers={HTTPException: _as_json},  # type: ignore[dict-item]
    )
    app.state.counters = pool.counters
    app.state.not_runnable = not_runnable(page_models, folder)
    return app


def _api_routes(models: Sequence[ServedModel], settings: ServerSettings, pool: StreamPool, uploads: Uploads) -> list[BaseRoute]:
    """What programs use."""
    facts, counters = _facts(settings), pool.counters

    async def v1_models(_: Request) -> Response:
        return _fresh({"models": [model.summary() for model in models], **facts})

    async def healthz(_: Request) -> Response:
        return _fresh({"status": "ok"})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    description = (importlib.resources.files("wordspot.server") / "openapi.json").read_bytes()

    async def openapi(_: Request) -> Response:
        return Response(description, media_type="application/json", headers={"Cache-Control": "no-cache"})

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/v1/models", v1_models),
        Route("/v1/label", label_route(models, uploads), methods=["POST"]),
        WebSocketRoute("/v1/listen", listen_route(pool, settings)),
    ]
    if settings.record_dir is not None:
        records = Records(Path(settings.record_dir), settings.max_recordings)
        routes.append(Route("/v1/record", record_route(records, uploads), methods=["POST"]))
    return routes


def _page_routes(files: dict[str, bytes], folder: Path) -> list[BaseRoute]:
    """The page, and what it reads."""
    made = MadeFiles(files)
    return [
        *(Route(path, made.serve) for path in ("/models.json", "/models/{name}.onnx", "/models/{name}.bin", "/engine/{name}")),
        Route("/{path:path}", Page(folder).serve),
    ]


def _middleware(settings: ServerSettings, counters: Counters) -> list[Middleware]:
    wrapped = [Middleware(Guard, settings=settings, counters=counters)]
    if settings.allow_origins:
        origins, headers = list(settings.allow_origins), ["Authorization", "Content-Type"]
        wrapped.append(Middleware(CORSMiddleware, allow_origins=origins, allow_methods=_METHODS, allow_headers=headers))
    return [*wrapped, Middleware(Compression, minimum_size=_SMALL, compresslevel=6)]


def _facts(settings: ServerSettings) -> dict[str, Any]:
    return {"version": __version__, "record": settings.record_dir is not None, "token": bool(settings.token)}


def _fresh(value: Any) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-cache"})


async def _as_json(request: Request, error: HTTPException) -> Response:
    _log.info(
        "%s: %s %s: %d, %s",
        shown_peer(request.scope.get("client")),
        request.method,
        printable(request.url.path),
        error.status_code,
        printable(error.detail),
    )
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
