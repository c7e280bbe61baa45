"""``wordspot align``: cut each recording to its loudest second."""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot.config import FeatureConfig

HELP = "cut each recording of a data folder to its loudest second"
EXAMPLE = "wordspot align recordings --out aligned"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    rate, length = FeatureConfig.sample_rate, FeatureConfig.clip_ms
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with one folder per word")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR2", help="new folder for the clips")
    parser.add_argument("--clip-ms", type=float, default=length, metavar="MS", help=f"length to keep (default: {length:g})")
    parser.add_argument("--sample-rate", type=int, default=rate, metavar="HZ", help=f"sample rate to write (default: {rate})")
    parser.add_argument("--force", action="store_true", help="write into a DIR2 that already holds files")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.align import align

    with console.show_progress() as progress:
        aligned = align(
            args.folder, args.out, sample_rate=args.sample_rate, clip_ms=args.clip_ms, force=args.force, progress=progress
        )
    for problem in aligned.problems:
        console.note(f"left out: {problem}")
    if args.json:
        console.print_json(aligned.to_json())
        return
    left_out = f", {len(aligned.problems)} left out" if aligned.problems else ""
    console.say(f"{args.out}: {aligned.n_clips} clips of at most {args.clip_ms:g} ms{left_out}")
