"""Passes over an exported graph that make the file smaller, and change a score by no more than rounding.

ONNX Runtime computes at load what follows from constants alone, so the file contains formulas instead of large constants: 1 MB
less. Torch's exporter folds batch norms and small constants itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

IR_VERSION = 8  # that of onnxruntime 1.14, older than any supported version
_SPARSE_FROM = 2048  # elements


def put_formulas(model: onnx.ModelProto, transforms: Mapping[str, tuple[int, int]]) -> None:
    """Replace large constants by formulas.

    Args:
        transforms: the names of the constants that are kernels of `modules.ConvolvedDft`, with the length of each transform and
            its first bin.
    """
    for tensor in list(model.graph.initializer):
        if tensor.name in transforms:
            compute_dft(model, tensor, *transforms[tensor.name])
        elif np.prod(tensor.dims) >= _SPARSE_FROM and tensor.data_type in (
            onnx.TensorProto.FLOAT,
            onnx.TensorProto.DOUBLE,
        ):
            compute_sparse(model, tensor)
        elif np.prod(tensor.dims) >= _SPARSE_FROM and tensor.data_type == onnx.TensorProto.INT64:
            compute_sums(model, tensor)


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace operators on constants by their results.

    The exporter's own folding leaves large results (reordered weights of recurrent layers) and ``ConstantOfShape`` alone.
    """
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


def compute_dft(model: onnx.ModelProto, kernel: onnx.TensorProto, n_fft: int, first_bin: int) -> None:
    """Replace a kernel of the windowed DFT [2 · bins, 1, 1, window] by its formula.

    The window is the root of the squares of the first bin's cosine and sine. Sines have no sign, as only squares are used.
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
    """Replace a matrix with at most two entries in each column, or row, by the places and values of these entries.

    Mel matrices are such: each bin contributes to at most two channels.
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


def compute_sums(model: onnx.ModelProto, table: onnx.TensorProto) -> None:
    """Replace a table of integers by the sum of a column and a row, if it is one.

    The positions of the samples in overlapping windows are such a table: start of the window plus position in the window.
    """
    values = numpy_helper.to_array(table)
    if values.ndim != 2 or min(values.shape) < 2:
        return
    column, row = values[:, :1], values[:1] - values[0, 0]
    if (column + row != values).any():
        return
    new = _Formula(table.name)
    new("Add", column, row, out=table.name)
    new.replace(model, table)


class _Formula:
    """Operators on constants that together compute the constant `name`."""

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
    """The content of the file, without node names, inner shapes, comments and unused constants.

    Values are numbered and constants stored as raw bytes, which makes the file smaller and easier to check.
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
    """Whether an attribute has its default value."""
    text = helper.get_attribute_value(attribute)
    return (attribute.name, text) in _DEFAULTS


_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("auto_pad", b"NOTSET"), ("group", 1), ("ceil_mode", 0), ("allowzero", 0), ("dilations", [1]), ("dilations", [1, 1]),
    ("strides", [1]), ("strides", [1, 1]), ("pads", [0, 0]), ("pads", [0, 0, 0, 0]),
)  # fmt: skip


def _array(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return numpy_helper.to_array(tensor).astype(np.float64)
