"""``wordspot export-web``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write the web page with models in it as plain files, for any https host"
EXAMPLE = "wordspot export-web words.onnx --out site"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="FILE.onnx", type=Path,
        help="models that the page offers; the first is chosen at start (default: the one that comes with wordspot)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder to write")
    parser.add_argument("--force", action="store_true", help="write into a folder that holds files already")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.files import check_out
    from wordspot.server.served import load_models
    from wordspot.server.site import write_site

    check_out(args.out, force=args.force, hint="--force to write into it all the same")
    models = load_models(args.models or [None])
    n_bytes = write_site(models, args.out)
    names = ", ".join(model.name for model in models)
    console.say(f"{args.out}: the page, {n_bytes / 1e6:.1f} MB, with {names}")
    console.say("browsers give the microphone to https and localhost only; to try it here:")
    console.say(
        f"  python -m http.server --bind 127.0.0.1 --directory {args.out} 8000   # then open http://localhost:8000/"
    )
