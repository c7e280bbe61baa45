"""The optimiser of a run, its learning rate at each step, and its state as named tensors for a checkpoint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import TrainingConfig
from wordspot.errors import ConfigError
from wordspot.training.muon import ORTHOGONAL, Muon, is_kernel
from wordspot.training.weights import is_last


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
    """The optimiser that `settings` name, over the parameters of `model` that are to be trained; see `set_rate`."""
    rate, decay = settings.learning_rates[0], settings.weight_decay
    groups = _groups(model, settings.body_rate)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
    if settings.optimizer == "muon":
        return Muon(_split_kernels(model, groups), lr=rate, weight_decay=decay, fused=True)
    momentum = 0.0 if settings.optimizer == "sgd" else 0.9
    nesterov = settings.optimizer == "nesterov"
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay)


def _groups(model: nn.Module, body_rate: float) -> list[dict[str, Any]]:
    """The body and the last layer, each with its ``share`` of the learning rate; all parameters together if the shares agree."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if body_rate == 1:
        return [{"params": [parameter for _, parameter in trained], "share": 1.0}]
    last = [parameter for name, parameter in trained if is_last(name)]
    body = [parameter for name, parameter in trained if not is_last(name)]
    if not last:
        raise ConfigError("training.body_rate needs a last layer named output, and this network has none; set it to 1")
    return [{"params": body, "share": body_rate}, {"params": last, "share": 1.0}]


def _split_kernels(model: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each group as two: the kernels of all layers but the last, for Muon, and the rest, for AdamW."""
    kernels = {id(parameter) for name, parameter in model.named_parameters() if is_kernel(parameter) and not is_last(name)}
    halves = [
        {**group, "params": [one for one in group["params"] if (id(one) in kernels) == orthogonal], ORTHOGONAL: orthogonal}
        for group in groups
        for orthogonal in (True, False)
    ]
    return [half for half in halves if half["params"]]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step; that of the body is its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


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
