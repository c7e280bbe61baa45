"""Texture of a log spectrum: how it changes from one frame and one bin to the next, in bands of frequency."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_DISTANCES = (1, 2, 4)  # in frames and in bins
_N_CHANGES = 5  # along time, along frequency, along both, and the second ones along each
_FLOOR = 1e-5  # added to the relative power of a bin
_SPEAKING, _SLOPE = math.exp(-2.0), 2.0  # weight of a frame: a half at this fraction of the mean power
_LEAST_SQUARE, _LEAST_RATIO = 1e-4, 1e-6


class TextureStatistics(nn.Module):
    """Moments of differences of a log spectrum: power [batch, frames, bins] → [batch, `n_statistics`]. It has no parameters.

    The differences are between frames, between bins, between both, and second ones, at three distances. Each is described in
    each band by the logarithm of its mean square, by the square of its mean magnitude relative to that (2/π for Gaussian
    changes, less for rare large ones) and by its skewness. Gain and a constant frequency response change none of them.

    Args:
        n_bands: bands of equal width.
        n_bins: number of bins, at least 9 in a band.
    """

    bands: Tensor

    def __init__(self, n_bands: int, n_bins: int) -> None:
        super().__init__()
        width = n_bins // n_bands
        if width <= 2 * max(_DISTANCES):  # the highest band loses this many bins to the differences
            raise ValueError(
                f"texture needs bands of at least {2 * max(_DISTANCES) + 1} bins, got {n_bands} bands of {width}; "
                "take fewer bands, or do without texture (model.texture=false)"
            )
        bands = torch.zeros(width * n_bands, n_bands)
        for band in range(n_bands):
            bands[band * width : (band + 1) * width, band] = 1 / width
        self.register_buffer("bands", bands, persistent=False)
        self.n_statistics = 3 * _N_CHANGES * len(_DISTANCES) * n_bands

    def forward(self, power: Tensor) -> Tensor:
        """power: float32 [batch, frames, bins] → float32 [batch, n_statistics]."""
        power = power[:, :, : len(self.bands)]
        of_frame = power.mean(dim=2, keepdim=True)
        level = of_frame.mean(dim=1, keepdim=True).clamp(min=1e-12)
        weights = torch.sigmoid(_SLOPE * ((of_frame / level + 1e-6).log() - math.log(_SPEAKING)))
        logs = (power / level + _FLOOR).log()
        found = []
        for distance in _DISTANCES:
            along_time = logs[:, distance:] - logs[:, :-distance]
            along_frequency = _differ(logs, distance)
            twice = along_time[:, distance:] - along_time[:, :-distance]
            for change in (along_time, along_frequency, _differ(along_time, distance), twice, _differ(along_frequency, distance)):
                found += self._moments(change, weights[:, : change.shape[1]])
        return torch.cat(found, dim=1)

    def _moments(self, change: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, frames, bins], [batch, frames, 1] → three times [batch, bands]."""
        share = (weights / weights.sum(dim=1, keepdim=True)).transpose(1, 2)
        bands = self.bands[: change.shape[2]]
        square = change * change
        power, size, cube = ((share @ one @ bands)[:, 0] for one in (square, change.abs(), square * change))
        spread = power + _LEAST_SQUARE
        return spread.log(), size * size / (power + _LEAST_RATIO), cube / (spread * spread.sqrt())


def _differ(values: Tensor, distance: int) -> Tensor:
    """Differences along the bins."""
    return values[:, :, distance:] - values[:, :, :-distance]
