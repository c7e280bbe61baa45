"""Operations that train faster on a CPU than torch's own, with the same results.

This is the only module of the networks that knows devices; `enabled` turns all of it off. `benchmarks/cpu_kernels.py` measures
each function against torch; what no longer pays is to be deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

enabled = True


def apply_to(x: Tensor) -> bool:
    """Whether to use the functions of this module for `x`."""
    return enabled and x.device.type == "cpu"


def dropout(x: Tensor, p: float) -> Tensor:
    """Dropout with eight elements per random number; torch draws one for each, on one core.

    The rate is rounded to a multiple of 1/256, which keeps 0.5 exact.
    """
    dropped = round(p * 256)
    if not 0 < dropped < 256:
        return nn.functional.dropout(x, p)
    bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    # The order of the bytes does not matter: they have the memory layout of the input, which is fastest to multiply.
    alike = torch.empty_like(x, dtype=torch.uint8)
    kept = bits.view(torch.uint8)[: x.numel()].as_strided(alike.shape, alike.stride()) >= dropped
    return x * kept.to(x.dtype).mul_(256 / (256 - dropped))


def frequency_conv(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """A depthwise convolution of 3 frequencies as a product with banded matrices, which sums the same products.

    x: [batch, channels, frequencies, frames], weight: [channels, 1, 3, 1] → [batch, channels, frequencies / stride, frames].
    """
    n_frequencies = x.shape[2]
    starts = torch.arange(0, n_frequencies, stride)
    taps = nn.functional.one_hot(starts[:, None] + torch.arange(3), n_frequencies + 2)[..., 1:-1]
    return torch.einsum("ck,ofk->cof", weight.flatten(1), taps.transpose(1, 2).to(weight)) @ x


def point_conv(x: Tensor, weight: Tensor) -> Tensor:
    """A 1 × 1 convolution as one matrix product per clip.

    x: [batch, channels in, frequencies, frames], weight: [channels out, channels in, 1, 1] → [batch, channels out, ...].
    """
    by_clip = weight.flatten(1).expand(len(x), -1, -1)
    return torch.bmm(by_clip, x.flatten(2)).reshape(len(x), -1, *x.shape[2:])


def image_conv(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """A convolution over the frequencies and frames of one channel as a product with its patches.

    Its result has the channels last in memory, for which torch's next convolutions are faster, too.

    x: [batch, 1, frequencies, frames], weight: [channels, 1, height, width] with an odd height, "same" padded over frequencies
    → [batch, channels, frequencies / stride, frames - width + 1].
    """
    height, width = weight.shape[2:]
    margin, n_frequencies, n_frames = height // 2, x.shape[2], x.shape[3] - width + 1
    padded = nn.functional.pad(x[:, 0], (0, 0, margin, margin))
    patches = [
        padded[:, row : row + n_frequencies : stride, column : column + n_frames]
        for row in range(height)
        for column in range(width)
    ]
    return (torch.stack(patches, dim=3) @ weight.flatten(1).T).permute(0, 3, 1, 2)


def dilated_conv(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """A depthwise convolution over time with a dilation, as one without: frames that lie a dilation apart are put in a column.

    torch's gradient of a dilated depthwise convolution takes up to eight times as long.

    x: [batch, channels, 1, frames], weight: [channels, 1, 1, taps] → [batch, channels, 1, frames - (taps - 1) · dilation].
    """
    batch, n_channels, _, n_frames = x.shape
    columns = nn.functional.pad(x, (0, -n_frames % dilation)).reshape(batch, n_channels, -1, dilation)
    y = nn.functional.conv2d(columns, weight.transpose(2, 3), groups=n_channels)
    return y.reshape(batch, n_channels, 1, -1)[..., : n_frames - (weight.shape[3] - 1) * dilation]


def lstm(x: Tensor, *weights: Tensor) -> Tensor:
    """One LSTM layer from a zero state, on one core and with denormal numbers flushed to zero.

    The products of a step are so small that several cores spend more time waiting than computing. And the gradient fades with
    every step back in time, to denormal numbers, whose arithmetic is many times slower.

    Args:
        x: [frames, batch, features].
        weights: of the input, of the state, and both biases, as in `torch.nn.LSTM`.

    Returns:
        [frames, batch, units].
    """
    if not torch.is_grad_enabled():
        return _lstm_on_one_core(x, *weights)
    y: Tensor = _LstmOnOneCore.apply(x, *weights)  # type: ignore[no-untyped-call]
    return y


class _LstmOnOneCore(torch.autograd.Function):
    """torch's LSTM on one core, forward and backward, with denormal numbers flushed to zero."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.inputs = [each.detach().requires_grad_(each.requires_grad) for each in inputs]
        with torch.enable_grad():
            ctx.y = _lstm_on_one_core(*ctx.inputs)
        y: Tensor = ctx.y.detach()
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [each for each in ctx.inputs if each.requires_grad]
        with _one_core():
            found = iter(torch.autograd.grad(ctx.y, wanted, gradient))
        return tuple(next(found) if each.requires_grad else None for each in ctx.inputs)


