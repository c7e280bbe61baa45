"""Serves the files of the page. Only names that were listed at the start are looked up on the disk."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

#: What the page is made of; files of other types are not served. The types of the system's own table differ by machine.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".bin": "application/octet-stream",
}
_FRESH, _FOR_EVER = "no-cache", "public, max-age=31536000, immutable"
_PIECE = 64 << 10  # bytes


def page_folder() -> Path:
    """The folder of the page's files in this installation."""
    return Path(str(importlib.resources.files("wordspot") / "web"))


class Page(StaticFiles):
    """The files of a folder that have one of `TYPES`; the folder itself is its ``index.html``.

    A compressed copy beside a file (``ort.wasm.gz``, which ``make web`` writes) is sent to clients that accept gzip.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, follow_symlink=True)
        self._names = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix in TYPES and path.is_file() and not path.name.startswith(".")
        }

    async def serve(self, request: Request) -> Response:
        """The response to a request for one file."""
        name = request.path_params["path"] or "index.html"
        if name not in self._names:
            raise HTTPException(404, "no such page; the page itself is at /")
        response = await self.get_response(name, request.scope)
        is_versioned = name.startswith("vendor/") and "v" in request.query_params
        response.headers["Cache-Control"] = _FOR_EVER if is_versioned else _FRESH
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or its compressed copy if that is not older; 304 if the client has it."""
        path, headers, asked = Path(full_path), {}, Headers(scope=scope)
        twin = path.with_name(f"{path.name}.gz")
        if accepts_gzip(asked) and twin.is_file() and twin.stat().st_mtime_ns >= stat_result.st_mtime_ns:
            full_path, stat_result = twin, twin.stat()
            headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        response = FileResponse(full_path, status_code, headers, TYPES[path.suffix], stat_result=stat_result)
        return NotModifiedResponse(response.headers) if self.is_not_modified(response.headers, asked) else response


class MadeFiles:
    """Files from memory: those on disk may have changed since the start.

    Args:
        files: the content of each, by its path.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {name: (content, hashlib.sha256(content).hexdigest()) for name, content in files.items()}

    async def serve(self, request: Request) -> Response:
        """The response to a request for one file."""
        name = request.scope["path"].removeprefix("/")
        if name not in self._files:
            raise HTTPException(404, "no such file; /v1/models lists the models")
        content, digest = self._files[name]
        return _from_memory(request, content, digest, TYPES[Path(name).suffix])


class Compression(GZipMiddleware):
    """Starlette's middleware, which would compress for clients that say ``gzip;q=0`` too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and accepts_gzip(Headers(scope=scope)):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def accepts_gzip(headers: Headers) -> bool:
    """Whether a client accepts gzip, by its header ``Accept-Encoding``."""
    for entry in headers.get("accept-encoding", "").lower().split(","):
        coding, _, quality = entry.partition(";")
        if coding.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _from_memory(request: Request, body: bytes, digest: str, media_type: str) -> Response:
    headers = {"Cache-Control": _FRESH, "ETag": f'"{digest[:32]}"', "Content-Length": str(len(body))}
    asked = request.headers.get("if-none-match", "").split(",")
    if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in asked):
        return NotModifiedResponse(Headers(headers))
    return StreamingResponse(_pieces(body), headers=headers, media_type=media_type)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """`body` in pieces, each sent when the client has read those before: a slow reader costs little memory."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
