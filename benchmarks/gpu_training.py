"""Training speed of the default network with its own recipe: a step, its parts, and whether compiling it pays.

    python benchmarks/gpu_training.py DATA [--device cuda] [--seconds 15] [--json FILE]

DATA is a folder of words (Speech Commands). `batch` draws and augments the audio, `features` is the front end, `step` is all of a
training step, and `compiled` a step whose network `torch.compile` has captured in CUDA graphs. Each is measured for about
`--seconds`; a GPU is waited for before the clock is read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from results import write_result
from wordspot.data.cache import decode_folder
from wordspot.data.folders import list_recordings
from wordspot.overrides import override
from wordspot.training.device import resolve_device
from wordspot.training.recipes import make_config
from wordspot.training.tasks.words import WordsTask
from wordspot.training.trainer import Trainer

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
#: The recipe as it is, which learns from scenes; and the same network on single clips, as on small data.
KINDS = {"scenes": {}, "clips": {"scenes.length_s": 0.0, "training.batch_size": 256}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = resolve_device(args.device)
    rows = []
    for kind, settings in KINDS.items():
        for precision in ("float32", "bf16"):
            rows.append(measure(args.data, {**settings, "training.precision": precision}, device, args.seconds))
            rows[-1] |= {"examples": kind, "precision": precision}
            print(rows[-1], flush=True)
    if args.json:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        columns = ("examples", "precision", "batch ms", "features ms", "step ms", "compiled ms", "s of sound a second", "peak MB")
        keys = ("examples", "precision", "batch", "features", "step", "compiled", "speed", "peak_mb")
        table = [[value if isinstance(value := row[key], str) else f"{value:,.1f}" for key in keys] for row in rows]
        write_result(args.json, {"device": name, "rows": rows}, columns, table)


def measure(data: Path, settings: dict[str, Any], device: torch.device, seconds: float) -> dict[str, Any]:
    """Milliseconds of the parts of a step, and the most memory that steps took before they were compiled."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    config = override(make_config(data, WORDS), settings)
    decoded = decode_folder(list_recordings(data), config.features.sample_rate, config.features.clip_samples)
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(config, WordsTask(config, decoded, device), Path(out), device)
        generator = torch.Generator(device=device).manual_seed(1)
        audio, _ = trainer.task.training_batch(1, generator)
        times = {
            "batch": per_call(lambda: trainer.task.training_batch(2, generator), device, seconds),
            "features": per_call(lambda: trainer.augmenter.features(trainer.front_end, audio, generator), device, seconds),
            "step": per_call(trainer.train_step, device, seconds),
        }
        peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
        network = trainer._forward
        trainer._forward = torch.compile(network, mode="reduce-overhead")
        times["compiled"] = per_call(trainer.train_step, device, seconds)
    return {**times, "speed": 1000 * trainer.batch_seconds / times["step"], "peak_mb": peak}


def per_call(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Milliseconds of a call, after three that warm up."""
    for _ in range(3):
        work()
    n_calls, begun = 0, now(device)
    while (passed := now(device) - begun) < seconds or not n_calls:
        for _ in range(5):
            work()
        n_calls += 5
    return 1000 * passed / n_calls


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
