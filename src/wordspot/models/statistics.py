"""A network for recordings of any length: fixed statistics of the bands of a spectrum, and one learned layer.

On few recordings, a network that learns its own filters overfits. These statistics depend little on the speaker and the words,
and much on how the sound was produced: how much the level of each band varies during speech, which bands vary together and how
fast, and how peaked and how flat the spectrum is within a band.

They are invariant to level (relative to that of the window) and to a constant frequency response (each bin is relative to its
mean over time), and ignore everything outside the bins in use.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.config import RECORDINGS_CLIP_MS, FeatureConfig
from wordspot.features.spectral import SpectralFrontEnd
from wordspot.models.bands import equal_bands
from wordspot.models.least_squares import fit_linear
from wordspot.models.texture import TextureStatistics

_WINDOW_MS = 25.0
_FLOOR = 1e-5  # added to the relative power of a bin
_SPEAKING, _SLOPE = math.exp(-2.0), 2.0  # weight of a frame: a half at this fraction of the mean power
_LEAST_SPREAD, _LEAST_MODULATION = 1e-3, 1e-2
_MODULATION_MS = 320.0
_RATES = ((1, 2), (3, 4), (5, 7), (8, 12), (13, 16))  # of modulation, in cycles a `_MODULATION_MS`: 3 to 50 Hz
_FINE_MS, _FINE_HOPS = 64.0, 3  # window of the finer spectrum, and from one to the next
_FINE_FLOOR, _LEAST_RIPPLE = 1e-6, 1e-4
_LINES_HZ, _SMOOTH_HZ = (800.0, 7050.0), 500.0  # below, harmonics of low voices look like lines
_LINE_BANDS, _LEAST_BINS = 6, 8
_MOST = 4.0  # scaled statistics beyond this are cut off, with texture
_LOW_HZ, _HIGH_HZ = 125.0, 7125.0  # present in most recordings


class BandStatistics(nn.Module):
    """Statistics of a window: power [batch, frames, bins] → [batch, `n_statistics`]. It has no parameters.

    Args:
        n_bands: bands of equal width that the bins in use are grouped into.
        first_bin, stop_bin: the bins in use.
        hop_ms: milliseconds from one frame to the next.
    """

    bands: Tensor
    waves: Tensor
    pairs: Tensor

    def __init__(self, n_bands: int, first_bin: int, stop_bin: int, hop_ms: float) -> None:
        super().__init__()
        self.n_bands, self._used = n_bands, slice(first_bin, stop_bin)
        self.register_buffer("bands", equal_bands(n_bands, stop_bin - first_bin), persistent=False)
        self.register_buffer("waves", _waves(max(round(_MODULATION_MS / hop_ms), 8)), persistent=False)
        rows, columns = torch.triu_indices(n_bands, n_bands, 1)
        self.register_buffer("pairs", rows * n_bands + columns, persistent=False)
        self.n_statistics = n_bands * (5 + len(_RATES)) + len(self.pairs)

    def forward(self, power: Tensor) -> Tensor:
        """power: float32 [batch, frames, bins] → float32 [batch, n_statistics]."""
        relative, weights = relative_power(power[:, :, self._used])
        logs = (relative + _FLOOR).log()
        shape = logs - logs.mean(dim=2, keepdim=True)
        shape = shape - (weights * shape).sum(dim=1, keepdim=True)
        levels = shape @ self.bands
        peaks = ((shape * shape) @ self.bands - levels * levels).clamp(min=1e-6).sqrt()
        flatness = (relative @ self.bands + _FLOOR).log() - logs @ self.bands
        mean, spread = _moments(levels, weights)
        return torch.cat(
            [
                spread.log(),
                *_moments(peaks, weights),
                *_moments(flatness, weights),
                self._correlations(levels - mean[:, None], spread, weights),
                self._modulations(levels),
            ],
            dim=1,
        )

    def _correlations(self, centred: Tensor, spread: Tensor, weights: Tensor) -> Tensor:
        """Correlations between the bands: [batch, pairs]."""
        covariance = (weights * centred).transpose(1, 2) @ centred
        scale = spread[:, :, None] * spread[:, None]
        return (covariance / scale).flatten(1).index_select(1, self.pairs)

    def _modulations(self, levels: Tensor) -> Tensor:
        """Log power of the modulation of each band at several rates: [batch, bands · rates]."""
        n_frames = levels.shape[1]
        tracks = levels.transpose(1, 2).reshape(-1, 1, n_frames)
        moved = nn.functional.conv1d(tracks, self.waves, stride=self.waves.shape[2] // 4)
        power = (moved.square().mean(dim=2) + _LEAST_MODULATION).log().reshape(-1, self.n_bands, self.waves.shape[0])
        first, n_waves, parts = 0, self.waves.shape[0] // 2, []
        for low, high in _RATES:
            count = high - low + 1
            sine = power[:, :, n_waves + first : n_waves + first + count]
            parts.append((power[:, :, first : first + count] + sine).mean(dim=2) / 2)
            first += count
        return torch.cat(parts, dim=1)


def relative_power(power: Tensor) -> tuple[Tensor, Tensor]:
    """The power relative to that of the window, and how much each frame counts, of sum 1.

    power: float32 [batch, frames, bins] → float32 [batch, frames, bins], float32 [batch, frames, 1].
    """
    of_frame = power.mean(dim=2)
    level = of_frame.mean(dim=1, keepdim=True).clamp(min=1e-12)
    weights = torch.sigmoid(_SLOPE * ((of_frame / level + 1e-6).log() - math.log(_SPEAKING)))[:, :, None]
    return power / level[:, :, None], weights / weights.sum(dim=1, keepdim=True)


class LineStatistics(nn.Module):
    """How much lines stand out in the mean spectrum of a window: power [batch, frames, bins] → [batch, `n_statistics`].

    The log power averaged over the frames, minus its running mean over `_SMOOTH_HZ`, is a ripple. The harmonics of a voice move,
    which keeps it even; constant lines make it skewed and peaked. Transposed convolutions, with which neural vocoders upsample,
    leave such lines at integer fractions of their rate (Pons et al. 2021,
    arXiv 2010.14356). It has no parameters.

    Args:
        n_bands: bands of equal width between `low_hz` and `high_hz`.
        bin_hz: width of a bin; the first one is at 0 Hz.
        n_bins: number of bins; `high_hz` is lowered to what they cover.
    """

    smoother: Tensor

    def __init__(self, n_bands: int, bin_hz: float, n_bins: int, low_hz: float, high_hz: float) -> None:
        super().__init__()
        reach = round(_SMOOTH_HZ / bin_hz / 2)
        first = max(round(low_hz / bin_hz), reach)
        stop = min(round(high_hz / bin_hz), n_bins - reach)
        self._width = (stop - first) // n_bands
        if self._width < _LEAST_BINS:
            raise ValueError(
                f"lines need {n_bands} bands of at least {_LEAST_BINS} bins of {bin_hz:g} Hz, "
                f"got {max(self._width, 0)} bins; "
                "take a higher sample rate, or do without lines (model.lines=false)"
            )
        self.n_bands, self._reach = n_bands, reach
        self.used = slice(first - reach, first + n_bands * self._width + reach)
        """The bins that `forward` expects."""
        self.register_buffer("smoother", torch.full((1, 1, 2 * reach + 1), 1 / (2 * reach + 1)), persistent=False)
        self.n_statistics = 2 * n_bands

    def forward(self, power: Tensor) -> Tensor:
        """power: float32 [batch, frames, bins in `used`] → float32 [batch, n_statistics]."""
        level = power.mean(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        logs = (power / level + _FINE_FLOOR).log().mean(dim=1)
        smooth = nn.functional.conv1d(logs[:, None], self.smoother)[:, 0]
        ripple = (logs[:, self._reach : -self._reach] - smooth).reshape(-1, self.n_bands, self._width)
        square = ripple * ripple
        variance = square.mean(dim=2) + _LEAST_RIPPLE
        skewness = (square * ripple).mean(dim=2) / (variance * variance.sqrt())
        peakedness = (square * square).mean(dim=2) / variance.square()
        return torch.cat([skewness / (1 + skewness.abs()), (peakedness + _LEAST_RIPPLE).log()], dim=1)


class StatisticsNet(nn.Module):
    """`BandStatistics`, `LineStatistics` and `TextureStatistics` of a window, normalised, and a linear layer.

    Args:
        n_bands: number of bands of `BandStatistics`.
        low_hz, high_hz: frequency range of the bands; by default 125 to 7125 Hz, present in most recordings, or up to half of a
            lower sample rate.
        dropout: of the statistics.
        sample_rate: sample rate of the front end in Hz, which cuts the audio into hops.
        lines: also use `LineStatistics`.
        texture: also use `TextureStatistics`, which need thousands of recordings.
    """

    front_end: ClassVar[str] = "samples"
    recipe: ClassVar[dict[str, Any]] = {
        "features": front_end,
        "features.clip_ms": RECORDINGS_CLIP_MS,
        "training.steps": (200,),
        "training.learning_rates": (0.01,),
        "training.optimizer": "momentum",
        "training.weight_decay": 0.1,
        "training.schedule": "cosine",
        "training.warmup_steps": 20,
        "training.batch_size": 64,
        "training.evaluate_every": 200,  # with few recordings, the last step is better than the one validation chooses
        "augment.time_shift_ms": 0.0,
        "augment.background_frequency": 0.8,
        "augment.snr_db": (0.0, 40.0),
        "augment.equaliser_db": 6.0,
        "augment.band_frequency": 0.3,
        "augment.room_frequency": 0.3,
        "augment.speed": 0.3,  # changes the pitch too: other speakers, if there are few
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_bands: int = 14,
        low_hz: float = _LOW_HZ,
        high_hz: float | None = None,
        dropout: float = 0.0,
        sample_rate: int = FeatureConfig.sample_rate,
        lines: bool = True,
        texture: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("lines", lines), ("texture", texture)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false, got {value!r}")
        hop = n_features
        if high_hz is None:
            high_hz = min(_HIGH_HZ, sample_rate / 2)
        spectrum = _spectrum(sample_rate, _WINDOW_MS, hop)
        bins = _bins_of_bands(spectrum, n_bands, low_hz, high_hz)
        self.spectrum = SpectralFrontEnd(spectrum, _Bins(bins.start, bins.stop))
        self.statistics = BandStatistics(n_bands, 0, bins.stop - bins.start, 1000 * hop / sample_rate)
        self._check_length(n_frames, spectrum)
        n_statistics = self.statistics.n_statistics
        self.fine_spectrum: nn.Module | None = None
        if lines:
            fine = _spectrum(sample_rate, _FINE_MS, _FINE_HOPS * hop)
            self.lines = LineStatistics(_LINE_BANDS, sample_rate / fine.n_fft, fine.n_bins, *_LINES_HZ)
            self.fine_spectrum = SpectralFrontEnd(fine, _Bins(self.lines.used.start, self.lines.used.stop))
            n_statistics += self.lines.n_statistics
        self.texture = TextureStatistics(n_bands, bins.stop - bins.start) if texture else None
        if self.texture is not None:
            n_statistics += self.texture.n_statistics
        self.scale = nn.BatchNorm1d(n_statistics, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(n_statistics, n_labels)

    def _check_length(self, n_frames: int, spectrum: FeatureConfig) -> None:
        """Check that a window holds one modulation period of `BandStatistics`."""
        hop = spectrum.hop_samples
        least = math.ceil((spectrum.window_samples + (self.statistics.waves.shape[2] - 1) * hop) / hop)
        if n_frames < least:
            hop_ms = 1000 * hop / spectrum.sample_rate
            raise ValueError(f"a window must be at least {least * hop_ms:g} ms long, got {n_frames * hop_ms:g}")

    def forward(self, hops: Tensor) -> Tensor:
        """hops: samples [batch, n_frames, hop] → logits: [batch, n_labels]."""
        scaled = self.scale(self.describe(hops))
        if self.texture is not None:
            scaled = scaled.clamp(-_MOST, _MOST)
        logits: Tensor = self.output(self.dropout(scaled))
        return logits

    @torch.no_grad()
    def fit(self, described: Tensor, labels: Tensor, ridge: float) -> None:
        """Fit the normalisation and the last layer in closed form; see `fit_linear`.

        Args:
            described: the statistics of windows, float32 [windows, statistics].
            labels: int64 [windows], every label occurring at least twice.
            ridge: the penalty.
        """
        most = math.inf if self.texture is None else _MOST
        with torch.enable_grad():
            fitted = fit_linear(described, labels, self.output.out_features, ridge=ridge, eps=self.scale.eps, most=most)
        assert self.scale.running_mean is not None
        assert self.scale.running_var is not None
        self.scale.running_mean.copy_(fitted.mean)
        self.scale.running_var.copy_(fitted.variance)
        self.output.weight.copy_(fitted.weight)
        self.output.bias.copy_(fitted.bias)

    def describe(self, hops: Tensor) -> Tensor:
        """The statistics of windows: samples [batch, n_frames, hop] → [batch, statistics]."""
        audio = hops.flatten(1)
        power = self.spectrum(audio)
        found = [self.statistics(power)]
        if self.fine_spectrum is not None:
            found.append(self.lines(self.fine_spectrum(audio)))
        if self.texture is not None:
            relative, weights = relative_power(power)
            found.append(self.texture((relative + _FLOOR).log(), weights))
        return torch.cat(found, dim=1)


class _Bins(nn.Identity):
    """The head of a front end that returns the power of some bins unchanged."""

    def __init__(self, first: int, stop: int) -> None:
        super().__init__()
        self.bins = slice(first, stop)


def _bins_of_bands(spectrum: FeatureConfig, n_bands: int, low_hz: float, high_hz: float) -> slice:
    """The bins from `low_hz` to `high_hz`, at least one for each band."""
    bin_hz = spectrum.sample_rate / spectrum.n_fft
    first, stop = round(low_hz / bin_hz), round(high_hz / bin_hz)
    if not 0 <= first < stop <= spectrum.n_bins or not 2 <= n_bands <= stop - first:
        raise ValueError(
            f"0 <= low_hz < high_hz <= {spectrum.sample_rate / 2:g} must hold, with at least 2 bands of {bin_hz:g} Hz each, got "
            f"{low_hz:g}, {high_hz:g} and {n_bands} bands"
        )
    return slice(first, stop)


def _spectrum(sample_rate: int, window_ms: float, hop: int) -> FeatureConfig:
    """A spectrum for every `hop` samples."""
    hop_ms = 1000 * (hop + 0.5) / sample_rate  # half a sample more, since the hop is rounded down
    return FeatureConfig(
        kind="spectrogram",
        sample_rate=sample_rate,
        window_ms=window_ms,
        hop_ms=hop_ms,
        high_hz=sample_rate / 2,
        low_hz=0,
    )


def _moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation over the frames: [batch, frames, bands] → twice [batch, bands]."""
    mean = (weights * values).sum(dim=1)
    variance = (weights * (values - mean[:, None]).square()).sum(dim=1)
    return mean, (variance + _LEAST_SPREAD**2).sqrt()


def _waves(n_frames: int) -> Tensor:
    """Hann-windowed cosines, then sines, of the rates in `_RATES`: [2 · rates, 1, frames]."""
    frames = torch.arange(n_frames)
    window = torch.hann_window(n_frames)
    rates = [rate for low, high in _RATES for rate in range(low, high + 1)]
    phases = [2 * math.pi * rate * frames / n_frames for rate in rates]
    return torch.stack([window * wave(phase) for wave in (torch.cos, torch.sin) for phase in phases])[:, None]
