"""``wordspot verify``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check that an exported file gives on this machine what it gave when it was made"
EXAMPLE = "wordspot verify words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=Path,
        nargs="?",
        help="an exported file (default: the one that comes with wordspot)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot.commands import console
    from wordspot.runtime.modelfile.self_test import verify
    from wordspot.runtime.streams import DEFAULT_MODEL, open_model

    opened = open_model(args.model, self_test=False)
    report = {"model": str(args.model or DEFAULT_MODEL), **verify(opened.session, opened.card)}
    if args.json:
        console.print_json(report)
    else:
        console.say(
            f"{report['model']}: {'as it was exported' if report['passed'] else 'NOT as it was exported'}; {report['rows']} "
            f"rows of scores differ by up to {report['difference']:.1e}, {report['tolerance']:g} is allowed"
        )
    return 0 if report["passed"] else 1
