"""Layers that torch does not have. Those that remember have ``step(x, state) -> (y, state)`` beside ``forward``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


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
        return summed.transpose(1, 2) + self.bias, last_frames(activations, state.shape[2])


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
        return self(joined), last_frames(joined, state.shape[2])


class ValidConv2d(nn.Conv2d):
    """A convolution over [frequency, time] that never pads time, the last axis: `context` frames fewer come out.

    Frequency may be padded. ``step`` keeps the last `context` frames, so a stream gives what the whole recording gives; with
    a stride over time it takes multiples of the stride, and each output sees the newest frame.
    """

    @property
    def context(self) -> int:
        """Frames that an output sees before the newest ones, of which there are as many as the stride."""
        return (self.kernel_size[1] - 1) * self.dilation[1] + 1 - self.stride[1]

    def initial_state(self, batch: int, n_frequencies: int) -> Tensor:
        """Zeros for the frames before: [batch, channels in, n_frequencies, context]."""
        return self.weight.new_zeros(batch, self.in_channels, n_frequencies, self.context)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels in, frequencies, k] → [batch, channels out, frequencies out, k], state."""
        joined = torch.cat([state, x], dim=3)
        return self(joined), last_frames(joined, state.shape[3])


class FrequencyConv(nn.Conv2d):
    """A depthwise convolution of 3 frequencies, "same" padded: each channel of [batch, channels, frequency, time] alone.

    Training on a CPU multiplies by the filters written out as banded matrices instead, which sums the same products:
    torch's own depthwise convolution takes up to five times as long there.
    """

    def __init__(self, n_channels: int, stride: int = 1) -> None:
        super().__init__(n_channels, n_channels, (3, 1), (stride, 1), (1, 0), groups=n_channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        return self._banded(input.shape[2]) @ input

    def _banded(self, n_frequencies: int) -> Tensor:
        """The filters as matrices [channels, frequencies out, frequencies]."""
        starts = torch.arange(0, n_frequencies, self.stride[0])
        taps = nn.functional.one_hot(starts[:, None] + torch.arange(3), n_frequencies + 2)[..., 1:-1]
        return torch.einsum("ck,ofk->cof", self.weight.flatten(1), taps.transpose(1, 2).to(self.weight))


class PointConv(nn.Conv2d):
    """A 1 × 1 convolution without bias. Training on a CPU takes it as one product a clip: a sixth of the time there."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        weight = self.weight.flatten(1).expand(len(input), -1, -1)
        return torch.bmm(weight, input.flatten(2)).reshape(len(input), -1, *input.shape[2:])


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
        return self(joined), last_frames(joined, state.shape[2])


def last_frames(x: Tensor, n: int) -> Tensor:
    """The last `n` along the last axis, counted from the end: so an exported graph need not know how many there are."""
    return x[..., -n:] if n else x[..., :0]


def delay(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`x` as much later along the last axis as `state` is long, which holds what came before: the delayed, and the new state."""
    n = state.shape[-1]
    joined = torch.cat([state, x], dim=-1)
    return (joined[..., :-n] if n else x), last_frames(joined, n)


class Gru(nn.GRU):
    """One gated recurrent layer over time, the first axis: ``step`` is a pass that begins from a state.

    While exporting it is ONNX's own operator, since torch's translation holds only for the length that was traced.

    Times that shall not count are one input more to the update gate, so large that it keeps all of the state: the whole
    sequence stays one call, which no condition on each time would.
    """

    _HOLD, _HOLD_WEIGHT = 1e11, 0.01  # a weight like the others, should they be put into 8 bits

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, n_in: int, n_units: int) -> None:
        super().__init__(n_in, n_units)

    def initial_state(self, batch: int) -> Tensor:
        """Zeros: [batch, n_units]."""
        return self.weight_hh_l0.new_zeros(batch, self.hidden_size)

    def step(self, x: Tensor, state: Tensor, hold: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x: [k, batch, features], state: [batch, n_units] → [k, batch, n_units], state.

        Args:
            hold: [k, batch, 1], 1 at times that leave the state as it is, else 0.
        """
        if hold is not None:
            x = torch.cat([x, hold * self._HOLD], dim=2)
        if torch.onnx.is_in_onnx_export():
            return self._in_onnx(x, state, self._input_weights(hold))
        if hold is None:
            y, after = self.forward(x, state.unsqueeze(0))
        else:
            weights = (self._input_weights(hold), self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
            y, after = torch.gru(x, state.unsqueeze(0), weights, True, 1, 0.0, self.training, False, False)
        return y, after.squeeze(0)

    def _input_weights(self, hold: Tensor | None) -> Tensor:
        """The gates' weights of the input, and of `hold`: [3 · n_units, features (+ 1)]."""
        if hold is None:
            return self.weight_ih_l0
        of_hold = self.weight_ih_l0.new_zeros(3, self.hidden_size)
        of_hold[1] = self._HOLD_WEIGHT  # torch's gates: reset, update, new
        return torch.cat([self.weight_ih_l0, of_hold.reshape(-1, 1)], dim=1)

    def _in_onnx(self, x: Tensor, state: Tensor, input_weights: Tensor) -> tuple[Tensor, Tensor]:
        """The same by ONNX's GRU, whose gates stand in another order: update, reset, new."""
        size = self.hidden_size
        parts = (input_weights, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        of_input, of_state, *biases = (torch.cat([w[size : 2 * size], w[:size], w[2 * size :]])[None] for w in parts)
        y, after = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (x, of_input, of_state, torch.cat(biases, dim=1), None, state.unsqueeze(0)),
            {"hidden_size": size, "linear_before_reset": 1},
            dtypes=(x.dtype, x.dtype),
            shapes=((x.shape[0], 1, x.shape[1], size), (1, x.shape[1], size)),
            version=14,
        )
        return y.squeeze(1), after.squeeze(0)


class Lstm(nn.LSTM):
    """One layer of long short-term memory over time, the first axis, from a zero state.

    While exporting it is ONNX's own operator, since torch's translation holds only for the length that was traced. On a CPU it
    runs on one core, see `_OnOneCore`.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, n_in: int, n_units: int) -> None:
        super().__init__(n_in, n_units)

    def run(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x: [k, batch, features] → [k, batch, n_units], and what it is at each sequence's end: [batch, n_units].

        Args:
            lengths: int32 [batch], 1 to k, where each sequence ends; what stands after it is not to be used. None: all end
                with x.
        """
        if torch.onnx.is_in_onnx_export():
            return self._in_onnx(x, lengths)
        self.check_input(x, None)  # torch.lstm does not
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        y: Tensor
        if x.device.type != "cpu":
            y = self.forward(x)[0]
        elif torch.is_grad_enabled():
            y = _OnOneCore.apply(x, *weights)  # type: ignore[no-untyped-call]
        else:
            y = _on_one_core(x, *weights)
        return y, y[-1] if lengths is None else y[lengths - 1, torch.arange(x.shape[1], device=x.device)]

    def _in_onnx(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same by ONNX's LSTM, whose gates stand in another order: input, output, forget, cell."""
        size = self.hidden_size
        parts = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        of_input, of_state, *biases = (torch.cat([w[:size], w[3 * size :], w[size : 3 * size]])[None] for w in parts)
        ends = [] if lengths is None else [lengths]
        y, last, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (x, of_input, of_state, torch.cat(biases, dim=1), *ends),
            {"hidden_size": size},
            dtypes=(x.dtype,) * 3,
            shapes=((x.shape[0], 1, x.shape[1], size), *((1, x.shape[1], size),) * 2),
            version=14,
        )
        return y.squeeze(1), last.squeeze(0)


class _OnOneCore(torch.autograd.Function):
    """torch's LSTM on one core of the CPU, forward and backward, with the smallest numbers taken as zero.

    The gradient fades with every step back in time until it is too small for the processor's fast arithmetic: over 5000
    steps that takes nine times as long as zeros do. And a step's products are so small that several cores wait for each other
    longer than they compute. Both settings are the thread's, or the process's, and are put back.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.inputs = [each.detach().requires_grad_(each.requires_grad) for each in inputs]
        with torch.enable_grad():
            ctx.y = _on_one_core(*ctx.inputs)
        y: Tensor = ctx.y.detach()
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [each for each in ctx.inputs if each.requires_grad]
        with _one_core():
            found = iter(torch.autograd.grad(ctx.y, wanted, gradient))
        return tuple(next(found) if each.requires_grad else None for each in ctx.inputs)


def _on_one_core(x: Tensor, *weights: Tensor) -> Tensor:
    zeros = x.new_zeros(1, x.shape[1], weights[1].shape[1])
    with _one_core():
        return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)[0]


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    flushed = float(torch.full((), 1e-40) * 0.5) == 0  # torch does not tell
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(n_threads)
