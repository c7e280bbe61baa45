"""Checks for NaN and infinity in every layer and gradient (``training.check_nans``), which cost time on every step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from wordspot.errors import TrainingError


@contextlib.contextmanager
def watch_nans(model: nn.Module) -> Iterator[None]:
    """Within this context, raise TrainingError at the first layer whose output has a NaN or an infinity."""

    def watch(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                raise TrainingError(f"NaN or infinity in the output of layer {name!r}; lower the learning rate")

        return look

    layers = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(watch(name or type(module).__name__)) for name, module in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_gradients(model: nn.Module, loss: Tensor, step: int) -> None:
    """Raise TrainingError if the loss or a gradient has a NaN or an infinity."""
    if not bool(torch.isfinite(loss)):
        raise TrainingError(f"the loss is {float(loss)} at step {step}; lower the learning rate")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            raise TrainingError(f"NaN or infinity in the gradient of {name!r} at step {step}; lower the learning rate")
