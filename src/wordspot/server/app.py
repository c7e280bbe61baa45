"""The web application: which address leads to what. `guard` stands before all of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from wordspot import __version__
from wordspot.server.config import ServerSettings
from wordspot.server.guard import Guard
from wordspot.server.label import label_route
from wordspot.server.listen import listen_route
from wordspot.server.openapi import describe
from wordspot.server.pages import Pages, page_folder
from wordspot.server.record import Records, record_route
from wordspot.server.served import ServedModel
from wordspot.server.streams import StreamPool
from wordspot.server.uploads import Uploads

_METHODS = ("GET", "POST")


def make_app(
    models: Sequence[ServedModel],
    settings: ServerSettings,
    *,
    pool: StreamPool | None = None,
    folder: Path | None = None,
) -> Starlette:
    """The application.

    Args:
        models: what it offers; the first is taken where a client names none.
        settings: who may use it, and how much.
        pool: streams shared with another protocol; None: its own.
        folder: the page's files; None: those of this installation.
    """
    if pool is None:
        pool = StreamPool(models, threads=settings.n_threads, max_streams=settings.max_streams)
    streams = pool
    measures = streams.measures
    measures.gauge("streams", lambda: len(streams))
    uploads = Uploads(settings, measures)
    facts = {"version": __version__, "record": settings.record_dir is not None, "token": bool(settings.token)}
    pages = Pages(folder or page_folder(), models, facts)

    async def v1_models(_: Request) -> Response:
        return _fresh({"models": [model.summary() for model in models], **facts})

    async def healthz(_: Request) -> Response:
        return _fresh({"status": "ok"})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(_: Request) -> Response:
        return _fresh(describe(settings))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        uploads.shutdown()
        streams.shutdown()

    routes = [
        Route("/models.json", pages.listing),
        Route("/models/{name}.onnx", pages.model),
        Route("/healthz", healthz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/v1/models", v1_models),
        Route("/v1/label", label_route(models, uploads), methods=["POST"]),
        WebSocketRoute("/v1/listen", listen_route(streams, settings)),
    ]
    if settings.record_dir is not None:
        records = Records(settings.record_dir, settings.max_recordings)
        routes.append(Route("/v1/record", record_route(records, uploads), methods=["POST"]))
    routes.append(Route("/{path:path}", pages.page))
    middleware = [Middleware(Guard, settings=settings, measures=measures)]
    if settings.allow_origins:
        allowed = list(settings.allow_origins)
        headers = ["Authorization", "Content-Type"]
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=allowed, allow_methods=_METHODS, allow_headers=headers)
        )
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=middleware,
        exception_handlers={HTTPException: _as_json},  # type: ignore[dict-item]
    )
    app.state.measures = measures
    return app


def _fresh(value: Any) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-cache"})


async def _as_json(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
