"""``wordspot export-web``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

HELP = "write the web page with models in it as plain files, for any https host"
EXAMPLE = "wordspot export-web words.onnx --out site"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        metavar="FILE.onnx",
        type=Path,
        help="models of the page; the first is chosen at start (default: the one that comes with wordspot)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--weights",
        choices=("int8", "float32"),
        default="int8",
        help="weights in 8 bits, a quarter of the size, or in 32 bits (default: int8)",
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that holds files already")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.server.site import export_web

    site = export_web(args.models, args.out, weights=args.weights, force=args.force)
    console.say(f"{args.out}: the page, {site.n_bytes / 1e6:.1f} MB, with {', '.join(site.models)}")
    if site.in_onnxruntime:
        console.say(
            f"with onnxruntime-web for {', '.join(site.in_onnxruntime)}, which visitors then download: 3.7 MB, compressed"
        )
    console.say("browsers allow the microphone on https and localhost only; to try it here:")
    console.say(
        f"  python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(args.out))} 8000"
        "   # then open http://localhost:8000/"
    )
