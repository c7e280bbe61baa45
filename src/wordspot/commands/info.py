"""``wordspot info``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordspot.runtime.modelfile.card import Card

_DATA = {"name": "recordings", "clips": "trained on"}

HELP = "show the model card of an exported file: words, sizes, settings, licences"
EXAMPLE = "wordspot info words.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=Path,
        nargs="?",
        help="an exported file, or the manifest of one for ESPHome (default: the one that comes with wordspot)",
    )
    parser.add_argument("--json", action="store_true", help="print the whole card as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.runtime.model import info

    if args.model is not None and args.model.suffix.lower() == ".json":
        _show_manifest(args.model, as_json=args.json)
        return
    found = info(args.model)
    if args.json:
        console.print_json(found.to_json())
        return
    for entry, value in _lines(found.card, found.n_bytes, found.engine):
        console.say(f"{entry:14} {value}")


def _show_manifest(path: Path, *, as_json: bool) -> None:
    """A wake word for ESPHome, whose card is its manifest."""
    from wordspot.commands import console
    from wordspot.export.esphome_model import open_esphome

    opened = open_esphome(path)
    manifest, size = opened.manifest, opened.model_path.stat().st_size
    if as_json:
        console.print_json({"model": opened.name, "bytes": size, **manifest})
        return
    step_ms = 1000 * opened.card.step_samples / opened.card.sample_rate
    settings = manifest["micro"]
    rows = [
        ("wake word", manifest["wake_word"]),
        ("kind", f"manifest for ESPHome, scores audio at {opened.card.sample_rate} Hz every {step_ms:g} ms"),
        ("network", f"{opened.model_path.name}, {size / 1000:.0f} kB, int8"),
        ("decoder", f"mean of {settings['sliding_window_size']} scores above {settings['probability_cutoff']:g}"),
        *((name, manifest.get(name)) for name in ("author", "website")),
        ("languages", ", ".join(map(str, manifest.get("trained_languages", [])))),
    ]
    for entry, value in rows:
        if value:
            console.say(f"{entry:14} {value}")


def _lines(card: Card, size: int, engine: str) -> list[tuple[str, Any]]:
    features, model = _section(card, "features"), _section(card, "model")
    judged = f"{1000 * card.clip_samples / card.sample_rate:g} ms of audio at {card.sample_rate} Hz"
    if card.task.predicts_steps:
        judged = f"audio at {card.sample_rate} Hz: was the word just said"
    if card.kind == "stream":
        judged += f", every {1000 * card.step_samples / card.sample_rate:g} ms"
    labels = ", ".join(label for label in card.labels if not label.startswith("_"))
    return [
        ("classes" if card.task.predicts_recordings else "words", labels),
        ("kind", f"{card.kind}, scores {judged}"),
        ("network", f"{model.get('name', '?')} on {features.get('kind', '?')}"),
        ("size", f"{size / 1000:.0f} kB" + (", int8" if card.quantization == "int8" else "")),
        _decision(card),
        *_limits(card),
        ("runs in", engine),
        *(
            (_DATA.get(name, name), f"{value} recordings" if name == "clips" else value)
            for name, value in card.data.items()
            if value not in ("", None)
        ),
        ("exported by", f"wordspot {card.wordspot_version}"),
    ]


def _decision(card: Card) -> tuple[str, str]:
    """How scores become a decision."""
    from wordspot.runtime.recordings import DEFAULT_THRESHOLD

    decoder = card.decoder
    if card.task.predicts_recordings:
        target = card.labels[0]
        if len(card.labels) > 2:
            return "decision", "the likeliest class"
        return "threshold", f"{target} from {decoder.thresholds.get(target, DEFAULT_THRESHOLD):g} on"
    thresholds = ", ".join(f"{word} {value:g}" for word, value in decoder.thresholds.items())
    return "decoder", f"{decoder.kind}, threshold {decoder.threshold:g}" + (f"; {thresholds}" if thresholds else "")


def _limits(card: Card) -> list[tuple[str, str]]:
    """When a model of recordings says that it cannot tell."""
    from wordspot.limits import Limits

    return [] if card.limits == Limits() else [("cannot tell", card.limits.describe())]


def _section(card: Card, name: str) -> dict[str, Any]:
    """A section of the training configuration, which is not validated because nothing of it is needed to run a file."""
    section = card.config.get(name)
    return section if isinstance(section, dict) else {}
