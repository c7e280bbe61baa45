"""Colours: smooth curves over frequency that are applied to a front end's power."""

from __future__ import annotations

import math

import pytest
import torch

from wordspot.features import make_front_end
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
