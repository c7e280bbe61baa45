"""``wordspot detect``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import ANY_MODEL_HELP, add_channel, add_gain, add_threshold, split_any_model

if TYPE_CHECKING:
    from wordspot.runtime.decoder import Detection
    from wordspot.runtime.detect import FileDetections

HELP = "find words in recordings of any length"
EXAMPLE = "wordspot detect words.onnx evening.mp3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="FILE|DIR",
        type=Path,
        help=f"recordings of any length, format and sample rate, and folders of them at any depth; {ANY_MODEL_HELP}",
    )
    add_threshold(parser)
    add_channel(parser)
    add_gain(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per line")
    form.add_argument("--csv", action="store_true", help="print a line per detection: file,time_ms,label,score")
    form.add_argument("--audacity", action="store_true", help="print a label track for Audacity (of one FILE)")
    parser.add_argument("--chime", type=Path, metavar="OUT", help="write the recording with a chime at each detection")


def run(args: argparse.Namespace) -> int:
    from wordspot.audio.folder import find_clips
    from wordspot.commands import console
    from wordspot.errors import ConfigError
    from wordspot.runtime.detect import detect

    model, paths = split_any_model(args.paths)
    n_files = len(find_clips(paths))
    if n_files > 1 and (args.audacity or args.chime):
        raise ConfigError(f"--audacity and --chime take one FILE, got {n_files}; give them one by one")
    table = console.CsvLines(["file", "time_ms", "label", "score"])

    def show(name: str, detection: Detection) -> None:
        if args.csv:
            table.write([name, f"{detection.time_ms:.0f}", detection.label, f"{detection.score:.5f}"])
        else:
            sys.stdout.write(_line(name, detection, args, several=n_files > 1) + "\n")

    result = detect(
        paths, model, threshold=args.threshold, channel=args.channel, gain=args.gain, chime=args.chime,
        on_detection=show, on_result=_note_short, on_failed=console.note_failed, on_note=console.note_of_library,
    )  # fmt: skip
    if args.csv:
        table.write()
    return console.note_failures(len(result.failed), n_files)


def _line(name: str, detection: Detection, args: argparse.Namespace, *, several: bool) -> str:
    from wordspot.commands import console

    if args.json:
        return json.dumps({"file": name, **detection.to_json()}, ensure_ascii=False)
    if args.audacity:
        return f"{detection.time_ms / 1000:.6f}\t{detection.time_ms / 1000:.6f}\t{detection.label}"
    return f"{console.shown(name)}: {detection}" if several else str(detection)


def _note_short(file: FileDetections) -> None:
    from wordspot.commands import console

    if file.is_short:
        console.note(
            f"{file.name}: shorter than the {file.clip_seconds:g} s that one score needs; use `wordspot label` for clips"
        )
