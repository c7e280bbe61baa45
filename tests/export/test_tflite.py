"""TensorFlow Lite files: the schema, the arithmetic, and that the interpreter of devices gives what numpy predicts."""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from support.made_tflite import made_features, make_network, micro_runtime, run_on_device
from wordspot.errors import ExportError
from wordspot.export.tflite import fixed, schema
from wordspot.export.tflite.flatbuffer import write_model
from wordspot.export.tflite.graph import ESPHOME_OPERATORS, build_graphs
from wordspot.export.tflite.heads import find_word, scores_of, with_head
from wordspot.export.tflite.making import MICRO_FEATURES, arena_bytes
from wordspot.export.tflite.network import float_activations, read_network
from wordspot.export.tflite.quantized import Quantized, quantize, quantized_scores
from wordspot.runtime.modelfile.engine.model import Product

LABELS = ("_silence_", "_unknown_", "yes", "no", "go")


def quantized_of(name: str, n_labels: int, word: str | None, **options: Any) -> Quantized:
    labels = ("_silence_", "yes") if n_labels == 2 else LABELS[:n_labels]
    network, features = read_network(make_network(name, n_labels, **options), name), MICRO_FEATURES.numbers(made_features(400))
    usual = float_activations(network, features)["logits"].mean(axis=0)  # without it, one label would always win
    network = dataclasses.replace(network, output=Product(network.output.weights, network.output.bias - usual))
    network, head = with_head(network, labels, word)
    return quantize(network, MICRO_FEATURES, [features], head)


