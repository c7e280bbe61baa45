"""The microcontroller front end: TensorFlow Lite's fixed-point "micro" features, bit by bit, as a torch module.

The steps are those of the device: window and Fourier transform of 16-bit integers, energy, mel channels, square root,
noise reduction by a running estimate, gain by channel (PCAN: Wang et al., arXiv 1607.05666), logarithm. All of them are
integer arithmetic, so training, streaming and a device agree exactly. The reference is the C library that the package
pymicro-features wraps.

Inside, frames come last: [values of a frame, frames, batch], so that each operation runs along long rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.errors import AudioError, ConfigError
from wordspot.features import fixed_point

#: ``(samples, estimate, missing)``: the last samples, float32 [batch, state_samples]; the estimate of the noise, int64
#: [batch, n_mels]; the number of frames still to come before the first full window, int64 [batch].
MicroState = tuple[Tensor, Tensor, Tensor]

#: What 1 in the integer output is as a feature: 10 / 256.
FEATURE_SCALE = 0.0390625

_WINDOW_BITS = _WEIGHT_BITS = 12
_ESTIMATE_BITS = 10
_SMOOTHING_BITS = 14
_SMOOTHING_EVEN, _SMOOTHING_ODD, _MIN_SIGNAL = (int(part * 2**_SMOOTHING_BITS) for part in (0.025, 0.06, 0.05))
_GAIN_BITS, _GAIN_STRENGTH, _GAIN_OFFSET = 21, 0.95, 80.0
_SNR_BITS, _PCAN_BITS = 12, 6
_LOG_BITS, _LOG_SEGMENT_BITS, _LOG_SHIFT = 16, 9, 6
_LN_2 = round(math.log(2) * 2**_LOG_BITS)
_LOG_HALF = 2 ** (_LOG_BITS - 1)
_LOG1P = (0.14798198640, 0.15313838422, 0.18183572590, 0.22222198546, 0.28571429849, 0.40000000596, 0.66666668653)


class MicroFrontEnd(nn.Module):
    """Samples to micro features. The noise estimate starts anew with each clip.

    Frame ``j`` of a stream is exactly frame ``j - warmup_frames`` of the entire recording. The `warmup_frames` frames
    before the first full window are 0 and leave the noise estimate untouched. The state carries `state_samples`
    samples: window - hop, rounded up to a multiple of the hop, so that frames of a stream begin where those of the recording do.
    """

    window: Tensor
    mel: Tensor
    gains: Tensor
    logs: Tensor
    smoothing: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        """Build the tables for `config`.

        Raises:
            ConfigError: an FFT of another size than the next power of two, a hop longer than the window, or channels
                that reach half the sample rate.
        """
        super().__init__()
        _check(config)
        self.config = config
        self.fft = fixed_point.FixedFft(config.n_fft)
        self.warmup_frames = -(-(config.window_samples - config.hop_samples) // config.hop_samples)
        self.state_samples = self.warmup_frames * config.hop_samples
        self._fraction_bits = config.n_fft.bit_length() - 1 - _WEIGHT_BITS // 2  # that the device sees in a magnitude
        smoothing = np.resize(np.array([_SMOOTHING_EVEN, _SMOOTHING_ODD], np.int64), (config.n_mels, 1))
        tables = {
            "window": _window(config),
            "mel": _mel(config),
            "gains": _gains(_ESTIMATE_BITS - self._fraction_bits),
            "logs": _logs(),
            "smoothing": smoothing,
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] in [-1, 1] → features: float32 [batch, frames, n_mels].

        Raises:
            AudioError: less than a window of samples.
        """
        if audio.shape[1] < self.config.window_samples:
            raise AudioError(
                f"the audio has {audio.shape[1]} samples; expected at least a window of {self.config.window_samples}. "
                "Pad the recording with zeros"
            )
        _, estimate, missing = self.initial_state(audio.shape[0])
        return self.of_windows(audio, estimate, torch.zeros_like(missing))[0]

    def initial_state(self, batch: int) -> MicroState:
        """The state at the start of a stream, for `step`."""
        samples = torch.zeros(batch, self.state_samples, device=self.mel.device)
        estimate = self.smoothing.new_zeros(batch, self.config.n_mels)
        return samples, estimate, self.smoothing.new_full((batch,), self.warmup_frames)

    def step(self, audio: Tensor, state: MicroState) -> tuple[Tensor, MicroState]:
        """audio: float32 [batch, hop · k], state: `MicroState` → features: float32 [batch, k, n_mels], state.

        Raises:
            AudioError: `audio` is not a multiple of the hop.
        """
        if audio.shape[1] == 0 or audio.shape[1] % self.config.hop_samples:
            raise AudioError(
                f"the audio has {audio.shape[1]} samples; expected a multiple of the hop of {self.config.hop_samples}. "
                "Keep the rest for the next call"
            )
        samples, estimate, missing = state
        joined = torch.cat([samples, audio], dim=1)
        features, estimate = self.of_windows(joined, estimate, missing)
        return features, (joined[:, audio.shape[1] :], estimate, (missing - features.shape[1]).clamp(min=0))

    def of_windows(self, audio: Tensor, estimate: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
        """All full windows of [batch, samples] → features [batch, frames, n_mels], estimate [batch, n_mels]."""
        signal = self._magnitudes(audio)
        frame = torch.arange(signal.shape[1], device=audio.device)
        signal = signal * (frame[:, None] >= missing)
        noise = self._noise(signal, estimate.T)
        features = self.log_scale(self._gain(subtract_noise(signal, noise), noise)).permute(2, 1, 0).float() * FEATURE_SCALE
        return features.contiguous(), noise[:, -1].T

    def _magnitudes(self, audio: Tensor) -> Tensor:
        """float32 [batch, samples] → root of the energy in each channel: int64 [n_mels, frames, batch]."""
        n_fft = self.config.n_fft
        # A window includes the samples after it up to the length of the transform; their weight is 0.
        padded = nn.functional.pad(audio, (0, n_fft - self.config.window_samples))
        samples = (padded * 32768).round_().clamp_(-32768, 32767).int().T.contiguous()
        frames = samples.unfold(0, n_fft, self.config.hop_samples).permute(2, 0, 1)
        rows = frames.reshape(n_fft, -1).mul(self.window).bitwise_right_shift_(_WINDOW_BITS)
        # On the device -32768 has no magnitude in 16 bits and is ignored.
        peak = rows.abs().bitwise_and_(0x7FFF).amax(dim=0)
        shift = 15 - fixed_point.bit_length(peak)
        energy = self.fft(fixed_point.wrap_(rows.bitwise_left_shift(shift)))
        total = self.mel @ energy.double()  # integers below 2**46: exact in any order
        return fixed_point.root(total).bitwise_right_shift(shift).reshape(-1, *frames.shape[1:])

    def _noise(self, signal: Tensor, estimate: Tensor) -> Tensor:
        """The noise estimate after each frame, of the shape of `signal`; `estimate` [n_mels, batch] is the previous one."""
        new = (signal << _ESTIMATE_BITS) * self.smoothing[:, None]
        keep = 2**_SMOOTHING_BITS - self.smoothing
        estimates = []
        for frame in new.unbind(dim=1):
            estimate = (frame + estimate * keep) >> _SMOOTHING_BITS
            estimates.append(estimate)
        return torch.stack(estimates, dim=1)

    def _gain(self, signal: Tensor, noise: Tensor) -> Tensor:
        """The signal divided by the noise, small values squared; the gain is a parabola in each octave of the noise."""
        octave = fixed_point.bit_length(noise)
        start, slope, bend = (row[octave] for row in self.gains)
        position = (noise << 11).bitwise_right_shift(octave) & 0x3FF
        change = (((bend * position) >> 5) + (slope << 5)) * position
        gain = start + ((change + 2**14) >> 15)
        snr = (signal * gain) >> (_GAIN_BITS - _SNR_BITS - self._fraction_bits)
        squared = (snr * snr) >> (2 + 2 * _SNR_BITS - _PCAN_BITS)
        return torch.where(snr < 2 << _SNR_BITS, squared, (snr >> (_SNR_BITS - _PCAN_BITS)) - 2**_PCAN_BITS)

    def log_scale(self, signal: Tensor) -> Tensor:
        """64 times the natural logarithm, 0 for 0; far below 65535, where the device would saturate."""
        bits = self._fraction_bits
        signal = (signal << bits if bits > 0 else signal >> -bits).clamp(min=1)
        octave = fixed_point.bit_length(signal) - 1
        position = (signal << _LOG_BITS).bitwise_right_shift(octave) - 2**_LOG_BITS
        segment = position >> _LOG_SEGMENT_BITS
        start, end = self.logs[segment], self.logs[segment + 1]
        between = ((end - start) * (position - (segment << _LOG_SEGMENT_BITS))) >> _LOG_BITS
        log = ((((octave << _LOG_BITS) + position + start + between) * _LN_2) + _LOG_HALF) >> _LOG_BITS
        result: Tensor = ((log << _LOG_SHIFT) + _LOG_HALF) >> _LOG_BITS
        return result


def subtract_noise(signal: Tensor, noise: Tensor) -> Tensor:
    """The signal minus the noise, but at least a small fraction of the signal."""
    rest = ((signal << _ESTIMATE_BITS) - noise).clamp(min=0) >> _ESTIMATE_BITS
    return torch.maximum(rest, (signal * _MIN_SIGNAL) >> _SMOOTHING_BITS)


def _check(config: FeatureConfig) -> None:
    if config.n_fft != 1 << (config.window_samples - 1).bit_length():
        raise ConfigError(f"fft_size is {config.fft_size}, but the micro front end needs the next power of two; leave it at 0")
    if config.hop_samples > config.window_samples:
        raise ConfigError(
            f"hop_ms is {config.hop_ms:g}, but the micro front end needs at most the window's {config.window_ms:g} ms; lower it"
        )


def _window(config: FeatureConfig) -> NDArray[np.int32]:
    """A Hann window in Q12, with zeros up to the length of the transform: [n_fft, 1]."""
    n_samples = config.window_samples
    angles = _f32(2 * np.pi) / _f32(n_samples) * (_f32(np.arange(n_samples)) + _f32(0.5))
    window = np.zeros((config.n_fft, 1), np.int32)
    window[:n_samples, 0] = _quantize(_f32(0.5) - _f32(0.5) * _f32(np.cos(angles.astype(np.float64))))
    return window


def _mel(config: FeatureConfig) -> NDArray[np.float64]:
    """Weights in Q12 of the bins 1 to n_fft / 2 - 1 in each channel: [n_mels, bins].

    Channels are triangles, evenly spaced in mel. A bin between two peaks gives one weight to the lower channel and the
    rest, rounded by itself, to the upper one.
    """
    n_bins = config.n_fft // 2
    low, high = _hz_to_mel(_f32([config.low_hz, config.high_hz]))
    edges = low + (high - low) / _f32(config.n_mels + 1) * _f32(np.arange(config.n_mels + 2))
    bin_hz = _f32(config.sample_rate / 2) / _f32(n_bins)
    first = int(_f32(1.5) + _f32(config.low_hz) / bin_hz)
    mel = _hz_to_mel(_f32(np.arange(first, n_bins + 1)) * bin_hz)
    if mel.size == 0 or mel[-1] <= edges[-1]:
        raise ConfigError(
            f"the micro front end's channels must end below half the sample rate ({config.sample_rate / 2:g} Hz), "
            f"got high_hz {config.high_hz:g}; lower it"
        )
    above = np.searchsorted(edges[1:], mel)  # the edge above each bin; beyond the last edge no channel is left
    above, mel = above[above <= config.n_mels], mel[above <= config.n_mels]
    falling = (edges[above + 1] - mel) / (edges[above + 1] - edges[above])
    weights = np.zeros((config.n_mels + 2, n_bins))
    bins = first + np.arange(len(mel))
    weights[above, bins] = _quantize(falling)
    weights[above + 1, bins] = _quantize(_f32(1) - falling)
    return weights[1:-1, 1:]


def _gains(fraction_bits: int) -> NDArray[np.int64]:
    """For each bit length of a noise estimate, the gain where it starts, its slope and its bend: [3, 33]."""
    octaves = 2.0 ** np.arange(1, 32)
    noise = np.stack([octaves, octaves * 1.5, octaves * 2])
    start, middle, end = _gain(noise, fraction_bits)
    slope = 4 * (middle - start) - (end - start)
    table = np.zeros((3, 33), np.int64)
    table[0, :2] = _gain(np.array([0.0, 1.0]), fraction_bits)
    table[:, 2:] = start, slope, end - start - slope
    return table


def _gain(noise: NDArray[np.float64], fraction_bits: int) -> NDArray[np.int64]:
    base = _f32(noise / 2**fraction_bits) + _f32(_GAIN_OFFSET)
    power = _f32(base.astype(np.float64) ** -float(_f32(_GAIN_STRENGTH)))
    result: NDArray[np.int64] = np.minimum(power * _f32(2**_GAIN_BITS) + _f32(0.5), 32767).astype(np.int64)
    return result


def _logs() -> NDArray[np.int64]:
    """log2(1 + x) - x at the 129 ends of 128 segments of [0, 1], in Q16."""
    x = np.arange(129) / 128
    result: NDArray[np.int64] = np.rint((np.log2(1 + x) - x) * 2**_LOG_BITS).astype(np.int64)
    return result


def _hz_to_mel(hz: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = _f32(1127) * log1p(hz / _f32(700))
    return result


def log1p(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """log(1 + x) of x >= 0 in float32, with the rounding errors of Sun's fdlibm.

    That is what newlib computes on devices, and glibc up to 2.40. The last bit of a few weights depends on it.
    """
    above_1 = x + _f32(1)
    mantissa, exponent = np.frexp(above_1)
    low = mantissa < _f32(0.70710701)
    small = x < _f32(0.41421387)  # log(1 + x) is taken of x itself; else 1 + x = 2**k · (1 + f) · (1 + lost)
    k = np.where(small, _f32(0), _f32(exponent - low))
    f = np.where(small, x, np.where(low, 2 * mantissa, mantissa) - _f32(1))
    lost = np.where(exponent > 1, _f32(1) - (above_1 - x), x - (above_1 - _f32(1))) / above_1
    ratio, half = f / (_f32(2) + f), _f32(0.5) * f * f
    series = _f32(np.zeros_like(x))
    for factor in _LOG1P:
        series = ratio * ratio * (_f32(factor) + series)
    rest = k * _f32(9.0580006145e-06) + np.where(small, _f32(0), lost)
    result: NDArray[np.float32] = _f32(k * _f32(0.69313812256) - ((half - (ratio * (half + series) + rest)) - f))
    return result


def _quantize(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = _f32(np.floor(weights * _f32(2**_WEIGHT_BITS) + _f32(0.5)))
    return result


def _f32(values: ArrayLike) -> Any:
    """`values` rounded to float32, in which the device builds its tables."""
    return np.asarray(values, dtype=np.float32)
