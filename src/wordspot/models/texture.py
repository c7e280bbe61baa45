"""The texture of a spectrogram: how its log power differs from one point to the next, along time, frequency and both.

Vocoders and synthesisers make a spectrogram smoother, or rougher, than a person's voice does, whatever is said.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from wordspot.models.bands import equal_bands

_LAGS = (1, 2, 4)  # frames, or bins, between the points
_LEAST_SQUARE, _LEAST_OF_RATIO = 1e-4, 1e-6


class TextureStatistics(nn.Module):
    """Moments of differences of log power [batch, frames, bins] → [batch, `n_statistics`]. It has no parameters.

    For each lag there are five kinds of differences: along time, along frequency, along both, and the second ones along time
    and along frequency. In bands of equal width, each gives the log of its mean square, the square of its mean size over its
    mean square (how peaked it is), and its skewness.

    Args:
        n_bands: bands that the bins are grouped into.
        n_bins: number of bins.

    Raises:
        ValueError: fewer bins than the differences and the bands need.
    """

    def __init__(self, n_bands: int, n_bins: int) -> None:
        super().__init__()
        most = n_bins - 2 * max(_LAGS)  # the second differences of the longest lag leave so many bins
        if n_bands > most:
            raise ValueError(f"texture allows at most {max(most, 0)} bands (n_bands) on {n_bins} bins, got {n_bands}")
        for lost in {lag * times for lag in _LAGS for times in (0, 1, 2)}:
            self.register_buffer(f"bands_{lost}", equal_bands(n_bands, n_bins - lost), persistent=False)
        self._n_bins = n_bins
        self.n_statistics = 5 * 3 * len(_LAGS) * n_bands

    def forward(self, logs: Tensor, weights: Tensor) -> Tensor:
        """logs: float32 [batch, frames, bins]; weights of the frames [batch, frames, 1] → float32 [batch, n_statistics]."""
        logs = logs - logs.mean(dim=1, keepdim=True)
        return torch.cat([part for values in _differences(logs) for part in self._moments(values, weights)], dim=1)

    def _moments(self, values: Tensor, weights: Tensor) -> Iterator[Tensor]:
        """Three moments in each band of differences [batch, frames, bins]: [batch, bands] each."""
        bands: Tensor = getattr(self, f"bands_{self._n_bins - values.shape[2]}")
        weights = weights[:, : values.shape[1]]
        over_time = (weights / weights.sum(dim=1, keepdim=True)).transpose(1, 2)  # [batch, 1, frames]
        square = values * values
        mean_square = (over_time @ square)[:, 0] @ bands
        size = (over_time @ values.abs())[:, 0] @ bands
        cube = (over_time @ (square * values))[:, 0] @ bands
        bounded = mean_square + _LEAST_SQUARE
        yield bounded.log()
        yield size * size / (mean_square + _LEAST_OF_RATIO)
        yield cube / (bounded * bounded.sqrt())


def _differences(logs: Tensor) -> Iterator[Tensor]:
    """Differences of [batch, frames, bins], each shorter by its lag along the axes that it is taken over."""
    for lag in _LAGS:
        frequency = logs[:, :, lag:] - logs[:, :, :-lag]
        yield logs[:, lag:] - logs[:, :-lag]
        yield frequency
        yield frequency[:, lag:] - frequency[:, :-lag]
        yield logs[:, 2 * lag :] - 2 * logs[:, lag:-lag] + logs[:, : -2 * lag]
        yield logs[:, :, 2 * lag :] - 2 * logs[:, :, lag:-lag] + logs[:, :, : -2 * lag]
