"""Detection accuracy of a ten-word model on speakers, reverberation and noise outside its training set, in one table.

    python benchmarks/hearing.py DATA [MODEL.onnx] [--split testing] [--json benchmarks/results/hearing.json]

DATA holds speech_commands, english_speech (with words.csv), arabic_commands and environment. The table has the accuracy on
clips (at 0 and -30 dB), the classic ten-minute streams (decoder tuned on validation), the miss rate on realistic streams at
four rates of false accepts, and at the model's own thresholds: words missed on clips, and false accepts per hour on sentences
without the words, on sounds and on words of another language. Words inside sentences are counted separately: commands are
spoken alone, so it depends on the application whether these should be detected.

Use `--split validation` to choose between models, and testing for the final model only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import wordspot
from hearing_streams import RATE, Stream, classic, clips, foreign_words, scenes, sentences, sounds
from results import write_result
from wordspot.commands import console
from wordspot.config import DecoderConfig
from wordspot.data.scenes.material import load_material
from wordspot.errors import ConfigError
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.curves import make_curves, sweep, total_curve
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.results import WordsResult
from wordspot.evaluation.thresholds import tune_classic
from wordspot.intervals import EventRate, wilson_interval
from wordspot.presets import CLASSIC_TEST_DECODER, TIME_TOLERANCE_MS
from wordspot.run import evaluate
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import DEFAULT_MODEL, Model, open_model

DEFAULT = Path(wordspot.__file__).parent / "runtime" / DEFAULT_MODEL
PER_HOUR = (1, 2, 5, 10)
WRONG_ON_VALIDATION = 0.01  # half of the target on testing, since results on the tuning streams are too optimistic
SCENE_MINUTES = 30.0


def bench_of(model: Model, streams: Iterable[Stream], stride_ms: float = 20.0) -> Bench:
    """The network's scores of these streams, to be decoded with any settings."""
    card, scored = model.card, []
    for audio, words in streams:
        scorer = Scorer(model, stride_ms=stride_ms, self_test=False)
        scores, end_ms = scorer.feed(audio)
        scored.append(ScoredStream(scores, end_ms, words, 1000 * len(audio) / RATE))
    return Bench(tuple(scored), card.labels, 1000 * card.clip_samples / card.sample_rate, TIME_TOLERANCE_MS)


def measure_all_clips(model: Path, data: Path, split: str) -> list[tuple[str, str, Any]]:
    """Accuracy over all labels, and the recall of each word."""
    result = evaluate(model, data / "speech_commands", split=split)
    assert isinstance(result, WordsResult)
    assert result.accuracy is not None
    low, high = result.interval
    rows = [
        (
            "clips, all labels: correct, %",
            f"{100 * result.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})",
            result.to_json(),
        )
    ]
    recalls = {label: found.recall.rate for label, found in result.metrics.per_label.items()}
    words = ", ".join(f"{label} {100 * recall:.0f}" for label, recall in recalls.items() if recall is not None)
    return [*rows, ("clips: each label found, %", words, recalls)]


def measure_classic(model: Model, data: Path, words: list[str], split: str) -> tuple[str, str, Any]:
    """The classic test: correct, wrong and false positives, with the decoder tuned on validation streams."""
    stride = CLASSIC_TEST_DECODER.stride_ms
    validation = bench_of(model, classic(load_material(data, words, "validation"), (1, 2, 3)), stride)
    tuned, _ = tune_classic(validation, CLASSIC_TEST_DECODER, WRONG_ON_VALIDATION)
    bench = (
        validation if split == "validation" else bench_of(model, classic(load_material(data, words, split), (1, 2, 3)), stride)
    )
    counts = bench.count_classic(tuned)
    shares = [100 * part / counts.n_truth for part in (counts.n_correct, counts.n_wrong, counts.n_false_positive)]
    return (
        "classic streams: correct / wrong / false, %",
        " / ".join(f"{share:.1f}" for share in shares),
        counts.to_json(),
    )


def measure_scenes(bench: Bench, decoder: DecoderConfig) -> tuple[str, str, Any]:
    """Words missed at one threshold for all words, for several rates of false accepts."""
    total = total_curve(make_curves(bench, list(sweep(bench, decoder))))
    missed = {}
    for rate in PER_HOUR:
        allowed = total.miss_rate[total.false_accepts_per_hour <= rate]
        missed[rate] = float(allowed.min()) if len(allowed) else 1.0
    name = f"realistic streams, {bench.hours:.1f} h: missed at {', '.join(map(str, PER_HOUR))} false accepts an hour, %"
    return name, " / ".join(f"{100 * missed[rate]:.1f}" for rate in PER_HOUR), missed


def measure_misses(name: str, bench: Bench, decoder: DecoderConfig) -> tuple[str, str, Any]:
    spoken, hits = sum(bench.n_spoken.values()), int(bench.count(decoder)[:, 0].sum())
    low, high = wilson_interval(spoken - hits, spoken)
    rate = (spoken - hits) / spoken
    return (
        f"{name}: missed, %",
        f"{100 * rate:.1f} ({100 * low:.1f} to {100 * high:.1f})",
        {"missed": rate, "words": spoken},
    )


def measure_false_accepts(name: str, bench: Bench, decoder: DecoderConfig) -> tuple[str, str, Any]:
    events = EventRate(int(bench.count(decoder)[:, 1].sum()), bench.hours)
    low, high = events.interval
    text = f"{events.per_hour:.1f} ({low:.1f} to {high:.1f})"
    return f"{name}, {bench.hours:.2f} h: false accepts per hour", text, {"n": events.n, "hours": bench.hours}


def measure(model_path: Path | None, data: Path, split: str) -> list[tuple[str, str, Any]]:
    """All rows of the table: the name, the printed text and the numbers."""
    model = open_model(model_path)
    if model.card.sample_rate != RATE:
        raise ConfigError(f"this benchmark is for models at {RATE} Hz, got one at {model.card.sample_rate} Hz")
    decoder, words = model.card.decoder, list(words_of(model.card.labels))
    speech, rng = data / "speech_commands", np.random.default_rng(5)
    material = load_material(speech, words, split)
    without, within = sentences(data, split, words, rng)
    at = "at the model's thresholds: "
    return [
        *measure_all_clips(model_path or DEFAULT, data, split),
        measure_classic(model, speech, words, split),
        measure_scenes(bench_of(model, scenes(material, (1, 2), SCENE_MINUTES)), decoder),
        measure_misses(f"{at}clips at 0 dB", bench_of(model, [clips(material, 0.0, rng)]), decoder),
        measure_misses(f"{at}clips at -30 dB", bench_of(model, [clips(material, -30.0, rng)]), decoder),
        measure_misses(f"{at}words inside sentences", bench_of(model, [within]), decoder),
        measure_false_accepts(f"{at}sentences without the words", bench_of(model, [without]), decoder),
        measure_false_accepts(f"{at}sounds", bench_of(model, [sounds(data, split)]), decoder),
        measure_false_accepts(f"{at}Arabic words", bench_of(model, [foreign_words(data, split)]), decoder),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path, nargs="?", help="default: the model that comes with wordspot")
    parser.add_argument("--split", choices=("validation", "testing"), default="testing")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    rows = measure(args.model, args.data, args.split)
    columns = ["measure", args.split]
    console.print_table("Hearing", columns, [row[:2] for row in rows])
    if args.json:
        write_result(args.json, {name: numbers for name, _, numbers in rows}, columns, [row[:2] for row in rows])


if __name__ == "__main__":
    main()
