"""Front ends that are a function of the power spectrum: log-mel, MFCC, averaged bins, the spectrum itself, `specgram`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.features import filterbanks
from wordspot.features.frames import INT16_SCALE, float32, frames_of, power_of

# What log-mel energies of speech measure on average; features near zero mean and unit variance suit every optimiser.
_LOGMEL_FLOOR, _LOGMEL_MEAN, _LOGMEL_SCALE = 1e-6, -4.0, 0.25


class SpectralFrontEnd(nn.Module):
    """A Hann-windowed power spectrum per frame, and a head that turns it into features.

    A head that needs only some of the bins has an attribute ``bins`` with their slice. A head whose first step is a weighted
    sum over bins has two methods for it: ``of_power()`` returns the weights and a constant, ``after_power(sums)`` does the
    rest. The exporter uses them.
    """

    window: Tensor

    def __init__(self, config: FeatureConfig, head: nn.Module) -> None:
        super().__init__()
        self.config, self.head = config, head
        self._bins: slice = getattr(head, "bins", slice(None))
        self.register_buffer("window", float32(analysis_window(config)), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → features: float32 [batch, frames, features]."""
        features: Tensor = self.head(self._power(frames_of(audio, self.config)))
        return features

    def coloured(self, audio: Tensor, gains_db: Tensor, stretches: Tensor | None = None) -> Tensor:
        """The features of audio whose spectrum is changed by a smooth curve and stretched over frequency.

        If the head begins with a sum over bins, the sums are changed, which is nearly free; otherwise the bins are, without
        stretching.

        Args:
            audio: float32 [batch, samples].
            gains_db: [batch, knots], the curve at evenly spaced sums, or bins of the whole spectrum.
            stretches: [batch], see `stretch`; None: 1.
        """
        power = self._power(frames_of(audio, self.config))
        if isinstance(self.head, (LogMel, Average)):
            weights, constant = self.head.of_power()
            sums = power @ weights
            if stretches is not None:
                sums = stretch(sums, stretches)
            return self.head.after_power(sums * _curve(gains_db, sums.shape[2]) + constant)
        features: Tensor = self.head(power * _curve(gains_db, self.config.n_bins)[..., self._bins])
        return features

    @property
    def kept_samples(self) -> int:
        """Samples that a stream's state holds: window - hop, rounded up to a multiple of the hop.

        A frame of the stream then begins at a multiple of the hop, as in an entire recording. If the window is no multiple of
        the hop, the frame ends before the newest sample.
        """
        hop = self.config.hop_samples
        return -(-(self.config.window_samples - hop) // hop) * hop

    @property
    def early_frames(self) -> int:
        """Frames at the beginning of a stream whose windows reach back before its first sample."""
        return self.kept_samples // self.config.hop_samples

    def initial_state(self, batch: int) -> Tensor:
        """Zeros for the samples before the stream: [batch, kept_samples]."""
        return self.window.new_zeros(batch, self.kept_samples)

    def step(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """audio: [batch, hop · k], state: [batch, kept_samples] → features [batch, k, features], state."""
        joined = torch.cat([state, audio], dim=1)
        return self(joined), joined[:, joined.shape[1] - state.shape[1] :]

    def _power(self, frames: Tensor) -> Tensor:
        return power_of(torch.fft.rfft(frames * self.window, self.config.n_fft)[..., self._bins])


def stretch(x: Tensor, factors: Tensor) -> Tensor:
    """Stretch the last axis of [batch, frames, size]: value i becomes the value at i · factor, by linear interpolation.

    On a mel scale this approximates another length of the vocal tract (Jaitly and Hinton 2013). Beyond the end the last value
    is repeated.
    """
    size = x.shape[2]
    new = torch.arange(size, device=x.device)
    at = (new * factors[:, None]).clamp(0, size - 1)  # of each new value, among the old ones: [batch, size]
    low = at.long().clamp(max=size - 2)
    part = at - low
    weights = x.new_zeros(len(x), size, size)
    weights.scatter_(1, low[:, None], (1 - part)[:, None]).scatter_(1, low[:, None] + 1, part[:, None])
    return x @ weights


def _curve(gains_db: Tensor, size: int) -> Tensor:
    """Gains in dB [batch, knots] → factors of the power [batch, 1, size], interpolated linearly in dB."""
    return 10 ** (nn.functional.interpolate(gains_db[:, None], size=size, mode="linear", align_corners=True) / 10)


class Mfcc(nn.Module):
    """Power → TensorFlow's mel channels of the magnitude → log → cosine transform."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        mel = filterbanks.tensorflow_mel(config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        dct = filterbanks.cosine_transform(config.n_mels, config.n_coefficients, orthonormal=False)
        self.bins = _used_bins(mel)
        self.register_buffer("mel", float32(mel[self.bins]), persistent=False)
        self.register_buffer("dct", float32(dct), persistent=False)
        self.mel: Tensor
        self.dct: Tensor

    def forward(self, power: Tensor) -> Tensor:
        return (power.sqrt() @ self.mel).clamp(min=1e-12).log() @ self.dct


class LogMel(nn.Module):
    """Power → HTK's mel channels → log, near zero mean and unit variance."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        mel = filterbanks.htk_mel(config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        self.bins = _used_bins(mel)
        self.register_buffer("mel", float32(mel[self.bins]), persistent=False)
        self.mel: Tensor

    def of_power(self) -> tuple[Tensor, float]:
        """The weights [bins, mels] of the sum over bins, and the constant added to it."""
        return self.mel, _LOGMEL_FLOOR

    def after_power(self, sums: Tensor) -> Tensor:
        """The rest of `forward`, after that sum: of the same shape."""
        return (sums.log() - _LOGMEL_MEAN) * _LOGMEL_SCALE

    def forward(self, power: Tensor) -> Tensor:
        return self.after_power(power @ self.mel + _LOGMEL_FLOOR)


class Average(nn.Module):
    """Power averaged over groups of neighbouring bins.

    The groups are centred on the spectrum; an incomplete group at either end averages existing bins only.
    """

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        starts = np.arange(config.n_features) * config.average_width
        starts -= (config.n_features * config.average_width - config.n_bins) // 2
        weights = np.zeros((config.n_bins, config.n_features))
        for column, start in enumerate(starts):
            first, stop = max(int(start), 0), min(int(start) + config.average_width, config.n_bins)
            weights[first:stop, column] = 1 / (stop - first)
        self.register_buffer("weights", float32(weights), persistent=False)
        self.weights: Tensor

    def of_power(self) -> tuple[Tensor, float]:
        return self.weights, 0.0

    def after_power(self, sums: Tensor) -> Tensor:
        return sums

    def forward(self, power: Tensor) -> Tensor:
        return power @ self.weights


class Specgram(nn.Module):
    """Power → one-sided spectral density of int16-scaled samples, as matplotlib's ``specgram``."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        scale = np.full(config.n_bins, 2.0)  # every bin except the first and the last stands for two
        scale[[0, -1]] = 1.0
        scale *= INT16_SCALE**2 / (config.sample_rate * np.square(analysis_window(config)).sum())
        self.register_buffer("scale", float32(scale), persistent=False)
        self.scale: Tensor

    def forward(self, power: Tensor) -> Tensor:
        return power * self.scale


def analysis_window(config: FeatureConfig) -> filterbanks.Matrix:
    """The Hann window of a `SpectralFrontEnd`: symmetric for `specgram`, periodic for all others."""
    make = filterbanks.symmetric_hann if config.kind == "specgram" else filterbanks.hann
    return make(config.window_samples)


def _used_bins(mel: filterbanks.Matrix) -> slice:
    """From the first to the last bin with a weight in any channel."""
    used = np.flatnonzero(mel.any(axis=1))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
