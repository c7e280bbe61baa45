"""How often does a model wake up by mistake in my own place, and what does it miss?

    python examples/eval_my_stream.py words.onnx evening.flac                      # nobody says the words
    python examples/eval_my_stream.py words.onnx evening.flac --truth evening.csv  # label,start_ms,end_ms

With --tuned OUT.onnx it also writes a copy of the model with thresholds for --per-hour false accepts. Then measure
that copy on another recording: thresholds look better on the audio that they were chosen on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import wordspot as ws


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("stream", help="a recording of any length")
    parser.add_argument("--truth", help="what is said when; without it, none of the words is said")
    parser.add_argument("--per-hour", type=float, default=0.5, help="false accepts per hour to tune for (default: 0.5)")
    parser.add_argument("--tuned", type=Path, metavar="OUT.onnx")
    args = parser.parse_args(argv)
    truth = [args.truth] if args.truth else None
    result = ws.test_stream(args.model, [args.stream], truth=truth, no_words=truth is None)
    words = result.metrics.detections.all_words
    low, high = words.false_accepts.interval
    print(f"{result.hours:.2f} hours: {words.false_accepts_per_hour:.1f} false accepts per hour ({low:.1f} to {high:.1f})")
    if truth:
        print(f"missed: {100 * result.miss_rate:.1f} % of {words.n_words} words")
    for warning in result.warnings:
        print(f"note: {warning}")
    if args.tuned:
        tuning = {"false_accepts_per_hour": args.per_hour, "out": args.tuned}
        ws.tune(args.model, [args.stream], truth=truth, no_words=truth is None, **tuning)
        print(f"{args.tuned}: thresholds for {args.per_hour:g} false accepts per hour")


if __name__ == "__main__":
    main()
