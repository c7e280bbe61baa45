"""``wordspot make-scenes``: scenes as the task trigger learns and is measured on, to listen to and to look at."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.options import add_trigger_flags, trigger_config
from wordspot.config import SCENES, SETS, RunConfig
from wordspot.errors import ConfigError, DataError
from wordspot.labels import word_of
from wordspot.overrides import override, parse_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.data.bank import TriggerMaterial
    from wordspot.data.scenes.material import Scene
    from wordspot.runtime.detector import Scorer

HELP = "make scenes of one word among others and noise, with the right answers, to listen to and to look at"
EXAMPLE = "wordspot make-scenes recordings --positives yes --negatives no,up --out scenes --count 3"
MAX_SECONDS = 3600.0
_COUNT, _SECONDS, _RATE = 5, 10.0, 16_000
_CLASSIC_STEPS = (50, 1375)  # so many of so many answers in ten seconds follow a word
_ANSWER_MS = 10.0  # from one answer to the next where no model says


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with positives, negatives and backgrounds in it"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER",
        help="for each scene a .wav, its truth as .csv and .audacity.txt (label track), and a picture, .png",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=_COUNT, metavar="N", help=f"how many (default: {_COUNT})")
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, metavar="S",
        help=f"length of each, up to {MAX_SECONDS:g} (default: {_SECONDS:g})",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=SETS, default="training", help="the set whose recordings are used (default: training)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides all that is drawn (default: 0)")
    parser.add_argument(
        "--words", metavar="NAME", help="the word's name (default: that of the first positives' folder)"
    )
    parser.add_argument("--scenes", choices=SCENES, help="the kind of scene (default: soundscape)")
    parser.add_argument(
        "--sample-rate", type=int, default=_RATE, metavar="HZ", help=f"of the scenes (default: {_RATE})"
    )
    parser.add_argument("--model", type=Path, metavar="FILE.onnx", help="show this model's posterior in the pictures")
    parser.add_argument(
        "--picture", action=argparse.BooleanOptionalAction, default=True, help="draw pictures (default: yes)"
    )
    parser.add_argument(
        "--set", dest="settings", metavar="SECTION.FIELD=VALUE", action="append", default=[],
        help="a setting of the scenes or of the split: --set trigger.snr_db=0,10",
    )  # fmt: skip
    add_trigger_flags(parser)
    parser.add_argument("--force", action="store_true", help="write into a folder that holds files already")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.files import check_out, prepare_out

    hint = "--force to write into it all the same"
    config, n_samples = _config(args), _n_samples(args)
    check_out(args.out, force=args.force, hint=hint)
    column = 0
    if args.model:
        column, label = _column(args.model, args.words)
        config = dataclasses.replace(config, words=(label,))
    word = config.words[0]
    material = _material(args, config)
    prepare_out(args.out, force=args.force, hint=hint)
    made = []
    for number in range(1, args.count + 1):
        made.append(_make_one(args, config, material, n_samples, number, column))
    _report(args, word, made)


def _config(args: argparse.Namespace) -> RunConfig:
    """What the command line asks for, as a run has it."""
    parsed = parse_settings(args.settings)
    if wrong := [key for key in parsed if not key.startswith(("trigger.", "data."))]:
        raise ConfigError(f"--set takes trigger.FIELD=VALUE or data.FIELD=VALUE here, got {wrong[0]!r}")
    usual: dict[str, Any] = {}
    if args.scenes:
        usual["trigger.scenes"] = args.scenes
    if "classic" in (args.scenes, parsed.get("trigger.scenes")):
        usual["trigger.label_steps"] = _CLASSIC_STEPS[0]
    config = override(RunConfig(words=("trigger",), task="trigger"), usual | parsed)
    trigger = trigger_config(args, config.trigger)
    return dataclasses.replace(config, words=(word_of(trigger, args.words),), trigger=trigger)


def _n_samples(args: argparse.Namespace) -> int:
    from wordspot.config import MAX_SAMPLE_RATE

    if not 1 <= args.count <= 999:
        raise ConfigError(f"--count must lie between 1 and 999, got {args.count}")
    if not 0.1 <= args.seconds <= MAX_SECONDS:
        raise ConfigError(f"--seconds must lie between 0.1 and {MAX_SECONDS:g}, got {args.seconds:g}")
    if not 4000 <= args.sample_rate <= MAX_SAMPLE_RATE:
        raise ConfigError(f"--sample-rate must lie between 4000 and {MAX_SAMPLE_RATE} Hz, got {args.sample_rate}")
    if not 0 <= args.seed < 2**63:
        raise ConfigError(f"--seed must be a whole number from 0 on, got {args.seed}")
    return int(args.seconds * args.sample_rate)


def _column(model: Path, word: str | None) -> tuple[int, str]:
    """Which of a model's labels is the word, and its name: `word`, or the only one that is a word where that is None."""
    from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
    from wordspot.runtime.detector import open_model

    labels = open_model(model).card.labels
    words = [label for label in labels if label not in (SILENCE_LABEL, UNKNOWN_LABEL)]
    if word not in words and (word is not None or len(words) != 1):
        wanted = "one word" if word is None else repr(word)
        raise ConfigError(f"{model}: expected a model of {wanted}, it knows {', '.join(words)}; name one with --words")
    name = words[0] if word is None else word
    return labels.index(name), name


