"""``wordspot scan``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import add_channel, add_gain, add_threshold

if TYPE_CHECKING:
    from wordspot.archive.scan import ScanResult
    from wordspot.archive.schedule import ScanProgress

HELP = "find words in an archive, on all cores or on a Ray cluster, and write the detections as Parquet"
EXAMPLE = "wordspot scan archive/ 'more/**/*.flac' --model words.onnx --out hits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="recordings, folders, patterns (quoted), and URLs: s3://, gs://, https://")
    add("--list", action="append", default=[], metavar="FILE", dest="lists", help="a file with a source on each line; - is stdin")
    add("--model", type=Path, metavar="FILE.onnx", help="an exported file (default: the model that comes with wordspot)")
    add(
        "--out", type=Path, required=True, metavar="DIR", help="where the result goes; what is there already is not scanned again"
    )
    add_threshold(parser)
    add_channel(parser)
    add_gain(parser)
    add("--engine", choices=("ray", "processes"), help="what runs the workers (default: ray if it is installed)")
    add("--workers", type=int, metavar="N", help="recordings at a time (default: one for each core)")
    add("--address", metavar="HOST:PORT", help="of a running Ray cluster, or auto")
    add("--strict", action="store_true", help="exit with 1 if a recording could not be read")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot.archive.scan import scan
    from wordspot.commands import console

    with _progress() as show:
        result = scan(
            args.sources, args.model, out=args.out, lists=args.lists, threshold=args.threshold, channel=args.channel,
            gain=args.gain, engine=args.engine, workers=args.workers, address=args.address, progress=show,
        )  # fmt: skip
    if args.json:
        console.print_json(result.to_json())
    else:
        console.say(_summary(result))
    for failed in result.failed:
        console.note(f"could not be read: {failed.message}")
    return console.note_failures(len(result.failed), result.n_files) if args.strict or not result.failed else 0


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[ScanProgress], None]]:
    from wordspot.commands import console
    from wordspot.progress import Progress

    with console.show_progress() as show:

        def report(now: ScanProgress) -> None:
            left = "" if now.seconds_left is None else f", {duration(now.seconds_left)} left"
            text = f"{now.audio_seconds / 3600:.1f} h, {now.times_real_time:.0f} × real time{left}"
            show(Progress(text, now.n_files, now.n_all))

        yield report


def duration(seconds: float) -> str:
    """A time for people: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _summary(result: ScanResult) -> str:
    n_scanned = result.n_files - result.n_done_before
    before = f"; {result.n_done_before} were scanned before" if result.n_done_before else ""
    rate = f", {result.audio_seconds / result.seconds:.0f} × real time" if result.audio_seconds else ""
    return (
        f"{n_scanned} recordings, {result.audio_seconds / 3600:.2f} h, in {duration(result.seconds)}{rate}{before}\n"
        f"{result.n_detections} detections: {result.out}"
    )
