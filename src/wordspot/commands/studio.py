"""``wordspot studio``."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordspot.studio.serve import OpenStudio

HELP = "teach words in the browser: record or type them, train, see how good it is, try it, take the file"
EXAMPLE = "wordspot studio --dir my-words"
_TOKEN_VARIABLE = "WORDSPOT_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--dir", dest="folder", type=Path, default=Path("studio"), metavar="DIR",
        help="where the projects are, each a folder (default: ./studio)",
    )  # fmt: skip
    add("--port", type=int, default=8766, metavar="N", help="default: 8766; 0: any free port")
    add("--no-browser", action="store_true", help="do not open the page in a browser")
    add(
        "--speech", type=Path, metavar="DIR",
        help="recordings of speech without the words, for every training; without it expect more false accepts",
    )  # fmt: skip
    add(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="0.0.0.0 lets phones in the house record too, with the link that is printed (default: this machine only)",
    )  # fmt: skip
    add("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM) for https, which microphones of phones need")
    add("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    add("--token", metavar="T", help=f"token of the link; the variable {_TOKEN_VARIABLE} hides it from other users")


def run(args: argparse.Namespace) -> int:
    from wordspot.studio.serve import studio

    token = os.environ.get(_TOKEN_VARIABLE, "") if args.token is None else args.token
    names = "speech", "host", "port", "tls_cert", "tls_key"
    try:
        studio(args.folder, token=token, on_start=partial(_tell, args), **{name: getattr(args, name) for name in names})
    except KeyboardInterrupt:  # the usual end
        return 130
    return 0


def _tell(args: argparse.Namespace, opened: OpenStudio) -> None:
    from wordspot.commands import console

    console.say(f"The studio: {opened.url}")
    console.say(f"Projects:   {opened.folder}")
    if opened.resumed:
        console.say(f"Training:   {opened.resumed} goes on")
    console.note("Ctrl-C ends it; a training that is running then goes on the next time")
    if not opened.has_engine:
        console.note("the page cannot try models: the engine in WebAssembly is missing; run `make web` in a checkout")
    if not args.no_browser:
        import webbrowser

        webbrowser.open(opened.url)
