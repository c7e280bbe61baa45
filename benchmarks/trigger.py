"""How well exported files find one word in scenes: thresholds chosen on validation scenes, measured on testing scenes.

    python benchmarks/trigger.py DATA FILE.onnx... --positives A --negatives B --backgrounds C [--hours 2]

All files run on the same scenes, those of `wordspot make-scenes`, at 16 kHz, ten minutes each. The 95 % interval of
what is found is bootstrapped over recordings of the word, not over the places where they were inserted. Scenes repeat
the few backgrounds there are, so the interval of false accepts per hour is given twice: over the hours of scenes, and
over the hours of distinct background.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results import write_result
from wordspot.commands import console
from wordspot.commands.options import add_trigger_flags, trigger_config
from wordspot.config import DataConfig, TriggerConfig
from wordspot.data.bank import TriggerMaterial
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import scene_at
from wordspot.data.trigger import load_trigger_data
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.curves import make_curves, sweep, total_curve
from wordspot.evaluation.matching import Matching
from wordspot.intervals import EventRate
from wordspot.labels import word_of
from wordspot.presets import TIME_TOLERANCE_MS
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import Model, open_model

RATE, SECONDS = 16_000, 600
_DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--hours", type=float, default=2.0, help="of scenes of each set (default: 2)")
    parser.add_argument("--per-hour", type=float, default=1.0, help="tolerated false accepts per hour (default: 1)")
    parser.add_argument("--json", type=Path)
    add_trigger_flags(parser)
    args = parser.parse_args()
    config = trigger_config(args, TriggerConfig())
    sources = load_trigger_data(args.data, config, DataConfig(), RATE)
    word, count = word_of(config, None), math.ceil(args.hours * 3600 / SECONDS)
    scenes = {
        name: [scene_at(sources.of(name), SECONDS * RATE, (0, seed, number), config, word) for number in range(count)]
        for seed, name in ((1, "validation"), (2, "testing"))
    }
    rows = [measure(path, scenes, sources.of("testing"), args.per_hour) for path in args.models]
    print_rows(rows, sources.of("testing"), count * SECONDS / 3600)
    if args.json:
        write_result(args.json, rows)


def measure(path: Path, scenes: dict[str, list[Scene]], testing: TriggerMaterial, per_hour: float) -> dict[str, Any]:
    """One file's metrics on the testing scenes, at the threshold chosen on the validation scenes."""
    model = open_model(path)
    decoder = model.card.decoder
    validation, bench = (make_bench(model, scenes[name]) for name in ("validation", "testing"))
    curve = total_curve(make_curves(validation, list(sweep(validation, decoder))))
    within = np.flatnonzero(curve.false_accepts_per_hour <= per_hour)
    best = max(within, key=lambda at: (curve.n_hits[at], at)) if len(within) else len(curve.thresholds) - 1
    threshold = float(curve.thresholds[best])
    matchings = bench.match(decoder.with_threshold(threshold))
    hits = [hit for matching in matchings for hit in matching.hits]
    n_words = len(hits) + sum(len(matching.misses) for matching in matchings)
    rate = EventRate(sum(len(matching.false_accepts) for matching in matchings), bench.hours)
    unlike_hours = min(testing.background_seconds / 3600, bench.hours)
    over_unlike = EventRate(math.ceil(rate.n * unlike_hours / bench.hours), unlike_hours)
    latency = np.array([hit.latency_ms for hit in hits if hit.latency_ms is not None])
    test_curve = total_curve(make_curves(bench, list(sweep(bench, decoder))))
    low, high = interval_over_takes(matchings)
    return {
        "file": path.name, "threshold": threshold, "validation_found": curve.n_hits[best] / curve.n_words,
        "n_words": n_words, "found": len(hits) / n_words, "found_low": low, "found_high": high,
        "false_accepts": rate.n, "per_hour": rate.per_hour, "per_hour_interval": rate.interval,
        "per_hour_interval_unlike": over_unlike.interval,
        "latency_ms": [float(np.median(latency)), float(np.quantile(latency, 0.9))] if len(latency) else [],
        "det": [
            {"per_hour": float(rate), "miss_rate": float(miss)}
            for rate, miss in zip(test_curve.false_accepts_per_hour, test_curve.miss_rate, strict=True)
        ],
    }  # fmt: skip


def make_bench(model: Model, scenes: Sequence[Scene]) -> Bench:
    streams = []
    for scene in scenes:
        scorer = Scorer(model, sample_rate=RATE)
        parts = [scorer.feed(scene.audio), scorer.flush()]
        scores, end_ms = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        streams.append(ScoredStream(scores, end_ms, scene.words, 1000 * SECONDS))
    return Bench(tuple(streams), model.card.labels, 0.0, TIME_TOLERANCE_MS)


def interval_over_takes(matchings: Sequence[Matching]) -> tuple[float, float]:
    """The 95 % interval of the share that is found, bootstrapped over recordings of the word."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for matching in matchings:
        for word, hit in [*((hit.word, 1) for hit in matching.hits), *((word, 0) for word in matching.misses)]:
            counts[word.clip][0] += hit
            counts[word.clip][1] += 1
    table = np.array(list(counts.values()))
    drawn = np.random.default_rng(0).integers(len(table), size=(_DRAWS, len(table)))
    found = table[drawn].sum(axis=1)
    low, high = np.quantile(found[:, 0] / found[:, 1], (0.025, 0.975))
    return float(low), float(high)


def print_rows(rows: Sequence[dict[str, Any]], testing: TriggerMaterial, hours: float) -> None:
    console.say(
        f"{hours:g} hours of testing scenes: {len(testing.positives)} recordings of the word, "
        f"{testing.background_seconds / 60:.1f} minutes of distinct background"
    )
    console.print_table(
        "At the threshold chosen on validation scenes",
        ["", "threshold", "found % (95 %)", "false accepts an hour (95 %)", "95 %, distinct background", "latency ms", "90 %"],
        [
            (
                row["file"],
                f"{row['threshold']:.4g}",
                f"{100 * row['found']:.1f} ({100 * row['found_low']:.1f} to {100 * row['found_high']:.1f})",
                f"{row['per_hour']:.2g} ({_pair(row['per_hour_interval'])})",
                _pair(row["per_hour_interval_unlike"]),
                *(f"{value:.0f}" for value in row["latency_ms"] or (math.nan, math.nan)),
            )
            for row in rows
        ],
    )


def _pair(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2g} to {interval[1]:.2g}"


if __name__ == "__main__":
    main()
