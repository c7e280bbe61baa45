"""``wordspot spectrogram``: draw a recording as a front end transforms it."""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot.config import RunConfig
from wordspot.errors import ConfigError
from wordspot.feature_config import FeatureConfig
from wordspot.overrides import override, parse_settings
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
        "--set",
        dest="settings",
        metavar="features.FIELD=VALUE",
        action="append",
        default=[],
        help="a setting of the front end: --set features.hop_ms=5",
    )


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.feature_picture import spectrogram

    picture = spectrogram(args.file, args.out, features=_features(args), classic=args.classic)
    console.say(f"wrote {picture.out}")


def _features(args: argparse.Namespace) -> FeatureConfig:
    """The front end that the command line asks for."""
    settings = parse_settings(args.settings)
    if wrong := [key for key in settings if not key.startswith("features.")]:
        raise ConfigError(f"--set needs a setting of the front end here, features.X=VALUE, got {wrong[0]}")
    return override(RunConfig(words=("any",), features=FEATURES[args.features]), settings).features
