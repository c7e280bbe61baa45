"""Layers that see only a part of a batch, and compute what they would with the whole: batch norms and dropout.

Torch's SyncBatchNorm works on GPUs only; these work on CPUs too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass
class Share:
    """Which examples of a batch a process has: every `size`-th, from `rank` on.

    Attributes:
        n_all: the examples of the current batch, of all processes.
        n_here: those that the process has.
    """

    rank: int
    size: int
    n_all: int = 0
    n_here: int = 0

    def of(self, x: Tensor) -> Tensor:
        """The examples of `x` [batch, ...] that the process has."""
        part = x[self.rank :: self.size]
        self.n_all, self.n_here = len(x), len(part)
        return part


def synchronise(model: nn.Module, share: Share) -> None:
    """Let the batch norms and dropouts of `model`, and of classes derived from torch's, work for the whole batch."""
    for module in model.modules():
        own = type(module)
        if issubclass(own, _OfAll):
            continue
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.__class__ = type(own.__name__, (_Dropout, own), {"share": share})
        for kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            if isinstance(module, kind):  # a derived class calls the synchronised one as its base
                base = type(f"Synchronised{kind.__name__}", (_Norm, kind), {})
                module.__class__ = type(own.__name__, (base,) if own is kind else (own, base), {})


class _OfAll:
    """A layer that works for the whole batch."""


class _Norm(_OfAll):
    """A batch norm whose statistics in training are those of the examples of all processes."""

    def forward(self: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:  # type: ignore[misc]
        if not self.training:
            return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *([1] * (x.dim() - 2))]
        wide = x if x.dtype == torch.float64 else x.float()
        n = torch.tensor([x.numel() / x.shape[1]], device=x.device)
        dist.all_reduce(n)
        mean = _sum(wide.sum(dim=axes)) / n
        centred = wide - mean.view(shape)
        variance = _sum(centred.square().sum(dim=axes)) / n
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * n / (n - 1).clamp(min=1), momentum)
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        out: Tensor = y.to(x.dtype)
        return out


class _Sum(torch.autograd.Function):
    """The sum over all processes. A process's part counts in the losses of all, so their gradients are summed too."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


class _Dropout(_OfAll):
    """A dropout that draws for the examples of all processes, as one process would, and uses what belongs to its own."""

    share: Share

    def forward(self: Any, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        share = self.share
        # recurrent networks have the batch second
        axis = next((axis for axis in (0, 1) if x.dim() > axis and x.shape[axis] == share.n_here), None)
        if axis is None:
            return super().forward(x)  # type: ignore[misc, no-any-return]
        whole = super().forward(_ones_like(x, axis, share.n_all))  # type: ignore[misc]
        mine: Tensor = whole.movedim(axis, 0)[share.rank :: share.size].movedim(0, axis)
        return x * mine


def _ones_like(x: Tensor, axis: int, n: int) -> Tensor:
    """Ones of the shape of `x`, but `n` long in one axis, and with the same order of the axes in memory, for which it draws."""
    order = sorted(range(x.dim()), key=x.stride, reverse=True)
    sizes = [n if one == axis else x.shape[one] for one in order]
    return x.new_ones(sizes).permute([order.index(one) for one in range(x.dim())])
