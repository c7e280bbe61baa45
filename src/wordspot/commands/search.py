"""``wordspot search``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from wordspot.commands.options import add_channel

HELP = "find detections in the result of `wordspot scan`, and cut them out to listen to"
EXAMPLE = "wordspot search hits --word stop --min-score 0.8 --clips clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("hits", type=Path, metavar="DIR", help="the folder that was given to `wordspot scan --out`")
    add("--word", action="append", default=[], dest="words", metavar="WORD", help="may be repeated (default: all words)")
    add("--min-score", type=float, default=0.0, metavar="X", help="the least score, 0 to 1 (default: 0)")
    add("--file", default="", metavar="TEXT", help="a part of the recording's path or URL")
    add("--model", default="", metavar="HASH", help="the beginning of the model's SHA-256, if there are several models")
    add("--limit", type=int, metavar="N", help="only the N highest scores")
    add("--clips", type=Path, metavar="DIR", help="cut the detections out, 2 s before to 0.5 s after, as WAV into DIR/WORD")
    add_channel(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per line")
    form.add_argument("--csv", action="store_true", help="print a line per detection: file,time_ms,label,score")


def run(args: argparse.Namespace) -> int:
    from wordspot.archive.search import search
    from wordspot.commands import console

    n_notes = 0

    def note(text: str) -> None:
        nonlocal n_notes
        n_notes += 1
        console.note(f"could not be read: {text}")

    with console.show_progress() as show:
        found = search(
            args.hits, words=args.words, min_score=args.min_score, file=args.file, model=args.model, limit=args.limit,
            clips=args.clips, channel=args.channel, on_note=note, progress=show,
        )  # fmt: skip
    if args.csv:
        table = console.CsvLines(["file", "time_ms", "label", "score"])
        table.write(*([hit.file, f"{hit.end_ms:.0f}", hit.word, f"{hit.score:.5f}"] for hit in found))
    for hit in () if args.csv else found:
        sys.stdout.write((json.dumps(hit.to_json(), ensure_ascii=False) if args.json else console.shown(str(hit))) + "\n")
    return 1 if n_notes else 0
