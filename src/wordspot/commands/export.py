"""``wordspot export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordspot.export.run import ExportedFile

HELP = "write a trained model as one ONNX file that runs anywhere"
EXAMPLE = "wordspot export runs/four --out words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the folder of a run")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write, such as words.onnx")
    parser.add_argument(
        "--checkpoint",
        metavar="STEP",
        type=int,
        help="use the checkpoint of this step (default: the best one on the validation set)",
    )
    parser.add_argument("--int8", action="store_true", help="weights in 8 bits: a file of a third of the size")
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="the recordings of the run, on whose validation clips the cost of --int8 is measured",
    )
    parser.add_argument(
        "--max-loss",
        metavar="POINTS",
        type=float,
        default=1.0,
        help="percentage points of accuracy that --int8 may cost (default: 1)",
    )
    parser.add_argument("--data-name", metavar="TEXT", default="", help="the name of the recordings, kept in the file")
    parser.add_argument(
        "--licence", metavar="TEXT", default="", help="the licence of the recordings, kept in the file, such as CC BY 4.0"
    )
    parser.add_argument("--attribution", metavar="TEXT", default="", help="who made the recordings, kept in the file")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.run import load_run

    exported = load_run(args.run_folder).export(
        args.out,
        checkpoint=args.checkpoint,
        int8=args.int8,
        data=args.data,
        max_loss=args.max_loss,
        about_data=_about_data(args),
        force=args.force,
    )
    if args.json:
        console.print_json(exported.to_json())
    else:
        _print(exported)


def _about_data(args: argparse.Namespace) -> dict[str, str]:
    given = {"name": args.data_name, "licence": args.licence, "attribution": args.attribution}
    return {name: text for name, text in given.items() if text}


def _print(exported: ExportedFile) -> None:
    from wordspot.commands import console

    if exported.note:
        console.note(f"exported for clips, not as a stream: {exported.note}")
    console.say(exported.summary())
    if cost := exported.int8:
        console.say(
            f"int8: {100 * cost.accuracy_before:.1f} % → {100 * cost.accuracy:.1f} % correct of {cost.clips} validation "
            f"clips, {cost.changed} with another prediction"
        )