def _material(args: argparse.Namespace, config: RunConfig) -> TriggerMaterial:
    from wordspot.commands import console
    from wordspot.data.trigger import load_trigger_data

    with console.show_progress() as progress:
        sources = load_trigger_data(
            args.folder, config.trigger, config.data, args.sample_rate,
            progress,
            scene_ms=1000 * min(args.seconds, _SECONDS),  # never more than in training: else another split might come of it
            only=(args.split,), word=config.words[0],
        )  # fmt: skip
    for problem in sources.problems:
        console.note(f"left out: {problem}")
    for warning in sources.warnings:
        console.note(warning)
    if not sources.has(args.split):
        raise DataError(
            f"{args.folder}: no positives fall into the {args.split} set; record more, or name another --split"
        )
    return sources.of(args.split)


def _make_one(
    args: argparse.Namespace, config: RunConfig, material: TriggerMaterial, n_samples: int, number: int, column: int
) -> dict[str, Any]:
    """Make, write and draw a scene; what JSON tells of it."""
    from wordspot.audio.files import write_audio
    from wordspot.data.scenes.trigger import scene_at
    from wordspot.data.truth import write_truth
    from wordspot.labels import UNKNOWN_LABEL

    seeds = (args.seed, SETS.index(args.split), number)
    scene = scene_at(material, n_samples, seeds, config.trigger, config.words[0])
    stem = f"scene-{number:03d}"
    files = {kind: args.out / f"{stem}{suffix}" for kind, suffix in
             (("scene", ".wav"), ("csv", ".csv"), ("audacity", ".audacity.txt"))}  # fmt: skip
    write_audio(files["scene"], scene.audio, scene.sample_rate)
    for kind in ("csv", "audacity"):
        write_truth(files[kind], scene.words, kind)
    if args.picture:
        files["picture"] = args.out / f"{stem}.png"
        _draw(files["picture"], scene, config, args.model, column, stem)
    labels = [spoken.label for spoken in scene.words]
    counts = {label: labels.count(label) for label in (config.words[0], UNKNOWN_LABEL)}
    return {"seconds": len(scene.audio) / scene.sample_rate, "words": counts,
            "files": {kind: str(path) for kind, path in files.items()}}  # fmt: skip


def _draw(path: Path, scene: Scene, config: RunConfig, model: Path | None, column: int, title: str) -> None:
    from wordspot.data.scenes.trigger import label_track
    from wordspot.reports.scene_picture import save_scene_picture

    scene_ms = 1000 * len(scene.audio) / scene.sample_rate
    posterior = _posterior(model, scene, column) if model else None
    ends = _usual_ends(scene_ms, config) if posterior is None else posterior[0]
    word, trigger = config.words[0], config.trigger
    label = label_track(scene.words, word, len(ends), ends, trigger, scene_ms=scene_ms)
    save_scene_picture(path, scene, word, (ends, label.astype(float)), posterior, f"{title}: {word}")


def _posterior(model: Path, scene: Scene, column: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Where each of a model's answers ends, in milliseconds, and its posterior of the word."""
    import numpy as np

    from wordspot.runtime.detector import Scorer

    scorer: Scorer = Scorer(model, sample_rate=scene.sample_rate)
    parts = [scorer.feed(scene.audio), scorer.flush()]
    return np.concatenate([ends for _, ends in parts]), np.concatenate([scores[:, column] for scores, _ in parts])


def _usual_ends(scene_ms: float, config: RunConfig) -> NDArray[np.float64]:
    """Where answers end if no model says: as often as the classic's where it is asked for, else every 10 ms."""
    import numpy as np

    every = 10_000 / _CLASSIC_STEPS[1] if config.trigger.label_steps else _ANSWER_MS
    n_steps = max(int(scene_ms / every + 1e-6), 1)
    return np.arange(1, n_steps + 1, dtype=np.float64) * every


def _report(args: argparse.Namespace, word: str, made: list[dict[str, Any]]) -> None:
    from wordspot.commands import console

    if args.json:
        console.print_json({"word": word, "split": args.split, "seed": args.seed, "scenes": made})
        return
    rows = [(Path(one["files"]["scene"]).name, *one["words"].values()) for one in made]
    console.print_table("", ("scene", word, "others"), rows)
    console.say(f"{args.out}: {len(made)} scenes of {made[0]['seconds']:g} s of the {args.split} set, with their truth")
