"""Read the network in 8 bits back from a TensorFlow Lite file that `graph` built, or check the structure of another file."""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers.table import Table

from wordspot.errors import CardError
from wordspot.export.tflite import heads
from wordspot.export.tflite.fixed import Scale
from wordspot.export.tflite.quantized import Layer, Quantized, QuantizedBlock
from wordspot.export.tflite.schema import IDENTIFIER, OPERATORS, TABLES, TYPES

MAX_BYTES = 16 << 20
_DTYPES: dict[int, Any] = {TYPES["int8"]: np.dtype("i1"), TYPES["int32"]: np.dtype("<i4")}
_MOVES = {"CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CONCATENATION", "STRIDED_SLICE", "RESHAPE", "QUANTIZE"}
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, StopIteration, MemoryError)
_FLAGS = flatbuffers.number_types
_PLAIN = {"int8": _FLAGS.Int8Flags, "uint8": _FLAGS.Uint8Flags, "int32": _FLAGS.Int32Flags, "uint32": _FLAGS.Uint32Flags}


def read_tflite(content: bytes, name: str) -> tuple[Quantized, int]:
    """Read the network of a file, and how many frames a call takes.

    Raises:
        CardError: wordspot did not write it, or it is damaged.
    """
    try:
        return _network(_Reader(content))
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise CardError(f"{name}: not a TensorFlow Lite file that wordspot wrote, or damaged ({reason})") from error


def check_structure(content: bytes, name: str) -> None:
    """Check that the tables and data of any TensorFlow Lite file lie within it, and that what it numbers is there.

    Raises:
        CardError: it is damaged.
    """
    try:
        root = _root(content)
        codes, buffers = _tables(root, "Model", "operatorCodes"), _tables(root, "Model", "buffers")
        for code in codes:
            for field in TABLES["OperatorCode"]:
                _number(code, "OperatorCode", field)
        for buffer in buffers:
            _optional(buffer, "Buffer", "data", "i1")
        graphs = _tables(root, "Model", "subgraphs")
        if not graphs:
            raise ValueError("no graph")
        for graph in graphs:
            _check_graph(graph, len(codes), len(buffers))
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise CardError(f"{name}: not a TensorFlow Lite file, or damaged ({reason})") from error


def _check_graph(graph: Table, n_codes: int, n_buffers: int) -> None:
    tensors, operators = _tables(graph, "SubGraph", "tensors"), _tables(graph, "SubGraph", "operators")
    for tensor in tensors:
        _optional(tensor, "Tensor", "shape", "<i4")
        if _number(tensor, "Tensor", "buffer") >= n_buffers:
            raise ValueError("a tensor without its data")
        if tensor.Offset(4 + 2 * TABLES["Tensor"]["quantization"][0]):
            quantization = _table(tensor, "Tensor", "quantization")
            _optional(quantization, "QuantizationParameters", "scale", "<f4")
            _optional(quantization, "QuantizationParameters", "zeroPoint", "<i8")
    places = [_optional(graph, "SubGraph", name, "<i4") for name in ("inputs", "outputs")]
    for operator in operators:
        if _number(operator, "Operator", "opcodeIndex") >= n_codes:
            raise ValueError("an operator without its code")
        places += [_optional(operator, "Operator", name, "<i4") for name in ("inputs", "outputs")]
        if operator.Offset(4 + 2 * TABLES["Operator"]["builtinOptions"][0]):
            _table(operator, "Operator", "builtinOptions").Offset(4)
    if any(((numbers < -1) | (numbers >= len(tensors))).any() for numbers in places):  # -1: an input that is left out
        raise ValueError("an operator without its tensor")


def _root(content: bytes) -> Table:
    if content[4:8] != IDENTIFIER:
        raise ValueError("not a TensorFlow Lite file")
    return Table(bytearray(content), struct.unpack_from("<I", content)[0])


