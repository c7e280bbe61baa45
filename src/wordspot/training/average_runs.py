"""One network from several runs: the average of their weights.

Runs that start from the same trained weights and learn from the same recordings with different seeds stay close enough to each
other for the average to work. It makes fewer errors than they do, above all on recordings unlike those that they learned from,
and costs no more than one of them (Wortsman et al. 2022, arXiv 2203.05482).
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
