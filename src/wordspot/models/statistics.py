"""A network for recordings of any length: fixed statistics of a spectrum's bands, and one learned layer on them.

Where there are few recordings, a network that learns its own filters learns the recordings by heart. These statistics
tell little of who speaks and what, and much of how sound was made: how far each band's level wanders while somebody
speaks, which bands move together, how fast, and how peaked and how flat the spectrum is within a band.

Nothing here hears the level (each window is measured against its own), a steady colour (each bin against its mean over
time), or what lies outside the bins in use.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.config import RECORDINGS_CLIP_MS

_FLOOR = 1e-5  # of a bin's power, beside the mean of all
_SPEAKING, _SLOPE = math.exp(-2.0), 2.0  # a frame counts half at this part of the window's mean power
_LEAST_SPREAD, _LEAST_MODULATION = 1e-3, 1e-2
_MODULATION_MS = 320.0
_RATES = ((1, 2), (3, 4), (5, 7), (8, 12), (13, 16))  # of modulation, in cycles a `_MODULATION_MS`: 3 to 50 Hz


class BandStatistics(nn.Module):
    """Statistics of a window: power [batch, frames, bins] → [batch, `n_statistics`]. Nothing in it learns.

    Args:
        n_bands: that the bins in use are taken together to, evenly.
        first_bin, stop_bin: the bins in use.
        hop_ms: from one frame to the next.
    """

    bands: Tensor
    waves: Tensor
    pairs: Tensor

    def __init__(self, n_bands: int, first_bin: int, stop_bin: int, hop_ms: float) -> None:
        super().__init__()
        self.n_bands, self._used = n_bands, slice(first_bin, stop_bin)
        width = (stop_bin - first_bin) // n_bands
        bands = torch.zeros(stop_bin - first_bin, n_bands)
        for band in range(n_bands):
            bands[band * width : (band + 1) * width, band] = 1 / width
        self.register_buffer("bands", bands, persistent=False)
        self.register_buffer("waves", _waves(max(round(_MODULATION_MS / hop_ms), 8)), persistent=False)
        rows, columns = torch.triu_indices(n_bands, n_bands, 1)
        self.register_buffer("pairs", rows * n_bands + columns, persistent=False)
        self.n_statistics = n_bands * (5 + len(_RATES)) + len(self.pairs)

    def forward(self, power: Tensor) -> Tensor:
        """power: float32 [batch, frames, bins] → float32 [batch, n_statistics]."""
        power = power[:, :, self._used]
        of_frame = power.mean(dim=2)
        level = of_frame.mean(dim=1, keepdim=True).clamp(min=1e-12)
        relative = power / level[:, :, None]
        weights = torch.sigmoid(_SLOPE * ((of_frame / level + 1e-6).log() - math.log(_SPEAKING)))[:, :, None]
        weights = weights / weights.sum(dim=1, keepdim=True)
        logs = (relative + _FLOOR).log()
        shape = logs - logs.mean(dim=2, keepdim=True)
        shape = shape - (weights * shape).sum(dim=1, keepdim=True)
        levels = shape @ self.bands
        peaks = ((shape * shape) @ self.bands - levels * levels).clamp(min=1e-6).sqrt()
        flatness = (relative @ self.bands + _FLOOR).log() - logs @ self.bands
        mean, spread = _moments(levels, weights)
        return torch.cat(
            [
                spread.log(),
                *_moments(peaks, weights),
                *_moments(flatness, weights),
                self._correlations(levels - mean[:, None], spread, weights),
                self._modulations(levels),
            ],
            dim=1,
        )

    def _correlations(self, centred: Tensor, spread: Tensor, weights: Tensor) -> Tensor:
        """How the bands move together: [batch, pairs]."""
        covariance = (weights * centred).transpose(1, 2) @ centred
        scale = spread[:, :, None] * spread[:, None]
        return (covariance / scale).flatten(1).index_select(1, self.pairs)

    def _modulations(self, levels: Tensor) -> Tensor:
        """The log power of each band's movement at some rates: [batch, bands · rates]."""
        n_frames = levels.shape[1]
        tracks = levels.transpose(1, 2).reshape(-1, 1, n_frames)
        moved = nn.functional.conv1d(tracks, self.waves, stride=self.waves.shape[2] // 4)
        power = (moved.square().mean(dim=2) + _LEAST_MODULATION).log().reshape(-1, self.n_bands, self.waves.shape[0])
        first, n_waves, parts = 0, self.waves.shape[0] // 2, []
        for low, high in _RATES:
            count = high - low + 1
            sine = power[:, :, n_waves + first : n_waves + first + count]
            parts.append((power[:, :, first : first + count] + sine).mean(dim=2) / 2)
            first += count
        return torch.cat(parts, dim=1)


class StatisticsNet(nn.Module):
    """`BandStatistics` of a window, brought to one scale, and a linear layer.

    Args:
        n_bands: of the statistics.
        first_bin, stop_bin: of the spectrum, in use; by default 125 to 7125 Hz at 16 kHz, which most recordings hold.
        dropout: of the statistics.
        hop_ms: of the front end.
    """

    front_end: ClassVar[str] = "spectrogram"
    recipe: ClassVar[dict[str, Any]] = {
        "features": front_end,
        "features.clip_ms": RECORDINGS_CLIP_MS,
        "features.window_ms": 25.0,
        "training.steps": (200,),
        "training.learning_rates": (0.01,),
        "training.optimizer": "momentum",
        "training.weight_decay": 0.8,
        "training.schedule": "cosine",
        "training.warmup_steps": 20,
        "training.batch_size": 64,
        "training.evaluate_every": 200,  # of few recordings, validation chooses worse than the last step does
        "augment.time_shift_ms": 0.0,
        "augment.background_frequency": 0.5,
        "augment.snr_db": (10.0, 40.0),
        "augment.equaliser_db": 6.0,
        "augment.room_frequency": 0.3,
        "augment.speed": 0.3,  # pitch and all: other speakers, where there are few
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_bands: int = 14,
        first_bin: int = 4,
        stop_bin: int = 228,
        dropout: float = 0.0,
        hop_ms: float = 10.0,
    ) -> None:
        super().__init__()
        if not 0 <= first_bin < stop_bin <= n_features or not 2 <= n_bands <= stop_bin - first_bin:
            raise ValueError(
                f"expected 0 <= first_bin < stop_bin <= {n_features} bins and at least 2 bands of a bin each, got "
                f"{first_bin}, {stop_bin} and {n_bands} bands"
            )
        self.statistics = BandStatistics(n_bands, first_bin, stop_bin, hop_ms)
        if n_frames < self.statistics.waves.shape[2]:
            raise ValueError(
                f"expected a window of {_MODULATION_MS:g} ms at least, {self.statistics.waves.shape[2]} frames, got {n_frames}"
            )
        self.scale = nn.BatchNorm1d(self.statistics.n_statistics, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.statistics.n_statistics, n_labels)

    def forward(self, power: Tensor) -> Tensor:
        """power: [batch, n_frames, bins] → logits: [batch, n_labels]."""
        logits: Tensor = self.output(self.dropout(self.scale(self.statistics(power))))
        return logits


def _moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation over the frames: [batch, frames, bands] → twice [batch, bands]."""
    mean = (weights * values).sum(dim=1)
    variance = (weights * (values - mean[:, None]).square()).sum(dim=1)
    return mean, (variance + _LEAST_SPREAD**2).sqrt()


def _waves(n_frames: int) -> Tensor:
    """Hann-windowed cosines, then sines, of the rates in `_RATES`: [2 · rates, 1, frames]."""
    frames = torch.arange(n_frames)
    window = torch.hann_window(n_frames)
    rates = [rate for low, high in _RATES for rate in range(low, high + 1)]
    phases = [2 * math.pi * rate * frames / n_frames for rate in rates]
    return torch.stack([window * wave(phase) for wave in (torch.cos, torch.sin) for phase in phases])[:, None]
