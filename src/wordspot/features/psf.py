"""The MFCC of the package python_speech_features, as a front end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.features import filterbanks
from wordspot.features.frames import INT16_SCALE, float32, frames_of, power_of

_PREEMPHASIS, _LIFTER = 0.97, 22


class PsfMfcc(nn.Module):
    """python_speech_features' MFCC of int16-scaled samples: rectangular window, coefficient 0 the log of the energy.

    The end is padded with zeros to a full window, as there. Pre-emphasis needs the previous sample, so the state of a stream
    holds one sample more than that of other front ends.
    """

    mel: Tensor
    dct: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        mel = filterbanks.psf_mel(config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        dct = filterbanks.cosine_transform(config.n_mels, config.n_coefficients, orthonormal=True)
        lifted = dct * filterbanks.sine_lifter(config.n_coefficients, _LIFTER)
        self.register_buffer("mel", float32(mel), persistent=False)
        self.register_buffer("dct", float32(lifted), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → features: float32 [batch, frames, coefficients]."""
        return self.cepstrum(self._power(frames_of(self.prepare(audio), self.config)))

    def prepare(self, audio: Tensor) -> Tensor:
        """Pre-emphasis, and zeros at the end up to a full window."""
        beyond = max(audio.shape[1] - self.config.window_samples, 0)
        n_frames = 1 + -(-beyond // self.config.hop_samples)
        missing = self.config.window_samples + (n_frames - 1) * self.config.hop_samples - audio.shape[1]
        before = nn.functional.pad(audio[:, :-1], (1, 0))
        return nn.functional.pad(audio - _PREEMPHASIS * before, (0, missing))

    def initial_state(self, batch: int) -> Tensor:
        """Zeros: [batch, window - hop + 1]."""
        return self.mel.new_zeros(batch, self.config.window_samples - self.config.hop_samples + 1)

    def step(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """audio: [batch, hop · k], state: [batch, window - hop + 1] → features [batch, k, coefficients], state."""
        joined = torch.cat([state, audio], dim=1)
        features = self.cepstrum(self._power(frames_of(_emphasise(joined[:, 1:], joined[:, :1]), self.config)))
        return features, joined[:, joined.shape[1] - state.shape[1] :]

    def cepstrum(self, power: Tensor) -> Tensor:
        """power: [batch, frames, bins] of samples in [-1, 1] → coefficients: [batch, frames, coefficients]."""
        power = power * (INT16_SCALE**2 / self.config.n_fft)
        epsilon = float(np.finfo(np.float64).eps)
        energy = _positive(power.sum(dim=-1, keepdim=True), epsilon).log()
        cepstrum = _positive(power @ self.mel, epsilon).log() @ self.dct
        return torch.cat([energy, cepstrum[..., 1:]], dim=-1)

    def _power(self, frames: Tensor) -> Tensor:
        return power_of(torch.fft.rfft(frames, self.config.n_fft))


def _emphasise(audio: Tensor, before: Tensor) -> Tensor:
    """x[t] - 0.97 x[t - 1], with `before` [batch, 1] as the sample before the first."""
    return audio - _PREEMPHASIS * torch.cat([before, audio[:, :-1]], dim=1)


def _positive(values: Tensor, epsilon: float) -> Tensor:
    return torch.where(values == 0, values.new_tensor(epsilon), values)
