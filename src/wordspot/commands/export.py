"""``wordspot export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordspot.export.run import ExportResult

HELP = "export a trained model as one ONNX file"
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
    parser.add_argument("--int8", action="store_true", help="store weights in 8 bits: a third of the file size")
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="the recordings of the run, to measure on their validation clips what --int8 costs",
    )
    parser.add_argument(
        "--max-loss", metavar="POINTS", type=float, default=1.0,
        help="points of accuracy that --int8 may cost (default: 1)",
    )  # fmt: skip
    parser.add_argument("--data-name", metavar="TEXT", default="", help="name of the recordings, stored in the file")
    parser.add_argument(
        "--licence", metavar="TEXT", default="", help="licence of the recordings, stored in the file, such as CC BY 4.0"
    )
    parser.add_argument(
        "--attribution", metavar="TEXT", default="", help="attribution of the recordings, stored in the file"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.export.run import export_run

    result = export_run(
        args.run_folder, args.out, checkpoint=args.checkpoint, force=args.force, int8=args.int8, data=args.data,
        max_loss=args.max_loss, about_data=_about_data(args),
    )  # fmt: skip
    if args.json:
        console.print_json(result.to_json())
        return
    _print(result)


def _about_data(args: argparse.Namespace) -> dict[str, str]:
    given = {"name": args.data_name, "licence": args.licence, "attribution": args.attribution}
    return {name: text for name, text in given.items() if text}


def _print(result: ExportResult) -> None:
    from wordspot.commands import console

    if result.note:
        console.note(f"exported for whole clips, not as a stream: {result.note}")
    stream = f"a stream, {result.step_ms:g} ms or more at a time"
    takes = stream if result.kind == "stream" else f"clips of {result.clip_ms:g} ms"
    console.say(
        f"{result.out}: {result.bytes / 1000:.0f} kB, input: {takes}; differs from torch by {result.difference:.1g}"
    )
    if result.int8:
        console.say(
            f"int8: accuracy {100 * result.int8.accuracy_before:.1f} % → {100 * result.int8.accuracy:.1f} % on "
            f"{result.int8.clips} validation clips, {result.int8.changed} predictions changed"
        )
