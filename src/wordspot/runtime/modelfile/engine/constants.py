"""Constant folding: the values that a file's graph computes from constants alone, as ONNX Runtime does when it loads a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from wordspot.runtime.modelfile.graph import Node, Tensor, Walked


def find_constants(walked: Walked) -> tuple[dict[str, Any], list[Node]]:
    """Fold constants.

    Returns:
        values by name, of which those that only folded nodes need are left out; and the nodes that remain.
    """
    known = {tensor.name: _values(tensor) for tensor in walked.initializers}
    waiting = Counter(name for node in walked.nodes for name in node.inputs)
    others = []
    for node in walked.nodes:
        if node.op_type not in _FORMULAS or not all(name in known for name in node.inputs):
            others.append(node)
            continue
        known[node.outputs[0]] = _FORMULAS[node.op_type]([known[name] for name in node.inputs], node.attributes)
        waiting.subtract(node.inputs)
        for name in node.inputs:
            if not waiting[name]:
                known.pop(name, None)
    return known, others


_FORMULAS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Add": lambda values, _: values[0] + values[1],
    "Cast": lambda values, to: values[0].astype(np.float32 if to["to"] == 1 else np.float64),
    "Concat": lambda values, at: np.concatenate(values, axis=at["axis"]),
    "Cos": lambda values, _: np.cos(values[0]),
    "Equal": lambda values, _: values[0] == values[1],
    "Mod": lambda values, _: values[0] % values[1],
    "Mul": lambda values, _: values[0] * values[1],
    "Reshape": lambda values, _: values[0].reshape(values[1]),
    "Sin": lambda values, _: np.sin(values[0]),
}


def _values(tensor: Tensor) -> Any:
    return np.frombuffer(tensor.data, np.dtype(tensor.element_type).newbyteorder("<")).reshape(tensor.shape)
