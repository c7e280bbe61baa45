"""``wordspot verify``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check that an exported file gives the same scores on this machine as when it was exported"
EXAMPLE = "wordspot verify words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", type=Path, nargs="?", help="an exported file (default: the one that comes with wordspot)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot.commands import console
    from wordspot.runtime.model import verify

    found = verify(args.model)
    if args.json:
        console.print_json(found.to_json())
    else:
        result = found.result
        console.say(
            f"{found.model}: {'as it was exported' if found.passed else 'NOT as it was exported'}; {result.rows} "
            f"rows of scores differ by up to {result.difference:.1e}, {result.tolerance:g} is allowed ({found.engine})"
        )
    return 0 if found.passed else 1
