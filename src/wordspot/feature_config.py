"""The settings of the front end, and the sizes in samples, bins and frames that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from wordspot.errors import ConfigError
from wordspot.sections import Section, check_range, setting

FRONT_ENDS = ("logmel", "mfcc", "average", "micro", "spectrogram", "psf_mfcc", "specgram", "samples")
MAX_SAMPLE_RATE = 192_000
MAX_CLIP_SAMPLES = 10_000_000


@dataclass(frozen=True)
class FeatureConfig(Section):
    """The front end: from samples to [frames, features] of a clip."""

    kind: str = setting("logmel", f"front end, one of {', '.join(FRONT_ENDS)}", choices=FRONT_ENDS)
    sample_rate: int = setting(16_000, "Hz; recordings at other rates are resampled to it", 1000, MAX_SAMPLE_RATE)
    clip_ms: float = setting(1000.0, "length of a clip", 0.1, 10_000_000)
    window_ms: float = setting(30.0, "length of an analysis window", 0.1, 10_000_000)
    hop_ms: float = setting(10.0, "from the start of one window to the start of the next", 0.1, 10_000_000)
    n_mels: int = setting(40, "mel channels", 1, 512)
    n_coefficients: int = setting(40, "cepstral coefficients kept (mfcc, psf_mfcc)", 1, 512)
    low_hz: float = setting(60.0, "lower edge of the mel channels")
    high_hz: float = setting(7600.0, "upper edge of the mel channels")
    fft_size: int = setting(0, "length of the Fourier transform; 0: the next power of two above the window", 0, 2**20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clip_samples > MAX_CLIP_SAMPLES:
            raise ConfigError(f"a clip must be at most {MAX_CLIP_SAMPLES} samples, got {self.clip_samples}; lower clip_ms")
        if self.hop_samples < 1:
            raise ConfigError(f"hop_ms must be at least one sample long, got {self.hop_ms:g} ms; raise it")
        if not 2 <= self.window_samples <= self.clip_samples:
            name = "hop_ms" if self.kind == "samples" else "window_ms"
            raise ConfigError(
                f"{name} must lie between two samples and the clip's {self.clip_ms:g} ms, got {getattr(self, name):g}"
            )
        if self.kind in ("mfcc", "psf_mfcc"):
            check_range("n_coefficients", self.n_coefficients, 1, self.n_mels)
        if self.kind != "samples":
            self._check_spectrum()

    def _check_spectrum(self) -> None:
        if self.fft_size and (self.fft_size < self.window_samples or self.fft_size % 2):
            raise ConfigError(
                f"fft_size must be 0, or even and at least the window's {self.window_samples} samples, got {self.fft_size}"
            )
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"low_hz and high_hz must satisfy 0 <= low_hz < high_hz <= {self.sample_rate / 2:g} (half the sample rate), "
                f"got {self.low_hz:g} and {self.high_hz:g}"
            )
        if self.kind == "micro" and self.sample_rate * self.window_ms / 1000 > 4096:
            raise ConfigError("the micro front end supports windows of at most 4096 samples; lower window_ms")

    @property
    def clip_samples(self) -> int:
        return int(self.sample_rate * self.clip_ms / 1000)

    @property
    def window_samples(self) -> int:
        """Samples of a window; the front end `samples` has no window and cuts the audio into hops."""
        return self.hop_samples if self.kind == "samples" else self._in_samples(self.window_ms)

    @property
    def hop_samples(self) -> int:
        return self._in_samples(self.hop_ms)

    @property
    def n_fft(self) -> int:
        """`fft_size`, or the next power of two that holds the window."""
        return self.fft_size or 1 << (self.window_samples - 1).bit_length()

    @property
    def n_bins(self) -> int:
        """Bins of the spectrum, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def n_frames(self) -> int:
        """Frames of a clip. Only `psf_mfcc` pads the end to a full window, as its definition says."""
        beyond = self.clip_samples - self.window_samples
        return 1 + (-(-beyond // self.hop_samples) if self.kind == "psf_mfcc" else beyond // self.hop_samples)

    @property
    def n_features(self) -> int:
        """Values of a frame."""
        sizes = {
            "mfcc": self.n_coefficients,
            "psf_mfcc": self.n_coefficients,
            "spectrogram": self.n_bins,
            "specgram": self.n_bins,
            "average": -(-self.n_bins // self.average_width),
            "samples": self.hop_samples,
        }
        return sizes.get(self.kind, self.n_mels)

    @property
    def average_width(self) -> int:
        """Bins that the front end `average` combines into one."""
        return max(self.n_bins // self.n_mels, 1)

    def _in_samples(self, milliseconds: float) -> int:
        """Down to a whole sample, as TensorFlow does; python_speech_features rounds, halves upward."""
        return int(self.sample_rate * milliseconds / 1000 + (0.5 if self.kind == "psf_mfcc" else 0))
