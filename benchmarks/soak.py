"""Soak test of `wordspot serve`: streams that come and go, idle and misbehaving clients, for a long time. Memory must stay flat.

    python benchmarks/soak.py SOUND.wav [MODEL.onnx] [--streams 8] [--minutes 60] [--json OUT]

The clients are those of serve_load.py; each stream ends after some seconds and another begins. The first fifth of the time
warms the server up. Memory counts as flat if a line through the rest rises by less than `--max-growth` MiB an hour. The exit
status is 1 if it is not flat, if a stream brings other words than a detector here, or if one breaks off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from results import write_result
from serve_load import Tally, load, many_files, own_server
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_int16
from wordspot.runtime.model import open_model

WARM_UP = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sound", type=Path, metavar="SOUND")
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.onnx")
    for name, default in (("streams", 8), ("idle", 50), ("wyoming", 2), ("garbage", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--churn", type=float, default=5.0, help="seconds after which a stream ends and another begins")
    parser.add_argument("--max-growth", type=float, default=5.0, help="MiB an hour")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    many_files()
    audio, _ = read_audio(args.sound, 16_000)
    model, tally = open_model(args.model), Tally()
    with contextlib.ExitStack() as stack:
        args.url, args.pid, port = stack.enter_context(own_server(args.model, logs=not args.garbage))
        result = asyncio.run(load(args, to_int16(audio), model, port, tally))
    growth = slope(tally.memory)
    checked, wrong = map(int, result["streams checked, with other words than a detector here"].split(", "))
    rows = table(args, tally, growth, checked - wrong)
    for name, value in rows:
        print(f"  {name:<62}{value}")
    if args.json:
        measurements = {**result, "growth_mib_per_hour": round(growth, 2), "memory_mib": tally.memory}
        write_result(args.json, measurements, ("what", "value"), rows)
    return 0 if growth < args.max_growth and not wrong and not tally.broken else 1


def table(args: argparse.Namespace, tally: Tally, growth: float, n_right: int) -> list[tuple[str, Any]]:
    """The rows that the documentation shows."""
    warm = warmed_up(tally.memory)
    return [
        ("minutes", f"{args.minutes:g}"),
        ("streams at the same time, idle connections, Wyoming clients", f"{args.streams}, {args.idle}, {args.wyoming}"),
        ("streams that came and went, of them broken off", f"{len(tally.plays)}, {tally.broken}"),
        ("streams compared with a detector in this process, the same", n_right),
        ("connections of clients that misbehave", tally.garbage),
        ("resident memory after the warm-up: least, most", f"{min(warm):.0f}, {max(warm):.0f} MiB"),
        ("growth an hour, by a line through it", f"{round(growth, 1) + 0.0:+.1f} MiB"),
    ]


def warmed_up(memory: list[tuple[float, float]]) -> list[float]:
    return [mib for _, mib in memory[int(len(memory) * WARM_UP) :]]


def slope(memory: list[tuple[float, float]]) -> float:
    """MiB an hour, by least squares after the warm-up."""
    seconds = [time for time, _ in memory[int(len(memory) * WARM_UP) :]]
    return 3600 * float(np.polyfit(seconds, warmed_up(memory), 1)[0]) if len(seconds) > 2 else 0.0


if __name__ == "__main__":
    sys.exit(main())
