"""The part of TensorFlow Lite's schema (version 3) that the files use: numbers of operators, types and fields.

From ``tensorflow/lite/schema/schema.fbs``; the tests compare all of it with the schema of the package tflite-micro.
"""

from __future__ import annotations

VERSION, IDENTIFIER = 3, b"TFL3"

#: Operators: number, version for these types, and the number and name of their table of options.
OPERATORS: dict[str, tuple[int, int, int, str]] = {
    "ADD": (0, 2, 11, "AddOptions"),
    "AVERAGE_POOL_2D": (1, 2, 5, "Pool2DOptions"),
    "CONCATENATION": (2, 2, 10, "ConcatenationOptions"),
    "CONV_2D": (3, 3, 1, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (4, 3, 2, "DepthwiseConv2DOptions"),
    "FULLY_CONNECTED": (9, 4, 8, "FullyConnectedOptions"),
    "LOGISTIC": (14, 2, 0, ""),
    "MAX_POOL_2D": (17, 2, 5, "Pool2DOptions"),
    "RESHAPE": (22, 1, 17, "ReshapeOptions"),
    "SOFTMAX": (25, 2, 9, "SoftmaxOptions"),
    "STRIDED_SLICE": (45, 2, 32, "StridedSliceOptions"),
    "QUANTIZE": (114, 1, 89, "QuantizeOptions"),
    "CALL_ONCE": (129, 1, 103, "CallOnceOptions"),
    "VAR_HANDLE": (142, 1, 111, "VarHandleOptions"),
    "READ_VARIABLE": (143, 1, 112, "ReadVariableOptions"),
    "ASSIGN_VARIABLE": (144, 1, 113, "AssignVariableOptions"),
}

#: Element types.
TYPES = {"float32": 0, "int32": 2, "uint8": 3, "resource": 13, "int8": 9}

#: Fields of the tables: number and type; a type that is not a number is a reference.
TABLES: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {
        "version": (0, "uint32"), "operatorCodes": (1, "ref"), "subgraphs": (2, "ref"), "description": (3, "ref"),
        "buffers": (4, "ref"),
    },
    "OperatorCode": {"deprecatedBuiltinCode": (0, "int8"), "version": (2, "int32"), "builtinCode": (3, "int32")},
    "SubGraph": {"tensors": (0, "ref"), "inputs": (1, "ref"), "outputs": (2, "ref"), "operators": (3, "ref"), "name": (4, "ref")},
    "Buffer": {"data": (0, "ref")},
    "Tensor": {
        "shape": (0, "ref"), "type": (1, "int8"), "buffer": (2, "uint32"), "name": (3, "ref"), "quantization": (4, "ref"),
    },
    "QuantizationParameters": {"scale": (2, "ref"), "zeroPoint": (3, "ref"), "quantizedDimension": (6, "int32")},
    "Operator": {
        "opcodeIndex": (0, "uint32"), "inputs": (1, "ref"), "outputs": (2, "ref"), "builtinOptionsType": (3, "uint8"),
        "builtinOptions": (4, "ref"),
    },
    "AddOptions": {"fusedActivationFunction": (0, "int8"), "potScaleInt16": (1, "bool")},
    "Pool2DOptions": {
        "padding": (0, "int8"), "strideW": (1, "int32"), "strideH": (2, "int32"), "filterWidth": (3, "int32"),
        "filterHeight": (4, "int32"), "fusedActivationFunction": (5, "int8"),
    },
    "ConcatenationOptions": {"axis": (0, "int32"), "fusedActivationFunction": (1, "int8")},
    "Conv2DOptions": {
        "padding": (0, "int8"), "strideW": (1, "int32"), "strideH": (2, "int32"), "fusedActivationFunction": (3, "int8"),
    },
    "DepthwiseConv2DOptions": {
        "padding": (0, "int8"), "strideW": (1, "int32"), "strideH": (2, "int32"), "depthMultiplier": (3, "int32"),
        "fusedActivationFunction": (4, "int8"),
    },
    "FullyConnectedOptions": {"fusedActivationFunction": (0, "int8")},
    "SoftmaxOptions": {"beta": (0, "float32")},
    "CallOnceOptions": {"initSubgraphIndex": (0, "int32")},
    "VarHandleOptions": {"container": (0, "ref"), "sharedName": (1, "ref")},
    "StridedSliceOptions": {}, "ReshapeOptions": {}, "QuantizeOptions": {}, "ReadVariableOptions": {},
    "AssignVariableOptions": {},
}  # fmt: skip

PADDING_VALID, RELU = 1, 1
