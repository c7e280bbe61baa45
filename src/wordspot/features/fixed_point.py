"""Arithmetic of 16-bit fixed point as a microcontroller does it: the Fourier transform, and square root and bit length.

All of it is on integers, so that the results equal those of the device bit by bit.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class FixedFft(nn.Module):
    """The energy of a real Fourier transform in 16-bit fixed point, with the roundings of KISS FFT.

    Even samples are real, odd ones imaginary parts of a complex transform of half the length, by decimation in time with
    radix 4, and radix 2 in the first stage if the length requires it. Each stage divides by its radix. Values are int16
    held in int32, [2 (real, imaginary), ..., frames]: sums that leave the range of int16 wrap around, as on the
    device.
    """

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        n_points, size = n_fft // 2, 1
        self.radices: list[int] = []
        while size < n_points:
            radix = 2 if size == 1 and n_points.bit_length() % 2 == 0 else 4
            turns = np.arange(size)[:, None] * np.arange(1, radix) / (size * radix)
            self.register_buffer(f"stage{len(self.radices)}", _twiddles(turns)[..., None, None], persistent=False)
            self.radices.append(radix)
            size *= radix
        turns = np.arange(1, n_points // 2 + 1) / n_fft + 0.25
        self.register_buffer("last", _twiddles(turns)[..., None], persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """int32 [n_fft, frames], in int16's range → energy of the bins 1 to n_fft / 2 - 1: int32 [bins, frames]."""
        n_fft, n_frames = rows.shape
        z, size = rows.reshape(n_fft // 2, 2, n_frames).transpose(0, 1), 1
        for stage, radix in enumerate(self.radices):
            butterfly = _butterfly2 if radix == 2 else _butterfly4
            z = butterfly(z.reshape(2, size, radix, -1, n_frames), self.get_buffer(f"stage{stage}"))
            size *= radix
        return self.energy(z.reshape(2, size, n_frames))

    def energy(self, z: Tensor) -> Tensor:
        """The transform of n complex points, [2, n, frames] → energy of the bins 1 to n - 1 of the 2n real samples."""
        half = z.shape[1] // 2
        near, far = _divide(z[:, 1 : half + 1], 2), _divide(wrap_(_conjugate(z[:, half:].flip(1))), 2)
        even, odd = near + far, wrap_(_multiply(near - far, self.get_buffer("last")))
        lower, upper = (even + odd) >> 1, _conjugate(even - odd) >> 1
        lower, upper = lower * lower, upper * upper
        return torch.cat([(lower[0] + lower[1])[:-1], (upper[0] + upper[1]).flip(0)])


def _twiddles(turns: NDArray[np.float64]) -> Tensor:
    """exp(-2πi · turns) in Q15, rounded as KISS FFT does: int32 [2, ...]."""
    angles = 2 * np.pi * turns
    return torch.from_numpy(np.floor(0.5 + 32767 * np.stack([np.cos(angles), -np.sin(angles)])).astype(np.int32))


def _butterfly2(z: Tensor, _: Tensor) -> Tensor:
    """Radix 2, in the first stage, where all twiddles are 1: [2, 1, 2, rest, frames] → [2, 2, 1, rest, frames]."""
    first, second = _divide(z, 2).unbind(2)
    return torch.stack([first + second, first - second], dim=1)


def _butterfly4(z: Tensor, twiddles: Tensor) -> Tensor:
    """Radix 4: [2, size, 4, rest, frames] → [2, 4, size, rest, frames]."""
    z = _divide(z, 4)
    first = z[:, :, 0]
    second, third, fourth = _multiply(z[:, :, 1:], twiddles).unbind(2)
    even, odd = first + third, first - third
    total, turned = second + fourth, second - fourth
    turned = torch.stack([turned[1], -turned[0]])
    return wrap_(torch.stack([even + total, odd + turned, even - total, odd - turned], dim=1))


def _multiply(z: Tensor, twiddles: Tensor) -> Tensor:
    """The complex product with Q15 twiddles, rounded."""
    real = torch.addcmul(z[0] * twiddles[0], z[1], twiddles[1], value=-1)
    imaginary = torch.addcmul(z[0] * twiddles[1], z[1], twiddles[0])
    return torch.stack([real, imaginary]).add_(2**14).bitwise_right_shift_(15)


def _divide(values: Tensor, radix: int) -> Tensor:
    """values / radix as KISS FFT divides: a product with the Q15 fraction just below 1 / radix, rounded."""
    return (values * (32767 // radix)).add_(2**14).bitwise_right_shift_(15)


def _conjugate(z: Tensor) -> Tensor:
    return torch.stack([z[0], -z[1]])


def wrap_(values: Tensor) -> Tensor:
    """int32 → the int16 of the same low 16 bits, held in int32, in place."""
    if torch.compiler.is_exporting():  # ONNX does not define a sum beyond 32 bits
        return ((values + 2**15) & 0xFFFF) - 2**15
    return values.bitwise_left_shift_(16).bitwise_right_shift_(16)


def root(total: Tensor) -> Tensor:
    """Integers in float64 → the nearest integer square root, int64. The root of a 32-bit number stays within 16 bits."""
    nearest = total.sqrt().round()
    return torch.where(total < 2**32, nearest.clamp(max=65535), nearest).long()


def bit_length(values: Tensor) -> Tensor:
    """The bit length of integers from 0 to 2**40. Adding a half keeps powers of two off the edge, where log2 may round."""
    return (values.double() + 0.5).log2().floor().to(values.dtype) + 1
