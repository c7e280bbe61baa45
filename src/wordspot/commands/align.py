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
    parser.add_argument(
        "--clip-ms", type=float, default=length, metavar="MS", help=f"length kept (default: {length:g})"
    )
    parser.add_argument("--sample-rate", type=int, default=rate, metavar="HZ", help=f"rate written (default: {rate})")
    parser.add_argument("--force", action="store_true", help="write into a DIR2 that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.align import align

    n_written = n_left_out = 0
    with console.progress_bar() as bar:
        task = bar.add_task("aligning")
        for step in align(args.folder, args.out, sample_rate=args.sample_rate, clip_ms=args.clip_ms, force=args.force):
            bar.update(task, completed=step.done, total=step.total)
            if step.problem:
                n_left_out += 1
                bar.console.print(f"left out: {step.problem}", markup=False)
            else:
                n_written += 1
    left_out = f", {n_left_out} left out" if n_left_out else ""
    console.say(f"{args.out}: {n_written} clips of at most {args.clip_ms:g} ms{left_out}")
