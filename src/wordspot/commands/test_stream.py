"""``wordspot test-stream``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.options import MODEL_HELP, split_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordspot.config import DecoderConfig
    from wordspot.data.truth import SpokenWord
    from wordspot.evaluation.bench import Bench, ScoredStream
    from wordspot.metrics import StreamCurve
    from wordspot.runtime.detector import Model

HELP = "measure a model on streams whose words are known: misses, false accepts per hour, latency"
EXAMPLE = "wordspot test-stream words.onnx stream.wav --truth stream.csv --report stream.html"

#: Flags of the decoder's settings, each a field of `config.DecoderConfig`.
DECODER_FLAGS = (
    "threshold", "thresholds", "average_ms", "suppression_ms", "minimum_count", "stride_ms", "refractory_ms",
    "confirm_ms",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stream_arguments(parser)
    parser.add_argument(
        "--report", metavar="HTML", type=Path, help="write a page: scores over time, playable events, curves"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """The streams, their truth and the decoder."""
    import dataclasses

    from wordspot.config import DECODERS, DecoderConfig

    parser.add_argument(
        "paths", metavar="STREAM", nargs="+", type=Path,
        help=f"recordings in which the words are known; {MODEL_HELP}",
    )  # fmt: skip
    parser.add_argument(
        "--truth", metavar="F", type=Path, action="append", default=[],
        help="what is spoken: CSV, Audacity labels or the classic text; once per stream, in their order (default: the CSV "
        "beside each stream, as make-stream and make-scenes write it)",
    )  # fmt: skip
    parser.add_argument(
        "--no-words", action="store_true", help="none of the model's words is spoken: every detection is false"
    )
    parser.add_argument(
        "--time-tolerance-ms", metavar="X", type=float, default=750.0,
        help="how long after a word's end its detection may stand; classic: how far from its start (default: 750)",
    )  # fmt: skip
    group = parser.add_argument_group("decoder", "as the model says, unless set here")
    group.add_argument(
        "--decoder", choices=DECODERS, help="the rule; classic brings the settings of the classic streaming test"
    )
    fields = {field.name: field for field in dataclasses.fields(DecoderConfig)}
    for name in DECODER_FLAGS:
        kind = "A=X,B=Y" if name == "thresholds" else "X"
        group.add_argument("--" + name.replace("_", "-"), metavar=kind, help=fields[name].metadata["help"])


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.evaluation.bench import measure_bench
    from wordspot.runtime.model import check_detects, open_model

    name, streams = split_model(args.paths)
    model = open_model(name)
    check_detects(model)
    truths = check_truths(streams, args)
    config = decoder_of(args, model.card.decoder)
    bench = load_bench(model, streams, truths, args.time_tolerance_ms, config)
    curves = sweep_with_bar(bench, config)
    measured = measure_bench(bench, config, curves)
    measures = {"model": str(name or "default.onnx"), "streams": describe(streams, truths, bench), **measured.to_json()}
    if args.report:
        from wordspot.reports.streams import write_stream_report

        write_stream_report(args.report, measures, bench, config, measured.matchings, curves, streams)
    note_doubts(bench)
    if args.json:
        console.print_json(measures)
        return
    print_measures(measures)
    if args.report:
        console.say(f"report: {args.report}")


def check_truths(streams: Sequence[Path], args: argparse.Namespace) -> list[Path | None]:
    """The truth of each stream; None where nothing is spoken.

    Raises:
        ConfigError: not one truth for each stream, or a tolerance that makes no sense.
    """
    from wordspot.errors import ConfigError

    if not 0 <= args.time_tolerance_ms <= 60_000:
        raise ConfigError(f"--time-tolerance-ms must lie between 0 and 60000, got {args.time_tolerance_ms:g}")
    if args.no_words and args.truth:
        raise ConfigError("expected --truth or --no-words, got both; leave one out")
    if args.no_words:
        return [None] * len(streams)
    if not args.truth and all(stream.with_suffix(".csv").is_file() for stream in streams):
        return [stream.with_suffix(".csv") for stream in streams]
    if len(args.truth) != len(streams):
        raise ConfigError(
            f"expected one --truth for each of {len(streams)} streams, got {len(args.truth)}; "
            "give them in the order of the streams, or --no-words where nothing is spoken"
        )
    return list(args.truth)


def decoder_of(args: argparse.Namespace, config: DecoderConfig) -> DecoderConfig:
    """The card's decoder with what the flags change.

    ``--decoder`` another than the card's begins with that kind's own settings: classic with those of the classic
    streaming test, which are stricter than the recogniser's.
    """
    import dataclasses

    from wordspot.config import DecoderConfig
    from wordspot.overrides import override_decoder
    from wordspot.presets import CLASSIC_TEST_DECODER, MICRO_DECODER

    if args.decoder and args.decoder != config.kind:
        config = {"peak": DecoderConfig(), "classic": CLASSIC_TEST_DECODER, "micro": MICRO_DECODER}[args.decoder]
    settings = {name: value for name in DECODER_FLAGS if (value := getattr(args, name)) is not None}
    if "threshold" in settings and "thresholds" not in settings:
        config = dataclasses.replace(config, thresholds={})
    return override_decoder(config, settings)


def load_bench(
    model: Model,
    streams: Sequence[Path],
    truths: Sequence[Path | None],
    tolerance_ms: float,
    config: DecoderConfig,
) -> Bench:
    """Run the network over all streams, once."""
    from wordspot.commands import console
    from wordspot.data.truth import read_truth
    from wordspot.evaluation.bench import Bench
    from wordspot.runtime.decoder import make_decoder

    card = model.card
    make_decoder(config, card.labels)  # this and the next refuse what does not fit before the long work begins
    spoken = [tuple(read_truth(truth)) if truth else () for truth in truths]
    with console.progress_bar() as bar:
        scored = []
        for path, words, truth in zip(streams, spoken, truths, strict=True):
            task = bar.add_task(f"listening to {path.name}", total=None)
            stream = score_stream(model, path, words, config, lambda n, task=task: bar.update(task, advance=n))
            _check_end(stream, path, truth)
            scored.append(stream)
    clip_ms = 1000 * card.clip_samples / card.sample_rate
    bench = Bench(tuple(scored), card.labels, clip_ms, tolerance_ms)
    if any(stream.truth for stream in scored) and not any(bench.n_spoken.values()):
        console.note(f"the truth names none of the model's words ({', '.join(bench.words)}): every detection is false")
    return bench


def score_stream(
    model: Model,
    path: Path,
    truth: tuple[SpokenWord, ...],
    config: DecoderConfig,
    progress: Any = lambda n_seconds: None,
) -> ScoredStream:
    """The scores of one stream, with its truth."""
    import numpy as np

    from wordspot.audio.files import read_blocks
    from wordspot.evaluation.bench import ScoredStream
    from wordspot.runtime.detector import CLIP_STRIDE_MS, Scorer

    rate, blocks = read_blocks(path)
    scorer = Scorer(model, sample_rate=rate, stride_ms=config.stride_ms or CLIP_STRIDE_MS)
    parts, n_samples = [], 0
    for block in blocks:
        parts.append(scorer.feed(block))
        n_samples += len(block)
        progress(1)
    parts.append(scorer.flush())
    scores, end_ms = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ScoredStream(scores, end_ms, truth, 1000 * n_samples / rate)


def _check_end(stream: ScoredStream, path: Path, truth: Path | None) -> None:
    """
    Raises:
        DataError: a truth that goes on after the stream's end.
    """
    from wordspot.errors import DataError

    for word in stream.truth:
        if word.start_ms >= stream.duration_ms:
            raise DataError(
                f"{truth}: {word.label} at {word.start_ms:.0f} ms lies after the end of {path} at "
                f"{stream.duration_ms:.0f} ms; is it the truth of another stream?"
            )


def sweep_with_bar(bench: Bench, config: DecoderConfig) -> dict[str, StreamCurve]:
    """Each word's curve over all thresholds, with a progress bar."""
    from wordspot.commands import console
    from wordspot.evaluation.curves import THRESHOLDS, make_curves, sweep

    with console.progress_bar() as bar:
        return make_curves(bench, list(bar.track(sweep(bench, config), len(THRESHOLDS), description="thresholds")))