class Recorder:
    """A builder that notes which field a function of the official schema writes."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda field, *_: self.written.append((name, field))


def test_the_schema_is_the_official_one() -> None:
    micro_runtime()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official = importlib.import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")
    for name, (number, _, options, table) in schema.OPERATORS.items():
        assert getattr(official.BuiltinOperator, name) == number
        assert not table or getattr(official.BuiltinOptions, table) == options
    for name, number in schema.TYPES.items():
        assert getattr(official.TensorType, name.upper()) == number
    assert (official.Padding.VALID, official.ActivationFunctionType.RELU) == (schema.PADDING_VALID, schema.RELU)
    for table, fields in schema.TABLES.items():
        for name, (number, kind) in fields.items():
            recorder = Recorder()
            getattr(official, f"{table}Add{name[0].upper()}{name[1:]}")(recorder, 0)
            method = "PrependUOffsetTRelativeSlot" if kind == "ref" else f"Prepend{kind.capitalize()}Slot"
            assert recorder.written == [(method, number)], (table, name)


def test_rescaling_rounds_as_the_device_does() -> None:
    """Cases by hand: a half is 2**30 with no shift, a quarter 2**30 with one to the right."""
    assert fixed.fixed_multiplier(0.5) == (1 << 30, 0)
    assert fixed.fixed_multiplier(0.25) == (1 << 30, -1)
    assert fixed.fixed_multiplier(3.0) == (3 << 29, 2)
    assert fixed.fixed_multiplier(0.0) == (0, 0)
    assert fixed.rescale(np.array([[7, -7, 6, -5]]), 0.5).tolist() == [[4, -3, 3, -2]]  # halves upward
    assert fixed.rescale(np.array([[10, -10, 9]]), 0.25).tolist() == [[3, -3, 3]]  # 5 and -5, then halves away from zero
    assert fixed.mean(np.array([5, -5, 7, -7, 6]), 4).tolist() == [1, -1, 2, -2, 2]
    assert fixed.scale_of(0.0, 255.0) == fixed.Scale(1.0, -128)
    assert fixed.scale_of(-1.0, 1.0).zero == 0 or fixed.scale_of(-1.0, 1.0).zero == -1


def test_esphome_and_pymicro_wakeword_round_features_alike() -> None:
    """A device computes (256 v + 333) div 666 - 128; pymicro-wakeword divides the feature by the input's scale and rounds."""
    units = np.arange(680)
    device = ((256 * units + 333) // 666 - 128).clip(-128, 127)
    scale = np.float32(MICRO_FEATURES.step)
    features = (units * 0.0390625).astype(np.float32)
    assert np.array_equal(np.round(features / scale + np.float32(-128)).clip(-128, 127), device)


@pytest.mark.parametrize(("name", "n_labels"), [("trigger_1d", 2), ("residual_1d", 5)])
def test_the_arrays_give_what_torch_gives(name: str, n_labels: int) -> None:
    module: Any = make_network(name, n_labels, n_channels=16)
    features = MICRO_FEATURES.numbers(made_features(300))
    batch = torch.from_numpy(features[None]).float()
    expected = module(batch) if name == "trigger_1d" else module.step(batch, module.initial_state(1))[0]
    given = float_activations(read_network(module, name), features)["logits"]
    assert np.abs(given - expected[0].numpy()).max() < 1e-4  # float32 against float64


def test_the_head_of_one_word() -> None:
    """With two labels the posterior itself; with more, the posterior against the strongest of the others."""
    logits = np.random.default_rng(0).normal(size=(50, 5)) * 3
    network = read_network(make_network("residual_1d", 5, n_channels=8), "residual_1d")
    mean = np.random.default_rng(1).normal(size=(50, 8))
    for labels, n in ((LABELS, 5), (("_silence_", "yes"), 2)):
        part = network.output.weights[:, :n], network.output.bias[:n]
        cut = type(network.output)(*part)
        small = type(network)(network.stem, network.blocks, network.pool, cut, 40)
        headed, head = with_head(small, labels, "yes")
        logits = mean @ cut.weights + cut.bias
        powers = np.exp(logits)
        at = labels.index("yes")
        rivals = np.delete(powers, at, axis=1).max(axis=1)
        given = scores_of(mean @ headed.output.weights + headed.output.bias, head)[:, 0]
        assert np.allclose(given, powers[:, at] / (powers[:, at] + rivals))


@pytest.mark.parametrize("stride", [1, 2, 3, 16])
@pytest.mark.parametrize(
    ("name", "n_labels", "word", "options"),
    [
        ("trigger_1d", 2, "yes", {"n_channels": 16}),
        ("residual_1d", 5, "go", {"n_channels": 16, "dilations": "1,1,2,4,8"}),
        ("residual_1d", 5, None, {"n_channels": 12, "dilations": "1,3"}),
        ("trigger_1d", 2, "yes", {"n_channels": 8, "dilations": "1", "window_frames": 12}),  # a mean of two frames
    ],
)
def test_the_interpreter_gives_what_numpy_predicts(
    name: str, n_labels: int, word: str | None, options: dict[str, Any], stride: int
) -> None:
    """To the bit, but for the sigmoid, which the device computes in fixed point: it may be 1/256 off."""
    model = quantized_of(name, n_labels, word, **options)
    graphs = build_graphs(model, stride)
    features = made_features(320, seed=5)
    given = run_on_device(write_model(graphs, "test"), features, stride, arena_bytes(graphs))
    expected = quantized_scores(model, features, stride)
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() <= 1
    assert len(np.unique(given)) > 3
    if word is not None:
        assert {operator.name for graph in graphs for operator in graph.operators} <= ESPHOME_OPERATORS


def test_8_bits_are_close_to_floats() -> None:
    module = make_network("trigger_1d", 2, n_channels=32)
    network, head = with_head(read_network(module, "trigger_1d"), ("_silence_", "yes"), "yes")
    ints = made_features(600, seed=2)
    model = quantize(network, MICRO_FEATURES, [MICRO_FEATURES.numbers(made_features(600))], head)
    exact = scores_of(float_activations(network, MICRO_FEATURES.numbers(ints))["logits"], head)
    apart = np.abs(exact - quantized_scores(model, ints, 1) / 256)
    assert apart.mean() < 0.02
    assert apart.max() < 0.25


def test_the_size_of_a_file_of_the_usual_width() -> None:
    content = write_model(build_graphs(quantized_of("trigger_1d", 2, "yes", n_channels=48), 3), "test")
    assert 70_000 < len(content) <= 100_000
    assert content[4:8] == b"TFL3"


def test_other_networks_are_rejected() -> None:
    local = make_network("residual_1d", 2, n_channels=8, n_local=4)
    with pytest.raises(ExportError, match=r"local patterns \(model.n_local\) cannot be written as TensorFlow Lite"):
        read_network(local, "residual_1d")
    with pytest.raises(ExportError, match=r"only the networks residual_1d and trigger_1d .* this one is gru"):
        read_network(torch.nn.Linear(2, 2), "gru")


def test_the_word_must_be_known() -> None:
    assert find_word(("_silence_", "yes"), None) == "yes"
    assert find_word(LABELS, "no") == "no"
    with pytest.raises(ExportError, match="one word, but this model knows yes, no, go; name one with `word`"):
        find_word(LABELS, None)
    with pytest.raises(ExportError, match="does not know the word 'stop'; it knows yes, no, go"):
        find_word(LABELS, "stop")
