"""``wordspot make-scenes``: scenes as the task trigger is trained and tested on, to listen to and to look at."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from wordspot.commands.options import add_trigger_flags, trigger_config
from wordspot.config import SCENES, SETS, RunConfig
from wordspot.errors import ConfigError
from wordspot.overrides import override, parse_settings

HELP = "make scenes of one word among others and noise, with their ground truth, to listen to and to look at"
EXAMPLE = "wordspot make-scenes recordings --positives yes --negatives no,up --out scenes --count 3"
_COUNT, _SECONDS, _MOST_SECONDS, _RATE = 5, 10.0, 3600.0, 16_000
_CLASSIC_LABEL_STEPS = 50  # the targets of the classic course


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with positives, negatives and backgrounds in it")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for each scene a .wav, its ground truth as .csv and .audacity.txt (label track), and a picture, .png",
    )
    parser.add_argument("--count", type=int, default=_COUNT, metavar="N", help=f"how many (default: {_COUNT})")
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        metavar="S",
        help=f"length of each, up to {_MOST_SECONDS:g} (default: {_SECONDS:g})",
    )
    parser.add_argument("--split", choices=SETS, default="training", help="the set whose recordings are used (default: training)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default: 0)")
    parser.add_argument("--words", metavar="NAME", help="the word's name (default: that of the first positives' folder)")
    parser.add_argument("--scenes", choices=SCENES, help="the kind of scene (default: soundscape)")
    parser.add_argument("--sample-rate", type=int, default=_RATE, metavar="HZ", help=f"of the scenes (default: {_RATE})")
    parser.add_argument("--model", type=Path, metavar="FILE.onnx", help="show this model's posterior in the pictures")
    parser.add_argument("--picture", action=argparse.BooleanOptionalAction, default=True, help="draw pictures (default: yes)")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="SECTION.FIELD=VALUE",
        action="append",
        default=[],
        help="a setting of the scenes or of the split: --set trigger.snr_db=0,10",
    )
    add_trigger_flags(parser)
    parser.add_argument("--force", action="store_true", help="write into a folder that holds files already")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.scenes.make_scenes import make_scenes
    from wordspot.labels import word_of
    from wordspot.reports.scenes import DrawScene, word_of_model

    config = _config(args)
    word = word_of_model(args.model, args.words) if args.model else word_of(config.trigger, args.words)
    draw = DrawScene(word, config.trigger, args.model) if args.picture else None
    with console.show_progress() as progress:
        made = make_scenes(
            args.folder, args.out, count=args.count, seconds=args.seconds, split=args.split, seed=args.seed, word=word,
            trigger=config.trigger, data_config=config.data, sample_rate=args.sample_rate, force=args.force,
            on_scene=draw, progress=progress,
        )  # fmt: skip
    for line in (*(f"left out: {problem}" for problem in made.problems), *made.warnings):
        console.note(line)
    if args.json:
        report = made.to_json()
        for scene, one in zip(report["scenes"], made.scenes, strict=True):
            scene["files"] |= {"picture": str(one.picture)} if draw else {}
        console.print_json(report)
        return
    rows = [(one.files["scene"].name, *one.words.values()) for one in made.scenes]
    console.print_table("", ("scene", word, "others"), rows)
    seconds = made.scenes[0].seconds
    console.say(f"{args.out}: {len(made.scenes)} scenes of {seconds:g} s of the {args.split} set, with their ground truth")


def _config(args: argparse.Namespace) -> RunConfig:
    """What the command line asks for, as the configuration of a run."""
    parsed = parse_settings(args.settings)
    if wrong := [key for key in parsed if not key.startswith(("trigger.", "data."))]:
        raise ConfigError(f"--set needs trigger.FIELD=VALUE or data.FIELD=VALUE here, got {wrong[0]!r}")
    usual: dict[str, Any] = {}
    if args.scenes:
        usual["trigger.scenes"] = args.scenes
    if "classic" in (args.scenes, parsed.get("trigger.scenes")):
        usual["trigger.label_steps"] = _CLASSIC_LABEL_STEPS
    config = override(RunConfig(words=("trigger",), task="trigger"), usual | parsed)
    return dataclasses.replace(config, trigger=trigger_config(args, config.trigger))
