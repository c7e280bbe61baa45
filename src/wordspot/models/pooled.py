"""A network for recordings of any length: convolutions over time and frequency, then statistics over a window."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.config import RECORDINGS_CLIP_MS

_FLOOR = 1e-5  # of a bin's power, beside the window's mean
_SPREAD_FLOOR = 1e-5
_LEAST_SPREAD = 1e-3  # of a row over time
_SCALE = 2.5  # of a log spectrum around its mean
_WIDTHS, _N_HALVED = (1, 2, 3, 4), 3  # channels of the convolutions, times the narrowest; how many halve the picture
_N_MASKS, _WIDEST = 2, 0.15  # bands that training blanks, and their width, as a part of all


class PooledConv(nn.Module):
    """Convolutions over a log spectrum, then attentive mean and standard deviation of their output over time.

    The level and the mean spectrum of the window are subtracted, so that the network can learn neither gain nor the frequency
    response of a microphone. Pairs of neighbouring bins are averaged; the lowest bin is dropped. The pooling is that of Okabe
    et al. 2018 (arXiv 1803.10963). Training mixes the standard deviation of each frequency with that of another window
    (`mix_spread`), so that the network cannot rely on it alone.

    Args:
        n_channels: of the first convolution; the next ones have twice, three and four times as many.
        dropout: before the last layer.
        pooling: ``attentive``, or ``statistics`` with equal weights for all frames.
        mixing: whether training mixes the standard deviations of windows.
    """

    front_end: ClassVar[str] = "spectrogram"
    recipe: ClassVar[dict[str, Any]] = {
        "features": front_end,
        "features.clip_ms": RECORDINGS_CLIP_MS,
        "features.window_ms": 25.0,
        "training.steps": (1200,),
        "training.learning_rates": (0.003,),
        "training.optimizer": "adamw",
        "training.weight_decay": 0.02,
        "training.schedule": "cosine",
        "training.warmup_steps": 60,
        "training.batch_size": 48,
        "training.evaluate_every": 300,
        "augment.time_shift_ms": 0.0,
        "augment.gain_db": 6.0,
        "augment.background_frequency": 0.8,
        "augment.snr_db": (0.0, 30.0),
        "augment.equaliser_db": 6.0,
        "augment.band_frequency": 0.3,
        "augment.codec_frequency": 0.1,
        "augment.speed": 0.1,
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_channels: int = 16,
        dropout: float = 0.3,
        pooling: str = "attentive",
        mixing: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(mixing, bool):
            raise ValueError(f"mixing must be true or false, got {mixing!r}")
        self.mixing = mixing
        if pooling not in ("attentive", "statistics"):
            raise ValueError(f"pooling must be 'attentive' or 'statistics', got {pooling!r}")
        least = 1 << _N_HALVED
        if min(n_frames, (n_features - 1) // 2) < least:
            raise ValueError(f"at least {least} frames and {2 * least + 1} bins are needed, got {n_frames} and {n_features}")
        widths = [n_channels * times for times in _WIDTHS]
        strides = [2 if place < _N_HALVED else 1 for place in range(len(widths))]
        self.convolutions = nn.Sequential(*(_block(*sizes) for sizes in zip([1, *widths[:-1]], widths, strides, strict=True)))
        n_rows = (n_features - 1) // 2
        for _ in range(_N_HALVED):
            n_rows = (n_rows + 1) // 2
        n_found, n_pooled = widths[-1] * n_rows, widths[-1]
        self.project = nn.Conv1d(n_found, n_pooled, 1)
        self.attention = nn.Conv1d(n_found, 1, 1) if pooling == "attentive" else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * n_pooled, n_labels)

    def forward(self, power: Tensor) -> Tensor:
        """power: [batch, n_frames, bins] → logits: [batch, n_labels]."""
        spectrum = self.mask_bands(self._mix(normalise(power)))
        found = self.convolutions(spectrum[:, None]).transpose(2, 3).flatten(1, 2)
        logits: Tensor = self.output(self.dropout(self.pool(found)))
        return logits

    def pool(self, found: Tensor) -> Tensor:
        """[batch, channels and rows, frames] → mean and standard deviation over the frames: [batch, 2 · pooled]."""
        hidden = self.project(found).relu()
        if self.attention is None:
            mean = hidden.mean(dim=2)
            variance = (hidden - mean[:, :, None]).square().mean(dim=2)
        else:
            weights = self.attention(found).softmax(dim=2)
            mean = (weights * hidden).sum(dim=2)
            variance = (weights * (hidden - mean[:, :, None]).square()).sum(dim=2)
        return torch.cat([mean, (variance + _SPREAD_FLOOR).sqrt()], dim=1)

    def _mix(self, spectrum: Tensor) -> Tensor:
        """In training: mix the spread of each window with that of another one of the batch."""
        if not (self.training and self.mixing):
            return spectrum
        partners = torch.randperm(len(spectrum), device=spectrum.device)
        return mix_spread(spectrum, partners, torch.rand(len(spectrum), device=spectrum.device))

    def mask_bands(self, spectrum: Tensor) -> Tensor:
        """In training: mask random bands, so that no narrow band decides."""
        if not self.training:
            return spectrum
        n_bins = spectrum.shape[2]
        bins = torch.arange(n_bins, device=spectrum.device)
        drawn = torch.rand(2, _N_MASKS, len(spectrum), 1, device=spectrum.device)
        width = (drawn[0] * _WIDEST * n_bins).long()
        start = (drawn[1] * (n_bins - width + 1)).long()
        blank = ((bins >= start) & (bins < start + width)).any(dim=0)
        return spectrum.masked_fill(blank[:, None], 0.0)


def normalise(power: Tensor) -> Tensor:
    """A power spectrum [batch, frames, bins] → the logarithm of its pairs of bins [batch, frames, (bins - 1) // 2].

    The level of the window and its mean over time are subtracted; the lowest bin is dropped.
    """
    n_pairs = (power.shape[2] - 1) // 2
    pairs = power[:, :, 1 : 1 + 2 * n_pairs].reshape(*power.shape[:2], n_pairs, 2).mean(dim=3)
    level = pairs.mean(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    logs = (pairs / level + _FLOOR).log()
    return (logs - logs.mean(dim=1, keepdim=True)) / _SCALE


def mix_spread(spectrum: Tensor, partners: Tensor, shares: Tensor) -> Tensor:
    """Scale each frequency to a mixture of its own standard deviation over time and that of another window.

    MixStyle (Zhou et al. 2021, arXiv 2104.02008) by frequency, as Schmid et al. 2022 (DCASE) use it for microphones.

    Args:
        spectrum: float32 [batch, frames, bins], of mean 0 over the frames.
        partners: int64 [batch], the other window of each.
        shares: float32 [batch], 0 to 1: weight of the window's own standard deviation.
    """
    spread = spectrum.std(dim=1, keepdim=True) + _LEAST_SPREAD
    own = shares[:, None, None]
    return spectrum * ((own * spread + (1 - own) * spread[partners]) / spread)


def _block(n_inputs: int, n_outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_inputs, n_outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(n_outputs), nn.ReLU()
    )
