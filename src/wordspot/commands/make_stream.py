"""``wordspot make-stream``: make a long recording from a set's clips and noise, with its ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wordspot.commands.options import words_of
from wordspot.config import SETS, DataConfig, FeatureConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.overrides import override, parse_settings

HELP = "make a long stream from a data folder's held-out clips and noise, with its ground truth"
EXAMPLE = "wordspot make-stream recordings --words yes,no --out stream.wav --minutes 10"
#: `wordspot.data.scenes.make_stream.WORDS`, without its imports: ``--help`` must not load numpy.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with one folder per word")
    parser.add_argument("--words", metavar="A,B,C", help=f"the wanted words (default: {','.join(WORDS)})")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the stream, .wav, .flac or .ogg; beside it the ground truth: .txt (classic), .csv and .audacity.txt (label track)",
    )
    parser.add_argument(
        "--clip-ms", type=float, default=FeatureConfig.clip_ms, metavar="MS",
        help="how much of each recording is used, from its beginning: as much as a clip of the model (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="its length (default: 10)")
    parser.add_argument(
        "--kind",
        choices=("classic", "scene"),
        default="classic",
        help="classic: a word every three seconds, as in the tutorial; scene: words at a given signal-to-noise ratio over "
        "noise and babble, some with reverberation, with gaps up to minutes (default: classic)",
    )
    parser.add_argument(
        "--split", choices=SETS, default="testing", help="the set whose clips and noise are used (default: testing)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default: 0)")
    parser.add_argument(
        "--unknown-percent", type=float, default=30.0, metavar="P", help="percentage of other words (default: 30)"
    )
    parser.add_argument("--gap-s", metavar="LOW,HIGH", help="from word to word, in seconds (scene: 1,60; classic: one number, 2)")
    parser.add_argument("--noise-volume", type=float, metavar="V", help="classic: loudest noise (default: 0.1)")
    parser.add_argument("--snr-db", metavar="LOW,HIGH", help="scene: level of words over their background (default: 0,20)")
    parser.add_argument("--rooms", type=float, metavar="P", help="scene: fraction of words with reverberation (default: 0.5)")
    parser.add_argument(
        "--babble", type=float, metavar="P", help="scene: fraction of the time with voices in the background (default: 0.4)"
    )
    parser.add_argument(
        "--near-misses",
        type=float,
        metavar="P",
        help="scene: fraction of the other words that are chosen because they are spelled like a wanted one (default: 0.5)",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="data.FIELD=VALUE",
        action="append",
        default=[],
        help="how the folder is split, as for train: --set data.split=lists",
    )
    parser.add_argument("--force", action="store_true", help="replace a stream and ground truth that exist")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.scenes.make_stream import make_stream

    made = make_stream(
        args.folder, words_of(args), minutes=args.minutes, kind=args.kind, split=args.split, seed=args.seed, out=args.out,
        unknown_percent=args.unknown_percent, gap_s=_gap(args), noise_volume=args.noise_volume,
        snr_db=None if args.snr_db is None else _numbers("--snr-db", args.snr_db, 2), rooms=args.rooms,
        babble=args.babble, near_misses=args.near_misses, clip_ms=args.clip_ms, data_config=_data_config(args.settings),
        force=args.force,
    )  # fmt: skip
    if not made.has_noise:
        console.note(f"{args.folder}: no background noise for the {args.split} set, so the stream has none")
    if args.json:
        console.print_json(made.to_json())
        return
    console.say(f"{args.out}: {made.seconds / 60:g} minutes, {sum(made.counts.values())} words of the {args.split} set")
    console.print_table("", ("word", "times"), list(made.counts.items()))
    console.say("ground truth: " + ", ".join(str(path) for kind, path in made.files.items() if kind != "stream"))
    from wordspot.formats import command_line

    test = command_line("wordspot", "test-stream", "MODEL", args.out, "--truth", made.files["csv"])
    console.say(f"next: {test}")


def _data_config(settings: list[str]) -> DataConfig:
    parsed = parse_settings(settings)
    if wrong := [key for key in parsed if not key.startswith("data.")]:
        raise ConfigError(f"--set needs data.FIELD=VALUE here, got {wrong[0]!r}")
    return override(RunConfig(words=("any",)), parsed).data


def _gap(args: argparse.Namespace) -> Any:
    if args.gap_s is None:
        return None
    if args.kind == "classic":
        return _numbers("--gap-s", args.gap_s, 1)[0]
    return _numbers("--gap-s", args.gap_s, 2)


def _numbers(flag: str, text: str, count: int) -> Any:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise ConfigError(f"{flag} needs {'LOW,HIGH' if count == 2 else 'one number'} here, got {text!r}")
    return numbers
