"""Data-parallel training by several processes, which `torchrun` starts (DistributedDataParallel).

The result is that of one process with the same batch, but for rounding: all processes draw the same batch, by the seed of the
step, and each trains on every n-th example of it. Batch norms take their statistics from all processes (torch's
SyncBatchNorm does that on GPUs only), and the loss is the mean over all examples, however many of a process's are left out.
What a network draws itself differs: dropout, and the mixing of `pooled` networks, which stays within a process.
"""

from __future__ import annotations

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wordspot.errors import ConfigError, TrainingError, WordspotError
from wordspot.torchrun import n_processes, rank
from wordspot.training.loss import IGNORED

_PATIENCE = timedelta(hours=2)  # while process 0 decodes or evaluates; a process that ends is noticed at once

#: Features, and the frames between windows (0: none) → logits.
Forward = Callable[[Tensor, int], Tensor]


class Alone:
    """Training by this process alone: nothing is divided, and nothing is added up."""

    is_main = True

    def network(self, model: nn.Module) -> Forward:
        """How to call `model` in training."""
        return _Step(model)

    def part(self, x: Tensor) -> Tensor:
        """The examples of `x` [batch, ...] that this process trains on."""
        return x

    def weighed(self, loss: Tensor, labels: Tensor) -> Tensor:
        """The loss of this process's examples, such that the mean over processes is that of the batch."""
        return loss

    def total(self, x: Tensor) -> Tensor:
        """The sum of `x` over all processes."""
        return x

    def mean(self, x: Tensor) -> Tensor:
        """The mean of `x` over all processes."""
        return x

    def any(self, value: bool) -> bool:
        """Whether `value` is true in any process."""
        return value

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Around what needs all processes.

        Raises:
            TrainingError: one of them has ended.
        """
        yield


class Group(Alone):
    """Training by all processes that ``torchrun`` started.

    Args:
        device: where this process computes: gloo connects CPUs, nccl GPUs.
        batch_size: of all processes together.

    Raises:
        ConfigError: a batch has fewer examples than there are processes.
    """

    def __init__(self, device: torch.device, batch_size: int) -> None:
        self.rank, self.size, self._device = rank(), n_processes(), device
        self.is_main = self.rank == 0
        if batch_size < self.size:
            raise ConfigError(f"a batch of {batch_size} is too small for {self.size} processes; raise training.batch_size")
        if not self.is_main:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # process 0 stops all of them, after a step
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)

    def network(self, model: nn.Module) -> Forward:
        synchronise_norms(model)
        warnings.filterwarnings("ignore", "Grad strides do not match")  # of kernels of size 1, whose strides mean nothing
        return DistributedDataParallel(_Step(model), broadcast_buffers=False)

    def part(self, x: Tensor) -> Tensor:
        return x[self.rank :: self.size]

    def weighed(self, loss: Tensor, labels: Tensor) -> Tensor:
        n = (labels != IGNORED).sum().to(loss.dtype)
        share = n * self.size / self.total(n.clone())
        return torch.where(n > 0, loss, torch.zeros_like(loss)) * share

    def total(self, x: Tensor) -> Tensor:
        dist.all_reduce(x)
        return x

    def mean(self, x: Tensor) -> Tensor:
        return self.total(x.clone()) / self.size

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo and nccl raise this for a connection that is closed
            if isinstance(error, WordspotError) or not any(name in str(error).lower() for name in ("gloo", "nccl", "connection")):
                raise
            raise TrainingError("another process of this training has ended; resume the run from its last checkpoint") from error

    def any(self, value: bool) -> bool:
        return bool(self.total(torch.tensor(float(value), device=self._device)))


def join(device: torch.device, batch_size: int) -> Alone:
    """The group of processes that this one belongs to."""
    return Group(device, batch_size) if n_processes() > 1 else Alone()


def leave() -> None:
    """End the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class _Step(nn.Module):
    """A network as it is called in training."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, stride: int) -> Tensor:
        logits: Tensor = self.model.windows(features, stride) if stride else self.model(features)  # type: ignore[operator]
        return logits


class _Synchronised:
    """A batch norm whose statistics in training are those of the examples of all processes."""

    def forward(self: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:  # type: ignore[misc]
        if not self.training:
            return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *([1] * (x.dim() - 2))]
        wide = x.float()
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


def synchronise_norms(model: nn.Module) -> None:
    """Let all batch norms of `model`, and classes derived from them, take their statistics from all processes."""
    for module in model.modules():
        for kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            if isinstance(module, kind) and not isinstance(module, _Synchronised):
                base = type(f"Synchronised{kind.__name__}", (_Synchronised, kind), {})
                bases = (base,) if type(module) is kind else (type(module), base)
                module.__class__ = type(type(module).__name__, bases, {})
