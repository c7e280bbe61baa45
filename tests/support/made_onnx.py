"""Models small enough to compute by hand: their score is the mean of the last samples.

With m the mean of the clip that ends at a row: a = max(m, 0), b = max(-m, 0), silence the rest, each squeezed into
0.01 to 0.97 so that no logarithm is infinite. A constant sound of 0.5 is an "a" of 0.49, one of -0.5 a "b".
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from wordspot.config import DecoderConfig, RunConfig
from wordspot.overrides import to_json
from wordspot.runtime.modelfile.card import Card, SelfTest, State, self_test_signal, with_card

RATE, STEP = 16_000, 160
LABELS = ("_silence_", "_unknown_", "a", "b")


def hand_scores(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores [n, 4] for the clips' means [n]."""
    a, b = np.maximum(means, 0), np.maximum(-means, 0)
    return np.stack([1 - a - b, np.zeros_like(a), a, b], axis=1) * 0.96 + 0.01


def made_model(kind: str = "stream", clip_samples: int = RATE, **changes: Any) -> bytes:
    """A whole exported file; `changes` replace fields of its card."""
    graph = stream_graph(clip_samples) if kind == "stream" else clip_graph(clip_samples)
    return with_card(graph, dataclasses.replace(made_card(kind, clip_samples), **changes))


def made_card(kind: str = "stream", clip_samples: int = RATE) -> Card:
    """Its card, with a self-test computed by hand."""
    n_samples = clip_samples + 20 * STEP
    ends = (clip_samples, clip_samples + 20 * STEP)
    tones = ((40_000, 3), (90_000, 0))
    test = SelfTest(n_samples, 1, tones, ends, ((0.0,) * 4,) * 2)
    signal = self_test_signal(test).astype(np.float64)
    means = np.array([signal[end - clip_samples : end].mean() for end in ends])
    rows = tuple(tuple(row) for row in np.log(hand_scores(means)).tolist())
    is_stream = kind == "stream"
    return Card(
        kind=kind,
        labels=LABELS,
        sample_rate=RATE,
        clip_samples=clip_samples,
        step_samples=STEP if is_stream else 0,
        states=(State("mean_state", (1, 1, clip_samples // STEP - 1)),) if is_stream else (),
        decoder=DecoderConfig(average_ms=50, threshold=0.4),
        self_test=dataclasses.replace(test, log_posteriors=rows),
        config=to_json(RunConfig(words=LABELS[2:])),
        data={"name": "nothing"},
        wordspot_version="0",
    )


def stream_graph(clip_samples: int = RATE) -> bytes:
    """audio [1, step * k], mean_state [1, 1, clip/step - 1] → scores [1, k, 4], new_mean_state."""
    n_frames = clip_samples // STEP
    nodes = [
        helper.make_node("Reshape", ["audio", "to_hops"], ["hops"]),
        helper.make_node("ReduceMean", ["hops", "axis_2"], ["hop_means"], keepdims=0),
        helper.make_node("Unsqueeze", ["hop_means", "axis_1"], ["frames"]),
        helper.make_node("Concat", ["mean_state", "frames"], ["joined"], axis=2),
        helper.make_node("Slice", ["joined", "from", "to", "axis_2"], ["new_mean_state"]),
        helper.make_node("AveragePool", ["joined"], ["mean"], kernel_shape=[n_frames], strides=[1]),
        *_scores("mean", 1, "stacked"),
        helper.make_node("Transpose", ["stacked"], ["scores"], perm=[0, 2, 1]),
    ]
    constants = {
        "to_hops": np.array([1, -1, STEP], np.int64),
        "axis_1": np.array([1], np.int64),
        "axis_2": np.array([2], np.int64),
        "from": np.array([-(n_frames - 1)], np.int64),
        "to": np.array([2**62], np.int64),
    }
    state = [1, 1, n_frames - 1]
    return _model(
        nodes,
        constants,
        [_value("audio", [1, f"{STEP}*blocks"]), _value("mean_state", state)],
        [_value("scores", [1, "blocks", len(LABELS)]), _value("new_mean_state", state)],
    )


def clip_graph(clip_samples: int = RATE) -> bytes:
    """audio [n, clip] → scores [n, 4]."""
    nodes = [
        helper.make_node("ReduceMean", ["audio", "axis_1"], ["mean"], keepdims=1),
        *_scores("mean", 1, "scores"),
    ]
    constants = {"axis_1": np.array([1], np.int64)}
    return _model(nodes, constants, [_value("audio", ["n", clip_samples])], [_value("scores", ["n", len(LABELS)])])


def _scores(mean: str, axis: int, out: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Relu", [mean], ["a"]),
        helper.make_node("Neg", [mean], ["minus"]),
        helper.make_node("Relu", ["minus"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["spoken"]),
        helper.make_node("Sub", ["one", "spoken"], ["quiet"]),
        helper.make_node("Mul", [mean, "zero"], ["unknown"]),
        helper.make_node("Concat", ["quiet", "unknown", "a", "b"], ["raw"], axis=axis),
        helper.make_node("Mul", ["raw", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "floor"], [out]),
    ]


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[np.int64]],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> bytes:
    numbers = {"one": 1.0, "zero": 0.0, "scale": 0.96, "floor": 0.01}
    initializers = [numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()]
    initializers += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
