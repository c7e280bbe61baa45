"""``wordspot studio``."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import add_studio

if TYPE_CHECKING:
    from wordspot.studio.serve import OpenStudio

HELP = "teach words in the browser: record or type them, train, see how good it is, try it, take the file"
EXAMPLE = "wordspot studio --dir my-words"
_TOKEN_VARIABLE = "WORDSPOT_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_studio(parser)
    add("--port", type=int, default=8766, metavar="N", help="default: 8766; 0: any free port")
    add("--no-browser", action="store_true", help="do not open the page in a browser")
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
    names = "folder", "speech", "host", "port", "tls_cert", "tls_key"
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    try:
        studio(token=token, on_start=partial(_tell, args), **given)
    except KeyboardInterrupt:  # the usual end
        return 130
    return 0


def _tell(args: argparse.Namespace, opened: OpenStudio) -> None:
    from wordspot.commands import console

    console.say(opened.summary())
    for note in opened.notes():
        console.note(note)
    if not args.no_browser:
        import webbrowser

        webbrowser.open(opened.url)
