"""How fast the classic `conv` with momentum learns bed and cat, with happy as the only unknown word, step by step.

    python benchmarks/bed_cat.py DATA [--steps 250] [--seeds 0,1]

The original reaches 90 % on testing after 194 steps of 100 clips, on a slightly larger set. The accuracy on testing
is reported as in the original; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from results import write_result
from wordspot.data.cache import decode_folder
from wordspot.data.folders import list_recordings
from wordspot.intervals import wilson_interval
from wordspot.overrides import override
from wordspot.training.device import resolve_device
from wordspot.training.recipes import recipe_config
from wordspot.training.tasks.words import WordsTask
from wordspot.training.trainer import Trainer

FOLDERS = ("bed", "cat", "happy", "_background_noise_")
LOOKS = (50, 100, 150, 194, 250, 300, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the classic conv learns two words.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        for word in FOLDERS:
            (folder / word).symlink_to((args.data / word).resolve())
        rows = [
            row
            for seed in map(int, args.seeds.split(","))
            for row in learn(folder, Path(name) / f"run-{seed}", args.steps, seed, args.precision)
        ]
    if args.json:
        write_result(args.json, rows)


def learn(folder: Path, out: Path, steps: int, seed: int, precision: str) -> list[dict[str, float]]:
    """The accuracy on testing at some of the steps."""
    config = recipe_config(("bed", "cat"), "conv", "classic")
    config = override(config, {"training.optimizer": "nesterov", "training.precision": precision, "training.seed": seed})
    decoded = decode_folder(list_recordings(folder), config.features.sample_rate, config.features.clip_samples)
    device = resolve_device("auto")
    task = WordsTask(config, decoded, device)
    trainer = Trainer(config, task, out, device)
    sizes = ", ".join(f"{name} {len(clips)}" for name, clips in task.sets.items())
    print(f"seed {seed}, {trainer.precision}: {sizes}")
    rows = []
    for step in range(1, steps + 1):
        trainer.train_step()
        if step in LOOKS or step == steps:
            record = task.evaluate(trainer.model, trainer.front_end, "testing", step)
            low, high = wilson_interval(round(record.accuracy * record.n), record.n)
            print(
                f"  step {step:4}: testing {100 * record.accuracy:.1f} % (N={record.n}, {100 * low:.1f} to {100 * high:.1f})",
                flush=True,
            )
            rows.append({"seed": seed, "step": step, "accuracy": record.accuracy, "n": record.n, "low": low, "high": high})
    return rows


if __name__ == "__main__":
    main()