def describe(streams: Sequence[Path], truths: Sequence[Path | None], bench: Bench) -> list[dict[str, Any]]:
    """What was tested on."""
    return [
        {"path": str(path), "truth": None if truth is None else str(truth),
         "hours": stream.duration_ms / 3_600_000, "n_spoken": len(stream.truth)}
        for path, truth, stream in zip(streams, truths, bench.streams, strict=True)
    ]  # fmt: skip


def note_doubts(bench: Bench) -> None:
    """What the figures cannot know."""
    from wordspot.commands import console

    spoken = [word for stream in bench.streams for word in stream.truth if word.label in bench.words]
    if spoken and all(word.end_ms is None for word in spoken):
        console.note("the truth does not say where words end, so there is no latency; the CSV and Audacity labels do")
    console.note(
        "whether the model was trained on recordings in these streams cannot be known from its file; if it was, the figures "
        "flatter it"
    )


def print_measures(measures: dict[str, Any]) -> None:
    """The figures as tables."""
    from wordspot.commands import console

    title = f"Words in {measures['hours']:.3g} hours, decoder {measures['decoder']['kind']}"
    rows = {**measures["per_word"], "all": measures}
    console.print_table(
        title, ["", "spoken", "missed", "miss %", "false accepts", "per hour (95 %)", "latency ms", "90 %"],
        [word_row(name, row) for name, row in rows.items()],
    )  # fmt: skip
    kinds = measures["false_accepts_by_kind"]
    if measures["n_false_accepts"]:
        told = ", ".join(f"{name} {kinds[name]}" for name in kinds if kinds[name])
        heard = ", ".join(f"{label} {n}" for label, n in list(measures["triggered_by"].items())[:10])
        console.say(f"false accepts by what was spoken: {told}{f' (on: {heard})' if heard else ''}")
    if measures["operating_points"]:
        console.print_table(
            "One threshold for all words", ["false accepts per hour, at most", "threshold", "miss %"],
            [(f"{row['at_most_per_hour']:g}", f"{row['threshold']:.5g}", percent(row["miss_rate"]))
             for row in measures["operating_points"]],
        )  # fmt: skip
    if measures["classic"]["n_truth"]:
        console.say(classic_line(measures, measures["time_tolerance_ms"]))
    console.say(summary_line(measures))


