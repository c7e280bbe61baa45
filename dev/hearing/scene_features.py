"""Log-mel features of scenes with random gain, colour and blanked bands, applied to the mel power instead of the samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from wordspot.config import FeatureConfig
from wordspot.features import make_front_end
from wordspot.features.frames import frames_of, power_of

_KNOTS, _MAX_COLOUR_DB = 7, 5.0
_BLANKED = 7  # a blanked band is narrower, in mel channels


class SceneFeatures:
    """Features as the default front end makes them, 100 frames of 40 a second.

    Args:
        rng: all draws come from it.
        warp: the most by which the mel scale of a scene is stretched or squeezed, as a part: another length of the vocal
            tract (Jaitly and Hinton 2013).
    """

    def __init__(self, rng: Generator, warp: float = 0.0) -> None:
        self._rng, self._config, self._warp = rng, FeatureConfig(), warp
        self._front_end = make_front_end(self._config)
        self.n_features = self._config.n_features

    @torch.no_grad()
    def __call__(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → float32 [batch, frames, features]."""
        head = self._front_end.head
        weights, floor = head.of_power()
        power = torch.cat([self._power(part) @ weights for part in audio.split(4)])
        if self._warp:
            power = power @ self._warps(len(audio))
        features: Tensor = head.after_power(power * self._gains(len(audio)) + floor)
        for _ in range(2):
            self._blank(features)
        return features

    def _power(self, audio: Tensor) -> Tensor:
        frames = frames_of(audio, self._config) * self._front_end.window
        return power_of(torch.fft.rfft(frames, self._config.n_fft)[..., self._front_end.head.bins])

    def _warps(self, n: int) -> Tensor:
        """Linear interpolation between mel channels, for half of the scenes the identity: [n, features, features]."""
        rng, size = self._rng, self.n_features
        factor = 1 + np.where(rng.uniform(size=n) < 0.5, 0, rng.uniform(-self._warp, self._warp, n))
        at = np.clip(np.arange(size) * factor[:, None], 0, size - 1)  # of each new channel, in old ones
        low = np.minimum(at.astype(int), size - 2)
        part, scene, new = at - low, np.arange(n)[:, None], np.arange(size)
        weights = np.zeros((n, size, size), np.float32)
        weights[scene, low, new] = 1 - part
        weights[scene, low + 1, new] = part
        return torch.from_numpy(weights)

    def _gains(self, n: int) -> Tensor:
        """A power gain of -40 to 3 dB, and a smooth curve over frequency of up to 5 dB (its deviation): [n, 1, features]."""
        rng = self._rng
        level = np.where(rng.uniform(size=n) < 0.6, rng.uniform(-40, 3, n), rng.uniform(-10, 3, n))
        knots = rng.normal(0, 1, (n, _KNOTS)) * rng.uniform(0, _MAX_COLOUR_DB, (n, 1))
        at = np.linspace(0, _KNOTS - 1, self.n_features)
        colour = np.stack([np.interp(at, np.arange(_KNOTS), row) for row in knots])
        return torch.from_numpy((10 ** ((level[:, None] + colour) / 10)).astype(np.float32))[:, None]

    def _blank(self, features: Tensor) -> None:
        """Set a band of up to six channels to the scene's mean in 60 % of the scenes, in place."""
        rng, (n, _, n_features) = self._rng, features.shape
        widths = rng.integers(0, _BLANKED, n) * (rng.uniform(size=n) < 0.6)
        for scene in np.flatnonzero(widths):
            low = int(rng.uniform() * (n_features + 1 - widths[scene]))
            features[scene, :, low : low + widths[scene]] = features[scene].mean()
