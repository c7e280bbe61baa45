"""The exporter's translation of shifts and masks of signed whole numbers, which ONNX knows of unsigned ones only.

A shift to the right by n divides by 2**n and rounds down; a mask of 2**n - 1 takes the remainder. All of it stays exact as
long as no number leaves its type, which `micro` sees to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18

op: Any = opset18  # its types know no number whose kind depends on another's
_ATEN = torch.ops.aten


def _left(values: Any, n: int) -> Any:
    return op.Mul(values, op.CastLike(op.Constant(value_int=1 << n), values))


def _right(values: Any, n: int) -> Any:
    divisor = op.CastLike(op.Constant(value_int=1 << n), values)
    return op.Div(op.Sub(values, op.Mod(values, divisor)), divisor)


def _left_by(values: Any, shifts: Any) -> Any:
    return op.Mul(values, op.Pow(op.CastLike(op.Constant(value_int=2), values), shifts))


def _right_by(values: Any, shifts: Any) -> Any:
    divisor = op.Pow(op.CastLike(op.Constant(value_int=2), values), shifts)
    return op.Div(op.Sub(values, op.Mod(values, divisor)), divisor)


def _mask(values: Any, mask: int) -> Any:
    if mask & (mask + 1):
        raise ValueError(f"only masks of the low bits can be exported, got {mask}")
    return op.Mod(values, op.CastLike(op.Constant(value_int=mask + 1), values))


#: For `torch.onnx.export`: operator of torch → what makes it in ONNX.
SHIFTS: dict[Callable[..., Any], Callable[..., Any]] = {
    _ATEN.__lshift__.Scalar: _left,
    _ATEN.__rshift__.Scalar: _right,
    _ATEN.__and__.Scalar: _mask,
    _ATEN.bitwise_left_shift.Tensor_Scalar: _left,
    _ATEN.bitwise_right_shift.Tensor_Scalar: _right,
    _ATEN.bitwise_left_shift.Tensor: _left_by,
    _ATEN.bitwise_right_shift.Tensor: _right_by,
    _ATEN.bitwise_and.Scalar: _mask,
}
