"""The classic streaming test: settings tuned on streams of validation clips, measured on testing clips.

    python benchmarks/classic_streams.py DATA [MODEL.onnx] [--seeds 1,2,3]

Each stream is the tutorial's: ten minutes, 200 words, three in ten of them unknown. Printed are a line per seed and
their sum.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from results import write_result
from wordspot.commands import console
from wordspot.data.scenes.classic import classic_stream
from wordspot.data.scenes.material import load_material
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.streaming_accuracy import ClassicCounts
from wordspot.evaluation.thresholds import tune_classic
from wordspot.intervals import wilson_interval
from wordspot.presets import CLASSIC_TEST_DECODER, TIME_TOLERANCE_MS
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import Model, open_model

SECONDS = 600


def make_bench(model: Model, data: Path, split: str, seeds: list[int]) -> Bench:
    card = model.card
    words = [label for label in card.labels if not label.startswith("_")]
    material = load_material(data, words, split, sample_rate=card.sample_rate)
    streams = []
    for seed in seeds:
        scene = classic_stream(material, SECONDS, np.random.default_rng(seed))
        scorer = Scorer(model, stride_ms=CLASSIC_TEST_DECODER.stride_ms)
        scores, end_ms = scorer.feed(scene.audio)
        streams.append(ScoredStream(scores, end_ms, scene.words, 1000 * SECONDS))
    return Bench(tuple(streams), card.labels, 1000 * card.clip_samples / card.sample_rate, TIME_TOLERANCE_MS)


def row(name: str, figures: ClassicCounts) -> list[object]:
    counts = (figures.n_matched, figures.n_correct, figures.n_wrong, figures.n_false_positive)
    low, high = wilson_interval(figures.n_correct, figures.n_truth)
    shares = [f"{100 * count / figures.n_truth:.1f}" for count in counts]
    return [name, figures.n_truth, *shares, f"{100 * low:.1f} to {100 * high:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path, nargs="?", help="default: the model that comes with wordspot")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument(
        "--limit",
        type=float,
        default=0.01,
        help="largest fraction of wrong words, and of false positives, on validation: half of the target on testing, "
        "because results on the streams used for tuning are too optimistic (default: 0.01)",
    )
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    model, seeds = open_model(args.model), [int(seed) for seed in args.seeds.split(",")]
    validation, testing = (make_bench(model, args.data, split, seeds) for split in ("validation", "testing"))
    tuned, _ = tune_classic(validation, CLASSIC_TEST_DECODER, args.limit)
    rows = []
    for name, config in (("default settings", CLASSIC_TEST_DECODER), ("tuned on validation", tuned)):
        rows.append(row(f"validation, {name}", validation.count_classic(config)))
        for seed, stream in zip(seeds, testing.streams, strict=True):
            one = dataclasses.replace(testing, streams=(stream,))
            rows.append(row(f"testing, {name}, seed {seed}", one.count_classic(config)))
        rows.append(row(f"testing, {name}", testing.count_classic(config)))
    columns = ["percent of the words", "words", "matched", "correct", "wrong", "false positive", "correct, 95 %"]
    console.print_table("Classic streams", columns, rows)
    console.say(
        f"tuned: average {tuned.average_ms:g} ms, threshold {tuned.threshold:g}, suppression {tuned.suppression_ms:g} ms, "
        f"minimum count {tuned.minimum_count}"
    )
    if args.json:
        write_result(args.json, [dict(zip(columns, row, strict=True)) for row in rows], columns, rows)


if __name__ == "__main__":
    main()
