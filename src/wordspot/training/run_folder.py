"""The folder of a run.

It contains::

    config.json     the whole configuration          labels.txt   one label per line
    data.csv        every recording used: set, label, path, SHA-256
    versions.json   of Python and the packages       log.jsonl    one line per step and evaluation
    metrics.json    the final metrics                tensorboard/ scalars and feature images, if TensorBoard is installed
    checkpoints/step-00000400.safetensors
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, NotFoundError
from wordspot.files import read_json, read_text, write_json, write_text
from wordspot.overrides import from_json, to_json
from wordspot.tasks import labels_of_run
from wordspot.training.checkpoint import Checkpoint, load_checkpoint, read_metadata


class RunFolder:
    """The folder of a run: the paths in it, and its checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.jsonl"
        self.metrics = path / "metrics.json"
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / "checkpoints"

    def read_config(self) -> RunConfig:
        """The run's configuration.

        Raises:
            NotFoundError: the folder is no run.
            CheckpointError: its configuration is damaged.
        """
        path = self.path / "config.json"
        if not path.is_file():
            raise NotFoundError(f"{self.path} is not the folder of a run: it has no config.json")
        return from_json(read_json(path))

    def write_config(self, config: RunConfig) -> None:
        """Write the configuration and the labels file."""
        write_json(self.path / "config.json", to_json(config))
        write_text(self.path / "labels.txt", "".join(f"{label}\n" for label in labels_of_run(config)))

    def checkpoint_path(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}.safetensors"

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are kept, ascending."""
        found = [path.stem.removeprefix("step-") for path in self.checkpoints.glob("step-*.safetensors")]
        return sorted(int(step) for step in found if step.isdigit())

    def latest_step(self) -> int:
        """The newest checkpoint's step.

        Raises:
            NotFoundError: there is none.
        """
        steps = self.steps()
        if not steps:
            raise NotFoundError(f"{self.path} has no checkpoint; train first")
        return steps[-1]

    def load(self, step: int | None = None) -> Checkpoint:
        """The checkpoint of `step`, or the best one on validation.

        Raises:
            NotFoundError: no such checkpoint; the message lists those that exist.
        """
        if step is None:
            newest = self.latest_step()
            step = self._best_as_of(newest) or newest
        elif step not in self.steps():
            kept = ", ".join(map(str, self.steps())) or "none"
            raise NotFoundError(f"{self.path}: no checkpoint of step {step}; those kept: {kept}")
        return load_checkpoint(self.checkpoint_path(step))

    def prune(self, keep: int) -> None:
        """Remove old checkpoints, except the newest `keep` and those that any of these records as the best so far."""
        steps = self.steps()
        kept = set(steps[-keep:])
        kept |= {self._best_as_of(step) for step in kept}
        for step in steps:
            if step not in kept:
                self.checkpoint_path(step).unlink()

    def clear(self) -> None:
        """Remove the files of a run, and nothing else."""
        shutil.rmtree(self.tensorboard, ignore_errors=True)
        self.drop_after(-1)
        self.log.unlink(missing_ok=True)

    def drop_after(self, step: int) -> None:
        """Remove what came after `step`: checkpoints and lines of the log."""
        for unfinished in self.checkpoints.glob(".step-*"):  # of a run that was killed while it saved
            unfinished.unlink(missing_ok=True)
        for later in self.steps():
            if later > step:
                self.checkpoint_path(later).unlink()
        self.metrics.unlink(missing_ok=True)
        if self.log.is_file():
            lines = read_text(self.log).splitlines()
            kept = [line for line in lines if _step_of(line) <= step and json.loads(line).get("set") != "testing"]
            write_text(self.log, "".join(f"{line}\n" for line in kept))

    def read_log(self) -> list[dict[str, Any]]:
        """The lines of the log, without a truncated last line of a run that was killed."""
        lines = read_text(self.log).splitlines() if self.log.is_file() else []
        return [json.loads(line) for line in lines if _step_of(line) < float("inf")]

    def _best_as_of(self, step: int) -> int:
        """The best step when the checkpoint of `step` was written; 0 if none had been evaluated."""
        path = self.checkpoint_path(step)
        try:
            return int(read_metadata(path)["best_step"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path}: the checkpoint is damaged; it does not name the best step") from error


def _step_of(line: str) -> float:
    """The step of a line of the log; infinity for a truncated line."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return float("inf")
