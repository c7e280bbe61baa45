"""``wordspot tune``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.options import split_model
from wordspot.commands.test_stream import (
    add_stream_arguments,
    check_truths,
    classic_line,
    decoder_of,
    describe,
    load_bench,
    note_doubts,
    percent,
    rate,
    summary_line,
    sweep_with_bar,
)

if TYPE_CHECKING:
    from wordspot.config import DecoderConfig
    from wordspot.evaluation.bench import Bench
    from wordspot.runtime.modelfile.card import Card

HELP = (
    "choose a threshold for each word for a number of false accepts per hour, and write a copy of the model with them"
)
EXAMPLE = "wordspot tune words.onnx stream.wav --truth stream.csv --false-accepts-per-hour 0.5 --out tuned.onnx"
_CLASSIC_LIMIT = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stream_arguments(parser)
    parser.add_argument(
        "--false-accepts-per-hour", metavar="X", type=float,
        help="over all words together; needed but for --decoder classic and micro, whose settings are chosen for the most "
        "correct words with at most 2 %% wrong and 2 %% false positives, as the classic test counts them",
    )  # fmt: skip
    parser.add_argument(
        "--false-alarm-rate", metavar="X", type=float,
        help="for a model of whole recordings, with a list of them: how much of the other class may be taken for the first "
        "label (0.01: one in a hundred); chosen on the list's validation set",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the copy of the model, an .onnx file")
    parser.add_argument("--force", action="store_true", help="write over --out")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.errors import ConfigError, DataError
    from wordspot.runtime.detector import open_model
    from wordspot.runtime.modelfile.card import read_card

    name, streams = split_model(args.paths)
    _check_out(args)
    if name and (card := read_card(name)).task.predicts_recordings:
        _run_recordings(name, card, streams, args)
        return
    if args.false_alarm_rate is not None:
        raise ConfigError("--false-alarm-rate is for models of whole recordings; take --false-accepts-per-hour")
    truths = check_truths(streams, args)
    model = open_model(name)
    config = decoder_of(args, model.card.decoder)
    _check_target(args, config)
    bench = load_bench(model, streams, truths, args.time_tolerance_ms, config)
    if not any(bench.n_spoken.values()):
        raise DataError(f"expected streams in which {', '.join(bench.words)} are spoken, and their truth; found none")
    tuned = _tune(bench, config, args.false_accepts_per_hour)
    measures = {
        "model": str(name or "default.onnx"), "streams": describe(streams, truths, bench), "out": str(args.out),
        "time_tolerance_ms": bench.tolerance_ms,
        "false_accepts_per_hour": args.false_accepts_per_hour,
        "before": _figures(bench, config), "after": _figures(bench, tuned),
    }  # fmt: skip
    _write_copy(name, model.card, tuned, args.out)
    _note_limits(bench, measures)
    if args.json:
        console.print_json(measures)
    else:
        _print(measures, config, tuned)


def _run_recordings(name: Path, card: Card, lists: list[Path], args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.commands.tune_recordings import note_limits, print_tuned, tune_recordings

    decoder, measures = tune_recordings(name, lists, args)
    _write_copy(name, card, decoder, args.out)
    note_limits(measures)
    if args.json:
        console.print_json(measures)
    else:
        print_tuned(measures)


def _check_out(args: argparse.Namespace) -> None:
    from wordspot.errors import ConfigError

    if args.out.suffix.lower() != ".onnx":
        raise ConfigError(f"--out must end in .onnx, got {args.out}")
    if args.out.is_dir() or (args.out.exists() and not args.force):
        raise ConfigError(
            f"{args.out}: expected a new file, but it exists; name another --out, or --force to replace it"
        )


def _check_target(args: argparse.Namespace, config: DecoderConfig) -> None:
    """
    Raises:
        ConfigError: no target where the decoder needs one, one that it does not know, or one that makes no sense.
    """
    from wordspot.errors import ConfigError

    target = args.false_accepts_per_hour
    if config.kind != "peak":
        if target is not None:
            raise ConfigError(
                f"--false-accepts-per-hour is for the peak decoder; the settings of the {config.kind} one are chosen for the "
                "classic figures: leave it out, or add --decoder peak"
            )
    elif target is None:
        raise ConfigError("expected --false-accepts-per-hour X: how often a false accept may happen, over all words")
    elif not 0 <= target <= 3600:
        raise ConfigError(f"--false-accepts-per-hour must lie between 0 and 3600, got {target:g}")


def _tune(bench: Bench, config: DecoderConfig, per_hour: float) -> DecoderConfig:
    from wordspot.commands import console
    from wordspot.evaluation.tuning import N_CLASSIC, N_ROUNDS, tune_classic, tune_words

    curves = sweep_with_bar(bench, config) if config.kind == "peak" else {}
    with console.progress_bar() as bar:
        if config.kind == "peak":
            task = bar.add_task("words", total=N_ROUNDS * len(bench.words))
            return tune_words(bench, config, curves, per_hour, lambda: bar.update(task, advance=1))
        task = bar.add_task("settings", total=N_CLASSIC)
        tuned, within = tune_classic(bench, config, _CLASSIC_LIMIT, lambda: bar.update(task, advance=1))
    if not within:
        console.note(
            f"no settings keep wrong words and false positives within {100 * _CLASSIC_LIMIT:g} % each; those that exceed it "
            "least were taken"
        )
    return tuned


def _figures(bench: Bench, config: DecoderConfig) -> dict[str, Any]:
    """Decoder settings, and what they give."""
    from wordspot.evaluation.false_accepts import measure_detections
    from wordspot.overrides import decoder_to_json

    return {
        "decoder": decoder_to_json(config),
        **measure_detections(bench.match(config), bench.words, bench.hours).to_json(),
        "classic": bench.count_classic(config).to_json(),
    }


def _write_copy(name: Path | None, card: Card, decoder: DecoderConfig, out: Path) -> None:
    """Write the model with other decoder settings in its card."""
    import dataclasses
    import importlib.resources

    from wordspot.files import atomic_path
    from wordspot.runtime.model import DEFAULT_MODEL
    from wordspot.runtime.modelfile.card import read_card, with_card

    source = name or importlib.resources.files("wordspot.runtime") / DEFAULT_MODEL
    data = with_card(source.read_bytes(), dataclasses.replace(card, decoder=decoder))
    assert read_card(data).decoder == decoder
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)


def _note_limits(bench: Bench, measures: dict[str, Any]) -> None:
    """What the hours heard cannot show, and what could not be reached."""
    from wordspot.commands import console
    from wordspot.evaluation.tuning import hours_needed

    target, hours, after = measures["false_accepts_per_hour"], bench.hours, measures["after"]
    if target is not None:
        needed = hours_needed(target)
        if hours < needed:
            least = hours_needed(1) / hours
            console.note(
                f"{hours:.3g} hours cannot show {target:g} false accepts per hour: even without a single one there may be "
                f"{rate(least)} (95 %). It takes at least {rate(needed)} hours; add recordings without the words, each with "
                "an empty truth file"
            )
        if after["n_false_accepts"] > target * hours + 1e-9:
            console.note(
                f"no thresholds found that keep to {target:g} per hour in {hours:.3g} hours; the fewest false accepts found "
                f"are {after['n_false_accepts']}"
            )
        silent = [word for word, n in bench.n_spoken.items() if not n]
        if silent:
            console.note(f"never spoken in these streams, so not tuned for misses: {', '.join(silent)}")
    note_doubts(bench)


def _print(measures: dict[str, Any], before: DecoderConfig, after: DecoderConfig) -> None:
    from wordspot.commands import console

    then, now, tolerance = measures["before"], measures["after"], measures["time_tolerance_ms"]
    if after.kind == "peak":
        console.print_table(
            "Thresholds", ["", "before", "after", "spoken", "missed before", "after", "false accepts before", "after"],
            [(word, f"{before.threshold_of(word):.5g}", f"{after.threshold_of(word):.5g}", row["n_words"],
              percent(then["per_word"][word]["miss_rate"]), percent(row["miss_rate"]),
              then["per_word"][word]["n_false_accepts"], row["n_false_accepts"])
             for word, row in now["per_word"].items()],
        )  # fmt: skip
    else:
        names = ("average_ms", "threshold", "suppression_ms", "minimum_count")
        console.print_table(
            "Settings", ["", "before", "after"],
            [(name, f"{getattr(before, name):g}", f"{getattr(after, name):g}") for name in names],
        )  # fmt: skip
        console.say(f"before: {classic_line(then, tolerance)}")
        console.say(f"after: {classic_line(now, tolerance)}")
    console.say(f"before: {summary_line(then)}")
    console.say(f"after: {summary_line(now)}")
    console.say(f"these are the streams that were tuned on; for figures, test {measures['out']} on others")
