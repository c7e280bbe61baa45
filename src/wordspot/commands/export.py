"""``wordspot export``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from wordspot.export.c_target import ExportedC
    from wordspot.export.esphome import ExportedEsphome
    from wordspot.export.run import ExportedFile
    from wordspot.export.tflite.making import Loss
    from wordspot.export.tflite_target import ExportedTflite
    from wordspot.export.wasm_target import ExportedWasm

HELP = "write a trained model as one ONNX file that runs anywhere, as C sources, for browsers, or for ESPHome and TensorFlow Lite"
EXAMPLE = "wordspot export runs/four --out words.onnx"
#: Flags that only some targets have.
_FLAGS = {
    "onnx": {"checkpoint", "int8", "data", "data_name", "licence", "attribution"},
    "c": {"weights"},
    "wasm": {"weights"},
    "tflite": {"checkpoint", "data", "calibrate", "word", "stride"},
    "esphome": {"checkpoint", "data", "calibrate", "word", "stride"},
}
_STRIDE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="RUN|FILE.onnx",
        type=Path,
        help="the folder of a run; with --target c or wasm an exported file; tflite and esphome take either",
    )
    parser.add_argument(
        "--out",
        metavar="FILE|DIR",
        type=Path,
        required=True,
        help="the file to write, such as words.onnx or words.tflite; with --target c, wasm or esphome, a folder",
    )
    parser.add_argument(
        "--target",
        choices=tuple(_FLAGS),
        default="onnx",
        help="onnx; c: C sources without dependencies; wasm: a web page without dependencies; esphome: a wake word for ESPHome "
        "and Home Assistant Voice PE; tflite: its network alone (default: onnx)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="STEP",
        type=int,
        help="use the checkpoint of this step (default: the best one on the validation set)",
    )
    _add_8_bits(parser)
    parser.add_argument("--data-name", metavar="TEXT", default="", help="the name of the recordings, kept in the file")
    parser.add_argument(
        "--licence", metavar="TEXT", default="", help="the licence of the recordings, kept in the file, such as CC BY 4.0"
    )
    parser.add_argument("--attribution", metavar="TEXT", default="", help="who made the recordings, kept in the file")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def _add_8_bits(parser: argparse.ArgumentParser) -> None:
    """Add the flags of files in 8 bits, and of the recordings that they are measured and calibrated on."""
    parser.add_argument("--int8", action="store_true", help="weights in 8 bits: a file of a third of the size")
    parser.add_argument(
        "--weights",
        choices=("float32", "int8"),
        help="c, wasm: float32, or int8, a quarter of the size (default: float32 for c, int8 for wasm)",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="the recordings of the run: --int8 is measured on its validation clips, tflite and esphome are calibrated on them",
    )
    parser.add_argument(
        "--calibrate", metavar="DIR", type=Path, help="tflite, esphome: other recordings to calibrate on, instead of --data"
    )
    parser.add_argument("--word", metavar="WORD", help="tflite, esphome: the word to export, if the model has several")
    parser.add_argument(
        "--stride", metavar="FRAMES", type=int, help=f"tflite, esphome: frames of features in a call (default: {_STRIDE})"
    )
    parser.add_argument(
        "--max-loss",
        metavar="POINTS",
        type=float,
        default=1.0,
        help="percentage points of accuracy that --int8 may cost, or percent of the decisions that tflite and esphome may change "
        "(default: 1)",
    )


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console

    _check_flags(args)
    exported: Any = _EXPORTS[args.target](args)
    if args.json:
        console.print_json(exported.to_json())
    else:
        _PRINTS[args.target](exported)


def _check_flags(args: argparse.Namespace) -> None:
    """Raises ConfigError for a flag of another target."""
    for name in sorted(set().union(*_FLAGS.values()) - _FLAGS[args.target]):
        if getattr(args, name) not in (None, False, ""):
            targets = " or ".join(target for target, flags in _FLAGS.items() if name in flags)
            hint = "; for an ONNX file with weights in 8 bits use --int8" if (name, args.target) == ("weights", "onnx") else ""
            raise ConfigError(
                f"--{name.replace('_', '-')} belongs to --target {targets}, but the target is {args.target}; leave it out{hint}"
            )


def _export_onnx(args: argparse.Namespace) -> ExportedFile:
    from wordspot.run import load_run

    return load_run(args.source).export(
        args.out,
        checkpoint=args.checkpoint,
        int8=args.int8,
        data=args.data,
        max_loss=args.max_loss,
        about_data=_about_data(args),
        force=args.force,
    )


def _export_c(args: argparse.Namespace) -> ExportedC:
    from wordspot.export.c_target import export_c

    _check_file(args)
    return export_c(args.source, args.out, weights=args.weights or "float32", force=args.force)


def _export_wasm(args: argparse.Namespace) -> ExportedWasm:
    from wordspot.export.wasm_target import export_wasm

    _check_file(args)
    return export_wasm(args.source, args.out, weights=args.weights or "int8", force=args.force)


def _check_file(args: argparse.Namespace) -> None:
    if args.source.is_dir():
        raise ConfigError(
            f"{args.source} is a folder; --target {args.target} takes an exported file. Export the run to one first"
        )


def _export_tflite(args: argparse.Namespace) -> ExportedTflite:
    from wordspot.export.tflite_target import export_tflite

    return export_tflite(args.source, args.out, **_calibration(args))


def _export_esphome(args: argparse.Namespace) -> ExportedEsphome:
    from wordspot.export.esphome import export_esphome

    return export_esphome(args.source, args.out, **_calibration(args))


def _calibration(args: argparse.Namespace) -> dict[str, Any]:
    names = ("calibrate", "data", "word", "checkpoint", "max_loss", "force")
    return {"stride": _STRIDE if args.stride is None else args.stride, **{name: getattr(args, name) for name in names}}


def _print_c(exported: ExportedC) -> None:
    from wordspot.commands import console

    console.say(
        f"{exported.folder}: C sources for {', '.join(exported.labels)}; {exported.model_bytes / 1000:.0f} kB of flash for "
        f"the model, {exported.state_bytes / 1000:.1f} kB of RAM, {exported.multiply_adds:,} multiply-adds a hop"
    )
    console.say("to build and test it, see README.md there")


def _print_wasm(exported: ExportedWasm) -> None:
    from wordspot.commands import console

    compressed = exported.engine_compressed + exported.model_compressed
    console.say(
        f"{exported.folder}: a web page for {', '.join(exported.labels)}; engine {exported.engine_bytes / 1000:.0f} kB, model "
        f"{exported.model_bytes / 1000:.0f} kB, together {compressed / 1000:.0f} kB compressed"
    )
    console.say("README.md in the folder explains how to try it")


def _print_tflite(exported: ExportedTflite) -> None:
    from wordspot.commands import console

    console.say(
        f"{exported.out}: {exported.bytes / 1000:.0f} kB, the scores of {', '.join(exported.labels)} every {exported.stride} "
        f"frames; {exported.arena_bytes / 1000:.0f} kB of RAM, {exported.multiply_adds:,} multiply-adds a frame"
    )
    _print_loss(exported.loss)


def _print_esphome(exported: ExportedEsphome) -> None:
    from wordspot.commands import console

    console.say(
        f"{exported.folder / exported.name}.json: the wake word {exported.word}; {exported.bytes / 1000:.0f} kB of flash, "
        f"{exported.arena_bytes / 1000:.0f} kB of RAM, {exported.multiply_adds:,} multiply-adds every 10 ms"
    )
    _print_loss(exported.loss)
    console.say(
        f"detected if the mean of {exported.window} scores exceeds {exported.cutoff:g}; both are in the manifest. "
        f"For the device's configuration see {exported.name}.yaml"
    )


def _print_loss(loss: Loss) -> None:
    from wordspot.commands import console

    console.say(
        f"8 bits change {loss.changed_percent:.2f} % of the decisions on {loss.seconds:.0f} s of recordings, and scores by "
        f"{loss.mean:.3f} on average, at most {loss.largest:.2f}"
    )


def _about_data(args: argparse.Namespace) -> dict[str, str]:
    given = {"name": args.data_name, "licence": args.licence, "attribution": args.attribution}
    return {name: text for name, text in given.items() if text}


def _print(exported: ExportedFile) -> None:
    from wordspot.commands import console

    if exported.note:
        console.note(f"exported for clips, not as a stream: {exported.note}")
    console.say(exported.summary())
    if cost := exported.int8:
        console.say(
            f"int8: {100 * cost.accuracy_before:.1f} % → {100 * cost.accuracy:.1f} % correct of {cost.clips} validation "
            f"clips, {cost.changed} with another prediction"
        )


_EXPORTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "onnx": _export_onnx,
    "c": _export_c,
    "wasm": _export_wasm,
    "tflite": _export_tflite,
    "esphome": _export_esphome,
}
_PRINTS: dict[str, Callable[[Any], None]] = {
    "onnx": _print,
    "c": _print_c,
    "wasm": _print_wasm,
    "tflite": _print_tflite,
    "esphome": _print_esphome,
}
