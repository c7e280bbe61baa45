"""Colours: smooth curves over frequency that are applied to a front end's power."""

from __future__ import annotations

import math

import pytest
import torch

from wordspot.config import FeatureConfig
from wordspot.features import make_front_end
from wordspot.features.spectral import stretch
from wordspot.presets import FEATURES


@pytest.mark.parametrize("name", ["logmel", "average", "mfcc", "spectrogram"])
def test_a_colour_of_equal_gains_is_a_gain(name: str) -> None:
    """6 dB at all frequencies are those of samples of twice the amplitude, to 0.02 dB."""
    front_end = make_front_end(FEATURES[name])
    audio = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1)) * 0.1
    coloured = front_end.coloured(audio, torch.full((2, 7), 20 * math.log10(2)))
    torch.testing.assert_close(coloured, front_end(2 * audio), rtol=1e-4, atol=1e-4)


def test_a_colour_is_a_curve_over_frequency() -> None:
    """Power of the bins from 0 Hz (0 dB) to half the sample rate (12 dB), linear in dB."""
    front_end = make_front_end(FEATURES["spectrogram"])
    audio = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    gain_db = 10 * torch.log10(front_end.coloured(audio, torch.tensor([[0.0, 12.0]])) / front_end(audio))
    torch.testing.assert_close(gain_db[0, 0], torch.linspace(0, 12, 257), rtol=0, atol=1e-3)


def test_a_stretch_moves_values_along_the_frequencies() -> None:
    """Value i becomes the one at i · factor, between two values if that is no whole number; beyond the last it is the last."""
    x = torch.tensor([[[0.0, 10.0, 20.0, 40.0]]]).repeat(3, 1, 1)
    stretched = stretch(x, torch.tensor([1.0, 0.5, 1.5]))
    assert stretched[:, 0].tolist() == [[0, 10, 20, 40], [0, 5, 10, 15], [0, 15, 40, 40]]


def test_a_stretched_voice_has_its_tones_elsewhere() -> None:
    """A tone in mel channel 20 of 40: read at 1.25 times the channel it appears in channel 16."""
    front_end = make_front_end(FEATURES["logmel"])
    hertz = 700 * (10 ** (_mel_centre(front_end.config, 20) / 2595) - 1)
    audio = 0.5 * torch.sin(2 * math.pi * hertz / 16_000 * torch.arange(16_000.0))[None]
    found = front_end.coloured(audio, torch.zeros(1, 7), torch.tensor([1.25]))
    assert front_end(audio)[0].mean(dim=0).argmax() == 20
    assert found[0].mean(dim=0).argmax() == 16


def _mel_centre(config: FeatureConfig, channel: int) -> float:
    """HTK's mel of the middle of a channel: channels are evenly spaced from low_hz to high_hz."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (config.low_hz, config.high_hz))
    return low + (high - low) * (channel + 1) / (config.n_mels + 1)
