"""``wordspot compare``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import open_manifest
from wordspot.presets import FALSE_ACCEPTS_PER_HOUR

if TYPE_CHECKING:
    from wordspot.export.esphome_model import EsphomeFile

HELP = "compare exported models on the same recordings of the word and the same hours without it"
EXAMPLE = "wordspot compare old.onnx new.onnx --takes takes --negatives evenings --false-accepts-per-hour 0.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        type=Path,
        metavar="MODEL",
        help="two files or more that `wordspot export` wrote, or models for ESPHome, also of other projects: "
        "manifests (.json), or networks alone (.tflite)",
    )
    parser.add_argument(
        "--takes",
        type=Path,
        required=True,
        metavar="DIR",
        help="recordings of the word, one in each, that no model was trained on; several words: a folder for each",
    )
    parser.add_argument(
        "--negatives",
        type=Path,
        required=True,
        metavar="DIR",
        help="recordings of any length in which no word of the models is said",
    )
    parser.add_argument(
        "--false-accepts-per-hour",
        type=float,
        default=FALSE_ACCEPTS_PER_HOUR,
        metavar="X",
        help="also compare with one threshold for all words of a model, the lowest that keeps to this rate "
        f"(default: {FALSE_ACCEPTS_PER_HOUR:g})",
    )
    parser.add_argument(
        "--cutoff",
        type=float,
        metavar="X",
        help="of every network without a manifest (.tflite): what the mean of its scores must exceed, 0 to 1",
    )
    parser.add_argument(
        "--window", type=int, metavar="N", help="of every network without a manifest (.tflite): number of scores in that mean"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.evaluation.compare import compare

    _check_rule(args.models, args.cutoff, args.window)
    models = [_open(path, args.cutoff, args.window) for path in args.models]
    with console.show_progress() as progress:
        result = compare(
            models,
            takes=args.takes,
            negatives=args.negatives,
            false_accepts_per_hour=args.false_accepts_per_hour,
            progress=progress,
        )
    console.show_result(result, as_json=args.json)


def _check_rule(models: list[Path], cutoff: float | None, window: int | None) -> None:
    """Reject a cut-off or a window that no model takes."""
    from wordspot.errors import ConfigError

    if (cutoff is None and window is None) or any(_is_bare(path) for path in models):
        return
    raise ConfigError("`cutoff` and `window` are for networks without a manifest (.tflite); every model named here has its own")


def _is_bare(path: Path) -> bool:
    """Whether it is a network without a manifest."""
    return path.suffix.lower() == ".tflite"


def _open(path: Path, cutoff: float | None, window: int | None) -> EsphomeFile | Path:
    """A model in another format; the path itself of an exported file."""
    if not _is_bare(path):
        return open_manifest(path, others=True)
    from wordspot.export.esphome_model import open_esphome

    return open_esphome(path, others=True, cutoff=cutoff, window=window)
