"""The classic network of recordings: a second computation in numpy, what padding changes, its export, and its recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import python_speech_features
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.config import FeatureConfig, ModelConfig, RunConfig
from wordspot.errors import CardError, ConfigError
from wordspot.export.run import Exported, export_network
from wordspot.features import make_front_end
from wordspot.models import find_recipe, make_model
from wordspot.models.lstm import own_frames
from wordspot.models.recurrent_layers import Lstm
from wordspot.overrides import override
from wordspot.presets import FEATURES
from wordspot.runtime.detector import Classifier
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile import graph as onnx_walk
from wordspot.runtime.modelfile import shapes as onnx_shapes
from wordspot.runtime.modelfile.card import read_card, to_json
from wordspot.runtime.modelfile.schema import parse_card
from wordspot.runtime.modelfile.self_test import run_self_test

pytestmark = pytest.mark.slow

WINDOW, HOP, RATE = 551, 221, 22_050
SILENT = float(np.log(np.finfo(np.float64).eps))
Array = NDArray[Any]


def make(n_frames: int = 40, n_labels: int = 2, **options: Any) -> Any:
    """A network in evaluation whose answers differ, with biases that differ too."""
    torch.manual_seed(3)
    model = make_model(ModelConfig("lstm", options), n_frames, 13, n_labels)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.05)
        model.output.weight.mul_(4)
    return model.eval()


def features_of(n_frames: int, seed: int = 0) -> Tensor:
    """Features as a recording's: [n_frames, 13], coefficient 0 between 3 and 18."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 10, (n_frames, 13))
    values[:, 0] = rng.uniform(3, 18, n_frames)
    return torch.from_numpy(values.astype(np.float32))


def speech(n_samples: int, seed: int = 0) -> NDArray[np.int16]:
    """Noise whose loudness goes up and down, to the last sample."""
    rng = np.random.default_rng(seed)
    level = 2000 * (1.2 + np.sin(np.arange(n_samples) / 700))
    samples: NDArray[np.int16] = np.rint(level * rng.standard_normal(n_samples)).clip(-32768, 32767).astype(np.int16)
    samples[-1] = 500
    return samples


def psf_config(n_frames: int) -> FeatureConfig:
    """The classic's front end for so many frames: of windows of 551 samples, one each 221."""
    clip_ms = 1000 * (WINDOW + (n_frames - 1) * HOP + 0.01) / RATE
    config = dataclasses.replace(FEATURES["psf_mfcc"], clip_ms=clip_ms)
    assert (config.n_frames, config.clip_samples) == (n_frames, WINDOW + (n_frames - 1) * HOP)
    return config


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def by_hand(model: Any, own: Array, n_frames: int | None, scaling: str = "min_max") -> Array:
    """The logits for one recording's frames [n, 13], in float64; followed by zeros up to `n_frames` where that is given."""
    x = own.astype(np.float64)
    if scaling == "min_max":
        x = (x - x.min(axis=0)) / np.where(np.ptp(x, axis=0) > 0, np.ptp(x, axis=0), 1)
    elif scaling == "z_score":
        x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 1e-4, x.std(axis=0), 1)
    if n_frames:
        x = np.concatenate([x, np.zeros((n_frames - len(x), x.shape[1]))])
    for layer in model.layers:
        of_input, of_state, *biases = (weights.detach().double().numpy() for weights in layer.parameters())
        hidden, cell, given = np.zeros(layer.hidden_size), np.zeros(layer.hidden_size), []
        for frame in x:
            into, forget, new, out = np.split(of_input @ frame + of_state @ hidden + sum(biases), 4)
            cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(new)
            hidden = sigmoid(out) * np.tanh(cell)
            given.append(hidden)
        x = np.array(given)
    weight, bias = (weights.detach().double().numpy() for weights in model.output.parameters())
    logits = weight @ x[-1] + bias
    return np.append(logits, 0) if len(logits) == 1 else logits


def run(model: Any, features: Tensor) -> Array:
    with torch.no_grad():
        logits: Array = model(features).numpy()
    return logits


# --- the network -------------------------------------------------------------------------------------------------------


def test_the_classic_size() -> None:
    """Counted by hand: four gates over input and state with two sets of biases, and a sigmoid of 13 inputs."""
    model = make_model(ModelConfig("lstm"), 5000, 13, 2)
    layers = [4 * units * (n_in + units + 2) for n_in, units in ((13, 78), (78, 78), (78, 78), (78, 13))]
    assert sum(weights.numel() for weights in model.parameters()) == sum(layers) + 14


