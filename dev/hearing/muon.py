"""Muon (Jordan et al. 2024): steps of momentum whose singular values are all made about 1.

torch has one for matrices; the products here are convolutions, whose kernels are matrices with one row an output channel.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as published
_N_ITERATIONS = 5
_RMS = 0.2  # of a step's values, as of AdamW's, so that one rate serves both (Liu et al. 2025)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix [rows, columns] to about 1, by the Newton-Schulz iteration."""
    a, b, c = _COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(_N_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for weights of two and more dimensions, with AdamW's weight decay."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                state["mean"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(state["mean"], group["momentum"]).flatten(1)
                step = orthogonalize(ahead) * (_RMS * max(ahead.shape) ** 0.5)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(step.view_as(weight), alpha=group["lr"])
