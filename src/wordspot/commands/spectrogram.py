"""``wordspot spectrogram``."""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot.presets import FEATURES

HELP = "draw a recording as a front end sees it"
EXAMPLE = "wordspot spectrogram yes.wav --out yes.png --features logmel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="a sound file")
    parser.add_argument("--out", metavar="PNG", type=Path, required=True, help="the picture")
    parser.add_argument(
        "--features",
        choices=tuple(name for name in FEATURES if name != "samples"),
        default="spectrogram",
        help="the front end (default: spectrogram)",
    )
    parser.add_argument("--classic", action="store_true", help="the original's layout: grey, time downward, no axes")
    parser.add_argument(
        "--set", dest="settings", metavar="features.FIELD=VALUE", action="append", default=[],
        help="a setting of the front end: --set features.hop_ms=5",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    from wordspot.audio.files import read_audio
    from wordspot.commands import console
    from wordspot.errors import ConfigError
    from wordspot.reports import charts

    if args.out.suffix.lower() != ".png":
        raise ConfigError(f"{args.out}: expected a name that ends in .png")
    if args.classic:
        audio, _ = read_audio(args.file)
        charts.save_classic_spectrogram(args.out, audio)
    else:
        _save_features(args)
    console.say(f"wrote {args.out}")


def _save_features(args: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from wordspot.audio.files import read_audio
    from wordspot.config import RunConfig
    from wordspot.errors import ConfigError
    from wordspot.features import make_front_end
    from wordspot.overrides import override, parse_settings
    from wordspot.reports import charts

    settings = parse_settings(args.settings)
    if wrong := [key for key in settings if not key.startswith("features.")]:
        raise ConfigError(f"--set here takes settings of the front end, features.X=VALUE, got {wrong[0]}")
    config = override(RunConfig(words=("any",), features=FEATURES[args.features]), settings).features
    audio, _ = read_audio(args.file, config.sample_rate)
    if len(audio) < config.window_samples:
        audio = np.pad(audio, (0, config.window_samples - len(audio)))
    with torch.inference_mode():
        features = make_front_end(config)(torch.from_numpy(audio)[None])[0].numpy()
    charts.save_spectrogram(args.out, features, config, f"{args.file.name}, {config.kind}")