@pytest.mark.parametrize(("n_layers", "widths"), [(4, [52, 52, 52, 13]), (3, [52, 52, 13]), (2, [52, 13]), (1, [52])])
def test_the_widths(n_layers: int, widths: list[int]) -> None:
    assert [layer.hidden_size for layer in make(n_units=52, n_layers=n_layers).layers] == widths


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("n_layers", "scaling", "n_labels"),
    [(4, "min_max", 2), (3, "z_score", 2), (2, "none", 3), (1, "min_max", 2), (1, "z_score", 4)],
)
def test_it_is_its_definition(n_layers: int, scaling: str, n_labels: int, masked: bool) -> None:
    """Recordings of 40 (all frames), 25 and 1 frames in one batch; a coefficient that never changes is among them."""
    model = make(40, n_labels, n_layers=n_layers, n_units=20, masked=masked, scaling=scaling)
    sizes, batch = (40, 25, 1), torch.zeros(3, 40, 13)
    batch[..., 0] = SILENT
    for row, size in enumerate(sizes):
        heard = min(size + 2, 40)  # the last two hear the end in part, and do not count
        batch[row, :heard] = features_of(heard, seed=row)
        batch[row, :heard, 7] = 4.2
    given = run(model, batch)
    for row, size in enumerate(sizes):
        expected = by_hand(model, batch[row, :size].numpy(), None if masked else 40, scaling)
        # the scaling divides differences of float32 numbers up to 40, each known to some 4e-6
        np.testing.assert_allclose(given[row], expected, atol=3e-5)
    assert np.ptp(given[:, 0]) > 0.05
    assert given.shape == (3, n_labels)
    if n_labels == 2:
        assert not given[:, 1].any(), "softmax of (z, 0) is the sigmoid of z"


@pytest.mark.parametrize("masked", [True, False])
def test_from_samples_it_is_the_classic(masked: bool) -> None:
    """python_speech_features on int16, cut to the first frames, scaled, padded: of a short and of a longer recording."""
    n_frames = 60
    config, model = psf_config(n_frames), make(60, masked=masked)
    for n_own in (21, 60):
        samples = speech(WINDOW + (max(n_own, 21) - 1) * HOP + (0 if n_own < n_frames else 5000), seed=n_own)
        frames = python_speech_features.mfcc(
            samples, RATE, winlen=0.025, winstep=0.01, numcep=13, nfilt=26, nfft=2048, lowfreq=0, highfreq=RATE / 2
        )[:n_frames]
        assert len(frames) == n_own
        clip = np.zeros(config.clip_samples, np.float32)
        kept = samples[: len(clip)] / np.float32(32768)
        clip[: len(kept)] = kept
        given = run(model, make_front_end(config)(torch.from_numpy(clip)[None]))[0]
        expected = by_hand(model, frames, None if masked else n_frames)
        np.testing.assert_allclose(given, expected, atol=1e-3)  # the front end is exact to 2e-3 of coefficients of ±50


def test_own_frames() -> None:
    """Silence within a recording is its own; silence at its end is not, nor the two frames before."""
    energy = torch.full((5, 20), SILENT)
    energy[0] = 5
    energy[1, :12] = 5
    energy[2, [3, 4, 9]] = -0.7  # the faintest sound of 16 bits
    energy[3, 0] = 5
    lengths = own_frames(torch.stack([energy, *[torch.zeros(5, 20)] * 12], dim=2))
    assert lengths.tolist() == [20, 10, 8, 1, 1]


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    more=st.integers(3, 30),
    scaling=st.sampled_from(["min_max", "z_score", "none"]),
)
def test_masked_padding_changes_nothing(sizes: list[int], more: int, scaling: str) -> None:
    """Recordings of whole windows: however many zeros follow, and whatever stands beside them, each is judged as if alone."""
    model, n_frames = make(n_layers=2, n_units=8, scaling=scaling), max(sizes) + more
    config = psf_config(n_frames)
    front_end, clips, alone = make_front_end(config), torch.zeros(len(sizes), config.clip_samples), []
    for row, size in enumerate(sizes):
        sound = torch.from_numpy(speech(WINDOW + (size - 1) * HOP, seed=row)).float() / 32768
        clips[row, : len(sound)] = sound
        alone.append(run(model, front_end(sound[None]))[0])
    # the same frames; products of matrices of other shapes sum in another order
    np.testing.assert_allclose(run(model, front_end(clips)), np.array(alone), atol=1e-5)


