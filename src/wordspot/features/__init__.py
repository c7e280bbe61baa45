"""The front ends: from samples to features, as modules with one definition for training, streaming and export.

`make_front_end(config)` gives a module with

- ``forward(audio)``: float32 [batch, samples] in [-1, 1] → float32 [batch, frames, features] of every whole window;
- ``initial_state(batch)`` and ``step(audio, state)``: hops in, as many frames out, and the state for the next call.

From a zero state the first frames see zeros before the sound began; a stream's frames from ``window / hop - 1`` on, rounded
up, are those of the whole recording. (Of `PsfMfcc` only where the window is a multiple of the hop.) The spectrum is taken by FFT, or, with
``transform="matrix"``, by one product with the windowed DFT of the bins in use, which is what an exported file holds; both
give the same values to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.errors import ConfigError
from wordspot.features import filterbanks

# What log-mel energies of speech measure on average; features near zero mean and unit variance suit every optimiser.
_LOGMEL_FLOOR, _LOGMEL_MEAN, _LOGMEL_SCALE = 1e-6, -4.0, 0.25
_CLIPS_AT_ONCE = 16
_PREEMPHASIS, _LIFTER, _INT16 = 0.97, 22, 32768.0


class SpectralFrontEnd(nn.Module):
    """A Hann-windowed power spectrum per frame, and a head that turns it into features.

    A head that has no use for some bins says which it takes in its attribute ``bins``. One that begins with a sum over
    bins has it apart: ``of_power()`` gives the weights and a constant, ``after_power(sums)`` the rest.
    """

    window: Tensor
    dft: Tensor

    def __init__(self, config: FeatureConfig, head: nn.Module, transform: str = "fft") -> None:
        super().__init__()
        self.config, self.transform, self.head = config, transform, head
        self._bins: slice = getattr(head, "bins", slice(None))
        window = analysis_window(config)
        self.register_buffer("window", _float32(window), persistent=False)
        if transform == "matrix":
            dft = filterbanks.windowed_dft(window, config.n_fft, np.arange(config.n_bins)[self._bins])
            self.register_buffer("dft", _float32(dft), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → features: float32 [batch, frames, features]."""
        if torch.compiler.is_exporting() or audio.device.type != "cpu":
            return self._features(audio)
        # so few clips' spectra at once stay in the processor's cache: less than two thirds of the time
        return torch.cat([self._features(part) for part in torch.split(audio, _CLIPS_AT_ONCE)])

    def _features(self, audio: Tensor) -> Tensor:
        features: Tensor = self.head(self._power(_frame(audio, self.config)))
        return features

    @property
    def kept_samples(self) -> int:
        """Samples that a stream's state holds: window - hop, up to a whole number of hops.

        So a frame of the stream begins at a multiple of the hop, as in a whole recording. Where the window is no multiple of
        the hop, it ends before the newest sample.
        """
        hop = self.config.hop_samples
        return -(-(self.config.window_samples - hop) // hop) * hop

    def initial_state(self, batch: int) -> Tensor:
        """Zeros for the samples before a stream began: [batch, kept_samples]."""
        return self.window.new_zeros(batch, self.kept_samples)

    def step(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """audio: [batch, hop · k], state: [batch, kept_samples] → features [batch, k, features], state."""
        joined = torch.cat([state, audio], dim=1)
        return self(joined), joined[:, joined.shape[1] - state.shape[1] :]

    def _power(self, frames: Tensor) -> Tensor:
        if self.transform == "matrix":
            return _sum_of_squares(*(frames @ self.dft).chunk(2, dim=-1))
        spectrum = torch.fft.rfft(frames * self.window, self.config.n_fft)[..., self._bins]
        return _sum_of_squares(spectrum.real, spectrum.imag)


class PsfMfcc(nn.Module):
    """python_speech_features' MFCC of int16-scaled samples: rectangular window, coefficient 0 the log of the energy.

    The end is padded with zeros to a whole window, as there. Pre-emphasis reaches one sample back, so a stream's state
    holds one sample more than the other front ends'.
    """

    dft: Tensor

    def __init__(self, config: FeatureConfig, transform: str = "fft") -> None:
        super().__init__()
        self.config, self.transform = config, transform
        if transform == "matrix":
            dft = filterbanks.windowed_dft(np.ones(config.window_samples), config.n_fft, np.arange(config.n_bins))
            self.register_buffer("dft", _float32(dft), persistent=False)
        mel = filterbanks.psf_mel(config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        dct = filterbanks.cosine_transform(config.n_mels, config.n_coefficients, orthonormal=True)
        lifted = dct * filterbanks.sine_lifter(config.n_coefficients, _LIFTER)
        self.register_buffer("mel", _float32(mel), persistent=False)
        self.register_buffer("dct", _float32(lifted), persistent=False)
        self.mel: Tensor
        self.dct: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → features: float32 [batch, frames, coefficients]."""
        return self.cepstrum(self._power(_frame(self.prepare(audio), self.config)))

    def prepare(self, audio: Tensor) -> Tensor:
        """Pre-emphasis, and zeros at the end up to a whole window."""
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
        features = self.cepstrum(self._power(_frame(_emphasise(joined[:, 1:], joined[:, :1]), self.config)))
        return features, joined[:, joined.shape[1] - state.shape[1] :]

    def cepstrum(self, power: Tensor) -> Tensor:
        """power: [batch, frames, bins] of samples in [-1, 1] → coefficients: [batch, frames, coefficients]."""
        power = power * (_INT16**2 / self.config.n_fft)
        epsilon = float(np.finfo(np.float64).eps)
        energy = _positive(power.sum(dim=-1, keepdim=True), epsilon).log()
        cepstrum = _positive(power @ self.mel, epsilon).log() @ self.dct
        return torch.cat([energy, cepstrum[..., 1:]], dim=-1)

    def _power(self, frames: Tensor) -> Tensor:
        if self.transform == "matrix":
            return _sum_of_squares(*(frames @ self.dft).chunk(2, dim=-1))
        spectrum = torch.fft.rfft(frames, self.config.n_fft)
        return _sum_of_squares(spectrum.real, spectrum.imag)


class Samples(nn.Module):
    """No front end at all: the sound cut into hops, for networks that take it as it is."""

    def __init__(self, config: FeatureConfig, _transform: str = "fft") -> None:
        super().__init__()
        self.config = config

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → float32 [batch, frames, hop]; the tail that fills no hop is dropped."""
        hop = self.config.hop_samples
        n_frames = audio.shape[1] // hop
        return audio[:, : n_frames * hop].reshape(-1, n_frames, hop)

    def initial_state(self, batch: int) -> Tensor:
        """Nothing is kept: [batch, 0]."""
        return torch.zeros(batch, 0)

    def step(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """audio: [batch, hop · k], state: [batch, 0] → features [batch, k, hop], state."""
        return self(audio), state


class _Mfcc(nn.Module):
    """Power → TensorFlow's mel channels of the magnitude → log → cosine transform."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        mel = filterbanks.tensorflow_mel(
            config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz
        )
        dct = filterbanks.cosine_transform(config.n_mels, config.n_coefficients, orthonormal=False)
        self.bins = _used_bins(mel)
        self.register_buffer("mel", _float32(mel[self.bins]), persistent=False)
        self.register_buffer("dct", _float32(dct), persistent=False)
        self.mel: Tensor
        self.dct: Tensor

    def forward(self, power: Tensor) -> Tensor:
        return (power.sqrt() @ self.mel).clamp(min=1e-12).log() @ self.dct


class _LogMel(nn.Module):
    """Power → HTK's mel channels → log, near zero mean and unit variance."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        mel = filterbanks.htk_mel(config.n_bins, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        self.bins = _used_bins(mel)
        self.register_buffer("mel", _float32(mel[self.bins]), persistent=False)
        self.mel: Tensor

    def of_power(self) -> tuple[Tensor, float]:
        return self.mel, _LOGMEL_FLOOR

    def after_power(self, sums: Tensor) -> Tensor:
        return (sums.log() - _LOGMEL_MEAN) * _LOGMEL_SCALE

    def forward(self, power: Tensor) -> Tensor:
        return self.after_power(power @ self.mel + _LOGMEL_FLOOR)


class _Average(nn.Module):
    """Power averaged over neighbouring bins; the last group is filled up evenly on both sides and counts real bins only."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        starts = np.arange(config.n_features) * config.average_width
        starts -= (config.n_features * config.average_width - config.n_bins) // 2
        weights = np.zeros((config.n_bins, config.n_features))
        for column, start in enumerate(starts):
            first, stop = max(int(start), 0), min(int(start) + config.average_width, config.n_bins)
            weights[first:stop, column] = 1 / (stop - first)
        self.register_buffer("weights", _float32(weights), persistent=False)
        self.weights: Tensor

    def of_power(self) -> tuple[Tensor, float]:
        return self.weights, 0.0

    def after_power(self, sums: Tensor) -> Tensor:
        return sums

    def forward(self, power: Tensor) -> Tensor:
        return power @ self.weights


class _Specgram(nn.Module):
    """Power → one-sided density of int16-scaled samples, as matplotlib's ``specgram``: per Hz, of a window of unit power."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        scale = np.full(config.n_bins, 2.0)  # of every bin but the first and the last there are two
        scale[[0, -1]] = 1.0
        scale *= _INT16**2 / (config.sample_rate * np.square(analysis_window(config)).sum())
        self.register_buffer("scale", _float32(scale), persistent=False)
        self.scale: Tensor

    def forward(self, power: Tensor) -> Tensor:
        return power * self.scale


def analysis_window(config: FeatureConfig) -> filterbanks.Matrix:
    """What a `SpectralFrontEnd` multiplies each frame with: a Hann window, `specgram`'s symmetric, others' periodic."""
    make = filterbanks.symmetric_hann if config.kind == "specgram" else filterbanks.hann
    return make(config.window_samples)


def make_front_end(config: FeatureConfig, transform: str = "fft") -> Any:
    """The front end that `config` describes, as a module with ``forward``, ``initial_state`` and ``step``.

    Raises:
        ConfigError: a transform that is neither ``fft`` nor ``matrix``.
    """
    if transform not in ("fft", "matrix"):
        raise ConfigError(f"transform must be 'fft' or 'matrix', got {transform!r}")
    return _FRONT_ENDS[config.kind](config, transform)


def _micro(config: FeatureConfig, _: str) -> nn.Module:
    from wordspot.features.micro import MicroFrontEnd

    return MicroFrontEnd(config)


_FRONT_ENDS: dict[str, Callable[[FeatureConfig, str], nn.Module]] = {
    "logmel": lambda config, transform: SpectralFrontEnd(config, _LogMel(config), transform),
    "mfcc": lambda config, transform: SpectralFrontEnd(config, _Mfcc(config), transform),
    "average": lambda config, transform: SpectralFrontEnd(config, _Average(config), transform),
    "spectrogram": lambda config, transform: SpectralFrontEnd(config, nn.Identity(), transform),
    "specgram": lambda config, transform: SpectralFrontEnd(config, _Specgram(config), transform),
    "micro": _micro,
    "psf_mfcc": PsfMfcc,
    "samples": Samples,
}


def _frame(audio: Tensor, config: FeatureConfig) -> Tensor:
    """[batch, samples] → [batch, frames, window]; the tail that fills no window is dropped."""
    return audio.unfold(1, config.window_samples, config.hop_samples)


def _emphasise(audio: Tensor, before: Tensor) -> Tensor:
    """x[t] - 0.97 x[t - 1], with `before` [batch, 1] as the sample before the first."""
    return audio - _PREEMPHASIS * torch.cat([before, audio[:, :-1]], dim=1)


def _sum_of_squares(real: Tensor, imaginary: Tensor) -> Tensor:
    return real.square() + imaginary.square()


def _positive(values: Tensor, epsilon: float) -> Tensor:
    return torch.where(values == 0, values.new_tensor(epsilon), values)


def _used_bins(mel: filterbanks.Matrix) -> slice:
    """From the first to the last bin that any channel takes from."""
    used = np.flatnonzero(mel.any(axis=1))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


def _float32(matrix: filterbanks.Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
