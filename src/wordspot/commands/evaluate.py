"""``wordspot evaluate``: a run with torch, an exported file without."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "evaluate a trained model on recordings: accuracy, confusion, error rates"
EXAMPLE = "wordspot evaluate runs/four recordings --report report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="RUN|FILE.onnx", type=Path, help="the folder of a run, or an exported file (needs no torch)"
    )
    parser.add_argument(
        "data",
        metavar="DIR|CSV",
        type=Path,
        help="one folder of recordings per word; for a model of whole recordings, a list of them",
    )
    parser.add_argument(
        "--split",
        choices=("training", "validation", "testing", "all"),
        help="the set; 'all' is for a foreign folder: every recording once (default: testing; all if there is one recording "
        "of each word)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="STEP",
        type=int,
        help="use the checkpoint of this step (default: the best one on the validation set)",
    )
    parser.add_argument(
        "--report", metavar="HTML", type=Path, help="write a page with all metrics, charts and the worst recordings"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.reports.report import write_report
    from wordspot.run import evaluate

    with console.show_progress() as progress:
        result = evaluate(
            args.model, args.data, split=args.split, checkpoint=args.checkpoint, device=args.device, progress=progress
        )
    console.note_left_out(result.left_out)
    if args.report:
        write_report(result, args.report)
    console.show_result(result, as_json=args.json)
    if args.report and not args.json:
        console.say(f"report: {args.report}")
