"""Passes over an exported graph that make it smaller and cheaper to run, and change a score by no more than rounding.

ONNX Runtime computes at load what follows from constants alone, so a large constant that a formula gives may stand in the
file as the formula.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from wordspot.export.lift import lift_convolutions

IR_VERSION = 8  # of the file: that of onnxruntime 1.14, older than any that is supported
_SPARSE_FROM = 2048  # elements


def rewrite(model: onnx.ModelProto, transforms: Mapping[str, tuple[int, int]]) -> None:
    """All passes but the last, `tidy`.

    Args:
        transforms: the names of the kernels that are `exportable`'s DFT, with the length of each and its first bin.
    """
    fold_constants(model)
    fold_batch_norms(model)
    lift_convolutions(model)
    for tensor in list(model.graph.initializer):
        if tensor.name in transforms:
            compute_dft(model, tensor, *transforms[tensor.name])
        elif np.prod(tensor.dims) >= _SPARSE_FROM and tensor.data_type in (
            onnx.TensorProto.FLOAT,
            onnx.TensorProto.DOUBLE,
        ):
            compute_sparse(model, tensor)


def fold_constants(model: onnx.ModelProto) -> None:
    """Compute what follows from constants alone."""
    graph = model.graph
    known: dict[str, Any] = {"": None} | {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if all(name in known for name in node.input):
            inputs = {name: known[name] for name in node.input if name}
            for name, value in zip(node.output, ReferenceEvaluator(node).run(None, inputs), strict=True):
                known[name] = np.asarray(value)
                graph.initializer.append(numpy_helper.from_array(known[name], name))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Put each batch norm that follows a convolution into its weights."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    n_uses = Counter(name for node in graph.node for name in node.input)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or n_uses[conv.output[0]] != 1:
            continue
        gain, bias, mean, variance = (_array(constants[name]) for name in norm.input[1:5])
        epsilon = next((attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5)
        scale = gain / np.sqrt(variance + epsilon)
        weight = _array(constants[conv.input[1]])
        before = _array(constants[conv.input[2]]) if len(conv.input) > 2 else np.zeros(len(scale))
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        names = [f"{conv.input[1]}_{norm.output[0]}_{part}" for part in ("weight", "bias")]
        for name, value in zip(names, (weight, (before - mean) * scale + bias), strict=True):
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)


def compute_dft(model: onnx.ModelProto, kernel: onnx.TensorProto, n_fft: int, first_bin: int) -> None:
    """Put the formula of the windowed DFT [2 · bins, 1, 1, window] in the place of its values.

    The window is row 0's where its bin is 0; else what sums the squares of cosine and sine, whose sign is plus.
    """
    values = _array(kernel)[:, 0, 0]
    n_bins, n_samples = len(values) // 2, values.shape[1]
    window = np.sqrt(values[0] ** 2 + values[n_bins] ** 2)
    bins = np.arange(first_bin, first_bin + n_bins)[:, None]
    new = _Formula(kernel.name)
    phase = new("Mod", new("Mul", bins, np.arange(n_samples)[None, :]), np.int64(n_fft))
    angle = new("Mul", new("Cast", phase, to=onnx.TensorProto.FLOAT), np.float32(2 * np.pi / n_fft))
    waves = new("Concat", new("Cos", angle), new("Sin", angle), axis=0)
    windowed = new("Mul", waves, window[None, :].astype(np.float32))
    new("Reshape", windowed, np.array(kernel.dims), out=kernel.name)
    new.replace(model, kernel)


def compute_sparse(model: onnx.ModelProto, matrix: onnx.TensorProto) -> None:
    """A matrix with at most two entries in each column, or row: put their places in the place of the zeros.

    Channels of a front end are such: of a bin's energy no more than two channels take.
    """
    shape = tuple(matrix.dims)
    values = numpy_helper.to_array(matrix)
    if len(shape) < 2 or min(shape[:2]) < 2 or any(size != 1 for size in shape[2:]):
        return
    values = values.reshape(shape[:2])
    by_column = (values != 0).sum(axis=0).max() <= 2
    if not by_column and (values != 0).sum(axis=1).max() > 2:
        return
    entries = values.T if by_column else values  # at most two in each row
    order = np.argsort(entries == 0, axis=1, kind="stable")[:, :2]
    rows = np.arange(entries.shape[1])[:, None] if by_column else np.arange(entries.shape[1])[None, :]
    new = _Formula(matrix.name)
    parts = []
    for place, weight in zip(order.T, np.take_along_axis(entries, order, axis=1).T, strict=True):
        place, weight = (item[None, :] if by_column else item[:, None] for item in (place, weight))
        hits = new("Cast", new("Equal", rows, place), to=matrix.data_type)
        parts.append(new("Mul", hits, weight))
    new("Reshape", new("Add", *parts), np.array(shape), out=matrix.name)
    new.replace(model, matrix)


class _Formula:
    """Operators on constants that together give the constant `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op_type: str, *inputs: str | NDArray[Any] | np.generic, out: str = "", **attributes: Any) -> str:
        names = [each if isinstance(each, str) else self._constant(np.asarray(each)) for each in inputs]
        out = out or f"{self.name}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, names, [out], **attributes))
        return out

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"{self.name}_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def replace(self, model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
        nodes = [*self.nodes, *model.graph.node]
        model.graph.initializer.remove(tensor)
        model.graph.initializer.extend(self.constants)
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def tidy(model: onnx.ModelProto) -> bytes:
    """The file's content, without what no device needs: names of nodes, shapes between them, remarks, unused constants.

    Values are numbered and constants kept as raw bytes, which makes the file smaller and easier to check.
    """
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in used}
    fixed = {value.name: value.name for value in (*graph.input, *graph.output)}
    produced = (name for node in graph.node for name in node.output)
    names = {"": "", **{name: f"v{number}" for number, name in enumerate((*kept, *produced))}, **fixed}
    nodes = []
    for node in graph.node:
        attributes = [attribute for attribute in node.attribute if not _is_default(attribute)]
        inputs, outputs = ([names[name] for name in part] for part in (node.input, node.output))
        clean = helper.make_node(node.op_type, inputs, outputs, domain=node.domain or None)
        clean.attribute.extend(attributes)
        nodes.append(clean)
    constants = [numpy_helper.from_array(value, names[name]) for name, value in kept.items()]
    inputs, outputs = list(graph.input), list(graph.output)
    for value in (*inputs, *outputs):
        value.ClearField("doc_string"), value.ClearField("metadata_props")
    clean_graph = helper.make_graph(nodes, "wordspot", inputs, outputs, constants)
    clean_model = helper.make_model(
        clean_graph,
        opset_imports=[helper.make_opsetid("", _version(model))],
        ir_version=IR_VERSION,
        producer_name="wordspot",
    )
    return bytes(clean_model.SerializeToString())


def _version(model: onnx.ModelProto) -> int:
    return next(int(opset.version) for opset in model.opset_import if opset.domain == "")


def _is_default(attribute: onnx.AttributeProto) -> bool:
    """Whether an attribute says what holds without it."""
    text = helper.get_attribute_value(attribute)
    return (attribute.name, text) in _DEFAULTS


_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("auto_pad", b"NOTSET"), ("group", 1), ("ceil_mode", 0), ("allowzero", 0), ("dilations", [1]), ("dilations", [1, 1]),
    ("strides", [1]), ("strides", [1, 1]), ("pads", [0, 0]), ("pads", [0, 0, 0, 0]),
)  # fmt: skip


def _array(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return numpy_helper.to_array(tensor).astype(np.float64)
