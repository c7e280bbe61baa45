"""The 8-bit arithmetic of TensorFlow Lite for Microcontrollers, in numpy: what a device computes, to the bit.

Only the sigmoid and the softmax differ, by at most 1/256: the device has a table or a polynomial for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
LOWEST, HIGHEST = -128, 127
_ADD_BITS = 20


@dataclass(frozen=True)
class Scale:
    """An affine quantization: integers from -128 to 127 stand for (integer - zero) * step."""

    step: float
    zero: int

    def ints(self, values: NDArray[Any]) -> Ints:
        """Quantize to the nearest integers."""
        return np.rint(np.asarray(values, np.float64) / self.step + self.zero).clip(LOWEST, HIGHEST).astype(np.int64)

    def numbers(self, ints: NDArray[Any]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (np.asarray(ints, np.float64) - self.zero) * self.step
        return result


def scale_of(low: float, high: float) -> Scale:
    """The scale of a range, which is widened to include 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = float(np.float32((high - low) / (HIGHEST - LOWEST))) or 1.0
    return Scale(step, int(np.clip(round(LOWEST - low / step), LOWEST, HIGHEST)))


def fixed_multiplier(real: float) -> tuple[int, int]:
    """Express a factor as a 31-bit integer and a power of two: real = multiplier * 2**(shift - 31)."""
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def rescale(sums: Ints, reals: NDArray[np.float64] | float) -> Ints:
    """Sums [..., n] times a factor for each of n, rounded twice as the device does."""
    pairs = [fixed_multiplier(float(real)) for real in np.atleast_1d(reals)]
    multiplier, shift = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    product = (sums << np.maximum(shift, 0)) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))  # rounds toward zero, as C does
    right = np.maximum(-shift, 0)
    rest, half = high & ((1 << right) - 1), ((1 << right) - 1) >> 1
    result: Ints = (high >> right) + (rest > half + (high < 0))
    return result


def bounded(values: Ints, to: Scale, relu: bool) -> Ints:
    """Clip rescaled sums to the integers of a scale; `relu` applies a ReLU too."""
    result: Ints = (values + to.zero).clip(max(to.zero, LOWEST) if relu else LOWEST, HIGHEST)
    return result


def add(one: Ints, of_one: Scale, two: Ints, of_two: Scale, to: Scale) -> Ints:
    """Add two arrays and apply a ReLU."""
    twice = 2 * max(of_one.step, of_two.step)
    first = rescale((one - of_one.zero) << _ADD_BITS, of_one.step / twice)
    second = rescale((two - of_two.zero) << _ADD_BITS, of_two.step / twice)
    return bounded(rescale(first + second, twice / ((1 << _ADD_BITS) * to.step)), to, relu=True)


def mean(total: Ints, n: int) -> Ints:
    """Divide sums of n integers by n; halves are rounded away from zero."""
    result: Ints = np.where(total > 0, (total + n // 2) // n, -((-total + n // 2) // n))
    return result
