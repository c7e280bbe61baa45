"""Write graphs of tensors and operators as a TensorFlow Lite file. Equal data is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from wordspot.export.tflite.schema import IDENTIFIER, OPERATORS, TABLES, TYPES, VERSION

_ALIGNMENT = 16  # of constants, which a device reads where they lie


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph; constants have data.

    Attributes:
        kind: one of `schema.TYPES`.
        steps, zero, axis: quantization, with one step or one for each index of `axis`; without steps it is not quantized.
        data: content of a constant, else empty.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    steps: tuple[float, ...] = ()
    zero: int = 0
    axis: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Operator:
    """An operator: the indices of its tensors, and its options by name."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass
class Graph:
    """A graph that is being built."""

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, name: str, shape: Sequence[int], kind: str = "int8", **quantization: Any) -> int:
        """Add a tensor; return its index."""
        self.tensors.append(Tensor(name, tuple(shape), kind, **quantization))
        return len(self.tensors) - 1

    def constant(self, name: str, values: NDArray[Any], kind: str, **quantization: Any) -> int:
        """Add a constant; return its index."""
        data = np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).tobytes()
        return self.tensor(name, values.shape, kind, data=data, **quantization)

    def operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """Add an operator."""
        self.operators.append(Operator(name, tuple(inputs), tuple(outputs), options))


def write_model(graphs: Sequence[Graph], description: str) -> bytes:
    """Write graphs as the content of a file; the first is the main one."""
    writer = _Writer()
    names = sorted({operator.name for graph in graphs for operator in graph.operators})
    buffers = [b""]
    parts = [_graph(writer, graph, names, buffers) for graph in graphs]
    codes = [
        writer.table(
            "OperatorCode", deprecatedBuiltinCode=min(OPERATORS[name][0], 127), version=OPERATORS[name][1],
            builtinCode=OPERATORS[name][0],
        )
        for name in names
    ]  # fmt: skip
    stored = [writer.table("Buffer", **({"data": writer.data(data)} if data else {})) for data in buffers]
    root = writer.table(
        "Model",
        version=VERSION,
        operatorCodes=writer.refs(codes),
        subgraphs=writer.refs(parts),
        description=writer.text(description),
        buffers=writer.refs(stored),
    )
    writer.builder.Finish(root, file_identifier=IDENTIFIER)
    return bytes(writer.builder.Output())


def _graph(writer: _Writer, graph: Graph, names: list[str], buffers: list[bytes]) -> int:
    tensors = [_tensor(writer, tensor, buffers) for tensor in graph.tensors]
    operators = []
    for operator in graph.operators:
        _, _, kind, table = OPERATORS[operator.name]
        options: dict[str, Any] = {}
        if table:
            values = {key: writer.text(value) if isinstance(value, str) else value for key, value in operator.options.items()}
            options = {"builtinOptionsType": kind, "builtinOptions": writer.table(table, **values)}
        inputs, outputs = writer.vector(operator.inputs, "int32"), writer.vector(operator.outputs, "int32")
        operators.append(
            writer.table("Operator", opcodeIndex=names.index(operator.name), inputs=inputs, outputs=outputs, **options)
        )
    return writer.table(
        "SubGraph",
        tensors=writer.refs(tensors),
        inputs=writer.vector(graph.inputs, "int32"),
        outputs=writer.vector(graph.outputs, "int32"),
        operators=writer.refs(operators),
        name=writer.text(graph.name),
    )


def _tensor(writer: _Writer, tensor: Tensor, buffers: list[bytes]) -> int:
    buffer = 0
    if tensor.data:
        if tensor.data not in buffers:
            buffers.append(tensor.data)
        buffer = buffers.index(tensor.data)
    fields: dict[str, Any] = {}
    if tensor.steps:
        zeros = (tensor.zero,) * len(tensor.steps)
        fields["quantization"] = writer.table(
            "QuantizationParameters",
            scale=writer.vector(tensor.steps, "float32"),
            zeroPoint=writer.vector(zeros, "int64"),
            quantizedDimension=tensor.axis,
        )
    return writer.table(
        "Tensor",
        shape=writer.vector(tensor.shape, "int32"),
        type=TYPES[tensor.kind],
        buffer=buffer,
        name=writer.text(tensor.name),
        **fields,
    )


class _Writer:
    """A `flatbuffers.Builder` that takes names of tables and fields. Objects must be written before those that refer to them."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 16)
        self._written: dict[tuple[str, bytes], int] = {}

    def table(self, kind: str, **fields: Any) -> int:
        numbers = TABLES[kind]
        self.builder.StartObject(max((number for number, _ in numbers.values()), default=-1) + 1)
        for name, value in fields.items():
            number, of = numbers[name]
            if of == "ref":
                self.builder.PrependUOffsetTRelativeSlot(number, value, 0)
            else:
                getattr(self.builder, f"Prepend{of.capitalize()}Slot")(number, value, None)  # written even if 0
        return int(self.builder.EndObject())

    def refs(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def vector(self, values: Sequence[float], kind: str) -> int:
        array = np.array(values, np.dtype(kind).newbyteorder("<"))
        return self._once(kind, array.tobytes(), array.itemsize)

    def data(self, data: bytes) -> int:
        return self._once("data", data, 1)

    def text(self, text: str) -> int:
        key = "text", text.encode()
        if key not in self._written:
            self._written[key] = int(self.builder.CreateString(text))
        return self._written[key]

    def _once(self, kind: str, data: bytes, item: int) -> int:
        if (kind, data) not in self._written:
            self.builder.StartVector(item, len(data) // item, _ALIGNMENT if kind == "data" else item)
            for byte in reversed(data):
                self.builder.Place(byte, _BYTE)
            self._written[kind, data] = int(self.builder.EndVector())
        return self._written[kind, data]


_BYTE = flatbuffers.number_types.Uint8Flags
