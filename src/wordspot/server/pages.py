"""The files of the page, and of the models: nothing else of the disk can be asked for, since only listed names are looked up."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wordspot.server.served import ServedModel

#: What the page is made of; files of other kinds are not served.
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json", ".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8",
    ".onnx": "application/octet-stream",
}  # fmt: skip
_FRESH, _FOR_EVER = "no-cache", "public, max-age=31536000, immutable"
_PIECE = 64 << 10  # bytes
_SMALL = 1 << 10  # bytes below which compressing does not pay


def page_folder() -> Path:
    """Where the files of the page lie in this installation."""
    return Path(str(importlib.resources.files("wordspot") / "web"))


def models_json(models: Sequence[ServedModel], facts: dict[str, Any]) -> bytes:
    """What the page reads first: the models with their cards, and facts of the server."""
    listing = {"models": [model.description() for model in models], **facts}
    return json.dumps(listing, ensure_ascii=False, allow_nan=False).encode()


class Pages:
    """Serves a folder and the models' files.

    Args:
        folder: the page's files; listed at start.
        models: served as ``models/NAME.onnx``.
        facts: of the server, that stand beside the models in ``models.json``.
    """

    def __init__(self, folder: Path, models: Sequence[ServedModel], facts: dict[str, Any]) -> None:
        self._listing = models_json(models, facts)
        self._files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES and path.is_file() and not path.name.startswith(".")
        }
        self._models = {model.name: model for model in models}

    async def page(self, request: Request) -> Response:
        """A file of the page; the folder itself is its ``index.html``. Compressed where the client takes that."""
        name = request.path_params.get("path", "") or "index.html"
        path = self._files.get(name)
        if path is None:
            raise HTTPException(404, "no such page; the page itself is at /")
        stamp = path.stat()
        body = await run_in_threadpool(_read, path, stamp.st_mtime_ns)
        is_versioned = name.startswith("vendor/") and "v" in request.query_params
        return _answer(request, body, TYPES[path.suffix], _FOR_EVER if is_versioned else _FRESH)

    async def listing(self, request: Request) -> Response:
        """``models.json``."""
        body = await run_in_threadpool(_compressed, self._listing, hashlib.sha256(self._listing).hexdigest())
        return _answer(request, body, TYPES[".json"], _FRESH)

    async def model(self, request: Request) -> Response:
        """A model's file."""
        model = self._models.get(request.path_params["name"])
        if model is None:
            raise HTTPException(404, "no such model; /v1/models lists them")
        body = await run_in_threadpool(_compressed, model.data, model.digest)
        return _answer(request, body, TYPES[".onnx"], _FRESH)


@dataclass(frozen=True)
class _Body:
    plain: bytes
    zipped: bytes | None
    digest: str


@lru_cache(maxsize=256)
def _read(path: Path, changed_ns: int) -> _Body:
    """A file, once for every time that it changes. A compressed twin beside it, as ``make web`` makes, is taken as it is."""
    data = path.read_bytes()
    twin = path.with_name(f"{path.name}.gz")
    if twin.is_file() and twin.stat().st_mtime_ns >= changed_ns:
        return _Body(data, twin.read_bytes(), hashlib.sha256(data).hexdigest())
    return _compressed(data, hashlib.sha256(data).hexdigest())


@lru_cache(maxsize=256)
def _compressed(data: bytes, digest: str) -> _Body:
    zipped = gzip.compress(data, 6, mtime=0) if len(data) >= _SMALL else None
    return _Body(data, zipped if zipped and len(zipped) < 0.95 * len(data) else None, digest)


def _answer(request: Request, body: _Body, kind: str, caching: str) -> Response:
    zipped = body.zipped if _takes_gzip(request.headers.get("accept-encoding", "")) else None
    tag = f'"{body.digest[:32]}{"-gz" if zipped else ""}"'
    headers = {"Cache-Control": caching, "ETag": tag, "Vary": "Accept-Encoding"}
    if tag in (one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Pieces(zipped or body.plain, headers={**headers, "Content-Type": kind})


class Pieces(Response):
    """A body that is sent piece by piece, each when the client has read those before: a slow reader costs little memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, max(len(body), 1), _PIECE):
            more = start + _PIECE < len(body)
            await send({"type": "http.response.body", "body": bytes(body[start : start + _PIECE]), "more_body": more})


def _takes_gzip(accepted: str) -> bool:
    for entry in accepted.lower().split(","):
        coding, _, quality = entry.partition(";")
        if coding.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
