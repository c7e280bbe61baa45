"""A frequency axis of length 1 for all that a one-dimensional convolution touches: [batch, channels, 1, time].

ONNX Runtime runs such convolutions twice as fast as those of [batch, channels, time]: of the former it keeps the channels
in blocks that fill the processor's registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_AXIS = 2
_ELEMENTWISE = (
    "Relu", "Sigmoid", "Tanh", "Log", "Exp", "Sqrt", "Neg", "Abs", "Clip", "Erf", "Elu", "LeakyRelu", "HardSigmoid",
    "HardSwish", "Softplus", "BatchNormalization", "Add", "Sub", "Mul", "Div", "Max", "Min",
)  # fmt: skip


def lift_convolutions(model: onnx.ModelProto) -> None:
    """Lift every one-dimensional convolution of `model`, what lies between them, and their states. Scores stay."""
    if any(node.op_type == "Conv" for node in model.graph.node):
        _Lifter(onnx.shape_inference.infer_shapes(model).graph).lift(model.graph)


class _Lifter:
    """Goes through the graph once, and keeps the name of each value's plain and lifted form, of which one is made at need."""

    def __init__(self, inferred: onnx.GraphProto) -> None:
        values = [*inferred.value_info, *inferred.input, *inferred.output]
        self.ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in inferred.initializer}
        self.states = {value.name for value in inferred.input if self.ranks[value.name] == 3}
        self.plain = {name: name for name in (*self.constants, *(value.name for value in inferred.input))}
        self.lifted: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.added: dict[str, NDArray[Any]] = {}

    def lift(self, graph: onnx.GraphProto) -> None:
        for node in graph.node:
            rule = _RULES.get(node.op_type)
            if rule is None or not rule(self, node):
                self._keep(node)
        renamed = {}
        for value in graph.output:
            is_lifted = self.is_lifted_state(value.name.removeprefix("new_"))
            renamed[self.lift_value(value.name) if is_lifted else self.lower_value(value.name)] = value.name
            if is_lifted:
                _insert_axis(value)
        for value in graph.input:
            if self.is_lifted_state(value.name):
                _insert_axis(value)
        for node in self.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        del graph.node[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.added.items())

    def is_lifted_state(self, name: str) -> bool:
        """Whether this input of the graph has the axis itself."""
        return name in self.states and self.lifted.get(name) == name

    def lift_value(self, name: str) -> str:
        """The lifted form's name."""
        if name not in self.lifted:
            if name in self.states and not any(name in node.input for node in self.nodes):
                self.lifted[name] = self.plain.pop(name)
            else:
                self.lifted[name] = self._add("Unsqueeze", [self.plain[name], self.constant("axis", [_AXIS])])
        return self.lifted[name]

    def lower_value(self, name: str) -> str:
        """The plain form's name."""
        if name and name not in self.plain:
            self.plain[name] = self._add("Squeeze", [self.lifted[name], self.constant("axis", [_AXIS])])
        return self.plain.get(name, name)

    def constant(self, name: str, value: Any, dtype: Any = np.int64) -> str:
        """A constant of the pass's own, by its name."""
        self.added[f"lift_{name}"] = np.asarray(value, dtype)
        return f"lift_{name}"

    def put(self, node: onnx.NodeProto, inputs: Iterable[str], **attributes: Any) -> bool:
        """Add `node` in its lifted form, with these inputs, and attributes in the place of its own."""
        kept = [each for each in node.attribute if each.name not in attributes]
        output = f"{node.output[0]}_lifted"
        made = helper.make_node(node.op_type, list(inputs), [output], **attributes)
        made.attribute.extend(kept)
        self.nodes.append(made)
        self.lifted[node.output[0]] = output
        return True

    def _keep(self, node: onnx.NodeProto) -> None:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.input[:] = [self.lower_value(name) for name in node.input]
        self.plain |= {name: name for name in node.output}
        self.nodes.append(made)

    def _add(self, op_type: str, inputs: list[str]) -> str:
        output = f"{inputs[0]}_{op_type.lower()}"
        self.nodes.append(helper.make_node(op_type, inputs, [output]))
        return output


