"""``wordspot label``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import MODEL_HELP, add_channel, split_model

if TYPE_CHECKING:
    from wordspot.runtime.label import ClipLabels

HELP = "say which word each clip is"
EXAMPLE = "wordspot label words.onnx left.wav recordings/right"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="FILE|DIR", type=Path, help=f"clips, and folders of clips at any depth; {MODEL_HELP}"
    )
    parser.add_argument("--top", type=int, default=3, metavar="N", help="labels to show per clip (default: 3)")
    add_channel(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print a line per label: file,rank,label,score")


def run(args: argparse.Namespace) -> int:
    from wordspot.audio.folder import find_clips
    from wordspot.commands import console
    from wordspot.runtime.label import label

    model, paths = split_model(args.paths)
    n_files = len(find_clips(paths))
    is_alone = n_files == 1 and not paths[0].is_dir()
    table = console.CsvLines(["file", "rank", "label", "score"])

    def show(clip: ClipLabels) -> None:
        if clip.is_cropped:
            console.note(f"{clip.name}: only its first {clip.clip_seconds:g} s of {clip.seconds:.2f} s are used")
        if args.csv:
            table.write(*([clip.name, rank, one.label, f"{one.score:.5f}"] for rank, one in enumerate(clip.labels, 1)))
        elif not args.json:
            lines = [f"{one.label} (score = {one.score:.5f})" for one in clip.labels]
            console.say("\n".join([*([] if is_alone else ["", console.shown(clip.name)]), *lines]))

    result = label(
        paths, model, top=args.top, channel=args.channel, on_result=show, on_failed=console.note_failed, on_note=console.note
    )
    if args.csv:
        table.write()
    if args.json:
        console.print_json([clip.to_json() for clip in result.clips])
    return console.note_failures(len(result.failed), n_files)