def word_row(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    """A word's figures as cells."""
    latency = row["latency_ms"]
    return (
        name, row["n_words"], row["n_misses"], percent(row["miss_rate"]), row["n_false_accepts"],
        f"{rate(row['false_accepts_per_hour'])} ({interval(row)})", milliseconds(latency["median"]),
        milliseconds(latency["quantile_90"]),
    )  # fmt: skip


def classic_line(measures: dict[str, Any], tolerance_ms: float) -> str:
    """The classic figures as one line."""
    classic, names = measures["classic"], ("matched", "correct", "wrong", "false_positive")
    shares = ", ".join(f"{percent(classic[name])} % {name.replace('_', ' ')}" for name in names)
    line = f"classic figures: {shares} (of {classic['n_truth']} words, {tolerance_ms:g} ms tolerance)"
    if measures["decoder"]["kind"] == "peak" and classic["n_truth"] > measures["n_words"]:
        line += "; they want other words found as _unknown_, which the peak decoder does not give"
    return line


def summary_line(measures: dict[str, Any]) -> str:
    """Misses and false accepts per hour as one line."""
    missed = "no word of the model is spoken"
    if measures["n_words"]:
        low, high = percent(measures["miss_rate_low"]), percent(measures["miss_rate_high"])
        missed = (
            f"{percent(measures['miss_rate'])} % of {measures['n_words']} words missed (95 % interval {low} to {high})"
        )
    return (
        f"{missed}; {measures['n_false_accepts']} false accepts in {measures['hours']:.3g} hours: "
        f"{rate(measures['false_accepts_per_hour'])} per hour (95 % interval {interval(measures)})"
    )


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def interval(row: dict[str, Any]) -> str:
    return f"{rate(row['false_accepts_per_hour_low'])} to {rate(row['false_accepts_per_hour_high'])}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
