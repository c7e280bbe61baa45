"""The fields of an ONNX file that wordspot writes, by the numbers of onnx.proto; all others are rejected."""

from __future__ import annotations

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
ONCE, MANY, SKIP = "once", "many", "skip"

#: By message: field number → (name, wire type, how often). "skip": ignored text.
FIELDS: dict[str, dict[int, tuple[str, int, str]]] = {
    "model": {
        1: ("ir_version", VARINT, ONCE), 2: ("producer_name", BYTES, SKIP), 3: ("producer_version", BYTES, SKIP),
        4: ("domain", BYTES, SKIP), 5: ("model_version", VARINT, SKIP), 6: ("doc_string", BYTES, SKIP),
        7: ("graph", BYTES, ONCE), 8: ("opset_import", BYTES, MANY), 14: ("metadata_props", BYTES, MANY),
    },
    "opset": {1: ("domain", BYTES, ONCE), 2: ("version", VARINT, ONCE)},
    "property": {1: ("key", BYTES, ONCE), 2: ("value", BYTES, ONCE)},
    "graph": {
        1: ("node", BYTES, MANY), 2: ("name", BYTES, SKIP), 5: ("initializer", BYTES, MANY),
        10: ("doc_string", BYTES, SKIP), 11: ("input", BYTES, MANY), 12: ("output", BYTES, MANY),
        16: ("metadata_props", BYTES, SKIP),
    },
    "node": {
        1: ("input", BYTES, MANY), 2: ("output", BYTES, MANY), 3: ("name", BYTES, SKIP),
        4: ("op_type", BYTES, ONCE), 5: ("attribute", BYTES, MANY), 6: ("doc_string", BYTES, SKIP),
        7: ("domain", BYTES, ONCE), 9: ("metadata_props", BYTES, SKIP),
    },
    "attribute": {
        1: ("name", BYTES, ONCE), 2: ("f", FIXED32, ONCE), 3: ("i", VARINT, ONCE), 4: ("s", BYTES, ONCE),
        5: ("t", BYTES, ONCE), 7: ("floats", FIXED32, MANY), 8: ("ints", VARINT, MANY),
        9: ("strings", BYTES, MANY), 13: ("doc_string", BYTES, SKIP), 20: ("type", VARINT, ONCE),
    },
    "tensor": {
        1: ("dims", VARINT, MANY), 2: ("data_type", VARINT, ONCE), 8: ("name", BYTES, ONCE),
        9: ("raw_data", BYTES, ONCE), 12: ("doc_string", BYTES, SKIP), 14: ("data_location", VARINT, ONCE),
    },
    "value": {
        1: ("name", BYTES, ONCE), 2: ("type", BYTES, ONCE), 3: ("doc_string", BYTES, SKIP),
        4: ("metadata_props", BYTES, SKIP),
    },
    "type": {1: ("tensor_type", BYTES, ONCE), 6: ("denotation", BYTES, SKIP)},
    "tensor_type": {1: ("elem_type", VARINT, ONCE), 2: ("shape", BYTES, ONCE)},
    "shape": {1: ("dim", BYTES, MANY)},
    "dim": {
        1: ("dim_value", VARINT, ONCE), 2: ("dim_param", BYTES, ONCE), 3: ("denotation", BYTES, SKIP),
    },
}  # fmt: skip

#: Names of rejected fields, for the message.
REFUSED = {
    ("model", 20): "training_info", ("model", 25): "local functions", ("graph", 14): "quantization annotations",
    ("graph", 15): "sparse tensors", ("graph", 13): "shapes of values within the graph", ("attribute", 6): "a subgraph",
    ("attribute", 11): "subgraphs",
    ("attribute", 10): "a list of tensors", ("attribute", 21): "a reference to a function's attribute",
    ("attribute", 22): "a sparse tensor", ("attribute", 23): "sparse tensors", ("tensor", 13): "external data",
    ("tensor", 3): "a tensor in segments", ("tensor", 6): "text tensors", ("tensor", 4): "a tensor outside raw_data",
    ("tensor", 5): "a tensor outside raw_data", ("tensor", 7): "a tensor outside raw_data",
    ("tensor", 10): "a tensor outside raw_data", ("tensor", 11): "a tensor outside raw_data",
}  # fmt: skip

ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}

#: Element types by their number in onnx.proto: name and bytes.
ELEMENT_TYPES = {
    1: ("float32", 4), 2: ("uint8", 1), 3: ("int8", 1), 5: ("int16", 2), 6: ("int32", 4), 7: ("int64", 8),
    9: ("bool", 1), 11: ("float64", 8), 12: ("uint32", 4), 13: ("uint64", 8),
}  # fmt: skip