class _Reader:
    """The tensors and operators of the main graph."""

    def __init__(self, content: bytes) -> None:
        root = _root(content)
        codes = [_NAMES[_number(code, "OperatorCode", "builtinCode")] for code in _tables(root, "Model", "operatorCodes")]
        self._buffers = _tables(root, "Model", "buffers")
        graph = _tables(root, "Model", "subgraphs")[0]
        self._tensors = _tables(graph, "SubGraph", "tensors")
        operators = _tables(graph, "SubGraph", "operators")
        self.operators = [
            (
                codes[_number(one, "Operator", "opcodeIndex")],
                _vector(one, "Operator", "inputs", "<i4").tolist(),
                _vector(one, "Operator", "outputs", "<i4").tolist(),
            )
            for one in operators
        ]
        self.input = int(_vector(graph, "SubGraph", "inputs", "<i4")[0])

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(_vector(self._tensors[index], "Tensor", "shape", "<i4").tolist())

    def steps(self, index: int) -> Any:
        quantization = _table(self._tensors[index], "Tensor", "quantization")
        return _vector(quantization, "QuantizationParameters", "scale", "<f4").astype(np.float64)

    def scale(self, index: int) -> Scale:
        zeros = _vector(_table(self._tensors[index], "Tensor", "quantization"), "QuantizationParameters", "zeroPoint", "<i8")
        return Scale(float(self.steps(index)[0]), int(zeros[0]))

    def values(self, index: int) -> Any:
        tensor = self._tensors[index]
        data = _vector(self._buffers[_number(tensor, "Tensor", "buffer")], "Buffer", "data", "i1").tobytes()
        values = np.frombuffer(data, _DTYPES[_number(tensor, "Tensor", "type")]).reshape(self.shape(index))
        return values.astype(np.int64)

    def layer(self, operator: tuple[str, list[int], list[int]], *, relu: bool = False) -> Layer:
        kind, (x, weights, bias), (y,) = operator
        values = self.values(weights)
        if kind == "CONV_2D":
            values = values.transpose(1, 2, 3, 0).reshape(-1, len(values))
        else:
            values = values[0, :, 0] if kind == "DEPTHWISE_CONV_2D" else values.T
        return Layer(values, self.steps(weights), self.values(bias), self.scale(x), self.scale(y), relu)


def _network(reader: _Reader) -> tuple[Quantized, int]:
    waiting = [operator for operator in reader.operators if operator[0] not in _MOVES]
    kinds = [operator[0] for operator in waiting]
    n_blocks = kinds.count("ADD")
    body = ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D", "ADD"] * n_blocks, "AVERAGE_POOL_2D", "FULLY_CONNECTED"]
    tails = {
        heads.WORD: ["LOGISTIC"],
        heads.RIVALS: ["MAX_POOL_2D", "FULLY_CONNECTED", "LOGISTIC"],
        heads.ALL: ["SOFTMAX"],
    }
    head = next((name for name, tail in tails.items() if kinds == body + tail), None)
    if head is None:
        raise ValueError("other operators")
    stem = reader.layer(waiting[0], relu=True)
    blocks = []
    for at in range(1, 1 + 4 * n_blocks, 4):
        over_time, wider, narrower, total = waiting[at : at + 4]
        blocks.append(
            QuantizedBlock(
                reader.layer(over_time), reader.layer(wider, relu=True), reader.layer(narrower), reader.scale(total[2][0])
            )
        )
    pool, dense = waiting[1 + 4 * n_blocks : 3 + 4 * n_blocks]
    _, stride, n_features = reader.shape(reader.input)
    kernel = len(stem.weights) // n_features
    n_pooled = reader.shape(pool[1][0])[1]
    features = reader.scale(reader.input)
    return Quantized(features, n_features, kernel, stem, tuple(blocks), n_pooled, reader.layer(dense), head), stride


def _number(table: Table, kind: str, name: str) -> int:
    number, of = TABLES[kind][name]
    offset = table.Offset(4 + 2 * number)
    return int(table.Get(_PLAIN[of], offset + table.Pos)) if offset else 0


def _table(table: Table, kind: str, name: str) -> Table:
    offset = table.Offset(4 + 2 * TABLES[kind][name][0])
    if not offset:
        raise ValueError(f"no {name} of a {kind}")
    return Table(table.Bytes, table.Indirect(table.Pos + offset))


def _tables(table: Table, kind: str, name: str) -> list[Table]:
    offset = table.Offset(4 + 2 * TABLES[kind][name][0])
    start = table.Vector(offset)
    return [Table(table.Bytes, table.Indirect(start + 4 * at)) for at in range(_length(table, offset, 4))]


def _vector(table: Table, kind: str, name: str, dtype: str) -> Any:
    offset, of = table.Offset(4 + 2 * TABLES[kind][name][0]), np.dtype(dtype)
    if not offset:
        raise ValueError(f"no {name} of a {kind}")
    return np.frombuffer(table.Bytes, of, _length(table, offset, of.itemsize), table.Vector(offset))


def _optional(table: Table, kind: str, name: str, dtype: str) -> Any:
    """As `_vector`, but empty if the table has none."""
    return _vector(table, kind, name, dtype) if table.Offset(4 + 2 * TABLES[kind][name][0]) else np.zeros(0, dtype)


def _length(table: Table, offset: int, size: int) -> int:
    n = int(table.VectorLen(offset)) if offset else 0
    if n * size > len(table.Bytes):
        raise ValueError("a vector longer than the file")
    return n


_NAMES = {number: name for name, (number, _, _, _) in OPERATORS.items()}
