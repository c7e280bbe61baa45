"""``wordspot classify``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import add_channel

if TYPE_CHECKING:
    from wordspot.runtime.classify import ClassifiedFile
    from wordspot.runtime.recordings import RecordingResult

HELP = "classify entire recordings: a person or a synthetic voice, for example"
EXAMPLE = "wordspot classify person.onnx talk.mp3 --picture talk.png"

_COLUMNS = ["file", "label", "score", "start_s", "stop_s", "seconds", "doubts"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="MODEL|FILE|DIR",
        help="first the model, a file that `wordspot export` wrote from a run with --task recordings; then recordings of any "
        "length, format and sample rate, and folders of them at any depth",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="with two labels: what the score of the first must reach, 0 to 1 (default: as the model says)",
    )
    add_channel(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per line, with the scores over time")
    form.add_argument("--csv", action="store_true", help=f"print a line per recording: {','.join(_COLUMNS)}")
    parser.add_argument(
        "--picture", type=Path, metavar="OUT.png", help="draw the scores over time below the spectrogram (of one FILE)"
    )


def run(args: argparse.Namespace) -> int:
    from wordspot.audio.folder import find_clips
    from wordspot.commands import console
    from wordspot.runtime.classify import classify

    model, paths = _split(args.paths)
    files = find_clips(paths)
    if args.picture:
        _check_picture(args.picture, len(files))
    table = console.CsvLines(_COLUMNS)

    def show(file: ClassifiedFile) -> None:
        if args.csv:
            table.write(_row(file))
        elif args.json:
            sys.stdout.write(json.dumps(file.to_json(), ensure_ascii=False, allow_nan=False) + "\n")
        else:
            sys.stdout.write(f"{console.shown(file.name)}: {_as_text(file.result)}\n")
        sys.stdout.flush()
        _note_doubts(file)
        if args.picture:
            _draw(args.picture, file.path, file.result)

    result = classify(
        paths, model, threshold=args.threshold, channel=args.channel,
        on_result=show, on_failed=console.note_failed, on_note=console.note,
    )  # fmt: skip
    if args.csv:
        table.write()
    return console.note_failures(len(result.failed), len(files))


def _split(paths: list[Path]) -> tuple[Path, list[Path]]:
    """The model, which must be named, and the recordings."""
    from wordspot.commands.options import split_model
    from wordspot.errors import ConfigError

    model, others = split_model(paths)
    if model is None:
        raise ConfigError(
            f"{paths[0]} is taken for a recording, since the name of a model ends in .onnx; name a model first. None that "
            "classifies recordings comes with wordspot: none was right often enough on voices and microphones that it was not "
            "trained on. Train one with `wordspot train --task recordings`"
        )
    return model, others


def _as_text(result: RecordingResult) -> str:
    """A result as a line: the label, its score, and the stretch that decided; or why the model cannot tell."""
    from wordspot.formats import clock

    stretch = f"{clock(1000 * result.start_s)} to {clock(1000 * result.stop_s)}"
    if result.doubts:
        reasons = "; ".join(doubt.reason for doubt in result.doubts)
        return f"cannot tell: {reasons}  (nearest: {result.label}, score = {result.score:.2f})"
    return f"{result.label} (score = {result.score:.2f})  {stretch} of {clock(1000 * result.seconds)}"


def _row(file: ClassifiedFile) -> list[str]:
    result = file.result
    times = [f"{time:.3f}" for time in (result.start_s, result.stop_s, result.seconds)]
    return [file.name, result.label, f"{result.score:.6f}", *times, " ".join(doubt.code for doubt in result.doubts)]


def _note_doubts(file: ClassifiedFile) -> None:
    from wordspot.commands import console

    result = file.result
    if result.judged_seconds < result.seconds:
        console.note(f"{file.name}: only its first {result.judged_seconds:g} s of {result.seconds:.1f} s are used")


def _check_picture(out: Path, n_files: int) -> None:
    """Reject, before a long recording is processed, what cannot be drawn."""
    from wordspot.errors import ConfigError

    if n_files > 1:
        raise ConfigError(f"--picture takes one FILE, got {n_files}; give them one by one")
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--picture {out}: expected a name that ends in .png")


def _draw(out: Path, path: Path, result: RecordingResult) -> None:
    from wordspot.reports.pictures import save_recording_picture

    title = f"{path.name}: {_as_text(result)}"
    save_recording_picture(out, path, result, result.labels, result.threshold, title=title)
