"""A network for recordings of any length: convolutions over time on a spectrum, then statistics over a whole window."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

_FLOOR = 1e-5  # of a bin's power, beside the window's mean
_SPREAD_FLOOR = 1e-5
_SCALE = 2.5  # of a log spectrum around its mean
_N_MASKS, _WIDEST = 2, 0.15  # bands that training blanks, and their width, as a part of all


class PooledConv(nn.Module):
    """Depthwise convolutions over time on a log spectrum, and the attentive mean and spread of what they find.

    A window's level is taken out, and so is its mean spectrum: neither gain nor a microphone's colour is left to learn
    from. The pooling is that of Okabe et al. 2018 (arXiv 1803.10963).

    Args:
        n_channels: width of the network.
        kernel: frames that the first convolution sees.
        dilations: of the convolutions after it, of three frames each.
        dropout: after each of them.
        pooling: ``attentive``, or ``statistics``: every frame counts alike.
    """

    front_end: ClassVar[str] = "spectrogram"
    recipe: ClassVar[dict[str, Any]] = {
        "features": front_end,
        "features.clip_ms": 2000.0,
        "features.window_ms": 25.0,
        "training.steps": (600,),
        "training.learning_rates": (0.002,),
        "training.optimizer": "adamw",
        "training.weight_decay": 0.05,
        "training.schedule": "cosine",
        "training.warmup_steps": 60,
        "training.batch_size": 32,
        "training.label_smoothing": 0.05,
        "training.evaluate_every": 100,
        "augment.time_shift_ms": 0.0,
        "augment.gain_db": 6.0,
        "augment.background_frequency": 0.7,
        "augment.snr_db": (5.0, 40.0),
        "augment.equaliser_db": 6.0,
        "augment.band_frequency": 0.5,
        "augment.codec_frequency": 0.1,
        "augment.speed": 0.05,
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_channels: int = 64,
        kernel: int = 5,
        dilations: str = "1,2,3",
        dropout: float = 0.2,
        pooling: str = "attentive",
    ) -> None:
        super().__init__()
        if pooling not in ("attentive", "statistics"):
            raise ValueError(f"expected pooling 'attentive' or 'statistics', got {pooling!r}")
        steps = [int(text) for text in dilations.split(",")]
        if n_frames <= kernel + 2 * max(steps):
            raise ValueError(f"expected more than {kernel + 2 * max(steps)} frames in a window, got {n_frames}")
        self.stem = nn.Sequential(
            nn.Conv1d(n_features, n_channels, kernel, bias=False), nn.BatchNorm1d(n_channels), nn.ReLU()
        )
        self.blocks = nn.ModuleList(_block(n_channels, dilation, dropout) for dilation in steps)
        self.attention = nn.Conv1d(n_channels, 1, 1) if pooling == "attentive" else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * n_channels, n_labels)

    def forward(self, power: Tensor) -> Tensor:
        """power: [batch, n_frames, bins] → logits: [batch, n_labels]."""
        spectrum = self._mask(normalise(power)).transpose(1, 2)
        hidden = self.stem(spectrum)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        logits: Tensor = self.output(self.dropout(self._pool(hidden)))
        return logits

    def _pool(self, hidden: Tensor) -> Tensor:
        """[batch, channels, frames] → mean and spread over the frames: [batch, 2 · channels]."""
        if self.attention is None:
            mean = hidden.mean(dim=2)
            variance = (hidden - mean[:, :, None]).square().mean(dim=2)
        else:
            weights = self.attention(hidden).softmax(dim=2)
            mean = (weights * hidden).sum(dim=2)
            variance = (weights * (hidden - mean[:, :, None]).square()).sum(dim=2)
        return torch.cat([mean, (variance + _SPREAD_FLOOR).sqrt()], dim=1)

    def _mask(self, spectrum: Tensor) -> Tensor:
        """While it trains: some bands blanked, so that no narrow one decides."""
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
    """A power spectrum [batch, frames, bins] → its logarithm without the window's level and its mean over time."""
    level = power.mean(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    logs = (power / level + _FLOOR).log()
    return (logs - logs.mean(dim=1, keepdim=True)) / _SCALE


def _block(n_channels: int, dilation: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_channels, n_channels, 3, dilation=dilation, padding=dilation, groups=n_channels, bias=False),
        nn.Conv1d(n_channels, n_channels, 1, bias=False),
        nn.BatchNorm1d(n_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
    )
