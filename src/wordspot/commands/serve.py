"""``wordspot serve``."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import add_gain, add_save, add_studio
from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from wordspot.server.serve import Serving
    from wordspot.studio.serve import OpenStudio

HELP = "serve a web page that listens, a WebSocket for programs, and wake words for Home Assistant"
EXAMPLE = "wordspot serve words.onnx --open"
TOKEN_VARIABLE = "WORDSPOT_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "models",
        nargs="*",
        type=Path,
        metavar="MODEL.onnx",
        help="files that `wordspot export` wrote (default: the model that comes with wordspot)",
    )
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 0.0.0.0 is open to the whole network (default: this machine only)",
    )
    add("--port", type=int, default=8765, metavar="N", help="default: 8765; 0: any free port")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM) for https, which microphones need")
    add("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    add(
        "--token",
        metavar="T",
        help=f"token that programs must send to use /v1/; the variable {TOKEN_VARIABLE} hides it from other users",
    )
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        dest="allow_origins",
        help="another page that may use the server, such as https://example.org; may be repeated",
    )
    add("--record-dir", type=Path, metavar="DIR", help="where the page may save recordings for `wordspot train`")
    add(
        "--page-weights",
        choices=("int8", "float32"),
        default="int8",
        help="how the page gets a model's weights: in 8 bits, a quarter of the size, or in 32 bits (default: int8)",
    )
    add("--wyoming-port", type=int, metavar="N", help="also serve Home Assistant's Wyoming protocol here (usual: 10400)")
    add(
        "--wyoming-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address for Wyoming, which has no token (default: this machine only)",
    )
    add("--zeroconf", action="store_true", help="announce the Wyoming port in the local network, so that Home Assistant finds it")
    add_gain(parser)
    add_save(parser, "what woke each satellite of the Wyoming port, and what nearly did, in a folder each")
    add("--workers", type=int, default=1, metavar="N", help="processes that share the port, on Linux (default: 1)")
    add("--studio", action="store_true", help="also serve the studio, where words are recorded and models trained")
    add_studio(parser)
    add("--open", action="store_true", help="open the page in a browser; with --studio, that of the studio")
    add("--verbose", action="store_true", help="log every stream and every failed request, not only refused clients")


def run(args: argparse.Namespace) -> int:
    try:
        return _serve(args)
    except KeyboardInterrupt:  # the usual end
        return 130


def _serve(args: argparse.Namespace) -> int:
    import logging

    from wordspot.server.serve import serve
    from wordspot.studio.serve import studio

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("wordspot").setLevel(logging.INFO if args.verbose else logging.WARNING)
    names = (
        "host", "port", "allow_origins", "record_dir", "page_weights", "tls_cert", "tls_key", "wyoming_port", "wyoming_host",
        "zeroconf", "gain", "workers", "save", "save_mb",
    )  # fmt: skip
    given = {name: getattr(args, name) for name in names}
    token = os.environ.get(TOKEN_VARIABLE, "") if args.token is None else args.token
    if args.studio:
        given |= {name: value for name in ("folder", "speech") if (value := getattr(args, name)) is not None}
        studio(models=args.models, token=token, on_start=partial(_tell_with_studio, args), **given)
    elif args.folder or args.speech:
        raise ConfigError("--dir and --speech are for the studio; add --studio, or leave them out")
    else:
        serve(args.models, token=token, on_start=partial(_tell, args, is_open=not token), **given)
    return 0


def _tell_with_studio(args: argparse.Namespace, opened: OpenStudio) -> None:
    from wordspot.commands import console

    _tell(args, opened.serving, is_open=False)  # it has a token if it is open to others
    console.say(opened.summary())
    for note in opened.notes():
        console.note(note)
    if args.open:
        _open(opened.url)


def _tell(args: argparse.Namespace, serving: Serving, *, is_open: bool) -> None:
    """Where the page is, what it offers, and what is open to whom."""
    from wordspot.commands import console

    console.say(f"The page: {serving.url}")
    console.say(f"Programs: {serving.url.replace('http', 'ws', 1)}v1/listen (docs/protocol.md), {serving.url}openapi.json")
    for model in serving.models:
        words = [label for label in model.card.labels if not label.startswith("_")]
        console.say(f"Model:    {model.name} ({', '.join(words[:12])})")
    if args.record_dir:
        console.say(f"Records:  into {args.record_dir}")
    if serving.wyoming:
        console.say(f"Wyoming:  tcp://{args.wyoming_host}:{serving.wyoming[1]}")
    if args.save:
        console.say(f"Keeps:    the sound of detections, at most {args.save_mb:g} MB, in {args.save}")
    if serving.announced and serving.wyoming:
        name, addresses = serving.announced
        console.say(f"In the network: {name}, {', '.join(addresses)}, port {serving.wyoming[1]}")
    if not _is_loopback(args.host) and is_open:
        console.note(f"anyone who can reach {args.host} may use this server; with --token T, programs need a token")
    if not _is_loopback(args.host) and not args.tls_cert:
        console.note("browsers on other machines need https to use a microphone; see --tls-cert and --tls-key")
    if serving.wyoming and not _is_loopback(args.wyoming_host):
        console.note(f"Wyoming has no token: anyone who can reach {args.wyoming_host} may use it")
    if serving.not_runnable:
        names = ", ".join(serving.not_runnable)
        console.note(f"the page cannot run {names}: onnxruntime-web is missing; run `make web` in a checkout")
    if args.open and not args.studio:
        _open(serving.url)


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
