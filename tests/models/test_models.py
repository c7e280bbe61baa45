"""The classic networks against the published counts and a second computation in numpy; networks of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.config import ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.models import MODELS, find_constructor, find_recipe, make_model
from wordspot.models.layers import Svdf
from wordspot.overrides import override
from wordspot.presets import FEATURES

# name: (parameters at 98 frames, multiplications at 98 frames, parameters at 49 frames), for 40 features, 12 labels
TABLE = {
    "single_fc": (47_052, 47_040, 23_532),
    "conv": (926_860, 201_456_640, 558_220),
    "low_latency_conv": (949_862, 5_615_776, 876_950),
    "low_latency_svdf": (751_372, 10_682_368, 625_932),
    "tiny_conv": (94_740, 721_280, 48_660),
    "tiny_embedding_conv": (7_804, 736_736, 6_940),
}
N_DROPOUTS = {"single_fc": 0, "conv": 2, "low_latency_conv": 3, "low_latency_svdf": 3, "tiny_conv": 1, "tiny_embedding_conv": 2}


def make(name: str, n_frames: int = 98, n_features: int = 40, n_labels: int = 12, **options: Any) -> nn.Module:
    return make_model(ModelConfig(name, options), n_frames, n_features, n_labels)


def with_large_weights(model: nn.Module) -> nn.Module:
    """Weights and biases that keep activations near 1, so that every part of the network shows in its answer."""
    generator = torch.Generator().manual_seed(3)
    for weights in model.parameters():
        fan_in = weights[0].numel() if weights.dim() > 1 else 4
        nn.init.normal_(weights, std=fan_in**-0.5, generator=generator)
    return model.eval().requires_grad_(False)


def random_features(batch: int, n_frames: int, n_features: int = 40) -> torch.Tensor:
    return torch.randn(batch, n_frames, n_features, generator=torch.Generator().manual_seed(5))


# --- counts ------------------------------------------------------------------------------------------------------------


def test_the_classic_six_are_here() -> None:
    assert list(MODELS)[3:9] == list(TABLE)
    assert MODELS.keys() - TABLE.keys() == {
        "residual_1d",
        "bcresnet",
        "gru",
        "trigger_1d",
        "trigger_gru",
        "pooled_conv",
        "statistics",
        "lstm",
    }


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("n_frames", [98, 49])
def test_parameter_counts_are_the_published_ones(name: str, n_frames: int) -> None:
    expected = TABLE[name][0 if n_frames == 98 else 2]
    assert sum(weights.numel() for weights in make(name, n_frames).parameters()) == expected


@pytest.mark.parametrize("name", TABLE)
def test_multiplications_are_the_published_ones(name: str) -> None:
    model, counts = make(name), []

    def count(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            counts.append(output.numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counts.append(layer.weight.numel())
        elif isinstance(layer, Svdf):  # as it is defined: every filter on every frame, then over time
            counts.append(inputs[0].shape[1] * layer.frequency.numel() + layer.time.numel())

    for layer in model.modules():
        layer.register_forward_hook(count)
    assert model(torch.zeros(1, 98, 40)).shape == (1, 12)
    assert sum(counts) == TABLE[name][1]


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("n_frames", "n_features", "n_labels"), [(61, 13, 3), (32, 43, 5), (7, 8, 4)])
def test_sizes_follow_the_features(name: str, n_frames: int, n_features: int, n_labels: int) -> None:
    model = make(name, n_frames, n_features, n_labels).eval()
    assert model(random_features(2, n_frames, n_features)).shape == (2, n_labels)


# --- a second computation ----------------------------------------------------------------------------------------------


def array(weights: torch.Tensor) -> NDArray:
    return weights.double().numpy()


def convolve(x: NDArray, layer: Any, stride: int, time_pads: tuple[int, int], frequency_pads: tuple[int, int]) -> NDArray:
    """x: [time, frequency, channels in], padded by these zeros → [time, frequency, channels out], after ReLU."""
    kernel = array(layer.weight)  # [out, in, time, frequency]
    padded = np.pad(x, (time_pads, frequency_pads, (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(0, 1))[::stride, ::stride]
    return np.maximum(np.tensordot(patches, kernel, axes=([2, 3, 4], [1, 2, 3])) + array(layer.bias), 0)


def max_pool(x: NDArray) -> NDArray:
    """Largest of each 2 x 2 in [time, frequency, channels]; at an odd end, of those that are there."""
    rows = [x[t : t + 2].max(axis=0) for t in range(0, len(x), 2)]
    return np.stack([np.stack([row[f : f + 2].max(axis=0) for f in range(0, len(row), 2)]) for row in rows])


def dense(x: NDArray, layer: Any) -> NDArray:
    """[time, frequency, channels], flattened in this order, through a linear layer."""
    return array(layer.weight) @ x.reshape(-1) + array(layer.bias)


def layers_of(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def conv_in_numpy(model: nn.Module, x: NDArray) -> NDArray:
    first, second, output = layers_of(model)
    pooled = max_pool(convolve(x, first, 1, (9, 10), (3, 4)))
    return dense(convolve(pooled, second, 1, (4, 5), (1, 2)), output)


def low_latency_conv_in_numpy(model: nn.Module, x: NDArray) -> NDArray:
    first, *head = layers_of(model)
    assert len(head) == 3
    x = convolve(x, first, 1, (0, 0), (0, 0))
    assert x.shape == (1, 33, 186)
    for layer in head:
        x = dense(x, layer)
    return x


def tiny_conv_in_numpy(model: nn.Module, x: NDArray) -> NDArray:
    first, output = layers_of(model)
    return dense(convolve(x, first, 2, (4, 5) if len(x) == 49 else (4, 4), (3, 3)), output)


def tiny_embedding_conv_in_numpy(model: nn.Module, x: NDArray) -> NDArray:
    first, second, output = layers_of(model)
    x = convolve(x, first, 2, (4, 5) if len(x) == 49 else (4, 4), (3, 3))
    return dense(convolve(x, second, 8, (4, 5), (2, 2)), output)


def low_latency_svdf_in_numpy(model: Any, x: NDArray) -> NDArray:
    filtered = x[:, :, 0] @ array(model.svdf.frequency)
    over_time = (filtered * array(model.svdf.time).T).sum(axis=0)
    x = np.maximum(over_time[0::2] + over_time[1::2] + array(model.svdf.bias), 0)
    first, second, third = layers_of(model)
    return dense(dense(dense(x, first), second), third)


IN_NUMPY = {
    "single_fc": lambda model, x: dense(x, layers_of(model)[0]),
    "conv": conv_in_numpy,
    "low_latency_conv": low_latency_conv_in_numpy,
    "low_latency_svdf": low_latency_svdf_in_numpy,
    "tiny_conv": tiny_conv_in_numpy,
    "tiny_embedding_conv": tiny_embedding_conv_in_numpy,
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("n_frames", [98, 49])
def test_each_network_is_its_definition(name: str, n_frames: int) -> None:
    """Convolutions, their padding, the order of flattening, and where a ReLU stands and where not."""
    model = with_large_weights(make(name, n_frames))
    features = random_features(2, n_frames)
    expected = np.stack([IN_NUMPY[name](model, clip[:, :, None]) for clip in array(features)])
    assert np.abs(expected).max() > 0.3
    # float32 sums of up to 32,000 products of a total size near 1
    np.testing.assert_allclose(model(features).numpy(), expected, atol=5e-5)


# --- the first weights, dropout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_first_weights_are_a_normal_distribution_cut_at_two_sigma(name: str) -> None:
    sigma = 0.001 if name == "single_fc" else 0.01
    torch.manual_seed(1)
    for key, weights in make(name).named_parameters():
        values = weights.detach().numpy().ravel()
        if key.endswith("bias"):
            assert not values.any(), key
            continue
        assert np.abs(values).max() <= 2 * sigma * (1 + 1e-6), key
        assert values.std() == pytest.approx(0.8796 * sigma, rel=0.1 if values.size < 2000 else 0.03), key
        part = values[:2000] / sigma
        assert scipy.stats.kstest(part, scipy.stats.truncnorm(-2, 2).cdf).pvalue > 1e-4, key


def test_first_weights_follow_the_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(make("tiny_conv").parameters()).detach()

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


@pytest.mark.parametrize("name", TABLE)
def test_dropout_works_in_training_and_rests_in_evaluation(name: str) -> None:
    model = with_large_weights(make(name, 49))
    kept: list[float] = []

    def watch(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        there = inputs[0] != 0
        kept.append(float((output[there] != 0).float().mean()))
        factor = 2.0 if layer.training else 1.0
        heard = output != 0
        torch.testing.assert_close(output[heard], inputs[0][heard] * factor, rtol=1e-6, atol=0)

    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(watch)
    features = random_features(8, 49)
    torch.manual_seed(0)
    assert torch.equal(model(features), model(features))
    assert kept == [1.0] * 2 * N_DROPOUTS[name]
    kept.clear()
    model.train()
    assert torch.equal(model(features), model(features)) == (N_DROPOUTS[name] == 0)
    assert len(kept) == 2 * N_DROPOUTS[name]
    assert kept == pytest.approx([0.5] * len(kept), abs=0.08)  # of at least 1,000 values: five sigma


def test_dropout_is_an_option() -> None:
    for name in set(TABLE) - {"single_fc"}:
        model = make(name, 20, 10, dropout=0.25)
        assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.25] * N_DROPOUTS[name]


# --- streaming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_svdf_stream_is_the_network_on_each_clip(chunk: int) -> None:
    model: Any = with_large_weights(make("low_latency_svdf", 49, n_units=64, rank=2))
    stream = random_features(2, 150)
    heard_before = nn.functional.pad(stream, (0, 0, 48, 0))
    whole = torch.stack([model(heard_before[:, end : end + 49]) for end in range(150)], dim=1)
    state, parts = model.initial_state(2), []
    for frames in stream.split(chunk, dim=1):
        logits, state = model.step(frames, state)
        parts.append(logits)
    # 2,000 float32 products in another order, through three layers
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-4)


# --- building by name --------------------------------------------------------------------------------------------------


def test_options_reach_the_network() -> None:
    model: Any = make("low_latency_svdf", rank=3, n_units=10)
    assert model.svdf.frequency.shape == (40, 30)
    assert model.svdf.time.shape == (30, 98)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "convv",
            {},
            "no model 'convv'; expected one of residual_1d, bcresnet, gru, single_fc, conv, .*or my_package:make",
        ),
        ("conv", {"rank": 2}, "model 'conv' has no option 'rank'; it has dropout"),
        ("single_fc", {"dropout": 0.1}, "model 'single_fc' has no option 'dropout'; it has none"),
        ("conv", {"n_frames": 3}, "model 'conv' has no option 'n_frames'"),
        ("conv", {"dropout": 2}, "model 'conv' cannot be built .*dropout probability has to be between 0 and 1"),
        ("low_latency_svdf", {"rank": 0}, "cannot be built for 98 frames of 40 features .*at least one unit of rank 1"),
        ("low_latency_svdf", {"rank": -1}, "model 'low_latency_svdf' cannot be built"),
        ("low_latency_svdf", {"rank": "two"}, "model 'low_latency_svdf' cannot be built"),
        ("nowhere_at_all:make", {}, "no module 'nowhere_at_all'; is it installed, or on PYTHONPATH?"),
        ("torch.nowhere:make", {}, "no module 'torch.nowhere'"),
        (":make", {}, "no model ':make'; expected one of"),
        ("..relative:make", {}, "no model '..relative:make'; expected one of"),
        ("json:nothing", {}, "the module 'json' has no 'nothing'"),
        ("json:", {}, "the module 'json' has no ''"),
        ("json:__name__", {}, "expected a class or function, got str"),
    ],
)
def test_what_cannot_be_built_is_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_model(ModelConfig(name, options), 98, 40, 12)
    assert "\n" not in str(caught.value)


def test_too_few_features_for_a_network_is_an_error() -> None:
    for n_features in (5, 7):
        with pytest.raises(ConfigError, match=f"for 98 frames of {n_features} features .*span 8 features"):
            make("low_latency_conv", n_features=n_features)


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's package of networks, on the path."""
    package = tmp_path / "my_networks"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from torch import nn\n"
        "class Small(nn.Module):\n"
        "    recipe = {'training.steps': (5,), 'training.learning_rates': (0.1,)}\n"
        "    def __init__(self, n_frames, n_features, n_labels, width=4):\n"
        "        super().__init__()\n"
        "        if width > 100:\n"
        "            raise ValueError('too wide')\n"
        "        self.all = nn.Sequential(\n"
        "            nn.Flatten(), nn.Linear(n_frames * n_features, width), nn.Linear(width, n_labels))\n"
        "    def forward(self, features):\n"
        "        return self.all(features)\n"
        "def make(n_frames, n_features, n_labels, **options):\n"
        "    return Small(n_frames, n_features, n_labels, **options)\n"
    )
    (package / "needs.py").write_text("import a_package_nobody_has\n")
    (package / "wrong.py").write_text("import json\njson.no_such_name\ndef make(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_networks"]:
        del sys.modules[name]


