"""Layers that torch does not have. Those that remember have ``step(x, state) -> (y, state)`` beside ``forward``."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SamePad2d(nn.Module):
    """Zeros around [batch, channels, time, frequency] as TensorFlow's "same" padding: the odd one at the end.

    A convolution of this kernel and stride after it gives ceil(size / stride) outputs along each axis.
    """

    def __init__(self, kernel: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._pads(x.shape[2], self.kernel[0])
        left, right = self._pads(x.shape[3], self.kernel[1])
        return nn.functional.pad(x, (left, right, top, bottom))

    def _pads(self, size: int, kernel: int) -> tuple[int, int]:
        n_outputs = -(-size // self.stride)
        total = max((n_outputs - 1) * self.stride + kernel - size, 0)
        return total // 2, total - total // 2


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` whose chance costs an eighth on a CPU: eight elements share the bytes of one random number.

    The rate is rounded to a multiple of 1/256, which leaves 0.5 as it is. torch's own draws a number an element, on one
    core: a third of the time of a training step of the classic `conv`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        dropped = round(self.p * 256)
        if not self.training or input.device.type != "cpu" or not 0 < dropped < 256:
            return super().forward(input)
        chance = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # the order of the bytes is any order: they lie in memory as the input does, which is fastest to multiply
        alike = torch.empty_like(input, dtype=torch.uint8)
        kept = chance.view(torch.uint8)[: input.numel()].as_strided(alike.shape, alike.stride()) >= dropped
        return input * kept.to(input.dtype).mul_(256 / (256 - dropped))


class Svdf(nn.Module):
    """A layer of rank-limited filters over frequency and time (Nakkiran et al. 2015), with bias.

    Every unit is the sum of `rank` filters, each a vector over frequency times a vector over time. ``forward`` multiplies
    the vectors out to one matrix per unit first: the same sum in another order, without the [batch, frames, filters]
    array between. ``step`` keeps the filters' outputs of the last frames and adds only the newest.
    """

    def __init__(self, n_frames: int, n_features: int, n_units: int, rank: int) -> None:
        super().__init__()
        if n_units < 1 or rank < 1:
            raise ValueError(f"an SVDF needs at least one unit of rank 1, got {n_units} of rank {rank}")
        self.n_frames, self.n_units, self.rank = n_frames, n_units, rank
        self.frequency = nn.Parameter(torch.empty(n_features, n_units * rank))
        self.time = nn.Parameter(torch.empty(n_units * rank, n_frames))
        self.bias = nn.Parameter(torch.zeros(n_units))

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, n_frames, features] → [batch, units]."""
        by_unit = self.frequency.T.reshape(self.n_units, self.rank, -1), self.time.reshape(self.n_units, self.rank, -1)
        kernel = torch.einsum("urf,urt->utf", *by_unit)
        return nn.functional.linear(x.flatten(1), kernel.flatten(1), self.bias)

    def initial_state(self, batch: int) -> Tensor:
        """Zeros for the filters' outputs of the frames before: [batch, filters, n_frames - 1]."""
        return self.frequency.new_zeros(batch, self.n_units * self.rank, self.n_frames - 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, k, features], state: [batch, filters, n_frames - 1] → [batch, k, units], state."""
        activations = torch.cat([state, (x @ self.frequency).transpose(1, 2)], dim=2)
        filtered = nn.functional.conv1d(activations, self.time.unsqueeze(1), groups=len(self.time))
        summed = filtered.reshape(len(x), self.n_units, self.rank, -1).sum(dim=2)
        return summed.transpose(1, 2) + self.bias, activations[:, :, x.shape[1] :]


class ValidConv1d(nn.Conv1d):
    """A convolution over time that never pads: `context` frames fewer come out than went in.

    ``step`` keeps the last `context` frames, so a stream gives what the whole recording gives.
    """

    @property
    def context(self) -> int:
        """Frames before the present one that an output sees."""
        return (self.kernel_size[0] - 1) * self.dilation[0]

    def initial_state(self, batch: int) -> Tensor:
        """Zeros for the frames before: [batch, channels in, context]."""
        return self.weight.new_zeros(batch, self.in_channels, self.context)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels in, k] → [batch, channels out, k], state."""
        joined = torch.cat([state, x], dim=2)
        return self(joined), joined[:, :, x.shape[2] :]


class MeanOverTime(nn.Module):
    """The mean of the last `n_frames` frames at every frame: computed from the frames, never a running sum."""

    def __init__(self, n_channels: int, n_frames: int) -> None:
        super().__init__()
        self.n_channels, self.n_frames = n_channels, n_frames

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, channels, frames] → [batch, channels, frames - n_frames + 1]."""
        return nn.functional.avg_pool1d(x, self.n_frames, stride=1)

    def initial_state(self, batch: int, like: Tensor) -> Tensor:
        """Zeros for the frames before: [batch, channels, n_frames - 1], of the kind of `like`."""
        return like.new_zeros(batch, self.n_channels, self.n_frames - 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels, k] → [batch, channels, k], state."""
        joined = torch.cat([state, x], dim=2)
        return self(joined), joined[:, :, x.shape[2] :]
