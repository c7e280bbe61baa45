"""What the front ends share: frames of audio, the power of a spectrum, float32 tables."""

from __future__ import annotations

import numpy as np
from torch import Tensor, from_numpy

from wordspot.config import FeatureConfig
from wordspot.features.filterbanks import Matrix

INT16_SCALE = 32768.0  # samples in [-1, 1] times this are those of 16-bit files


def frames_of(audio: Tensor, config: FeatureConfig) -> Tensor:
    """[batch, samples] → [batch, frames, window]; a tail shorter than a window is dropped."""
    return audio.unfold(1, config.window_samples, config.hop_samples)


def power_of(spectrum: Tensor) -> Tensor:
    """Complex spectrum → squared magnitude, of the same shape."""
    return spectrum.real.square() + spectrum.imag.square()


def float32(matrix: Matrix) -> Tensor:
    """A table computed in float64 as a float32 tensor."""
    return from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
