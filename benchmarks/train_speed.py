"""Training speed of the classic models: clips a second with the classic front end and augmentation, in batches of 100.

    python benchmarks/train_speed.py DATA [--device auto] [--precisions float32,bf16] [--json FILE]

DATA is a folder of words (Speech Commands). The data preparation (drawing, augmentation, front end) is part of each
step and also timed alone. Each row is the median over --repeats stretches of training.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from results import write_result
from wordspot.data.cache import decode_folder
from wordspot.data.folders import list_recordings
from wordspot.overrides import override
from wordspot.training.device import resolve_device
from wordspot.training.recipes import recipe_config
from wordspot.training.tasks.words import WordsTask
from wordspot.training.trainer import Trainer

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
#: Clips a second that the original reaches on two cores of the same kind.
ORIGINAL = {"conv": 75, "low_latency_conv": 430, "tiny_conv": 590, "low_latency_svdf": 234}
STEPS = {"conv": 4, "low_latency_conv": 60, "low_latency_svdf": 40}


def main() -> None:
    parser = argparse.ArgumentParser(description="Training speed of the classic models.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="conv,low_latency_conv,low_latency_svdf,tiny_conv,tiny_embedding_conv,single_fc")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", default="float32,bf16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = resolve_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{device} ({name}), torch {torch.__version__}, {platform.platform()}")
    listing = list_recordings(args.data)
    rows = []
    print(f"{'model':22}{'precision':11}{'clips/s':>9}{'ms/batch':>10}{'original':>10}")
    for model in args.models.split(","):
        for precision in args.precisions.split(","):
            rows.append(measure(model, precision, listing, device, args.repeats))
            row = rows[-1]
            print(
                f"{model:22}{precision:11}{row['clips_per_second']:9.0f}{row['ms_per_batch']:10.1f}{row['original'] or '–':>10}",
                flush=True,
            )
    preparation = measure_preparation(listing, device, args.repeats)
    print(f"data preparation alone: {preparation:.1f} ms a batch of 100 (original: 140)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:.0f} MB")
    if args.json:
        write_result(
            args.json,
            {"device": name, "preparation_ms": preparation, "peak_mb": peak, "rows": rows},
            ("model", "precision", "clips a second", "TensorFlow's example"),
            [(f"`{row['model']}`", row["precision"], f"{row['clips_per_second']:,.0f}", row["original"] or "–") for row in rows],
        )


def make_trainer(model: str, precision: str, listing: Any, device: torch.device, out: Path) -> Trainer:
    config = recipe_config(WORDS, model, "classic")
    config = override(config, {"training.precision": precision, "training.optimizer": "nesterov"})
    decoded = decode_folder(listing, config.features.sample_rate, config.features.clip_samples)
    return Trainer(config, WordsTask(config, decoded, device), out, device)


def measure(model: str, precision: str, listing: Any, device: torch.device, repeats: int) -> dict[str, Any]:
    n_steps = STEPS.get(model, 80) if device.type == "cpu" else 200
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(model, precision, listing, device, Path(out))
        for _ in range(2 if model == "conv" else 10):
            trainer.train_step()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(n_steps):
                result = trainer.train_step()
            result.loss.item()  # a GPU may still be computing
            seconds.append((time.perf_counter() - start) / n_steps)
    median = statistics.median(seconds)
    return {
        "model": model,
        "precision": precision,
        "clips_per_second": 100 / median,
        "ms_per_batch": 1000 * median,
        "all_ms": [1000 * value for value in seconds],
        "original": ORIGINAL.get(model),
    }


def measure_preparation(listing: Any, device: torch.device, repeats: int) -> float:
    """Milliseconds to draw and augment a batch of 100 and compute its features."""
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer("tiny_conv", "float32", listing, device, Path(out))
        generator = torch.Generator(device=device).manual_seed(1)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(50):
                audio, _ = trainer.task.training_batch(0, generator)
                features = trainer.front_end(audio)
            float(features.sum())
            times.append((time.perf_counter() - start) / 50)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
