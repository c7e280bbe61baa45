"""Synthetic noise: babble mixed from clips, sounds with random spectra and envelopes, coloured noise and mains hum.

A network trained with a handful of recorded noises learns only those. Synthetic noise is less realistic, but different
every second, which keeps the network from assigning unfamiliar sounds to one of its words.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32, to_int16

LEVEL = 0.1  # root mean square, that of a loud recording of noise
_N_TALKERS = (3, 8)
_PIECE_S = 2.0
_LOUDEST = 0.99


def make_babble(clips: NDArray[np.int16], n_samples: int, rng: Generator) -> NDArray[np.int16]:
    """Mix many voices.

    Args:
        clips: int16 [n, clip_samples], words; each is rotated by a random time and has a random level.
        n_samples: length of the result.
        rng: the source of randomness.

    Returns:
        int16 [n_samples].
    """
    clip_samples = clips.shape[1]
    babble = np.zeros((-(-n_samples // clip_samples), clip_samples), np.float32)
    for row in babble:
        for _ in range(rng.integers(*_N_TALKERS, endpoint=True)):
            voice = to_float32(clips[rng.integers(len(clips))])
            row += np.roll(_to_level(voice), rng.integers(clip_samples)) * np.float32(10 ** (rng.uniform(-6, 6) / 20))
        row[:] = _to_level(row)
    return to_int16(np.clip(babble.reshape(-1)[:n_samples], -_LOUDEST, _LOUDEST))


def make_sounds(n_samples: int, sample_rate: int, rng: Generator) -> NDArray[np.int16]:
    """Pieces of two seconds, each a mixture of hiss and a buzzing tone with random spectra and envelopes.

    Args:
        n_samples: length of the result.
        sample_rate: in Hz.
        rng: the source of randomness.

    Returns:
        int16 [n_samples].
    """
    piece = int(_PIECE_S * sample_rate)
    sounds = np.zeros((-(-n_samples // piece), piece), np.float32)
    for row in sounds:
        hiss = _swell(_colour(rng.standard_normal(piece).astype(np.float32), rng), sample_rate, rng)
        tone = _swell(_colour(_buzz(piece, sample_rate, rng), rng), sample_rate, rng)
        share = rng.choice([0.0, 1.0, rng.uniform()], p=[0.4, 0.2, 0.4])
        row[:] = _to_level((1 - share) * _to_level(hiss) + share * _to_level(tone))
    return to_int16(np.clip(sounds.reshape(-1)[:n_samples], -_LOUDEST, _LOUDEST))


def _colour(audio: Samples, rng: Generator) -> Samples:
    """Filter by a random slope over frequency, with a dozen peaks and dips."""
    spectrum = np.fft.rfft(audio)
    octaves = np.log2(np.arange(1, len(spectrum) + 1))
    knots = np.linspace(0, octaves[-1], 14)
    gain_db = np.interp(octaves, knots, rng.normal(0, rng.uniform(0, 12), len(knots)))
    gain_db += rng.uniform(-9, 3) * (octaves - octaves[-1])
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(audio)).astype(np.float32)


def _swell(audio: Samples, sample_rate: int, rng: Generator) -> Samples:
    """Apply a random envelope: constant, fluctuating a few times a second, or in bursts."""
    seconds = len(audio) / sample_rate
    n_knots = max(int(seconds * 10 ** rng.uniform(0, 1.5)), 2)
    depth_db = rng.choice([0.0, 15.0, 50.0])
    knots_db = -depth_db * rng.uniform(0, 1, n_knots) ** rng.choice([0.3, 1.0])
    gain_db = np.interp(np.linspace(0, n_knots - 1, len(audio)), np.arange(n_knots), knots_db)
    result: Samples = audio * (10 ** (gain_db / 20)).astype(np.float32)
    return result


def _buzz(n_samples: int, sample_rate: int, rng: Generator) -> Samples:
    """A gliding tone with overtones, 40 to 2000 Hz."""
    n_knots = rng.integers(2, 12)
    middle = rng.uniform(np.log2(40), np.log2(2000))
    knots = middle + rng.normal(0, rng.choice([0.0, 0.05, 0.4]), n_knots)
    hertz = 2 ** np.interp(np.linspace(0, n_knots - 1, n_samples), np.arange(n_knots), knots)
    phase = 2 * np.pi * np.cumsum(hertz) / sample_rate
    n_overtones = int(np.clip(0.45 * sample_rate / hertz.max(), 1, 24))
    result: Samples = sum(np.cos(k * phase + rng.uniform(0, 6.28)) / k**0.5 for k in range(1, n_overtones + 1)).astype(np.float32)
    return result


def _to_level(audio: Samples) -> Samples:
    rms = float(np.sqrt(np.mean(np.square(audio)))) if len(audio) else 0.0
    return (audio * np.float32(LEVEL / max(rms, 1e-6))).astype(np.float32)


#: Exponents of `coloured_noise`.
WHITE, PINK, BROWN = 0.0, 1.0, 2.0
_LOWEST_HZ = 20.0  # below this, brown noise would be mostly drift that no loudspeaker plays
_N_HARMONICS = 20


def coloured_noise(rng: np.random.Generator, n_samples: int, exponent: float, sample_rate: int) -> Samples:
    """Gaussian noise whose power falls as 1 / frequency ** `exponent`, above 20 Hz: float32 [n_samples]."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples, dtype=np.float32))
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    shape = np.where(frequencies < _LOWEST_HZ, 0, np.maximum(frequencies, _LOWEST_HZ) ** (-exponent / 2))
    return to_unit(np.fft.irfft(spectrum * shape, n_samples))


def mains_hum(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Samples:
    """A slowly varying hum of 50 or 60 Hz with harmonics, over pink noise 20 dB below: float32 [n_samples]."""
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
    """Scale `audio` to a root mean square of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
    return np.asarray(audio / rms if rms > 0 else audio, dtype=np.float32)


def from_db(decibels: float) -> float:
    """Convert dB to a factor for samples."""
    return float(10 ** (decibels / 20))