def _lstm_on_one_core(x: Tensor, *weights: Tensor) -> Tensor:
    zeros = x.new_zeros(1, x.shape[1], weights[1].shape[1])
    with _one_core():
        return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)[0]


def gru(x: Tensor, state: Tensor, *weights: Tensor) -> Tensor:
    """One GRU layer. Its backward pass takes four operations a frame; torch records and repeats a dozen.

    Args:
        x: [frames, batch, features].
        state: [batch, units], before the first frame.
        weights: of the input, of the state, and both biases, as in `torch.nn.GRU`.

    Returns:
        [frames, batch, units]: the state after each frame.
    """
    of_input, of_state, input_bias, state_bias = weights
    y: Tensor = _Gru.apply(nn.functional.linear(x, of_input, input_bias), state, of_state, state_bias)  # type: ignore[no-untyped-call]
    return y


class _Gru(torch.autograd.Function):
    """The recurrence of `gru`, given the input's part of the gates.

    From the gates ``r``, ``z``, ``n`` and ``m``, the state's part of ``n``, a state is ``h' = (1 - z) n + z h``. The gradients of
    what enters the gates are thus that of ``h'`` times factors that do not depend on it, so these are computed for all frames at
    once.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n_frames, batch, width = gates.shape
        gated = 2 * width // 3
        transposed = weight.t().contiguous()
        of_state, r_z = torch.empty_like(gates), gates.new_empty(n_frames, batch, gated)
        new, states = gates.new_empty(n_frames, batch, width - gated), gates.new_empty(n_frames + 1, batch, width - gated)
        states[0] = state
        r, z = r_z.chunk(2, dim=-1)
        rows = (of_state, of_state[..., :gated], of_state[..., gated:], gates[..., :gated], gates[..., gated:])
        for own, own_r_z, m, given_r_z, given, gate, reset, kept, n, before, after in zip(
            *rows, r_z, r, z, new, states[:-1], states[1:], strict=True
        ):
            torch.addmm(bias, before, transposed, out=own)
            torch.add(given_r_z, own_r_z, out=gate).sigmoid_()
            torch.addcmul(given, reset, m, out=n).tanh_()
            torch.lerp(n, before, kept, out=after)
        ctx.save_for_backward(of_state[..., gated:], r_z, new, states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        m, r_z, n, states, weight = ctx.saved_tensors
        r, z = r_z.chunk(2, dim=-1)
        of_new = (1 - z) * (1 - n * n)
        factors = torch.stack([of_new * m * r * (1 - r), (states[:-1] - n) * z * (1 - z), of_new * r], dim=2)
        found, of_states, back = torch.empty_like(factors), torch.empty_like(n), torch.zeros_like(n[0])
        rows, kept_part = found.flatten(2), torch.empty_like(back)
        frames = zip(gradient, of_states, of_states[:, :, None], factors, found, rows, z.contiguous(), strict=True)
        for given, total, column, factor, gates, row, kept in reversed(list(frames)):
            torch.add(given, back, out=total)
            torch.mul(column, factor, out=gates)
            torch.mul(total, kept, out=kept_part)
            torch.addmm(kept_part, row, weight, out=back)
        rows = rows.flatten(0, 1)
        of_weight, of_bias = rows.t() @ states[:-1].flatten(0, 1), rows.sum(dim=0)
        of_gates = torch.cat([found[:, :, :2], (of_states * of_new)[:, :, None]], dim=2).flatten(2)
        return of_gates, back, of_weight, of_bias


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """One thread and no denormal numbers. torch has both settings for the process or thread only; they are restored."""
    n_threads = torch.get_num_threads()
    flushed = float(torch.full((), 1e-40) * 0.5) == 0  # torch has no function for it
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(n_threads)
