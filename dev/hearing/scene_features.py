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
    """Features as the default front end makes them, 100 frames of 40 a second."""

    def __init__(self, rng: Generator) -> None:
        self._rng, self._config = rng, FeatureConfig()
        self._front_end = make_front_end(self._config)
        self.n_features = self._config.n_features

    @torch.no_grad()
    def __call__(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → float32 [batch, frames, features]."""
        head = self._front_end.head
        weights, floor = head.of_power()
        power = torch.cat([self._power(part) @ weights for part in audio.split(4)])
        features: Tensor = head.after_power(power * self._gains(len(audio)) + floor)
        for _ in range(2):
            self._blank(features)
        return features

    def _power(self, audio: Tensor) -> Tensor:
        frames = frames_of(audio, self._config) * self._front_end.window
        return power_of(torch.fft.rfft(frames, self._config.n_fft)[..., self._front_end.head.bins])

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
