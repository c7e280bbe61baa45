"""Bands of equal width, over which a spectrum is averaged."""

from __future__ import annotations

import torch
from torch import Tensor


def equal_bands(n_bands: int, n_bins: int) -> Tensor:
    """The mean over bands of equal width; bins that fill no band are left out: float32 [n_bins, n_bands].

    Raises:
        ValueError: a band would hold no bin.
    """
    width = n_bins // n_bands
    if not width:
        raise ValueError(f"{n_bands} bands need as many bins, got {n_bins}")
    bands = torch.zeros(n_bins, n_bands)
    for band in range(n_bands):
        bands[band * width : (band + 1) * width, band] = 1 / width
    return bands
