"""The convolutional network with pooling: its sizes, what it does not hear, its pooling by hand, and its export."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wordspot.config import FEATURES, ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.export import export_network
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.pooled import PooledConv, normalise
from wordspot.settings import recipe_config

FRONT = dataclasses.replace(FEATURES["spectrogram"], clip_ms=400, window_ms=25)
SAMPLES = FRONT.clip_samples


def noise(n: int = 3) -> Tensor:
    audio = 0.1 * torch.randn(n, SAMPLES, generator=torch.Generator().manual_seed(5))
    audio[:, SAMPLES // 3 : SAMPLES // 2] *= 0.1
    return audio


def power_of(audio: Tensor) -> Tensor:
    power: Tensor = make_front_end(FRONT)(audio)
    return power


def make(n_labels: int = 2, **options: Any) -> PooledConv:
    torch.manual_seed(1)
    config = ModelConfig("pooled_conv", {"n_channels": 8, **options})
    model = make_model(config, FRONT.n_frames, FRONT.n_features, n_labels)
    assert isinstance(model, PooledConv)
    with torch.no_grad():
        for _ in range(5):
            model(power_of(noise(8)))
        model.output.weight.mul_(3)  # so that sounds give different answers
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(("n_labels", "pooling"), [(2, "attentive"), (5, "statistics")])
def test_shape_and_size(n_labels: int, pooling: str) -> None:
    """By hand: stem 257·8·5 + 2·8; a block 8·3 + 8·8 + 2·8; attention 8 + 1; the last 16·labels + labels."""
    model = make(n_labels, pooling=pooling)
    assert FRONT.n_features == 257
    attention = 9 if pooling == "attentive" else 0
    expected = 257 * 8 * 5 + 16 + 3 * (24 + 64 + 16) + attention + 17 * n_labels
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    assert model(power_of(noise(4))).shape == (4, n_labels)


@pytest.mark.parametrize("gain_db", [-40, 12])
def test_gain_changes_nothing(gain_db: float) -> None:
    model, audio = make(), noise()
    expected = model(power_of(audio))
    assert expected.std() > 0.01
    torch.testing.assert_close(model(power_of(audio * 10 ** (gain_db / 20))), expected, rtol=1e-3, atol=1e-3)


def test_a_steady_colour_is_taken_out_but_for_the_floor() -> None:
    power = power_of(noise()) + 1e-3
    colour = torch.linspace(0.5, 2, power.shape[2])
    torch.testing.assert_close(normalise(power * colour), normalise(power), rtol=0, atol=0.02)
    by_hand = np.log(power[0].double().numpy() / float(power[0].double().mean()) + 1e-5)
    by_hand = (by_hand - by_hand.mean(axis=0)) / 2.5
    np.testing.assert_allclose(normalise(power)[0].numpy(), by_hand, atol=1e-5)


def test_silence_is_finite() -> None:
    assert torch.isfinite(make()(power_of(torch.zeros(2, SAMPLES)))).all()


def test_attentive_pooling_by_hand() -> None:
    """Two channels of three frames; attention 2a - b + 1, so weights of exp(1, 0, 3) / sum."""
    model = make(n_channels=2)
    assert model.attention is not None
    model.attention.weight.copy_(torch.tensor([[[2.0], [-1.0]]]))
    model.attention.bias.fill_(1)
    hidden = torch.tensor([[[1.0, 0.0, 2.0], [2.0, 1.0, 2.0]]])
    weights = np.exp([1, 0, 3]) / np.exp([1, 0, 3]).sum()
    means = [weights @ [1, 0, 2], weights @ [2, 1, 2]]
    spreads = [
        (weights @ (np.array(row) - mean) ** 2 + 1e-5) ** 0.5
        for row, mean in zip(([1, 0, 2], [2, 1, 2]), means, strict=True)
    ]
    np.testing.assert_allclose(model._pool(hidden)[0].numpy(), [*means, *spreads], rtol=1e-5)


def test_plain_pooling_by_hand() -> None:
    model = make(n_channels=2, pooling="statistics")
    pooled = model._pool(torch.tensor([[[1.0, 0.0, 2.0], [2.0, 2.0, 2.0]]]))
    np.testing.assert_allclose(pooled[0].numpy(), [1, 2, (2 / 3 + 1e-5) ** 0.5, 1e-5**0.5], rtol=1e-5)


def test_bands_are_blanked_while_it_trains_only() -> None:
    model, spectrum = make(), torch.ones(200, 4, 100)
    assert torch.equal(model._mask(spectrum), spectrum)
    model.train()
    torch.manual_seed(3)
    masked = model._mask(spectrum)
    assert torch.equal(masked[:, :1].expand(-1, 4, -1), masked)  # at all times
    shares = (masked[:, 0] == 0).float().mean(dim=1)
    assert shares.max() <= 0.3  # two bands, each of 15 percent at most
    assert 0.1 < shares.mean() < 0.15
    torch.manual_seed(3)
    assert torch.equal(model._mask(spectrum), masked)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pooling": "max"}, "expected pooling 'attentive' or 'statistics', got 'max'"),
        ({"dilations": "1,20"}, "expected more than 45 frames in a window, got 38"),
        ({"dilations": "1,x"}, "invalid literal"),
        ({"n_channels": -1}, "cannot be built"),
    ],
)
def test_refusals(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make(**options)


def test_the_recipe_builds_it() -> None:
    config = recipe_config(("a", "b"), "pooled_conv", task="recordings")
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    assert isinstance(network, PooledConv)
    assert config.features.kind == network.front_end


@pytest.mark.parametrize("pooling", ["attentive", "statistics"])
def test_export_gives_the_same(pooling: str) -> None:
    from wordspot.detector import Classifier

    model: nn.Module = make(pooling=pooling)
    options = {"n_channels": 8, "pooling": pooling}
    config = RunConfig(("a", "b"), task="recordings", features=FRONT, model=ModelConfig("pooled_conv", options))
    exported = export_network(model, config)
    assert exported.difference < 1e-4
    audio = noise()
    expected = model(power_of(audio)).softmax(dim=1).numpy()
    assert np.ptp(expected[:, 0]) > 1e-3
    np.testing.assert_allclose(Classifier(exported.model).classify(audio.numpy()), expected, atol=1e-4)
