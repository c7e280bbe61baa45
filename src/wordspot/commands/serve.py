"""``wordspot serve``."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from wordspot.server.config import ServerSettings
    from wordspot.server.served import ServedModel
    from wordspot.server.streams import StreamPool
    from wordspot.server.web_server import WebServer

HELP = "a web page that listens, a WebSocket for programs, and Home Assistant's wake words"
EXAMPLE = "wordspot serve words.onnx --open"
TOKEN_VARIABLE = "WORDSPOT_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL.onnx",
        help="files that `wordspot export` wrote (default: the one that comes with wordspot)",
    )  # fmt: skip
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="the address to listen on: 0.0.0.0 lets every machine of the network in (default: this machine only)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="default: 8765; 0: any that is free")
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="a certificate (PEM): https, which microphones need"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    parser.add_argument(
        "--token", metavar="T",
        help=f"what programs must show to use /v1/; {TOKEN_VARIABLE} in the environment hides it from other users",
    )  # fmt: skip
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN",
        help="a page from elsewhere that may use the server, such as https://example.org; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--record-dir",
        type=Path,
        metavar="DIR",
        help="where the page may save recordings, as `wordspot train` reads them",
    )
    parser.add_argument(
        "--wyoming-port", type=int, metavar="N", help="also speak Home Assistant's Wyoming protocol here (usual: 10400)"
    )
    parser.add_argument(
        "--wyoming-host", default="127.0.0.1", metavar="ADDRESS",
        help="the address for Wyoming, which has no token (default: this machine only)",
    )  # fmt: skip
    parser.add_argument(
        "--zeroconf", action="store_true",
        help="announce the Wyoming port in the local network, so that Home Assistant finds it",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    try:
        return _serve(args)
    except KeyboardInterrupt:  # how serving usually ends: no message
        return 130


def _serve(args: argparse.Namespace) -> int:
    from wordspot.errors import ConfigError
    from wordspot.server.served import load_models
    from wordspot.server.streams import StreamPool
    from wordspot.server.web_server import WebServer, bind, serve_all

    if args.zeroconf and args.wyoming_port is None:
        raise ConfigError("--zeroconf announces the port of --wyoming-port; name that, too")
    settings = _settings(args)
    tls = _tls(args)
    models = load_models(args.models or [None])
    pool = StreamPool(models, threads=settings.n_threads, max_streams=settings.max_streams)
    with contextlib.ExitStack() as opened:
        listening = None
        if args.wyoming_port is not None:
            listening = bind(args.wyoming_host, args.wyoming_port, options="--wyoming-port or --wyoming-host")
            opened.enter_context(listening)
        beside = _beside(args, listening, pool, settings) if listening else []
        web = WebServer(models, settings, tls=tls, pool=pool)
        _tell(web, models, settings, args, wyoming_port=listening.getsockname()[1] if listening else None)

        if args.open:
            import webbrowser

            webbrowser.open(web.url)  # the port is bound: a browser that is early waits
        serve_all(web, beside)
    return 0


def _beside(
    args: argparse.Namespace, listening: socket.socket, pool: StreamPool, settings: ServerSettings
) -> list[Callable[[], Awaitable[object]]]:
    """What starts beside the page: Wyoming on the bound port, and where it is asked for its announcement.

    Raises:
        ConfigError: no model hears words, or there is nobody to announce it to.
    """
    from wordspot.commands import console
    from wordspot.server.wyoming import offered_words, serve_wyoming

    offered_words(pool.models)
    starts: list[Callable[[], Awaitable[object]]] = [lambda: serve_wyoming(pool, listening, settings)]
    if args.zeroconf:
        from wordspot.server.announce import announce, reachable_addresses

        addresses, port = reachable_addresses(args.wyoming_host), listening.getsockname()[1]

        async def tell_others() -> object:
            announcement = await announce(addresses, port)
            console.say(f"In the network: {announcement.name}, {', '.join(addresses)}, port {port}")
            return announcement

        starts.append(tell_others)
    return starts


def _settings(args: argparse.Namespace) -> ServerSettings:
    from wordspot.server.config import ServerSettings

    token = args.token if args.token is not None else os.environ.get(TOKEN_VARIABLE, "")
    return ServerSettings(
        host=args.host, port=args.port, token=token, allow_origins=tuple(args.allow_origin), record_dir=args.record_dir
    )


def _tls(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """The certificate and its key, or None.

    Raises:
        ConfigError: only one of them.
        NotFoundError: no such file.
    """
    from wordspot.errors import ConfigError, NotFoundError

    if (args.tls_cert is None) != (args.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together; name both")
    if args.tls_cert is None:
        return None
    for path in (args.tls_cert, args.tls_key):
        if not path.is_file():
            raise NotFoundError(f"{path}: expected a PEM file, but there is no such file")
    return args.tls_cert, args.tls_key


def _tell(
    web: WebServer,
    models: list[ServedModel],
    settings: ServerSettings,
    args: argparse.Namespace,
    *,
    wyoming_port: int | None,
) -> None:
    """Where the page is, what it offers, and what is open to whom."""
    from wordspot.commands import console
    from wordspot.server.pages import page_folder

    console.say(f"The page: {web.url}")
    console.say(f"Programs: {web.url.replace('http', 'ws', 1)}v1/listen (docs/protocol.md), {web.url}openapi.json")
    for model in models:
        words = [label for label in model.card.labels if not label.startswith("_")]
        console.say(f"Model:    {model.name} ({', '.join(words[:12])})")
    if args.record_dir:
        console.say(f"Records:  into {args.record_dir}")
    if wyoming_port is not None:
        console.say(f"Wyoming:  tcp://{args.wyoming_host}:{wyoming_port}")
    if not _is_loopback(settings.host) and not settings.token:
        console.note(f"everyone who reaches {settings.host} may use this server; --token T asks programs for a token")
    if not _is_loopback(settings.host) and not web.url.startswith("https"):
        console.note(
            "over plain http other machines' browsers give no microphone; --tls-cert and --tls-key make it https"
        )
    if wyoming_port is not None and not _is_loopback(args.wyoming_host):
        console.note(f"Wyoming has no token: everyone who reaches {args.wyoming_host} may use it")
    if not any((page_folder() / "vendor" / "ort").glob("*.wasm")):
        console.note(
            "the page cannot run models: this installation lacks onnxruntime-web; run `make web` in the checkout"
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