def _conv(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    weight = lifter.constants.get(node.input[1])
    if weight is None or weight.ndim != 3:
        return False
    lifter.added[f"{node.input[1]}_lifted"] = weight[:, :, None, :]
    return lifter.put(
        node, [lifter.lift_value(node.input[0]), f"{node.input[1]}_lifted", *node.input[2:]], **_window(node)
    )


def _pool(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    if not _are_liftable(lifter, node.input) or len(node.output) > 1:
        return False
    return lifter.put(node, [lifter.lifted[node.input[0]]], **_window(node))


def _window(node: onnx.NodeProto) -> dict[str, list[int]]:
    """The attributes of a convolution or pooling over [1, time] that are those of one over [time]."""
    attributes = {each.name: list(each.ints) for each in node.attribute if each.ints}
    lifted = {name: [1, *value] for name, value in attributes.items() if name != "pads"}
    if "pads" in attributes:
        lifted["pads"] = [0, attributes["pads"][0], 0, attributes["pads"][1]]
    return lifted


def _concat(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    axis = _attribute(node, "axis")
    if not _are_liftable(lifter, node.input):
        return False
    return lifter.put(node, map(lifter.lift_value, node.input), axis=_moved(axis))


def _slice(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    axes = lifter.constants.get(node.input[3]) if len(node.input) > 3 else None
    if axes is None or not _are_liftable(lifter, node.input[:1]):
        return False
    moved = [_moved(int(axis)) for axis in axes]
    name = lifter.constant("axes_" + "_".join(map(str, moved)), moved)
    return lifter.put(node, [lifter.lift_value(node.input[0]), *node.input[1:3], name, *node.input[4:]])


def _elementwise(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    values = [name for name in node.input if name not in lifter.constants]
    if not _are_liftable(lifter, values):
        return False
    inputs = []
    for name in node.input:
        if name in lifter.constants and lifter.constants[name].ndim in (2, 3):  # aligned at its end: [channels, time]
            lifter.added[f"{name}_lifted"] = np.expand_dims(lifter.constants[name], -2)
            inputs.append(f"{name}_lifted")
        else:
            inputs.append(name if name in lifter.constants else lifter.lift_value(name))
    return lifter.put(node, inputs)


def _squeeze(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    """Without the axis, a value's lifted form is what it came from."""
    if not _is_axis(lifter, node) or lifter.ranks.get(node.input[0]) != 4:
        return False
    lifter.lifted[node.output[0]] = lifter.lower_value(node.input[0])
    return True


def _unsqueeze(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    if not _is_axis(lifter, node) or node.input[0] not in lifter.lifted:
        return False
    lifter.plain[node.output[0]] = lifter.lifted[node.input[0]]
    return True


def _is_axis(lifter: _Lifter, node: onnx.NodeProto) -> bool:
    axes = lifter.constants.get(node.input[1]) if len(node.input) > 1 else None
    return axes is not None and axes.reshape(-1).tolist() in ([_AXIS], [_AXIS - 4])


def _are_liftable(lifter: _Lifter, names: Iterable[str]) -> bool:
    """Whether all are [batch, channels, time] and one is lifted already."""
    names = list(names)
    return all(lifter.ranks.get(name) == 3 for name in names) and any(name in lifter.lifted for name in names)


def _moved(axis: int) -> int:
    """An axis of [batch, channels, time] among the lifted ones."""
    return axis + 1 if axis >= _AXIS else axis - 1 if axis < -1 else axis


def _insert_axis(value: onnx.ValueInfoProto) -> None:
    shape = value.type.tensor_type.shape
    dims = list(shape.dim)
    del shape.dim[:]
    shape.dim.extend([*dims[:_AXIS], onnx.TensorShapeProto.Dimension(dim_value=1), *dims[_AXIS:]])


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next(int(attribute.i) for attribute in node.attribute if attribute.name == name)


_RULES: dict[str, Callable[[_Lifter, onnx.NodeProto], bool]] = {
    "Conv": _conv, "AveragePool": _pool, "MaxPool": _pool, "Concat": _concat, "Slice": _slice,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, **dict.fromkeys(_ELEMENTWISE, _elementwise),
}  # fmt: skip
