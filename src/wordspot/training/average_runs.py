"""One network from several runs: the average of their weights.

Runs that start from exactly the same weights, of a trained body, and learn from the same recordings with different seeds stay
close enough to each other for this (Wortsman et al. 2022, arXiv 2203.05482). If only their last layers differ at first, which are
random, the average is worse than any of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from wordspot.errors import CheckpointError
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.run_folder import RunFolder

_KEPT = ("data.csv", "versions.json")


def beginning_of(run: Path, out: Path) -> Path:
    """Write a run that holds only the weights with which `run` began, for others to start from, and return its folder.

    Runs can only be averaged if they have the same last layer at first, which is random, and the same scales in their norms,
    which are measured on the first batch.

    Raises:
        NotFoundError: that checkpoint is gone, or `run` began with random weights.
    """
    source, result = RunFolder(run), RunFolder(out)
    checkpoint = source.load(0)
    result.checkpoints.mkdir(parents=True, exist_ok=True)
    save_checkpoint(result.checkpoint_path(0), checkpoint)
    result.write_config(checkpoint.config)
    return out


def average_runs(runs: Sequence[Path], out: Path) -> None:
    """Write a run whose only checkpoint is the average of the best ones of `runs`; its configuration is that of the first.

    Args:
        runs: at least one folder of a run.
        out: the folder to write; checkpoints of an earlier run in it are removed.

    Raises:
        NotFoundError: one of `runs` has no checkpoint.
        CheckpointError: a checkpoint is damaged, or they are of different networks.
    """
    folders, result = [RunFolder(run) for run in runs], RunFolder(out)
    checkpoints = [folder.load() for folder in folders]
    weights = mean_weights([checkpoint.best_weights for checkpoint in checkpoints])
    first, step = checkpoints[0], max(checkpoint.step for checkpoint in checkpoints)
    result.checkpoints.mkdir(parents=True, exist_ok=True)
    result.clear()
    save_checkpoint(result.checkpoint_path(step), Checkpoint(first.config, step, 0, 0.0, weights, {}))
    for name in _KEPT:
        shutil.copyfile(folders[0].path / name, out / name)
    result.write_config(first.config)


def mean_weights(all_weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each of the tensors; those of whole numbers, which count batches, are those of the first.

    Raises:
        CheckpointError: the names or the shapes differ.
    """
    first, *others = all_weights
    for other in others:
        if {name: one.shape for name, one in other.items()} != {name: one.shape for name, one in first.items()}:
            raise CheckpointError("the runs are of different networks, so their weights cannot be averaged")
    return {
        name: torch.stack([weights[name] for weights in all_weights]).mean(dim=0) if value.is_floating_point() else value
        for name, value in first.items()
    }
