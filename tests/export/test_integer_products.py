"""Products of 8-bit weights and 16-bit activations: each kind of processor gives what numpy gives, to the bit."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.made_engine import PROCESSORS, flags_for, load_engine

Floats = NDArray[np.float32]

#: Each sum is rounded once for each operation, as in numpy: no fused multiply-adds.
FLAGS = ("-DWS_BATCH=24", "-ffp-contract=off", "-fsanitize=undefined", "-fno-sanitize-recover=all")


class Matrix(ctypes.Structure):
    """`ws_matrix` of the engine."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weights", "integers", "factors", "bias")),
        ("n_in", ctypes.c_uint32),
        ("n_out", ctypes.c_uint32),
    )


@pytest.fixture(scope="module", params=PROCESSORS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = load_engine(tmp_path_factory.mktemp("engine"), "-O2", *flags_for(request.param), *FLAGS)
    matrix, array, number = ctypes.POINTER(Matrix), ctypes.c_void_p, ctypes.c_uint32
    found.ws_multiply_integers.argtypes = [matrix, array, array, number, ctypes.c_int, array]
    found.ws_slide_integers.argtypes = [matrix, array, number, array, number, ctypes.c_int, array]
    return found


class Product:
    """Random weights and factors, and the result in numpy."""

    def __init__(self, rng: np.random.Generator, n_in: int, n_out: int) -> None:
        self.n_out = n_out
        self.weights = rng.integers(-127, 128, (n_in, n_out)).astype(np.int8)
        self.weights[:, 0], self.weights[:, -1] = 127, -127  # the largest sums
        fours = self.weights.reshape(n_in // 4, 4, n_out)[:, [0, 2, 1, 3]].transpose(0, 2, 1)
        self.arrays = [np.ascontiguousarray(fours), rng.random(n_out, np.float32), rng.standard_normal(n_out, np.float32)]
        self.matrix = Matrix(None, *(array.ctypes.data for array in self.arrays), n_in, n_out)

    def expected(self, small: NDArray[np.int64], scales: Floats, relu: int) -> Floats:
        sums = (small @ self.weights.astype(np.int64)).astype(np.float32)
        y: Floats = sums * (scales * self.arrays[1]) + self.arrays[2]
        return np.maximum(y, 0) if relu else y


def in_16_bits(x: Floats) -> tuple[NDArray[np.int64], np.float32]:
    """Activations as integers, the largest 32767, halves away from zero; and the factor that gives them back."""
    most = np.abs(x).max()
    if most == 0:
        return np.zeros(x.shape, np.int64), np.float32(0)
    scaled = x * np.float32(np.float32(32767) / most)
    return np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int64), most / np.float32(32767)


@pytest.mark.parametrize("n_in", [4, 16, 60, 96, 120, 512])
@pytest.mark.parametrize("n_out", [16, 32, 48, 80, 96, 192, 512])
def test_products_are_those_of_numpy(library: Any, n_in: int, n_out: int) -> None:
    rng = np.random.default_rng(n_in * n_out)
    product = Product(rng, n_in, n_out)
    for n_rows in (1, 2, 3, 7, 8, 9, 15, 17, 24):
        x = (rng.standard_normal((n_rows, n_in)) * 10 ** rng.uniform(-20, 20, (n_rows, 1))).astype(np.float32)
        x[0] = np.abs(x[0]).max()  # all of them the largest
        x[-1] *= n_rows % 2  # silence
        y, small = np.full((n_rows, n_out), np.nan, np.float32), np.zeros(n_rows * n_in, np.int16)
        library.ws_multiply_integers(product.matrix, x.ctypes.data, y.ctypes.data, n_rows, n_rows % 2, small.ctypes.data)
        rounded = [in_16_bits(row) for row in x]
        numbers, scales = np.array([row for row, _ in rounded]), np.array([[scale] for _, scale in rounded], np.float32)
        np.testing.assert_array_equal(y, product.expected(numbers, scales, n_rows % 2))


@pytest.mark.parametrize("step", [4, 32, 60])
@pytest.mark.parametrize("n_rows", [1, 5, 8, 10, 21])
def test_products_of_overlapping_rows_are_those_of_numpy(library: Any, step: int, n_rows: int) -> None:
    rng = np.random.default_rng(step * n_rows)
    product = Product(rng, 80, 48)
    x = rng.standard_normal((n_rows - 1) * step + 80).astype(np.float32)
    y, small = np.full((n_rows, 48), np.nan, np.float32), np.zeros(len(x), np.int16)
    library.ws_slide_integers(product.matrix, x.ctypes.data, step, y.ctypes.data, n_rows, 1, small.ctypes.data)
    numbers, scale = in_16_bits(x)
    rows = np.lib.stride_tricks.sliding_window_view(numbers, 80)[::step]
    np.testing.assert_array_equal(y, product.expected(rows, scale, 1))
