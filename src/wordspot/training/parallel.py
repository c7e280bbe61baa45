"""Data-parallel training by several processes, which `torchrun` starts (DistributedDataParallel).

The result is that of one process with the same batch, except for rounding: all processes draw the same batch, by the seed of the
step, and each trains on every n-th example of it. Batch norms take their statistics from all processes, and dropout is drawn for
the whole batch, see `synchronised`. The loss is the mean over all examples, however many of a process's are left out. Only the
mixing of `pooled` networks differs: it stays within a process.
"""

from __future__ import annotations

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wordspot.errors import ConfigError, TrainingError, WordspotError
from wordspot.torchrun import n_processes, rank
from wordspot.training.loss import IGNORED
from wordspot.training.synchronised import Share, synchronise

_PATIENCE = timedelta(hours=2)  # while process 0 decodes or evaluates; a process that ends is noticed at once

_ENDED = "a process of this training was ended; the same command with --resume goes on from the last checkpoint"

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
        self._share = Share(self.rank, self.size)
        if batch_size < self.size:
            raise ConfigError(f"a batch of {batch_size} is too small for {self.size} processes; raise training.batch_size")
        if not self.is_main:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # process 0 stops all of them, after a step
        signal.signal(signal.SIGTERM, _end)  # as torchrun ends all processes if one of them has ended
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)

    def network(self, model: nn.Module) -> Forward:
        synchronise(model, self._share)
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")  # torch 2.9 has nothing else
        warnings.filterwarnings("ignore", "Grad strides do not match")  # of kernels of size 1, whose strides mean nothing
        return DistributedDataParallel(_Step(model), broadcast_buffers=False)

    def part(self, x: Tensor) -> Tensor:
        return self._share.of(x)

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
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it too; this process ends anyway
            raise TrainingError(_ENDED) from error

    def any(self, value: bool) -> bool:
        return bool(self.total(torch.tensor(float(value), device=self._device)))


def join(device: torch.device, batch_size: int) -> Alone:
    """The group of processes that this one belongs to."""
    return Group(device, batch_size) if n_processes() > 1 else Alone()


def leave() -> None:
    """End the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first one counts
    raise TrainingError(_ENDED)


class _Step(nn.Module):
    """A network as it is called in training."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, stride: int) -> Tensor:
        logits: Tensor = self.model.windows(features, stride) if stride else self.model(features)  # type: ignore[operator]
        return logits
