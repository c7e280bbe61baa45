"""Synthetic noises: white, pink and brown, and the hum of mains. Each has a root mean square of 1 over its samples."""

from __future__ import annotations

import numpy as np

from wordspot.audio.samples import Samples

WHITE, PINK, BROWN = 0.0, 1.0, 2.0
_LOWEST_HZ = 20.0  # below, brown noise would be all drift that no loudspeaker plays
_N_HARMONICS = 20


def coloured_noise(rng: np.random.Generator, n_samples: int, exponent: float, sample_rate: int) -> Samples:
    """Gaussian noise whose power falls as 1 / frequency ** `exponent`, above 20 Hz: float32 [n_samples]."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples, dtype=np.float32))
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    shape = np.where(frequencies < _LOWEST_HZ, 0, np.maximum(frequencies, _LOWEST_HZ) ** (-exponent / 2))
    return to_unit(np.fft.irfft(spectrum * shape, n_samples))


def mains_hum(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Samples:
    """A hum of 50 or 60 Hz and its harmonics that swells a little, over pink noise 20 dB below: float32 [n_samples]."""
    seconds = np.arange(n_samples) / sample_rate
    base = rng.choice([50.0, 60.0])
    hum = np.zeros(n_samples)
    for harmonic in range(1, _N_HARMONICS + 1):
        if harmonic * base < sample_rate / 2:
            strength = rng.uniform(0.3, 1) / harmonic
            swell = 1 + 0.2 * np.sin(2 * np.pi * (rng.uniform(0.05, 0.5) * seconds + rng.uniform()))
            hum += strength * swell * np.sin(2 * np.pi * (harmonic * base * seconds + rng.uniform()))
    return to_unit(to_unit(hum) + 0.1 * coloured_noise(rng, n_samples, PINK, sample_rate))


def to_unit(audio: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Samples:
    """`audio` scaled to a root mean square of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
    return np.asarray(audio / rms if rms > 0 else audio, dtype=np.float32)


def from_db(decibels: float) -> float:
    """dB → a factor on samples."""
    return float(10 ** (decibels / 20))
