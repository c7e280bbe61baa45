"""``wordspot export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "write a trained model as one file that hears its words anywhere"
EXAMPLE = "wordspot export runs/four --out words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the folder of a run")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write, words.onnx say")
    parser.add_argument("--checkpoint", metavar="STEP", type=int, help="this checkpoint, not the best on validation")
    parser.add_argument(
        "--int8", action="store_true", help="the network's weights in 8 bits: a file of a third the size"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="the recordings of the run: what int8 costs is measured on their validation clips",
    )
    parser.add_argument(
        "--max-loss", metavar="POINTS", type=float, default=1.0,
        help="points of accuracy that int8 may cost (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--data-name", metavar="TEXT", default="", help="what the recordings are called, kept in the file"
    )
    parser.add_argument(
        "--licence", metavar="TEXT", default="", help="of the recordings, kept in the file: CC BY 4.0, say"
    )
    parser.add_argument("--attribution", metavar="TEXT", default="", help="whose recordings they are, kept in the file")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.export.run import export_run

    report = export_run(
        args.run_folder, args.out, checkpoint=args.checkpoint, force=args.force, int8=args.int8, data=args.data,
        max_loss=args.max_loss, about_data=_about_data(args),
    )  # fmt: skip
    if args.json:
        console.print_json(report)
        return
    _print(report)


def _about_data(args: argparse.Namespace) -> dict[str, str]:
    given = {"name": args.data_name, "licence": args.licence, "attribution": args.attribution}
    return {name: text for name, text in given.items() if text}


def _print(report: dict[str, Any]) -> None:
    from wordspot.commands import console

    if report["note"]:
        console.note(f"exported for whole clips, not as a stream: {report['note']}")
    takes = (
        f"a stream, {report['step_ms']:g} ms or more at a time"
        if report["kind"] == "stream"
        else f"clips of {report['clip_ms']:g} ms"
    )
    console.say(
        f"{report['out']}: {report['bytes'] / 1000:.0f} kB, takes {takes}; differs from torch by {report['difference']:.1g}"
    )
    if report["int8"]:
        before, after = report["int8"]["accuracy_before"], report["int8"]["accuracy"]
        console.say(
            f"int8: {100 * before:.1f} % → {100 * after:.1f} % right of {report['int8']['clips']} validation clips, "
            f"{report['int8']['changed']} judged otherwise"
        )
