"""The optimiser of a run, its learning rate at each step, and its state as named tensors for a checkpoint."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import TrainingConfig


def learning_rate(settings: TrainingConfig, step: int) -> float:
    """The learning rate of `step`, counted from 1.

    It is the rate of the step's phase. With the schedule ``cosine`` it first rises linearly, then falls to zero.
    """
    phase = int(np.searchsorted(np.cumsum(settings.steps), step))
    rate = settings.learning_rates[min(phase, len(settings.learning_rates) - 1)]
    if settings.schedule == "constant":
        return rate
    warmup = min(settings.warmup_steps, settings.total_steps // 10)
    if step <= warmup:
        return rate * step / warmup
    done = (step - warmup) / (settings.total_steps - warmup)
    return rate * 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser that `settings` name, over the parameters of `model` that are to be trained."""
    rate, decay = settings.learning_rates[0], settings.weight_decay
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    momentum = 0.0 if settings.optimizer == "sgd" else 0.9
    nesterov = settings.optimizer == "nesterov"
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors named ``{parameter number}.{name}``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the optimiser's state from the result of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
