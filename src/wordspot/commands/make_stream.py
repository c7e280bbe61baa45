"""``wordspot make-stream``: a long recording made of a set's clips and noise, and the truth about it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import SETS, DataConfig, FeatureConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.overrides import override, parse_settings

if TYPE_CHECKING:
    from wordspot.data.scenes.material import Scene

HELP = "make a long stream from a data folder's held-out clips and noise, and the truth about it"
EXAMPLE = "wordspot make-stream recordings --words yes,no --out stream.wav --minutes 10"
#: The words that are meant where none are named.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_OF_CLASSIC = ("noise_volume",)
_OF_SCENE = ("snr_db", "rooms", "babble", "near_misses")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with one folder per word")
    parser.add_argument("--words", metavar="A,B,C", help=f"the wanted words (default: {','.join(WORDS)})")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help="the stream, .wav, .flac or .ogg; beside it .txt (classic truth), .csv and .audacity.txt (label track)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="its length (default: 10)")
    parser.add_argument(
        "--kind", choices=("classic", "scene"), default="classic",
        help="classic: a word every three seconds, as in the tutorial; scene: words at a chosen ratio over noise and "
        "babble, in rooms, with gaps up to minutes (default: classic)",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=SETS, default="testing", help="the set whose clips and noise are used (default: testing)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides all that is drawn (default: 0)")
    parser.add_argument(
        "--unknown-percent", type=float, default=30.0, metavar="P", help="part of other words (default: 30)"
    )
    parser.add_argument(
        "--gap-s", metavar="LOW,HIGH", help="from word to word: seconds (scene: 1,60; classic: one number, 2)"
    )
    parser.add_argument("--noise-volume", type=float, metavar="V", help="classic: loudest noise (default: 0.1)")
    parser.add_argument("--snr-db", metavar="LOW,HIGH", help="scene: words over their background (default: 0,20)")
    parser.add_argument("--rooms", type=float, metavar="P", help="scene: part that sounds as in a room (default: 0.5)")
    parser.add_argument("--babble", type=float, metavar="P", help="scene: part of the time with voices (default: 0.4)")
    parser.add_argument(
        "--near-misses", type=float, metavar="P",
        help="scene: part of the other words chosen for being spelled like a wanted one (default: 0.5)",
    )  # fmt: skip
    parser.add_argument(
        "--set", dest="settings", metavar="data.FIELD=VALUE", action="append", default=[],
        help="how the folder is split, as for train: --set data.split=lists",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a stream and truth that are there")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> None:
    outputs = _outputs(args.out)
    if not args.force and (there := [str(path) for path in outputs.values() if path.exists()]):
        raise ConfigError(f"{there[0]}: is there already; name another --out, or --force to replace it")
    if not 0 <= args.seed < 2**63:
        raise ConfigError(f"--seed must be a whole number from 0 on, got {args.seed}")
    scene = _make(args)
    _write(scene, outputs)
    _report(args, scene, outputs)


def _outputs(out: Path) -> dict[str, Path]:
    """The stream and its three truth files."""
    if out.suffix.lower() not in (".wav", ".flac", ".ogg"):
        raise ConfigError(f"--out must end in .wav, .flac or .ogg, got {out}")
    truth = {"classic": ".txt", "csv": ".csv", "audacity": ".audacity.txt"}
    return {"stream": out} | {kind: out.with_name(out.stem + suffix) for kind, suffix in truth.items()}


def _make(args: argparse.Namespace) -> Scene:
    import numpy as np

    from wordspot.commands import console
    from wordspot.data.scenes.classic import classic_stream
    from wordspot.data.scenes.material import load_material
    from wordspot.data.scenes.soundscape import SoundscapeConfig, make_soundscape

    _check_flags(args)
    words = _usual_words(args.folder) if args.words is None else _words(args.words)
    material = load_material(
        args.folder, words, args.split, _data_config(words, args.settings),
        sample_rate=FeatureConfig.sample_rate, clip_ms=FeatureConfig.clip_ms,
    )  # fmt: skip
    if not material.noise:
        console.note(f"{args.folder}: no background noise for the {args.split} set, so the stream has none")
    rng, seconds = np.random.default_rng(args.seed), args.minutes * 60
    given = {name: getattr(args, name) for name in (*_OF_CLASSIC, *_OF_SCENE) if getattr(args, name) is not None}
    given["unknown_percent"] = args.unknown_percent
    if args.kind == "classic":
        if args.gap_s is not None:
            given["gap_ms"] = _numbers("--gap-s", args.gap_s, 1)[0] * 1000
        return classic_stream(material, seconds, rng, **given)
    for name in ("snr_db", "gap_s"):
        if getattr(args, name) is not None:
            given[name] = _numbers("--" + name.replace("_", "-"), getattr(args, name), 2)
    return make_soundscape(material, seconds, rng, SoundscapeConfig(**given))


def _check_flags(args: argparse.Namespace) -> None:
    other, kind = (_OF_SCENE, "scene") if args.kind == "classic" else (_OF_CLASSIC, "classic")
    if wrong := [name for name in other if getattr(args, name) is not None]:
        raise ConfigError(f"--{wrong[0].replace('_', '-')} is for --kind {kind}, but --kind is {args.kind}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _usual_words(folder: Path) -> tuple[str, ...]:
    from wordspot.data.folders import list_recordings

    existing = list_recordings(folder).words
    if not set(WORDS) <= set(existing):
        raise ConfigError(
            f"{folder}: expected the wanted words; name them with --words; the folders here are {', '.join(existing)}"
        )
    return WORDS


def _data_config(words: tuple[str, ...], settings: list[str]) -> DataConfig:
    parsed = parse_settings(settings)
    if wrong := [key for key in parsed if not key.startswith("data.")]:
        raise ConfigError(f"--set takes data.FIELD=VALUE here, got {wrong[0]!r}")
    return override(RunConfig(words=words), parsed).data


def _numbers(flag: str, text: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise ConfigError(f"{flag} expects {'LOW,HIGH' if count == 2 else 'one number'} here, got {text!r}")
    return numbers


def _write(scene: Scene, outputs: dict[str, Path]) -> None:
    """Write all four files; when one fails, those written before it go again."""
    from wordspot.audio.files import write_audio
    from wordspot.data.truth import write_truth

    written: list[Path] = []
    try:
        for kind, path in outputs.items():
            if kind == "stream":
                write_audio(path, scene.audio, scene.sample_rate)
            else:
                write_truth(path, scene.words, kind)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _report(args: argparse.Namespace, scene: Scene, outputs: dict[str, Path]) -> None:
    from collections import Counter

    from wordspot.commands import console

    counts = Counter(word.label for word in scene.words)
    seconds = len(scene.audio) / scene.sample_rate
    if args.json:
        paths = {kind: str(path) for kind, path in outputs.items()}
        console.print_json(
            {
                "kind": args.kind, "split": args.split, "seed": args.seed, "seconds": seconds,
                "sample_rate": scene.sample_rate, "words": dict(sorted(counts.items())), "files": paths,
            }
        )  # fmt: skip
        return
    console.say(f"{args.out}: {seconds / 60:g} minutes, {len(scene.words)} words of the {args.split} set")
    console.print_table("", ("word", "times"), sorted(counts.items()))
    console.say("truth: " + ", ".join(str(path) for kind, path in outputs.items() if kind != "stream"))
    console.say(f"next: wordspot test-stream MODEL {args.out} --truth {outputs['csv']}")
