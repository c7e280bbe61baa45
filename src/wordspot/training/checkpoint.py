"""A checkpoint: weights, optimiser state and configuration in one safetensors file, written atomically."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, ConfigError, NotFoundError
from wordspot.files import atomic_path
from wordspot.overrides import from_json, to_json

if TYPE_CHECKING:
    import torch

_MAX_HEADER_BYTES = 16 << 20
_MAX_FILE_BYTES = 4 << 30


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after `step` steps.

    Attributes:
        config: of the run.
        step: finished steps.
        best_step: the step that was best on validation so far; 0 for none.
        best_score: its score.
        weights: of the network, by name.
        optimizer: the optimiser's state, see `optimizer.optimizer_tensors`.
        average: the moving average of the weights, by name; empty if the run has none.
        task: what training has changed in the examples, by name; see `TrainingTask.state`.
        folded: the weights are those of an exported file, whose batch norms have no statistics.
    """

    config: RunConfig
    step: int
    best_step: int
    best_score: float
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    folded: bool = False
    average: dict[str, torch.Tensor] = field(default_factory=dict)
    task: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def best_weights(self) -> dict[str, torch.Tensor]:
        """The weights to evaluate and export: averaged, if the run averages them."""
        return {**self.weights, **self.average}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: if the process is killed, the file is either unchanged or complete."""
    from safetensors.torch import save_file

    # copied, since safetensors rejects tensors that share memory, as tied weights do
    tensors = {f"model.{name}": tensor for name, tensor in checkpoint.weights.items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in checkpoint.optimizer.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in checkpoint.average.items()}
    tensors |= {f"task.{name}": tensor for name, tensor in checkpoint.task.items()}
    metadata = {
        "config": json.dumps(to_json(checkpoint.config), ensure_ascii=False),
        "step": str(checkpoint.step),
        "best_step": str(checkpoint.best_step),
        "best_score": repr(checkpoint.best_score),
    }
    with atomic_path(path) as temporary:
        try:
            save_file(
                {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
                temporary,
                metadata,
            )
        except Exception as error:
            if "os error" in str(error).lower():  # safetensors reports a full disk as its own error
                raise OSError(f"{path}: could not be written ({error})") from error
            raise


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        NotFoundError: no such file.
        CheckpointError: damaged, or not a checkpoint.
        ConfigError: its configuration is from a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    try:
        tensors = load_file(path)
        config = from_json(json.loads(metadata["config"]))
        step, best_step = int(metadata["step"]), int(metadata["best_step"])
        best_score = float(metadata["best_score"])
    except ConfigError:
        raise
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"{path}: the checkpoint is damaged ({error})") from error
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "average": {}, "task": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise CheckpointError(
                f"{path}: the tensor {name!r} belongs to neither model, optimizer, average nor task; is it a checkpoint?"
            )
        parts[part][rest] = tensor
    return Checkpoint(
        config, step, best_step, best_score, parts["model"], parts["optimizer"], average=parts["average"], task=parts["task"]
    )


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; its sizes are checked before anything is allocated."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; expected a checkpoint")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8) or size > _MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: not a safetensors file, or damaged; expected a checkpoint")
        text = file.read(length)
    try:
        metadata = json.loads(text).get("__metadata__")
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the header cannot be parsed; expected a checkpoint") from error
    if not isinstance(metadata, dict) or "config" not in metadata:
        raise CheckpointError(f"{path}: there is no configuration in the file; expected a wordspot checkpoint")
    return metadata
