"""``wordspot export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from wordspot.export.c_target import ExportedC
    from wordspot.export.run import ExportedFile

HELP = "write a trained model as one ONNX file that runs anywhere, or such a file as C sources"
EXAMPLE = "wordspot export runs/four --out words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN", type=Path, help="the folder of a run; with --target c, an exported file")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="the file to write, such as words.onnx; with --target c, a folder"
    )
    parser.add_argument(
        "--target", choices=("onnx", "c"), default="onnx", help="onnx, or c: sources without dependencies (default: onnx)"
    )
    parser.add_argument(
        "--weights", choices=("float32", "int8"), help="of --target c: float32, or int8, a quarter of the size (default: float32)"
    )
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

    if args.target == "c":
        _export_c(args)
        return
    if args.weights:
        raise ConfigError("--weights belongs to --target c; for an ONNX file with weights in 8 bits use --int8")
    from wordspot.run import load_run

    exported = load_run(args.source).export(
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


def _export_c(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.export.c_target import export_c

    if args.source.is_dir():
        raise ConfigError(f"{args.source} is a folder; --target c takes an exported file. Export the run to one first")
    given = {"--checkpoint": args.checkpoint, "--int8": args.int8, "--data": args.data, **_about_data(args)}
    if wrong := [name for name, value in given.items() if value]:
        raise ConfigError(f"{wrong[0]} is of no use with --target c, which takes a finished file; leave it out")
    exported = export_c(args.source, args.out, weights=args.weights or "float32", force=args.force)
    if args.json:
        console.print_json(exported.to_json())
    else:
        _print_c(exported)


def _print_c(exported: ExportedC) -> None:
    from wordspot.commands import console

    console.say(
        f"{exported.folder}: C sources for {', '.join(exported.labels)}; {exported.model_bytes / 1000:.0f} kB of flash for "
        f"the model, {exported.state_bytes / 1000:.1f} kB of RAM, {exported.multiply_adds:,} multiply-adds a hop"
    )
    console.say("to build and test it, see README.md there")


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
