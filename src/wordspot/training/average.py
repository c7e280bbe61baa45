"""A moving average of a network's weights, which is often better than any of its steps (Polyak and Juditsky 1992)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """The average of all weights and of the statistics of norms.

    After step t it keeps min(`keep`, (1 + t) / (10 + t)) of itself, so that it follows the first steps, and takes the rest from
    the network.

    Args:
        model: the network; the average starts with its weights.
        keep: from 0 to 1.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        self._model, self._keep = model, keep
        self._copy = copy.deepcopy(model).requires_grad_(False)
        self.restart()

    def restart(self) -> None:
        """Begin with the weights that the network has now."""
        self.weights = {name: value.clone() for name, value in self._model.state_dict().items() if value.is_floating_point()}

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Continue with the `weights` of an earlier average."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network's weights after `step`, counted from 1."""
        keep = min(self._keep, (1 + step) / (10 + step))
        now = self._model.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [now[name] for name in self.weights], 1 - keep)

    def network(self) -> nn.Module:
        """A network with the averaged weights."""
        self._copy.load_state_dict({**self._model.state_dict(), **self.weights})
        return self._copy