def test_a_network_of_ones_own(own_package: Path) -> None:
    model = make("my_networks:Small", 10, 6, 3, width=7)
    assert type(model).__module__ == "my_networks"
    assert sum(weights.numel() for weights in model.parameters()) == 60 * 7 + 7 + 7 * 3 + 3
    assert model(random_features(2, 10, 6)).shape == (2, 3)
    assert make("my_networks:make", 10, 6, 3, width=2)(random_features(1, 10, 6)).shape == (1, 3)
    with pytest.raises(ConfigError, match="model 'my_networks:Small' has no option 'depth'; it has width"):
        make("my_networks:Small", depth=2)


def test_errors_inside_ones_own_network_stay_what_they_are(own_package: Path) -> None:
    with pytest.raises(ValueError, match="too wide") as caught:
        make("my_networks:Small", width=1000)
    assert not isinstance(caught.value, ConfigError)
    with pytest.raises(ModuleNotFoundError, match="a_package_nobody_has"):
        find_constructor("my_networks.needs:make")
    with pytest.raises(AttributeError, match="no_such_name"):
        find_constructor("my_networks.wrong:make")
    with pytest.raises(ConfigError, match=r"no module 'my_networks.other'"):
        find_constructor("my_networks.other:make")


# --- recipes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("kind", ["default", "classic"])
def test_every_recipe_fits_the_configuration(name: str, kind: str) -> None:
    recipe = find_recipe(name, kind)
    features = FEATURES[recipe.pop("features", "logmel")]
    config = override(RunConfig(words=("yes", "no"), features=features), recipe)
    assert config.training.total_steps > 0
    if kind == "classic":
        assert config.features == FEATURES["mfcc"]
        assert (config.data.unknown_pool, config.data.noise_split) == ("first", "shared")
        assert (config.training.optimizer, config.training.schedule) == ("sgd", "constant")


