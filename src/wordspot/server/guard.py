"""Who may use the server: checks the host name, the origin of the page and the token of every request.

- A request whose header ``Host`` is not a name of this server is refused: a page elsewhere could make its own name point
  here (DNS rebinding). Numeric addresses, localhost and this machine's name are its own.
- An ``Origin``, which browsers send, must be the server itself or one of `allow_origins`. Below `OWN_PAGES`, where files are
  changed and removed, it must be the server itself.
- With a token, everything below ``/v1/`` needs ``Authorization: Bearer TOKEN``. A WebSocket may give ``?token=TOKEN``
  instead, because browsers do not let pages set its headers.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters
from wordspot.server.refusals import log, refused

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; "
        "media-src 'self' blob:; img-src 'self' data: blob:; style-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: What only the server's own pages may ask for.
OWN_PAGES = "/v1/studio/"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_UNKNOWN_NAME = "this server is not known by that name; add {origin} to its allowed origins (allow_origins)"
_UNKNOWN_PAGE = "pages of {origin} may not use this server; add {origin} to its allowed origins (allow_origins)"
_OTHER_PAGE = "pages of {origin} may not use the studio, only its own page may; a proxy must pass on the header Host"


class Guard:
    """Middleware that refuses requests, adds the security headers, and turns failures into a response with status 500."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, counters: Counters) -> None:
        self._app, self._counters = app, counters
        self._token = settings.token.encode()
        self._origins = set(settings.allow_origins)
        machine = socket.gethostname().lower()
        own = {"localhost", machine, f"{machine}.local", settings.host.lower()}
        self._hosts = own | {urlsplit(origin).hostname or "" for origin in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                self._counters.count("requests_total", status=str(message["status"]))
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            refused(self._counters, refusal[2], scope.get("client"), refusal[1])
            await _refuse(scope, receive, send_guarded, *refusal[:2])
            return
        try:
            await self._app(scope, receive, send_guarded)
        except Exception:
            log.exception("a request failed")
            self._counters.count("errors_total", where=scope["type"])
            if scope["type"] != "http" or started:
                raise
            answer = JSONResponse({"error": "the server failed; see its log"}, status_code=500)
            await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, message and short reason if the request is refused; None if it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host and not self._is_own(host):
            return 421, _UNKNOWN_NAME.format(origin=f"https://{host}"), "host"
        origin = headers.get("origin", "")
        if origin and not self._is_welcome(origin, host):
            return 403, _UNKNOWN_PAGE.format(origin=origin), "origin"
        if origin and scope["path"].startswith(OWN_PAGES) and not _is_same(origin, host):
            return 403, _OTHER_PAGE.format(origin=origin), "origin"
        if self._token and scope["path"].startswith("/v1/") and not self._has_token(scope, headers):
            return 401, "the server's token is missing; send it as Authorization: Bearer TOKEN", "token"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _is_welcome(self, origin: str, host: str) -> bool:
        return origin.lower() in self._origins or _is_same(origin, host)

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        if scope.get("method") == "OPTIONS":  # a browser's preflight request carries no token
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token):
            return True
        if scope["type"] != "websocket":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is that of the server which the client calls `host`."""
    scheme, separator, place = origin.lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    if not (separator and default):
        return False
    return place.removesuffix(default) == host.lower().removesuffix(default)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    answer = JSONResponse({"error": reason}, status_code=status, headers={**headers, "Connection": "close"})
    if scope["type"] == "websocket":
        socket_ = WebSocket(scope, receive, send)
        await socket_.receive()
        await socket_.send_denial_response(answer)
    else:
        await answer(scope, receive, send)
