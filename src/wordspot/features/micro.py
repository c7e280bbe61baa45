"""The microcontroller front end: TensorFlow Lite's fixed-point "micro" features, to the bit, as a torch module.

A frame goes the way it goes on the device: window and Fourier transform of 16-bit integers, energy, mel channels,
square root, noise reduction by a running estimate, gain by channel (PCAN: Wang and others, arXiv 1607.05666),
logarithm. All of it is arithmetic on whole numbers, so training, streaming and a device agree exactly. The reference
is the C library that the package pymicro-features wraps.

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

#: ``(samples, estimate, missing)``: the last samples, float32 [batch, state_samples]; the estimate of the noise, int64
#: [batch, n_mels]; the number of frames still to come before the first whole window, int64 [batch].
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
_FRAMES_AT_ONCE = 400  # on a CPU: at each stage of the transform, so many stay in its cache


class MicroFrontEnd(nn.Module):
    """Samples to micro features. The noise estimate starts afresh with each clip.

    Frame ``j`` of a stream is frame ``j - warmup_frames`` of the whole recording, to the bit. The `warmup_frames` frames
    before the first whole window come out as 0 and leave the noise estimate untouched. The state carries `state_samples`
    samples: window - hop, rounded up to whole hops, so that a stream's frames begin where the recording's do.
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
        self.fft = _FixedFft(config.n_fft)
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
                f"expected at least a window of {self.config.window_samples} samples, got {audio.shape[1]}; "
                "pad the recording with zeros"
            )
        _, estimate, missing = self.initial_state(audio.shape[0])
        return self.of_windows(audio, estimate, torch.zeros_like(missing))[0]

    def initial_state(self, batch: int) -> MicroState:
        """The state before anything was heard, for `step`."""
        samples = torch.zeros(batch, self.state_samples, device=self.mel.device)
        estimate = self.smoothing.new_zeros(batch, self.config.n_mels)
        return samples, estimate, self.smoothing.new_full((batch,), self.warmup_frames)

    def step(self, audio: Tensor, state: MicroState) -> tuple[Tensor, MicroState]:
        """audio: float32 [batch, hop · k], state: `MicroState` → features: float32 [batch, k, n_mels], state.

        Raises:
            AudioError: not a whole number of hops.
        """
        if audio.shape[1] == 0 or audio.shape[1] % self.config.hop_samples:
            raise AudioError(
                f"expected a multiple of the hop of {self.config.hop_samples} samples, got {audio.shape[1]}; "
                "keep the rest for the next call"
            )
        samples, estimate, missing = state
        joined = torch.cat([samples, audio], dim=1)
        features, estimate = self.of_windows(joined, estimate, missing)
        return features, (joined[:, audio.shape[1] :], estimate, (missing - features.shape[1]).clamp(min=0))

    def of_windows(self, audio: Tensor, estimate: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
        """All whole windows of [batch, samples] → features [batch, frames, n_mels], estimate [batch, n_mels]."""
        window, hop = self.config.window_samples, self.config.hop_samples
        n_frames = 1 + (audio.shape[1] - window) // hop
        in_blocks = audio.device.type == "cpu" and not torch.compiler.is_exporting()  # a graph would repeat itself
        at_once = max(1, _FRAMES_AT_ONCE // audio.shape[0]) if in_blocks else n_frames
        outputs, estimate = [], estimate.T
        for first in range(0, n_frames, at_once):
            last = min(first + at_once, n_frames) - 1
            signal = self._magnitudes(audio[:, first * hop : last * hop + window])
            frame = torch.arange(first, last + 1, device=audio.device)
            signal = signal * (frame[:, None] >= missing)
            noise = self._noise(signal, estimate)
            estimate = noise[:, -1]
            outputs.append(self._log(self._gain(_subtract(signal, noise), noise)))
        features = torch.cat(outputs, dim=1).permute(2, 1, 0).float() * FEATURE_SCALE
        return features.contiguous(), estimate.T

    def _magnitudes(self, audio: Tensor) -> Tensor:
        """float32 [batch, samples] → root of the energy in each channel: int64 [n_mels, frames, batch]."""
        n_fft = self.config.n_fft
        # A window is cut with the samples after it that fill up the transform; their weight is 0.
        padded = nn.functional.pad(audio, (0, n_fft - self.config.window_samples))
        samples = (padded * 32768).round_().clamp_(-32768, 32767).int().T.contiguous()
        frames = samples.unfold(0, n_fft, self.config.hop_samples).permute(2, 0, 1)
        rows = frames.reshape(n_fft, -1).mul(self.window).bitwise_right_shift_(_WINDOW_BITS)
        # On the device -32768 has no magnitude in 16 bits, and is passed over.
        peak = rows.abs().bitwise_and_(0x7FFF).amax(dim=0)
        shift = 15 - _bit_length(peak)
        energy = self.fft(_wrap_(rows.bitwise_left_shift(shift)))
        total = self.mel @ energy.double()  # whole numbers below 2**46: exact in any order
        return _root(total).bitwise_right_shift(shift).reshape(-1, *frames.shape[1:])

    def _noise(self, signal: Tensor, estimate: Tensor) -> Tensor:
        """The estimate of the noise after each frame, like `signal`; `estimate` [n_mels, batch] is the one before."""
        new = (signal << _ESTIMATE_BITS) * self.smoothing[:, None]
        keep = 2**_SMOOTHING_BITS - self.smoothing
        estimates = []
        for frame in new.unbind(dim=1):
            estimate = (frame + estimate * keep) >> _SMOOTHING_BITS
            estimates.append(estimate)
        return torch.stack(estimates, dim=1)

    def _gain(self, signal: Tensor, noise: Tensor) -> Tensor:
        """The signal over the noise, its lower end squared; the gain is a parabola in each octave of the noise."""
        octave = _bit_length(noise)
        start, slope, bend = (row[octave] for row in self.gains)
        position = (noise << 11).bitwise_right_shift(octave) & 0x3FF
        change = (((bend * position) >> 5) + (slope << 5)) * position
        gain = start + ((change + 2**14) >> 15)
        snr = (signal * gain) >> (_GAIN_BITS - _SNR_BITS - self._fraction_bits)
        squared = (snr * snr) >> (2 + 2 * _SNR_BITS - _PCAN_BITS)
        return torch.where(snr < 2 << _SNR_BITS, squared, (snr >> (_SNR_BITS - _PCAN_BITS)) - 2**_PCAN_BITS)

    def _log(self, signal: Tensor) -> Tensor:
        """64 times the natural logarithm, 0 of 0. It stays far below 65535, where the device would saturate."""
        bits = self._fraction_bits
        signal = (signal << bits if bits > 0 else signal >> -bits).clamp(min=1)
        octave = _bit_length(signal) - 1
        position = (signal << _LOG_BITS).bitwise_right_shift(octave) - 2**_LOG_BITS
        segment = position >> _LOG_SEGMENT_BITS
        start, end = self.logs[segment], self.logs[segment + 1]
        between = ((end - start) * (position - (segment << _LOG_SEGMENT_BITS))) >> _LOG_BITS
        log = ((((octave << _LOG_BITS) + position + start + between) * _LN_2) + _LOG_HALF) >> _LOG_BITS
        return ((log << _LOG_SHIFT) + _LOG_HALF) >> _LOG_BITS


class _FixedFft(nn.Module):
    """The energy of a real Fourier transform in 16-bit fixed point, with the roundings of KISS FFT.

    Even samples are real, odd ones imaginary parts of a complex transform of half the length, by decimation in time with
    radix 4, and radix 2 in the first stage where the length asks for it. Each stage divides by its radix. Values are int16
    held in int32, [2 (real, imaginary), ..., frames]: sums that leave int16's range come back at its other end, as on the
    device.
    """

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        n_points, size = n_fft // 2, 1
        self.radices: list[int] = []
        while size < n_points:
            radix = 2 if size == 1 and n_points.bit_length() % 2 == 0 else 4
            turns = np.arange(size)[:, None] * np.arange(1, radix) / (size * radix)
            self.register_buffer(f"stage{len(self.radices)}", _twiddles(turns)[..., None, None], persistent=False)
            self.radices.append(radix)
            size *= radix
        turns = np.arange(1, n_points // 2 + 1) / n_fft + 0.25
        self.register_buffer("last", _twiddles(turns)[..., None], persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """int32 [n_fft, frames], in int16's range → energy of the bins 1 to n_fft / 2 - 1: int32 [bins, frames]."""
        n_fft, n_frames = rows.shape
        z, size = rows.reshape(n_fft // 2, 2, n_frames).transpose(0, 1), 1
        for stage, radix in enumerate(self.radices):
            butterfly = _butterfly2 if radix == 2 else _butterfly4
            z = butterfly(z.reshape(2, size, radix, -1, n_frames), self.get_buffer(f"stage{stage}"))
            size *= radix
        return self._energy(z.reshape(2, size, n_frames))

    def _energy(self, z: Tensor) -> Tensor:
        """The transform of n complex points, [2, n, frames] → energy of the bins 1 to n - 1 of the 2n real samples."""
        half = z.shape[1] // 2
        near, far = _divide(z[:, 1 : half + 1], 2), _divide(_wrap_(_conjugate(z[:, half:].flip(1))), 2)
        even, odd = near + far, _wrap_(_multiply(near - far, self.get_buffer("last")))
        lower, upper = (even + odd) >> 1, _conjugate(even - odd) >> 1
        lower, upper = lower * lower, upper * upper
        return torch.cat([(lower[0] + lower[1])[:-1], (upper[0] + upper[1]).flip(0)])


def _twiddles(turns: NDArray[np.float64]) -> Tensor:
    """exp(-2πi · turns) in Q15, rounded as KISS FFT does: int32 [2, ...]."""
    angles = 2 * np.pi * turns
    return torch.from_numpy(np.floor(0.5 + 32767 * np.stack([np.cos(angles), -np.sin(angles)])).astype(np.int32))


def _butterfly2(z: Tensor, _: Tensor) -> Tensor:
    """Radix 2, in the first stage, where all twiddles are 1: [2, 1, 2, rest, frames] → [2, 2, 1, rest, frames]."""
    first, second = _divide(z, 2).unbind(2)
    return torch.stack([first + second, first - second], dim=1)


def _butterfly4(z: Tensor, twiddles: Tensor) -> Tensor:
    """Radix 4: [2, size, 4, rest, frames] → [2, 4, size, rest, frames]."""
    z = _divide(z, 4)
    first = z[:, :, 0]
    second, third, fourth = _multiply(z[:, :, 1:], twiddles).unbind(2)
    even, odd = first + third, first - third
    total, turned = second + fourth, second - fourth
    turned = torch.stack([turned[1], -turned[0]])
    return _wrap_(torch.stack([even + total, odd + turned, even - total, odd - turned], dim=1))


def _multiply(z: Tensor, twiddles: Tensor) -> Tensor:
    """The complex product with Q15 twiddles, rounded."""
    real = torch.addcmul(z[0] * twiddles[0], z[1], twiddles[1], value=-1)
    imaginary = torch.addcmul(z[0] * twiddles[1], z[1], twiddles[0])
    return torch.stack([real, imaginary]).add_(2**14).bitwise_right_shift_(15)


def _divide(values: Tensor, radix: int) -> Tensor:
    """values / radix as KISS FFT divides: a product with the Q15 fraction just below 1 / radix, rounded."""
    return (values * (32767 // radix)).add_(2**14).bitwise_right_shift_(15)


def _conjugate(z: Tensor) -> Tensor:
    return torch.stack([z[0], -z[1]])


def _wrap_(values: Tensor) -> Tensor:
    """int32 → the int16 of the same low 16 bits, held in int32, in place."""
    if torch.compiler.is_exporting():  # ONNX says nothing of what a sum beyond 32 bits becomes
        return ((values + 2**15) & 0xFFFF) - 2**15
    return values.bitwise_left_shift_(16).bitwise_right_shift_(16)


def _root(total: Tensor) -> Tensor:
    """Whole numbers in float64 → the nearest whole square root, int64; 16 bits, where the number has 32, stay 16."""
    root = total.sqrt().round()
    return torch.where(total < 2**32, root.clamp(max=65535), root).long()


def _subtract(signal: Tensor, noise: Tensor) -> Tensor:
    """The signal less the noise, but never less than a small part of the signal."""
    rest = ((signal << _ESTIMATE_BITS) - noise).clamp(min=0) >> _ESTIMATE_BITS
    return torch.maximum(rest, (signal * _MIN_SIGNAL) >> _SMOOTHING_BITS)


def _bit_length(values: Tensor) -> Tensor:
    """The bits of whole numbers from 0 below 2**40. The half keeps powers of two off the edge, where log2 may round."""
    return (values.double() + 0.5).log2().floor().to(values.dtype) + 1


def _check(config: FeatureConfig) -> None:
    if config.n_fft != 1 << (config.window_samples - 1).bit_length():
        raise ConfigError(
            f"the micro front end takes the next power of two as fft_size, got {config.fft_size}; leave it at 0"
        )
    if config.hop_samples > config.window_samples:
        raise ConfigError(
            f"the micro front end takes a hop of at most the window's {config.window_ms:g} ms, got {config.hop_ms:g}; "
            "lower hop_ms"
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
    return np.minimum(power * _f32(2**_GAIN_BITS) + _f32(0.5), 32767).astype(np.int64)


def _logs() -> NDArray[np.int64]:
    """log2(1 + x) - x at the 129 ends of 128 segments of [0, 1], in Q16."""
    x = np.arange(129) / 128
    return np.rint((np.log2(1 + x) - x) * 2**_LOG_BITS).astype(np.int64)


def _hz_to_mel(hz: NDArray[np.float32]) -> NDArray[np.float32]:
    return _f32(1127) * _log1p(hz / _f32(700))


def _log1p(x: NDArray[np.float32]) -> NDArray[np.float32]:
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
    return _f32(k * _f32(0.69313812256) - ((half - (ratio * (half + series) + rest)) - f))


def _quantize(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return _f32(np.floor(weights * _f32(2**_WEIGHT_BITS) + _f32(0.5)))


def _f32(values: ArrayLike) -> Any:
    """`values` rounded to float32, in which the device builds its tables."""
    return np.asarray(values, dtype=np.float32)