@pytest.mark.parametrize(
    ("name", "steps", "rates"),
    [
        ("conv", (15_000, 3_000), (0.001, 0.0001)),
        ("low_latency_conv", (20_000, 6_000), (0.01, 0.001)),
        ("low_latency_svdf", (100_000, 35_000), (0.01, 0.005)),
    ],
)
def test_classic_schedules_are_the_recommended_ones(name: str, steps: tuple[int, ...], rates: tuple[float, ...]) -> None:
    recipe = find_recipe(name, "classic")
    assert (recipe["training.steps"], recipe["training.learning_rates"]) == (steps, rates)


def test_a_recipe_is_a_copy() -> None:
    find_recipe("conv", "classic")["training.steps"] = (1,)
    assert find_recipe("conv", "classic")["training.steps"] == (15_000, 3_000)
    assert find_recipe("single_fc", "classic")["training.steps"] == (15_000, 3_000)


def test_recipes_of_ones_own_network(own_package: Path) -> None:
    assert find_recipe("my_networks:Small", "default") == {"training.steps": (5,), "training.learning_rates": (0.1,)}
    assert find_recipe("my_networks:make", "default") == {}
    with pytest.raises(ConfigError, match="model 'my_networks:Small' has no classic recipe, as it is not part of the tutorial; "):
        find_recipe("my_networks:Small", "classic")
    with pytest.raises(ConfigError, match="set `model` to one that has it: conv for words, trigger_gru for a trigger, "):
        find_recipe("residual_1d", "classic")
    for name in ("conv", "trigger_gru", "lstm"):
        assert find_recipe(name, "classic")


def test_an_unknown_recipe_is_an_error() -> None:
    with pytest.raises(ConfigError, match="`recipe` must be 'default' or 'classic', got 'best'"):
        find_recipe("conv", "best")
