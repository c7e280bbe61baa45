"""Build the graph of a streaming network in 8 bits. Its state is in variables, which a second graph sets before the first call.

Images are [1, frames, 1, channels]. A convolution over time reads its variable, joins it with the new frames, and keeps the
last frames for the next call. A variable starts with the zero point of its scale, which stands for 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wordspot.export.tflite.fixed import Scale
from wordspot.export.tflite.flatbuffer import Graph
from wordspot.export.tflite.heads import ALL, RIVALS
from wordspot.export.tflite.quantized import LOGITS, SCORES, Layer, Quantized
from wordspot.export.tflite.schema import PADDING_VALID, RELU

#: The operators that ESPHome's micro_wake_word has.
ESPHOME_OPERATORS = frozenset(
    {
        "CALL_ONCE", "VAR_HANDLE", "RESHAPE", "READ_VARIABLE", "STRIDED_SLICE", "CONCATENATION", "ASSIGN_VARIABLE", "CONV_2D",
        "MUL", "ADD", "MEAN", "FULLY_CONNECTED", "LOGISTIC", "QUANTIZE", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D",
        "MAX_POOL_2D", "PAD", "PACK", "SPLIT_V",
    }
)  # fmt: skip


def build_graphs(model: Quantized, stride: int) -> list[Graph]:
    """Build the main graph, and the one that sets its variables.

    The input is int8 [1, stride, features], the output uint8 scores in 256ths: [1, 1], or [1, labels] for the head ``all``.
    """
    build = _Builder(stride)
    main = build.main
    main.operator("CALL_ONCE", [], [], initSubgraphIndex=1)
    x = build.activation("features", (1, stride, model.n_features), model.features)
    main.inputs.append(x)
    x = build.reshape("image", x, (1, stride, 1, model.n_features), model.features)
    joined = build.with_past("stem", x, model.n_features, model.kernel - 1, model.features)
    x = build.convolution("stem", joined, model.stem, model.kernel)
    n_channels, scale = model.stem.weights.shape[1], model.stem.after
    for number, block in enumerate(model.blocks):
        joined = build.with_past(f"time{number}", x, n_channels, len(block.over_time.weights) - 1, scale)
        y = build.depthwise(f"time{number}", joined, block.over_time)
        y = build.convolution(f"wider{number}", y, block.wider, 1)
        y = build.convolution(f"narrower{number}", y, block.narrower, 1)
        total = build.activation(f"sum{number}", (1, stride, 1, n_channels), block.after)
        main.operator("ADD", [y, x], [total], fusedActivationFunction=RELU, potScaleInt16=0)
        x, scale = total, block.after
    x = build.mean(x, n_channels, model.pool, scale)
    x = build.reshape("mean_row", x, (1, n_channels), scale)
    main.outputs.append(build.scores(x, model))
    return [main, build.initial]


class _Builder:
    """Both graphs while they are built."""

    def __init__(self, stride: int) -> None:
        self.main, self.initial, self.stride = Graph("main"), Graph("initial"), stride

    def activation(self, name: str, shape: Sequence[int], scale: Scale, kind: str = "int8") -> int:
        return self.main.tensor(name, shape, kind, steps=(scale.step,), zero=scale.zero)

    def integers(self, name: str, values: Sequence[int]) -> int:
        return self.main.constant(name, np.array(values, np.int32), "int32")

    def reshape(self, name: str, x: int, shape: Sequence[int], scale: Scale) -> int:
        y = self.activation(name, shape, scale)
        self.main.operator("RESHAPE", [x, self.integers("shape", shape)], [y])
        return y

    def with_past(self, name: str, x: int, n_channels: int, n_past: int, scale: Scale) -> int:
        """Join the last `n_past` frames of earlier calls with the new ones: [1, n_past + stride, 1, channels]."""
        if not n_past:
            return x
        shape = (1, n_past, 1, n_channels)
        handle = self._variable(name, shape, scale)
        past = self.activation(f"{name}_past", shape, scale)
        self.main.operator("READ_VARIABLE", [handle], [past])
        joined = self.activation(f"{name}_joined", (1, n_past + self.stride, 1, n_channels), scale)
        self.main.operator("CONCATENATION", [past, x], [joined], axis=1, fusedActivationFunction=0)
        kept = self.last_frames(f"{name}_kept", joined, n_past + self.stride, n_past, n_channels, scale)
        self.main.operator("ASSIGN_VARIABLE", [handle, kept], [])
        return joined

    def last_frames(self, name: str, x: int, n_frames: int, n_last: int, n_channels: int, scale: Scale) -> int:
        y = self.activation(name, (1, n_last, 1, n_channels), scale)
        starts, ends = (0, n_frames - n_last, 0, 0), (1, n_frames, 1, n_channels)
        bounds = [self.integers(what, values) for what, values in (("from", starts), ("to", ends), ("by", (1, 1, 1, 1)))]
        self.main.operator("STRIDED_SLICE", [x, *bounds], [y])
        return y

    def _variable(self, name: str, shape: Sequence[int], scale: Scale) -> int:
        """Add a variable that is 0 before the first call. Returns its handle in the main graph."""
        handles = []
        for graph in (self.main, self.initial):
            handles.append(graph.tensor(name, (), "resource"))
            graph.operator("VAR_HANDLE", [], [handles[-1]], container="", sharedName=name)
        zeros = self.initial.constant(
            f"{name}_zeros", np.full(shape, scale.zero, np.int8), "int8", steps=(scale.step,), zero=scale.zero
        )
        self.initial.operator("ASSIGN_VARIABLE", [handles[1], zeros], [])
        return handles[0]

    def convolution(self, name: str, x: int, layer: Layer, kernel: int) -> int:
        """A convolution over `kernel` frames: weights [outputs, kernel, 1, inputs]."""
        n_outputs = layer.weights.shape[1]
        weights = layer.weights.reshape(kernel, 1, -1, n_outputs).transpose(3, 0, 1, 2)
        return self._weighted("CONV_2D", name, x, layer, weights, axis=0)

    def depthwise(self, name: str, x: int, layer: Layer) -> int:
        """A convolution over time of each channel: weights [1, taps, 1, channels]."""
        weights = layer.weights[None, :, None, :]
        return self._weighted("DEPTHWISE_CONV_2D", name, x, layer, weights, axis=3, depthMultiplier=1)

    def _weighted(self, operator: str, name: str, x: int, layer: Layer, weights: np.ndarray, *, axis: int, **options: int) -> int:
        steps = tuple(layer.steps.tolist())
        inputs = [
            x,
            self.main.constant(f"{name}_weights", weights, "int8", steps=steps, axis=axis),
            self.main.constant(f"{name}_bias", layer.bias, "int32"),
        ]
        y = self.activation(name, (1, self.stride, 1, layer.weights.shape[1]), layer.after)
        self.main.operator(
            operator, inputs, [y], padding=PADDING_VALID, strideW=1, strideH=1,
            fusedActivationFunction=RELU if layer.relu else 0, **options,
        )  # fmt: skip
        return y

    def mean(self, x: int, n_channels: int, n_frames: int, scale: Scale) -> int:
        """The mean of the last `n_frames` frames at the end of the call: [1, 1, 1, channels]."""
        joined = self.with_past("mean", x, n_channels, max(n_frames - self.stride, 0), scale)
        if n_frames < self.stride:
            joined = self.last_frames("mean_kept", joined, self.stride, n_frames, n_channels, scale)
        return self.pool("AVERAGE_POOL_2D", "mean", joined, n_frames, n_channels, scale)

    def pool(self, operator: str, name: str, x: int, n: int, n_channels: int, scale: Scale) -> int:
        y = self.activation(name, (1, 1, 1, n_channels), scale)
        self.main.operator(
            operator, [x], [y], padding=PADDING_VALID, strideW=1, strideH=1, filterWidth=1, filterHeight=n,
            fusedActivationFunction=0,
        )  # fmt: skip
        return y

    def scores(self, x: int, model: Quantized) -> int:
        """From the mean [1, channels] to the output."""
        layer = model.output
        n = layer.weights.shape[1]
        x = self.dense("logits", x, layer)
        if model.head == RIVALS:
            x = self.reshape("rivals", x, (1, n, 1, 1), LOGITS)
            x = self.pool("MAX_POOL_2D", "strongest", x, n, 1, LOGITS)
            x = self.reshape("strongest_row", x, (1, 1), LOGITS)
            minus = Layer(np.array([[-1]]), np.ones(1), np.zeros(1, np.int64), LOGITS, LOGITS, relu=False)
            x = self.dense("logit", x, minus)
        n = n if model.head == ALL else 1
        score = self.activation("score", (1, n), SCORES)
        if model.head == ALL:
            self.main.operator("SOFTMAX", [x], [score], beta=1.0)
        else:
            self.main.operator("LOGISTIC", [x], [score])
        output = self.activation("output", (1, n), Scale(SCORES.step, 0), "uint8")
        self.main.operator("QUANTIZE", [score], [output])
        return output

    def dense(self, name: str, x: int, layer: Layer) -> int:
        step = float(layer.steps[0])
        inputs = [
            x,
            self.main.constant(f"{name}_weights", layer.weights.T, "int8", steps=(step,)),
            self.main.constant(f"{name}_bias", layer.bias, "int32", steps=(layer.before.step * step,)),
        ]
        y = self.activation(name, (1, layer.weights.shape[1]), layer.after)
        self.main.operator("FULLY_CONNECTED", inputs, [y], fusedActivationFunction=0)
        return y
