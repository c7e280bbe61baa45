"""``wordspot tune``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "choose a threshold for each word for a number of false accepts per hour, and write a copy of the model with them"
EXAMPLE = "wordspot tune words.onnx stream.wav --truth stream.csv --false-accepts-per-hour 0.5 --out tuned.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from wordspot.commands.options import add_stream_flags

    add_stream_flags(parser)
    parser.add_argument(
        "--false-accepts-per-hour",
        metavar="X",
        type=float,
        help="target rate over all words. Required for the decoders peak and esphome (classic and micro instead maximise "
        "correct words with at most 2 %% wrong and 2 %% false positives)",
    )
    parser.add_argument(
        "--false-alarm-rate",
        metavar="X",
        type=float,
        help="for a model of whole recordings, with a list of them: the fraction of the other class that may be predicted as "
        "the first label (0.01: one in a hundred); chosen on the list's validation set",
    )
    parser.add_argument(
        "--error-rate",
        metavar="X",
        type=float,
        help="for a model of whole recordings, with a list of them: the mean of the two classes' error rates (0.05: one in "
        "twenty). The model then says that it cannot tell if a score is closer to the threshold than that allows, or if a "
        "recording is shorter, noisier or narrower than those of the list's validation set",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="the copy of the model: an .onnx file, or the manifest of one for ESPHome",
    )
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.audio.spool import local_files
    from wordspot.commands import console
    from wordspot.commands.options import decoder_settings, split_any_model
    from wordspot.evaluation.tuning import tune

    model, paths = split_any_model(args.paths)
    with local_files(paths) as streams, console.show_progress() as progress:
        result = tune(
            model,
            streams,
            out=args.out,
            false_accepts_per_hour=args.false_accepts_per_hour,
            false_alarm_rate=args.false_alarm_rate,
            error_rate=args.error_rate,
            truth=args.truth,
            no_words=args.no_words,
            time_tolerance_ms=args.time_tolerance_ms,
            decoder=args.decoder,
            settings=decoder_settings(args),
            force=args.force,
            progress=progress,
        )
    console.show_result(result, as_json=args.json)
