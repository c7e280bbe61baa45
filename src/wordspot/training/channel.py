"""What a microphone, a telephone line or a codec does to sound, drawn by chance: so that no class is known by it.

Each is a pure function of a batch and of its drawn numbers; `augment.Augmenter` draws them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BANDS = 12
"""Gains of a drawn equaliser."""

_EDGE_HZ = 100.0  # over which a band's edge falls
_MU, _LEVELS = 255.0, 127.0  # of G.711: seven bits beside the sign


def equalise(audio: Tensor, gains_db: Tensor, low_hz: Tensor, high_hz: Tensor, sample_rate: int) -> Tensor:
    """Filter each clip: a smooth response through its gains, nothing below `low_hz` and above `high_hz`.

    Args:
        audio: float32 [batch, samples].
        gains_db: float32 [batch, bands], at frequencies evenly from 0 to half the sample rate.
        low_hz, high_hz: float32 [batch]; a `high_hz` above half the sample rate keeps all.
    """
    n = audio.shape[1]
    spectrum = torch.fft.rfft(audio, 2 * n)  # so long that nothing comes around
    hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[1], device=audio.device)
    response_db = torch.nn.functional.interpolate(
        gains_db[:, None], size=spectrum.shape[1], mode="linear", align_corners=True
    )[:, 0]
    passed = torch.sigmoid((high_hz[:, None] - hertz) / _EDGE_HZ * 4) * torch.sigmoid(
        (hertz - low_hz[:, None]) / _EDGE_HZ * 4
    )
    return torch.fft.irfft(spectrum * passed * 10 ** (response_db / 20), 2 * n)[:, :n]


def compand(audio: Tensor) -> Tensor:
    """Each clip in the 8 bits of a telephone, companded by the mu-law of G.711 at its own peak's level."""
    peak = audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)
    squeezed = torch.log1p(_MU * (audio / peak).abs()) / math.log1p(_MU)
    coded = torch.round(squeezed * _LEVELS) / _LEVELS
    return audio.sign() * peak * torch.expm1(coded * math.log1p(_MU)) / _MU
