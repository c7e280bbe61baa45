"""Layers that torch does not have. Layers with memory have ``step(x, state) -> (y, state)`` besides ``forward``.

Recurrent layers are in `recurrent_layers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from wordspot.models import cpu_kernels

Layer = TypeVar("Layer", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Layer]):
    """A `torch.nn.ModuleList` of layers of one type."""

    def __iter__(self) -> Iterator[Layer]:
        return cast(Iterator[Layer], super().__iter__())


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
    """`torch.nn.Dropout`, on a CPU by `cpu_kernels.dropout`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if self.training and 0 < self.p < 1 and cpu_kernels.apply_to(input):
            return cpu_kernels.dropout(input, self.p)
        return super().forward(input)


class Svdf(nn.Module):
    """A layer of rank-limited filters over frequency and time (Nakkiran et al. 2015), with bias.

    Every unit is the sum of `rank` filters, each a vector over frequency times a vector over time. ``forward`` first
    multiplies the vectors out to one matrix per unit: the same sum in another order, without a [batch, frames, filters]
    array in between. ``step`` keeps the outputs of the filters over frequency for the last frames.
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
        return summed.transpose(1, 2) + self.bias, last_frames(activations, state.shape[2])


class ValidConv2d(nn.Conv2d):
    """A convolution over [frequency, time] that never pads time, the last axis: `context` frames fewer come out.

    Frequency may be padded. ``step`` keeps the last `context` frames, so a stream gives the same as the entire recording; with
    a stride over time its input is a multiple of the stride, and each output sees the newest frame.
    """

    @property
    def context(self) -> int:
        """Frames that an output sees besides the newest ones, whose number is the stride."""
        return (self.kernel_size[1] - 1) * self.dilation[1] + 1 - self.stride[1]

    def initial_state(self, batch: int, n_frequencies: int) -> Tensor:
        """Zeros for the frames before: [batch, channels in, n_frequencies, context]."""
        return self.weight.new_zeros(batch, self.in_channels, n_frequencies, self.context)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels in, frequencies, k] → [batch, channels out, frequencies out, k], state."""
        joined = torch.cat([state, x], dim=3)
        return self(joined), last_frames(joined, state.shape[3])


class TimeConv(ValidConv2d):
    """A depthwise `ValidConv2d` over time alone, without bias, of [batch, channels, 1, frames]."""

    def __init__(self, n_channels: int, n_taps: int, dilation: int) -> None:
        super().__init__(n_channels, n_channels, (1, n_taps), dilation=(1, dilation), groups=n_channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if self.training and self.dilation[1] > 1 and cpu_kernels.apply_to(input):
            return cpu_kernels.dilated_conv(input, self.weight, self.dilation[1])
        return super().forward(input)


class FrequencyConv(nn.Conv2d):
    """A depthwise convolution over 3 frequencies of [batch, channels, frequency, time], "same" padded."""

    def __init__(self, n_channels: int, stride: int = 1) -> None:
        super().__init__(n_channels, n_channels, (3, 1), (stride, 1), (1, 0), groups=n_channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if self.training and cpu_kernels.apply_to(input):
            return cpu_kernels.frequency_conv(input, self.weight, self.stride[0])
        return super().forward(input)


class ImageConv(nn.Conv2d):
    """A convolution of one channel over frequency, "same" padded, and time, without padding or bias."""

    def __init__(self, n_out: int, height: int, width: int, stride: int) -> None:
        super().__init__(1, n_out, (height, width), (stride, 1), (height // 2, 0), bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if self.training and cpu_kernels.apply_to(input):
            return cpu_kernels.image_conv(input, self.weight, self.stride[0])
        return super().forward(input)


class PointConv(nn.Conv2d):
    """A 1 × 1 convolution without bias."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if self.training and cpu_kernels.apply_to(input):
            return cpu_kernels.point_conv(input, self.weight)
        return super().forward(input)


class SubSpectralNorm(nn.BatchNorm2d):
    """A batch norm for each channel and each of `n_bands` bands of frequency (Chang et al. 2021, arXiv 2103.13620)."""

    def __init__(self, n_channels: int, n_bands: int) -> None:
        super().__init__(n_channels * n_bands)
        self.n_bands = n_bands

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        """input: [batch, channels, frequencies, frames] → the same; the frequencies are a multiple of the bands."""
        bands = input.reshape(len(input), self.num_features, -1, input.shape[3])
        return super().forward(bands).reshape(input.shape)


class MeanOverTime(nn.Module):
    """The mean of the last `n_frames` frames at every frame, computed from the frames instead of a running sum."""

    def __init__(self, n_channels: int, n_frames: int) -> None:
        super().__init__()
        self.n_channels, self.n_frames = n_channels, n_frames

    def forward(self, x: Tensor, stride: int = 1) -> Tensor:
        """x: [batch, channels, frames] → [batch, channels, (frames - n_frames) // stride + 1]."""
        return nn.functional.avg_pool1d(x, self.n_frames, stride)

    def initial_state(self, batch: int, like: Tensor) -> Tensor:
        """Zeros for the frames before: [batch, channels, n_frames - 1], of the kind of `like`."""
        return like.new_zeros(batch, self.n_channels, self.n_frames - 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels, k] → [batch, channels, k], state."""
        joined = torch.cat([state, x], dim=2)
        return self(joined), last_frames(joined, state.shape[2])


def last_frames(x: Tensor, n: int) -> Tensor:
    """The last `n` along the last axis, counted from the end, so that an exported graph works for any length."""
    return x[..., -n:] if n else x[..., :0]


def delay(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Delay `x` along the last axis by the length of `state`, which holds the values before it: delayed, new state."""
    n = state.shape[-1]
    joined = torch.cat([state, x], dim=-1)
    return (joined[..., :-n] if n else x), last_frames(joined, n)
