"""Muon (Jordan et al. 2024): every step of a layer's kernel has singular values of about 1.

torch has one for matrices only, without AdamW for the other parameters. Here the kernel of a convolution counts as a matrix
with one row an output channel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as published
_N_ITERATIONS = 5
_MOMENTUM = 0.95
_RMS = 0.2  # of a step's values at a rate of 1, as AdamW's have, so that both take one rate (Liu et al. 2025)
_TINY = 1e-7
#: The key of a parameter group that Muon moves; AdamW moves the others.
ORTHOGONAL = "orthogonal"


def is_kernel(parameter: Tensor) -> bool:
    """Whether a parameter is a matrix, or a kernel with several input channels: not a bias, a scale or a depthwise kernel."""
    return parameter.ndim > 1 and parameter.shape[1] > 1


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix [rows, columns] to between 0.7 and 1.2, by a Newton-Schulz iteration."""
    a, b, c = _COEFFICIENTS
    x: Tensor = matrix / matrix.norm().clamp(min=_TINY)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(_N_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


class Muon(torch.optim.AdamW):
    """Muon for the groups of parameters whose value of `ORTHOGONAL` is true, AdamW for the others.

    Both decay weights as AdamW does.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        set_aside: list[tuple[Tensor, Tensor | None]] = []
        for group in self.param_groups:
            if group[ORTHOGONAL]:
                for parameter in group["params"]:
                    self._move(parameter, group)
                    set_aside.append((parameter, parameter.grad))
                    parameter.grad = None  # AdamW leaves out what has none
        super().step()
        for parameter, gradient in set_aside:
            parameter.grad = gradient

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        if parameter.grad is None:
            return
        state = self.state[parameter]
        if not state:
            state.update(step=torch.tensor(0.0), momentum_buffer=torch.zeros_like(parameter))  # AdamW expects a step
        state["step"] += 1
        mean: Tensor = state["momentum_buffer"]
        mean.lerp_(parameter.grad, 1 - _MOMENTUM)
        step = orthogonalize(parameter.grad.lerp(mean, _MOMENTUM).flatten(1))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(step.view_as(parameter), alpha=group["lr"] * _RMS * max(step.shape) ** 0.5)
