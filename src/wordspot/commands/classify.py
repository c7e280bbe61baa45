"""``wordspot classify``."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordspot.runtime.recordings import RecordingClassifier, RecordingResult

HELP = "say what whole recordings are: a person or a machine, say"
EXAMPLE = "wordspot classify person.onnx talk.mp3 --picture talk.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="a file that `wordspot export` wrote from a run with --task recordings",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE|DIR",
        help="recordings of any length, format and sample rate, and folders of them at any depth",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="X",
        help="with two labels: what the first one's score must reach, 0 to 1 (default: as the model says)",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object a line, with the scores over time")
    form.add_argument(
        "--csv", action="store_true", help="print a line per recording: file,label,score,start_s,stop_s,seconds"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="OUT.png", help="draw the scores over time below the spectrogram (of one FILE)"
    )


def run(args: argparse.Namespace) -> int:
    from wordspot.audio.folder import find_clips
    from wordspot.commands import console
    from wordspot.errors import ConfigError, WordspotError
    from wordspot.runtime.recordings import RecordingClassifier

    files = find_clips(args.paths)
    if args.picture:
        _check_picture(args.picture, len(files))
    alone = len(files) == 1 and not args.paths[0].is_dir()
    try:
        classifier = RecordingClassifier(args.model, threshold=args.threshold)
    except ConfigError as error:
        raise ConfigError(f"{args.model}: {error}") from error
    if args.csv:
        _write_csv("file", "label", "score", "start_s", "stop_s", "seconds")
    n_failed = 0
    for path, name in files:
        try:
            result = classifier.classify_file(path)
        except (WordspotError, OSError) as error:
            if alone:
                raise
            console.note(f"left out: {error}")
            n_failed += 1
            continue
        _show(result, name, classifier, args)
        _warn(result, name, classifier)
        if args.picture:
            _draw(args.picture, path, classifier, result)
    if n_failed:
        console.note(f"{n_failed} of {len(files)} recordings could not be judged")
    return 1 if n_failed else 0


def as_json(result: RecordingResult, classifier: RecordingClassifier) -> dict[str, Any]:
    """A result as it stands in JSON; `windows` holds the scores over time."""
    labels = classifier.labels
    windows = {
        "time_s": [round(float(time), 3) for time in result.times_s],
        "has_sound": result.has_sound.tolist(),
        "scores": {label: _rounded(result.window_posteriors[:, place]) for place, label in enumerate(labels)},
    }
    return {
        "label": result.label, "score": round(result.score, 6),
        "scores": dict(zip(labels, _rounded(result.posteriors), strict=True)),
        **({"threshold": classifier.threshold} if len(labels) == 2 else {}),
        "start_s": round(result.start_s, 3), "stop_s": round(result.stop_s, 3), "seconds": round(result.seconds, 3),
        "windows": windows,
    }  # fmt: skip


def as_text(result: RecordingResult) -> str:
    """A result as a line: the label, its score, and the stretch that decided."""
    from wordspot.formats import clock

    stretch = f"{clock(1000 * result.start_s)} to {clock(1000 * result.stop_s)}"
    return f"{result.label} (score = {result.score:.2f})  {stretch} of {clock(1000 * result.seconds)}"


def _show(result: RecordingResult, name: str, classifier: RecordingClassifier, args: argparse.Namespace) -> None:
    if args.csv:
        times = (f"{time:.3f}" for time in (result.start_s, result.stop_s, result.seconds))
        _write_csv(name, result.label, f"{result.score:.6f}", *times)
        return
    if args.json:
        line = json.dumps({"file": name, **as_json(result, classifier)}, ensure_ascii=False, allow_nan=False)
    else:
        line = f"{name}: {as_text(result)}"
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _warn(result: RecordingResult, name: str, classifier: RecordingClassifier) -> None:
    from wordspot.commands import console

    window_s = classifier.card.clip_samples / classifier.card.sample_rate
    if not result.has_sound.any():
        console.note(f"{name}: holds digital silence only; what it is taken for means nothing")
    if classifier.settings.whole and result.seconds > window_s:
        console.note(f"{name}: only its first {window_s:g} s of {result.seconds:.1f} s are judged")


def _check_picture(out: Path, n_files: int) -> None:
    """Refuse, before a long recording is gone through, what cannot be drawn."""
    from wordspot.errors import ConfigError

    if n_files > 1:
        raise ConfigError(f"--picture takes one FILE, got {n_files}; give them one by one")
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--picture {out}: expected a name that ends in .png")


def _draw(out: Path, path: Path, classifier: RecordingClassifier, result: RecordingResult) -> None:
    from wordspot.reports.recording_picture import save_recording_picture

    threshold = classifier.threshold if len(classifier.labels) == 2 else None
    save_recording_picture(out, path, result, classifier.labels, threshold, title=f"{path.name}: {as_text(result)}")


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def _write_csv(*values: Any) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(values)
