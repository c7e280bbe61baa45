"""``wordspot test-stream``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "test a model on streams whose words are known: misses, false accepts per hour, latency"
EXAMPLE = "wordspot test-stream words.onnx stream.wav --truth stream.csv --report stream.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from wordspot.commands.options import add_stream_flags

    add_stream_flags(parser)
    parser.add_argument("--report", metavar="HTML", type=Path, help="write a page: scores over time, playable events, curves")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.audio.spool import local_files
    from wordspot.commands import console
    from wordspot.commands.options import decoder_settings, split_any_model
    from wordspot.evaluation.streams import test_stream
    from wordspot.reports.report import write_report

    model, paths = split_any_model(args.paths)
    with local_files(paths) as streams, console.show_progress() as progress:
        result = test_stream(
            model,
            streams,
            truth=args.truth,
            no_words=args.no_words,
            time_tolerance_ms=args.time_tolerance_ms,
            decoder=args.decoder,
            settings=decoder_settings(args),
            progress=progress,
        )
        if args.report:
            write_report(result, args.report)
    console.show_result(result, as_json=args.json)
    if args.report and not args.json:
        console.say(f"report: {args.report}")
