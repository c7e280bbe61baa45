"""``wordspot detect``."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.label import MODEL_HELP, refuse_recordings, split_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.runtime.decoder import Detection
    from wordspot.runtime.detector import Detector

HELP = "find words in recordings of any length"
EXAMPLE = "wordspot detect words.onnx evening.mp3"


_AFTER_S = 0.5  # of silence that a trigger hears after the end of a recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="FILE", type=Path,
        help=f"recordings of any length, format and sample rate; {MODEL_HELP}",
    )  # fmt: skip
    add_threshold(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object a line")
    form.add_argument("--csv", action="store_true", help="print a line per detection: file,time_ms,label,score")
    form.add_argument("--audacity", action="store_true", help="print a label track for Audacity (of one FILE)")
    parser.add_argument("--chime", type=Path, metavar="OUT", help="write the recording with a chime at each detection")


def add_threshold(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold", type=float, metavar="X",
        help="what a score must exceed, 0 to 1, for every word (default: as the model says)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    from wordspot.errors import ConfigError
    from wordspot.runtime.detector import Detector, open_model

    model_path, files = split_model(args.paths)
    if len(files) > 1 and (args.audacity or args.chime):
        raise ConfigError(f"--audacity and --chime take one FILE, got {len(files)}; give them one by one")
    if args.chime:
        _check_chime(args.chime, files[0])
    model = open_model(model_path)
    refuse_recordings(model_path, model.card)
    decoder = model.card.decoder.with_threshold(args.threshold)
    if args.csv:
        _write_csv("file", "time_ms", "label", "score")
    for path in files:
        found = []
        for detection in detect_file(path, lambda rate: Detector(model, decoder, rate)):
            _show(detection, path, args, several=len(files) > 1)
            found.append(detection)
        if args.chime:
            _write_chimes(args.chime, path, found)


def detect_file(path: Path, make: Callable[[int], Detector]) -> Iterator[Detection]:
    """The detections of a sound file, as soon as they are sure; `make` gives the detector for its sample rate."""
    import numpy as np

    from wordspot.audio.files import read_blocks
    from wordspot.commands import console

    rate, blocks = read_blocks(path)
    detector = make(rate)
    n_samples = 0
    for block in blocks:
        n_samples += len(block)
        yield from detector.feed(block)
    if detector.card.task.predicts_steps:  # it answers after the word, where a recording may have ended
        yield from detector.feed(np.zeros(int(_AFTER_S * rate), np.float32))
    yield from detector.flush()
    clip_seconds = detector.card.clip_samples / detector.card.sample_rate
    if n_samples < clip_seconds * rate:
        console.note(f"{path}: shorter than the {clip_seconds:g} s that a score judges; `wordspot label` judges clips")


def as_text(detection: Detection) -> str:
    """A detection as a line: where it ends, in seconds, the word, the score."""
    return f"{detection.time_ms / 1000:9.2f} s  {detection.label} (score = {detection.score:.2f})"


def _show(detection: Detection, path: Path, args: argparse.Namespace, *, several: bool) -> None:
    if args.csv:
        _write_csv(path, f"{detection.time_ms:.0f}", detection.label, f"{detection.score:.5f}")
        return
    if args.json:
        line = json.dumps({"file": str(path), **detection.to_json()}, ensure_ascii=False)
    elif args.audacity:
        line = f"{detection.time_ms / 1000:.6f}\t{detection.time_ms / 1000:.6f}\t{detection.label}"
    else:
        line = f"{path}: {as_text(detection)}" if several else as_text(detection)
    sys.stdout.write(f"{line}\n")


def _check_chime(out: Path, path: Path) -> None:
    """Refuse, before a long recording is gone through, a file that cannot be written or is the recording itself."""
    from wordspot.audio.files import check_out_name
    from wordspot.errors import ConfigError

    check_out_name(out)
    if out.exists() and path.exists() and out.samefile(path):
        raise ConfigError(f"--chime {out}: expected another file than the recording, which would be lost; name one")


def _write_chimes(out: Path, path: Path, found: list[Detection]) -> None:
    """Write the recording with a chime where each detection's audio ends."""
    import numpy as np

    from wordspot.audio.files import read_audio, write_audio

    audio, rate = read_audio(path)
    chime = _chime(rate)
    mixed = np.concatenate([audio, np.zeros(len(chime), np.float32)])
    for detection in found:
        start = min(int(detection.time_ms * rate / 1000), len(audio))
        mixed[start : start + len(chime)] += chime
    write_audio(out, mixed, rate)


def _chime(sample_rate: int) -> NDArray[np.float32]:
    """Two tones, one after the other, that fade: float32 [0.3 s]."""
    import numpy as np

    seconds = np.arange(int(0.3 * sample_rate)) / sample_rate
    late = np.maximum(seconds - 0.1, 0)
    tones = np.sin(2 * np.pi * 880 * seconds) * np.exp(-25 * seconds)
    tones += np.sin(2 * np.pi * 1320 * late) * np.exp(-15 * late)
    return (0.3 * tones).astype(np.float32)


def _write_csv(*values: Any) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(values)
