"""The structure of an ONNX file, read in bounded steps: without packages or recursion, and without trusting its lengths.

Only what wordspot writes is accepted: the message fields in `FIELDS`, each at most as often as stated there. Everything else in
the format (external data, functions, subgraphs, sparse tensors, training) is rejected by name, since onnxruntime would use it.
Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from wordspot.errors import CardError
from wordspot.formats import shown
from wordspot.runtime.modelfile.fields import (
    ATTRIBUTE_TYPES,
    BYTES,
    ELEMENT_TYPES,
    FIELDS,
    FIXED32,
    FIXED64,
    MANY,
    REFUSED,
    SKIP,
    VARINT,
)

_MAX_FIELDS = 100_000
_MAX_NAME_BYTES = 4096
_MAX_RANK = 8
_MAX_NODES = 20_000
_MAX_SIZE = 1 << 26


@dataclass(frozen=True)
class Tensor:
    """A constant: its name, element type, shape, and bytes in the order of a little-endian array."""

    name: str
    element_type: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True)
class Value:
    """An input or output of the graph; a named dimension is free."""

    name: str
    element_type: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Node:
    """An operator. An attribute is an int, a float, text, a list of them, or a `Tensor`."""

    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass
class Walked:
    """The content of a file."""

    opsets: dict[str, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def walk(data: bytes) -> Walked:
    """The structure of an ONNX file.

    Raises:
        CardError: the data is not an ONNX file, is truncated, or contains something that wordspot does not write.
    """
    return _Walker(data).model()


def with_metadata(data: bytes, key: str, value: str) -> bytes:
    """`data` with the entry `key` of its metadata replaced, or added at the end.

    Raises:
        CardError: `data` is not an ONNX file.
    """
    walker = _Walker(data)
    kept = []
    for number, start, begin, end in walker.split():
        is_old = number == 14 and walker.message("property", begin, end).get("key") == key.encode()
        if not is_old:
            kept.append(data[start:end])
    entry = _encoded(1, key.encode()) + _encoded(2, value.encode())
    return b"".join(kept) + _encoded(14, entry)


def _encoded(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


class _Walker:
    """Reads messages from one buffer and limits the number of fields, so that no file takes long to read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.n_fields = 0

    def model(self) -> Walked:
        top = self.message("model", 0, len(self.data))
        if "graph" not in top or "opset_import" not in top or "ir_version" not in top:
            raise CardError("the file has no ONNX graph or no version; was it written by `wordspot export`?")
        walked = Walked()
        for entry in top["opset_import"]:
            opset = self.message("opset", *entry)
            domain = _text(opset.get("domain", b""))
            if domain in walked.opsets:
                raise CardError(f"the file has several versions of the operators {shown(domain)}")
            walked.opsets[domain] = int(opset.get("version", 0))
        for entry in top.get("metadata_props", ()):
            pair = self.message("property", *entry)
            key = _text(pair.get("key", b""))
            if key in walked.metadata:
                raise CardError(f"the file's metadata has several entries {shown(key)}")
            walked.metadata[key] = _text(pair.get("value", b""), limit=None)
        self._graph(walked, *top["graph"])
        return walked

    def split(self) -> Iterator[tuple[int, int, int, int]]:
        """The fields of the model itself: number, where each starts, where its content begins, where it ends."""
        position = 0
        while position < len(self.data):
            start = position
            number, wire, begin, position = self._field(position, len(self.data))
            yield number, start, begin if wire == BYTES else start, position

    def _graph(self, walked: Walked, start: int, stop: int) -> None:
        graph = self.message("graph", start, stop)
        if len(graph.get("node", ())) > _MAX_NODES:
            raise CardError(f"the file has {len(graph['node'])} operators; at most {_MAX_NODES} are allowed")
        walked.nodes = [self._node(*entry) for entry in graph.get("node", ())]
        walked.initializers = [self._tensor(*entry) for entry in graph.get("initializer", ())]
        walked.inputs = [self._value(*entry) for entry in graph.get("input", ())]
        walked.outputs = [self._value(*entry) for entry in graph.get("output", ())]

    def _node(self, start: int, stop: int) -> Node:
        node = self.message("node", start, stop)
        attributes: dict[str, Any] = {}
        for entry in node.get("attribute", ()):
            name, value = self._attribute(*entry)
            if name in attributes:
                raise CardError(f"the file has an operator with several attributes {shown(name)}")
            attributes[name] = value
        inputs, outputs = (
            tuple(_text(bytes(self.view[slice(*entry)])) for entry in node.get(part, ())) for part in ("input", "output")
        )
        return Node(_text(node.get("op_type", b"")), _text(node.get("domain", b"")), inputs, outputs, attributes)

    def _attribute(self, start: int, stop: int) -> tuple[str, Any]:
        attribute = self.message("attribute", start, stop)
        name = _text(attribute.get("name", b""))
        kind = ATTRIBUTE_TYPES.get(attribute.get("type", 0), "")
        given = [each for each in ATTRIBUTE_TYPES.values() if each in attribute]
        is_list = kind in ("floats", "ints", "strings")
        if given != [kind] and not (is_list and not given):
            raise CardError(f"the file's attribute {shown(name)} needs one value of its type, but has {' and '.join(given)}")
        value: Any = attribute.get(kind, [])
        if kind == "t":
            return name, self._tensor(*value)
        if kind == "s":
            return name, _text(value)
        if kind == "strings":
            return name, [_text(bytes(self.view[slice(*entry)])) for entry in value]
        return name, value

    def _tensor(self, start: int, stop: int) -> Tensor:
        tensor = self.message("tensor", start, stop)
        name = _text(tensor.get("name", b""))
        if tensor.get("data_location", 0):
            raise CardError(f"the file stores {shown(name)} as external data; expected all weights inside the file")
        kind = tensor.get("data_type", 0)
        if kind not in ELEMENT_TYPES:
            raise CardError(f"the file's constant {shown(name)} has the element type {kind}, which is not a number")
        shape = tuple(tensor.get("dims", ()))
        data = tensor.get("raw_data", memoryview(b""))
        n_bytes = _size(shape, f"the constant {shown(name)}") * ELEMENT_TYPES[kind][1]
        if n_bytes != len(data):
            raise CardError(
                f"the file's constant {shown(name)} of shape {shown_shape(shape)} has {len(data)} bytes; expected {n_bytes}"
            )
        return Tensor(name, ELEMENT_TYPES[kind][0], shape, data)

    def _value(self, start: int, stop: int) -> Value:
        value = self.message("value", start, stop)
        name = _text(value.get("name", b""))
        kind = self.message("type", *value.get("type", (0, 0)))
        tensor = self.message("tensor_type", *kind.get("tensor_type", (0, 0)))
        element = tensor.get("elem_type", 0)
        if element not in ELEMENT_TYPES or "shape" not in tensor:
            raise CardError(f"the file's {shown(name)} is not an array of numbers with a shape")
        dims: list[int | str] = []
        for entry in self.message("shape", *tensor["shape"]).get("dim", ()):
            dim = self.message("dim", *entry)
            if ("dim_value" in dim) == ("dim_param" in dim):
                raise CardError(f"the file has a dimension of {shown(name)} without a size or name")
            dims.append(dim["dim_value"] if "dim_value" in dim else _text(dim["dim_param"]))
        if len(dims) > _MAX_RANK or any(isinstance(dim, int) and dim < 1 for dim in dims):
            raise CardError(
                f"the file's {shown(name)} has the shape {shown_shape(dims)}; expected at most {_MAX_RANK} sizes, each at least 1"
            )
        return Value(name, ELEMENT_TYPES[element][0], tuple(dims))

    def message(self, kind: str, start: int, stop: int) -> dict[str, Any]:
        """The fields of one message: numbers, bytes (text, raw data), or (start, stop) of the messages in it."""
        fields, found, position = FIELDS[kind], dict[str, Any](), start
        while position < stop:
            number, wire, begin, position = self._field(position, stop)
            if number not in fields:
                what = REFUSED.get((kind, number), f"field {number} of a {kind}")
                raise CardError(f"the file contains {what}, which wordspot does not write; export it again")
            name, expected, often = fields[number]
            packed = often == MANY and expected in (VARINT, FIXED32) and wire == BYTES
            if wire != expected and not packed:
                raise CardError(f"the file is damaged, or not an ONNX file: {name} of a {kind} has the wire type {wire}")
            if often == SKIP:
                continue
            if often == MANY:
                self._append(found.setdefault(name, []), wire, expected, begin, position)
            elif name in found:
                raise CardError(f"the file has a {kind} with several entries {name}; is it damaged?")
            else:
                found[name] = self._single(kind, name, wire, begin, position)
        return found

    def _single(self, kind: str, name: str, wire: int, begin: int, end: int) -> Any:
        if wire == VARINT:
            return _signed(self._varint(begin, end)[0])
        if wire == FIXED32:
            return _float(self.view[begin:end])
        if name in ("graph", "t", "type", "tensor_type", "shape"):
            return begin, end
        return self.view[begin:end] if name == "raw_data" else bytes(self.view[begin:end])

    def _append(self, into: list[Any], wire: int, expected: int, begin: int, end: int) -> None:
        if expected == BYTES:
            into.append((begin, end))
        elif wire == VARINT:
            into.append(_signed(self._varint(begin, end)[0]))
        elif expected == FIXED32:
            if (end - begin) % 4:
                _cut()
            self._count((end - begin) // 4)
            into.extend(struct.unpack(f"<{(end - begin) // 4}f", self.view[begin:end]))
        else:
            while begin < end:
                value, begin = self._varint(begin, end)
                into.append(_signed(value))
                self._count()

    def _field(self, position: int, stop: int) -> tuple[int, int, int, int]:
        """A field's number, wire type, and where its content begins and ends."""
        self._count()
        key, begin = self._varint(position, stop)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            end = self._varint(begin, stop)[1]
        elif wire == BYTES:
            length, begin = self._varint(begin, stop)
            end = begin + length
        elif wire in (FIXED32, FIXED64):
            end = begin + (4 if wire == FIXED32 else 8)
        else:
            raise CardError("the file is damaged, or not an ONNX file")
        if end > stop or number < 1:
            _cut()
        return number, wire, begin, end

    def _varint(self, position: int, stop: int) -> tuple[int, int]:
        """An unsigned number of 7 bits a byte, at most 10 bytes, and where it ends."""
        value, shift = 0, 0
        while position < stop and shift < 70:
            byte = self.data[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position
            shift += 7
        raise CardError("the file is truncated, or not an ONNX file")

    def _count(self, n: int = 1) -> None:
        self.n_fields += n
        if self.n_fields > _MAX_FIELDS:
            raise CardError(f"the file has more than {_MAX_FIELDS} entries; export it again")


def _cut() -> NoReturn:
    raise CardError("the file is truncated, or not an ONNX file")


def _text(data: bytes, limit: int | None = _MAX_NAME_BYTES) -> str:
    if limit is not None and len(data) > limit:
        raise CardError(f"the file has a name of {len(data)} bytes; at most {limit} are allowed")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CardError("the file has text that is not UTF-8; is it damaged?") from error


def _signed(value: int) -> int:
    """A varint as the int64 it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _float(data: memoryview) -> float:
    value: float = struct.unpack("<f", data)[0]
    return value


def _size(shape: tuple[int, ...], what: str) -> int:
    """The number of elements of `shape`."""
    if len(shape) > _MAX_RANK or any(not 1 <= size <= _MAX_SIZE for size in shape):
        raise CardError(f"{what} has the shape {shown_shape(shape)}; expected at most {_MAX_RANK} sizes from 1 to {_MAX_SIZE}")
    return math.prod(shape)


def shown_shape(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(map(str, shape[:_MAX_RANK])) + (", ...]" if len(shape) > _MAX_RANK else "]")