def test_unmasked_padding_counts() -> None:
    model = make(80, n_layers=2, masked=False)
    clip = torch.zeros(1, psf_config(80).clip_samples)
    clip[0, :5000] = torch.from_numpy(speech(5000)).float() / 32768
    features = make_front_end(psf_config(80))(clip)
    assert abs(run(model, features)[0, 0] - run(model, features[:, :60])[0, 0]) > 1e-4
    masked = make(80, n_layers=2)
    np.testing.assert_allclose(run(masked, features), run(masked, features[:, :60]), atol=1e-6)


@pytest.mark.parametrize("scaling", ["min_max", "z_score", "none"])
def test_silence_has_finite_logits(scaling: str) -> None:
    features = make_front_end(psf_config(20))(torch.zeros(2, psf_config(20).clip_samples))
    assert np.isfinite(run(make(20, scaling=scaling), features)).all()


@pytest.mark.parametrize("scaling", ["min_max", "z_score"])
def test_scaling_cancels_level(scaling: str) -> None:
    """A recording at a quarter of its level (exactly so in floats) is judged the same."""
    front_end, model = make_front_end(psf_config(30)), make(30, scaling=scaling)
    sound = torch.from_numpy(speech(psf_config(30).clip_samples)).float()[None] / 32768
    np.testing.assert_allclose(run(model, front_end(sound / 4)), run(model, front_end(sound)), atol=1e-4)


def test_it_learns() -> None:
    """Two classes that differ in how fast coefficient 1 changes, with the classic's loss and optimiser."""
    model = make_model(ModelConfig("lstm", {"n_units": 16, "n_layers": 2}), 40, 13, 2)
    batch, truth = torch.stack([features_of(40, seed) for seed in range(16)]), torch.arange(16) % 2
    for row in range(16):
        batch[row, :, 1] = 10 * torch.sin(torch.arange(40) * (0.3 if truth[row] else 1.0) + row)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0), []
    for _ in range(60):
        loss = (model(batch).softmax(dim=1)[:, 0] - (truth == 0).float()).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.2
    assert losses[-1] < 0.02


