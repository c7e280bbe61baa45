"""The convolutional network with pooling: its sizes, its invariances, its pooling by hand, and its export."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wordspot.config import ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.export.run import export_network
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.pooled import PooledConv, mix_spread, normalise
from wordspot.presets import FEATURES
from wordspot.training.recipes import recipe_config

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
    config = ModelConfig("pooled_conv", {"n_channels": 2, **options})
    model = make_model(config, FRONT.n_frames, FRONT.n_features, n_labels)
    assert isinstance(model, PooledConv)
    with torch.no_grad():
        for _ in range(5):
            model(power_of(noise(8)))
        model.output.weight.mul_(10)  # so that sounds give different answers
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(("n_labels", "pooling"), [(2, "attentive"), (5, "statistics")])
def test_shape_and_size(n_labels: int, pooling: str) -> None:
    """By hand: nine weights for each pair of channels, a scale and a shift; 8 channels of 16 rows are what is found in
    the 128 pairs of bins, halved three times; 8 are pooled, to a mean and a spread each."""
    model = make(n_labels, pooling=pooling)
    assert FRONT.n_features == 257
    convolutions = 9 * (1 * 2 + 2 * 4 + 4 * 6 + 6 * 8) + 2 * (2 + 4 + 6 + 8)
    attention = 8 * 16 + 1 if pooling == "attentive" else 0
    expected = convolutions + (8 * 16 + 1) * 8 + attention + 17 * n_labels
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
    colour = torch.linspace(0.5, 2, 128).repeat_interleave(2)
    colour = torch.cat([torch.tensor([3.0]), colour])
    torch.testing.assert_close(normalise(power * colour), normalise(power), rtol=0, atol=0.02)
    pairs = power[0].double().numpy()[:, 1:].reshape(len(power[0]), 128, 2).mean(axis=2)
    by_hand = np.log(pairs / pairs.mean() + 1e-5)
    by_hand = (by_hand - by_hand.mean(axis=0)) / 2.5
    np.testing.assert_allclose(normalise(power)[0].numpy(), by_hand, atol=1e-5)


def test_silence_is_finite() -> None:
    assert torch.isfinite(make()(power_of(torch.zeros(2, SAMPLES)))).all()


def pooling_by_hand(pooling: str) -> PooledConv:
    """Of 16 channels and rows that are found, the first two are pooled, less 1; attention is 2a - b + 1."""
    model = make(n_channels=1, pooling=pooling)
    assert model.project.weight.shape == (4, 64, 1)
    model.project.weight.zero_()
    model.project.bias.fill_(-1)
    model.project.weight[0, 0] = model.project.weight[1, 1] = 1
    if model.attention is not None:
        model.attention.weight.zero_()
        model.attention.weight[0, :2, 0] = torch.tensor([2.0, -1.0])
        model.attention.bias.fill_(1)
    return model


FOUND = torch.zeros(1, 64, 3)
FOUND[0, :2] = torch.tensor([[1.0, 0.0, 3.0], [2.0, 1.0, 4.0]])
POOLED = np.array([[0, 0, 2], [1, 0, 3]])  # less 1, and not below zero


@pytest.mark.parametrize(("pooling", "logits"), [("attentive", [1, 0, 3]), ("statistics", [0, 0, 0])])
def test_pooling_by_hand(pooling: str, logits: list[int]) -> None:
    weights = np.exp(logits) / np.exp(logits).sum()
    means = POOLED @ weights
    spreads = np.sqrt((POOLED - means[:, None]) ** 2 @ weights + 1e-5)
    pooled = pooling_by_hand(pooling).pool(FOUND)[0].numpy()
    np.testing.assert_allclose(pooled, [*means, 0, 0, *spreads, 1e-5**0.5, 1e-5**0.5], rtol=1e-5)


def test_spread_is_mixed_by_hand() -> None:
    """Spreads of 1 and 3 in one row, of 2 and 2 in the other: a share of a quarter gives 2.5 and 2, of one no change."""
    wave = torch.tensor([1.0, -1.0, 1.0, -1.0]) * 3**0.5 / 2  # of standard deviation 1
    spectrum = torch.stack([torch.stack([wave, 2 * wave], dim=1), torch.stack([3 * wave, 2 * wave], dim=1)])
    mixed = mix_spread(spectrum, torch.tensor([1, 0]), torch.tensor([0.25, 1.0]))
    expected = torch.stack([torch.stack([2.5 * wave, 2 * wave], dim=1), spectrum[1]])
    torch.testing.assert_close(mixed, expected, rtol=2e-3, atol=0)  # a floor of 0.001 in each spread


def test_spread_is_mixed_while_it_trains_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    power = power_of(noise(8))
    for mixing, training in ((True, True), (True, False), (False, True)):
        model = make(mixing=mixing, dropout=0.0).train(training)
        monkeypatch.setattr(model, "mask_bands", lambda spectrum: seen.append(spectrum) or spectrum)
        model(power)
    mixed, judged, unmixed = seen
    assert torch.equal(judged, normalise(power))
    assert torch.equal(unmixed, judged)
    assert not torch.allclose(mixed, judged, atol=1e-2)
    torch.testing.assert_close(mixed.sign(), judged.sign())  # nothing but the spread


def test_bands_are_blanked_while_it_trains_only() -> None:
    model, spectrum = make(), torch.ones(200, 4, 100)
    assert torch.equal(model.mask_bands(spectrum), spectrum)
    model.train()
    torch.manual_seed(3)
    masked = model.mask_bands(spectrum)
    assert torch.equal(masked[:, :1].expand(-1, 4, -1), masked)  # at all times
    shares = (masked[:, 0] == 0).float().mean(dim=1)
    assert shares.max() <= 0.3  # two bands, each of 15 percent at most
    assert 0.1 < shares.mean() < 0.15
    torch.manual_seed(3)
    assert torch.equal(model.mask_bands(spectrum), masked)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pooling": "max"}, "pooling must be 'attentive' or 'statistics', got 'max'"),
        ({"n_channels": -1}, "cannot be built"),
    ],
)
def test_refusals(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make(**options)


def test_mixing_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="mixing must be true or false, got 'no'"):
        make(mixing="no")


def test_a_window_or_a_spectrum_that_is_too_small() -> None:
    with pytest.raises(ConfigError, match="at least 8 frames and 17 bins are needed, got 7 and 257"):
        make_model(ModelConfig("pooled_conv"), 7, 257, 2)
    with pytest.raises(ConfigError, match="got 38 and 16"):
        make_model(ModelConfig("pooled_conv"), 38, 16, 2)


def test_the_recipe_builds_it() -> None:
    config = recipe_config(("a", "b"), "pooled_conv", task="recordings")
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    assert isinstance(network, PooledConv)
    assert config.features.kind == network.front_end


@pytest.mark.parametrize("pooling", ["attentive", "statistics"])
@pytest.mark.slow
def test_export_gives_the_same(pooling: str) -> None:
    from wordspot.runtime.detector import Classifier

    model: nn.Module = make(pooling=pooling)
    options = {"n_channels": 2, "pooling": pooling}
    config = RunConfig(("a", "b"), task="recordings", features=FRONT, model=ModelConfig("pooled_conv", options))
    exported = export_network(model, config)
    assert exported.difference < 1e-4
    audio = noise()
    expected = model(power_of(audio)).softmax(dim=1).numpy()
    assert np.ptp(expected[:, 0]) > 1e-3
    np.testing.assert_allclose(Classifier(exported.model).classify(audio.numpy()), expected, atol=1e-4)