@pytest.mark.parametrize(
    ("n_labels", "options", "message"),
    [
        (1, {}, "at least 2 labels, 1 layer and 1 unit are needed, got 1, 4 and 78"),
        (2, {"n_layers": 0}, "got 2, 0 and 78"),
        (2, {"n_units": 0}, "got 2, 4 and 0"),
        (2, {"scaling": "max"}, "scaling must be one of min_max, z_score, none, got 'max'"),
    ],
)
def test_refusals(n_labels: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_model(ModelConfig("lstm", options), 40, 13, n_labels)


# --- the layer ---------------------------------------------------------------------------------------------------------


def test_the_layer_is_torchs() -> None:
    """Values and gradients, also of the input, and the output at each sequence's end."""
    torch.manual_seed(1)
    layer, x, lengths = Lstm(5, 7), torch.randn(30, 3, 5, requires_grad=True), torch.tensor([30, 4, 17])
    y, last = layer.run(x, lengths)
    expected, _ = nn.LSTM.forward(layer, x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, torch.stack([expected[29, 0], expected[3, 1], expected[16, 2]]))
    torch.testing.assert_close(layer.run(x)[1], expected[29])
    wanted = (x, *layer.parameters())
    given = torch.autograd.grad(last.square().sum(), wanted)
    ends = expected[lengths - 1, torch.arange(3)]
    for one, other in zip(given, torch.autograd.grad(ends.square().sum(), wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_features_of_another_width_are_rejected() -> None:
    """torch itself would read beyond them."""
    with pytest.raises((RuntimeError, ValueError), match=r"[Ee]xpected 3, got 5"):
        Lstm(3, 4).run(torch.randn(6, 2, 5))


def is_flushing() -> bool:
    return float(torch.full((), 1e-40) * 0.5) == 0


@pytest.fixture
def _settings() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(n_threads)


@pytest.mark.usefixtures("_settings")
@pytest.mark.parametrize("was_flushing", [False, True])
def test_it_runs_on_one_core_without_the_smallest_numbers(was_flushing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward; what was set before is set after, an error included."""
    seen: list[tuple[int, bool]] = []
    run_lstm = torch.lstm
    run_grad = torch.autograd.grad

    def watch(function: Any) -> Any:
        def wrapped(*args: Any) -> Any:
            seen.append((torch.get_num_threads(), is_flushing()))
            return function(*args)

        return wrapped

    monkeypatch.setattr(torch, "lstm", watch(run_lstm))
    monkeypatch.setattr(torch.autograd, "grad", watch(run_grad))
    torch.set_num_threads(2)
    torch.set_flush_denormal(was_flushing)
    layer = Lstm(3, 4)
    layer.run(torch.randn(6, 2, 3))[1].sum().backward()
    assert seen == [(1, True)] * 2
    monkeypatch.setattr(torch, "lstm", watch(lambda *args: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        layer.run(torch.randn(6, 2, 3))
    assert seen[2:] == [(1, True)]
    assert (torch.get_num_threads(), is_flushing()) == (2, was_flushing)


def test_a_gradient_that_fades_ends_in_zeros() -> None:
    """Not in numbers too small for fast arithmetic: over 2000 frames it reaches zero."""
    layer, x = Lstm(3, 4), torch.randn(2000, 1, 3, requires_grad=True)
    layer.run(x)[1].sum().backward()
    assert x.grad is not None
    sizes = x.grad.abs().amax(dim=(1, 2))
    assert not sizes[:100].any()
    assert sizes[-1] > 1e-4
    assert not ((x.grad != 0) & (x.grad.abs() < torch.finfo(torch.float32).tiny)).any()


# --- the exported file -------------------------------------------------------------------------------------------------


CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "500 frames": (500, {}),
    "two layers, z-score": (50, {"n_layers": 2, "n_units": 26, "scaling": "z_score"}),
    "unmasked, one layer": (50, {"n_layers": 1, "masked": False}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Exported, Any, RunConfig]:
    n_frames, options = CASES[request.param]
    network, config = make(n_frames, **options), config_of(n_frames, **options)
    return export_network(network, config, int8=True), network, config


def config_of(n_frames: int, **options: Any) -> RunConfig:
    config = RunConfig(("real", "synthetic"), task="recordings", features=psf_config(n_frames))
    model = ModelConfig("lstm", options)
    return override(dataclasses.replace(config, model=model), {"recordings.whole": True})


def test_exported_it_is_torchs(case: tuple[Exported, Any, RunConfig]) -> None:
    exported, network, config = case
    card = read_card(exported.model)
    assert exported.difference < 1e-4
    assert (card.kind, card.labels) == ("clip", ("real", "synthetic"))
    assert (card.config["model"]["name"], card.config["recordings"]["whole"]) == ("lstm", True)
    assert run_self_test(open_model(exported.model).session, card).passed
    classifier, front_end = Classifier(exported.model), make_front_end(config.features)
    sizes = (card.clip_samples, card.clip_samples // 2, 3000, 600, 40, 1)
    clips = torch.zeros(len(sizes), card.clip_samples)
    for row, size in enumerate(sizes):
        clips[row, :size] = torch.from_numpy(speech(size, seed=row)).float() / 32768
    with torch.no_grad():
        expected = network(front_end(clips)).softmax(dim=1).numpy()
    np.testing.assert_allclose(classifier.classify(clips.numpy()), expected, atol=1e-4)
    for row, size in enumerate(sizes):
        np.testing.assert_allclose(classifier.classify(clips[row, :size].numpy())[0], expected[row], atol=1e-4)
    assert np.ptp(expected[:, 0]) > 0.01


def test_each_layer_is_one_operator(case: tuple[Exported, Any, RunConfig]) -> None:
    exported, network, _ = case
    kinds = [node.op_type for node in onnx.load_from_string(exported.model).graph.node]
    assert kinds.count("LSTM") == len(network.layers)
    assert not {"Shape", "Range", "Expand", "ConstantOfShape", "Loop"} & set(kinds)


def test_its_multiplications_are_counted(case: tuple[Exported, Any, RunConfig]) -> None:
    """By hand: the DFT, the mel channels, four gates over input and state at every frame, the cosines, the answer."""
    exported, network, config = case
    n = config.features.n_frames
    layers = sum(4 * layer.hidden_size * (layer.input_size + layer.hidden_size) for layer in network.layers)
    expected = n * (2050 * 551 + 26 * 2050 + layers + 27 * 13) + network.output.in_features
    walked = onnx_walk.walk(exported.model)
    assert onnx_shapes.infer_shapes(walked, {"audio": (1, config.features.clip_samples)}).products == expected


def of_lstm(position: int, name: str) -> Any:
    def change(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
        node.input[position] = name or node.input[position - 1]

    return change


def set_hidden_size(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    next(attribute for attribute in node.attribute if attribute.name == "hidden_size").i = 1 << 20


def add_state(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    node.input.append("audio")


@pytest.mark.parametrize(
    "change",
    [set_hidden_size, of_lstm(2, ""), of_lstm(3, ""), of_lstm(4, ""), of_lstm(4, "audio"), add_state],
    ids=["another width", "no weights of the state", "no biases", "biases as lengths", "sound as lengths", "a state"],
)
def test_an_lstm_whose_inputs_do_not_fit_is_rejected(change: Any) -> None:
    model = onnx.load_from_string(small_file())
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    change(model.graph, node)
    with pytest.raises(CardError, match="LSTM has inputs or attributes that wordspot does not use"):
        read_card(model.SerializeToString())


_small: list[bytes] = []


def small_file() -> bytes:
    if not _small:
        options = {"n_layers": 1, "n_units": 4}
        _small.append(export_network(make(10, **options), config_of(10, **options)).model)
    return _small[0]


def test_lengths_beyond_the_frames_reach_no_memory() -> None:
    """No shape tells what lengths a graph computes; onnxruntime looks at each."""
    model = onnx.load_from_string(small_file())
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    made = next(maker for maker in model.graph.node if node.input[4] in maker.output)
    factor = onnx.numpy_helper.from_array(np.array(1000, np.int32), "factor")
    model.graph.initializer.append(factor)
    place = list(model.graph.node).index(made) + 1
    model.graph.node.insert(place, onnx.helper.make_node("Mul", [node.input[4], "factor"], ["beyond"]))
    node.input[4] = "beyond"
    data = model.SerializeToString()
    assert read_card(data).kind == "clip"
    with pytest.raises(CardError, match="sequence_lens"):
        open_model(data)


def test_a_longer_file_than_any_is_rejected() -> None:
    """20,000 frames of the classic: no such file is written."""
    with pytest.raises(CardError, match="clip_samples is 4420331; expected 1 to 2097152"):
        parse_card(json.dumps({**to_json(read_card(small_file())), "clip_samples": WINDOW + 19_999 * HOP + 1}))


def test_8_bits(case: tuple[Exported, Any, RunConfig]) -> None:
    """The layers' weights take a byte each, not four."""
    exported, network, _ = case
    assert exported.int8 is not None
    assert run_self_test(open_model(exported.int8).session, read_card(exported.int8)).passed
    n_weights = sum(layer.weight_ih_l0.numel() + layer.weight_hh_l0.numel() for layer in network.layers)
    n_factors = sum(2 * 4 * layer.hidden_size for layer in network.layers)
    assert len(exported.model) - len(exported.int8) == pytest.approx(3 * n_weights - 4 * n_factors, abs=1000)


# --- the recipe --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "masked"), [("classic", False), ("default", True)])
def test_the_recipe_is_the_classics(name: str, masked: bool) -> None:
    recipe = find_recipe("lstm", name)
    features = FEATURES[recipe.pop("features")]
    config = RunConfig(("real", "synthetic"), task="recordings", features=features, model=ModelConfig("lstm"))
    config = override(config, recipe)
    front, training, augment = config.features, config.training, config.augment
    assert (front.kind, front.sample_rate, front.n_frames) == ("psf_mfcc", 22_050, 5000)
    assert (front.window_samples, front.hop_samples, front.n_fft) == (WINDOW, HOP, 2048)
    assert (front.n_coefficients, front.n_mels, front.low_hz, front.high_hz) == (13, 26, 0, 11_025)
    assert config.recordings.whole
    assert (training.loss, training.optimizer, training.weight_decay) == ("squared_error", "adamw", 0)
    assert (training.steps, training.learning_rates, training.schedule) == ((600,), (0.001,), "constant")
    assert (training.batch_size, training.evaluate_every, training.save_every) == (20, 100, 100)
    assert training.label_smoothing == training.warmup_steps == 0
    assert (augment.time_shift_ms, augment.background_volume, augment.background_frequency) == (0, 0, 0)
    assert (augment.gain_db, augment.speed, augment.time_masks, augment.frequency_masks) == (0, 0, 0, 0)
    model: Any = make_model(config.model, front.n_frames, front.n_features, 2)
    assert [layer.hidden_size for layer in model.layers] == [78, 78, 78, 13]
    assert (model.masked, model.scaling) == (masked, "min_max")
