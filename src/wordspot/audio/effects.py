"""Fades, loops, mixing, reverberation and speed: pure functions on float32 samples."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from wordspot.audio.samples import Samples

_ENDS_S = 0.003
_LOOP_FADE_S = 0.5
_RT60_S = (0.15, 0.6)  # a living room to a lecture hall
_DIRECT_DB = (0.0, 10.0)  # energy of the direct sound relative to that of the reflections
_TINY = 1e-9


def rms(audio: Samples) -> float:
    """The root mean square of float32 [samples], never 0."""
    return max(math.sqrt(float(np.square(audio, dtype=np.float64).mean())), _TINY) if len(audio) else _TINY


def soften_ends(audio: Samples, sample_rate: int) -> Samples:
    """Fade float32 [samples] in and out linearly over 3 ms, in place; returns it."""
    n = min(round(_ENDS_S * sample_rate), len(audio) // 2)
    ramp = np.linspace(0, 1, n, endpoint=False, dtype=np.float32)
    audio[:n] *= ramp
    audio[len(audio) - n :] *= ramp[::-1]
    return audio


def loop_noise(noise: Samples, n_samples: int, sample_rate: int) -> Samples:
    """Loop `noise`, cross-fading each end into the next beginning at constant power: float32 [n_samples].

    The fade takes half a second, or half of a shorter noise, so that the seam is neither audible nor visible to a network.
    """
    if n_samples <= len(noise):
        return noise[:n_samples]
    fade = min(int(_LOOP_FADE_S * sample_rate), len(noise) // 2)
    period = len(noise) - fade
    angle = np.linspace(0, np.pi / 2, fade, endpoint=False, dtype=np.float32)
    looped = np.empty(n_samples, np.float32)
    looped[:period] = noise[:period]
    again = noise[:period].copy()
    again[:fade] = again[:fade] * np.sin(angle) + noise[period:] * np.cos(angle)
    for start in range(period, n_samples, period):
        looped[start : start + period] = again[: n_samples - start]
    return looped


def add_ramped(audio: Samples, piece: Samples, start: int, ramp: int) -> None:
    """Add `piece` to `audio` from `start` on, both float32 [samples], with linear ramps of `ramp` samples at both ends.

    Samples beyond the end of `audio` are dropped.
    """
    piece = piece[: max(len(audio) - start, 0)].copy()
    ramp = min(ramp, len(piece) // 2)
    if ramp:
        rise = np.arange(ramp, dtype=np.float32) / np.float32(ramp)
        piece[:ramp] *= rise
        piece[-ramp:] *= rise[::-1]
    audio[start : start + len(piece)] += piece


def room_impulse(sample_rate: int, rng: Generator, rt60_s: tuple[float, float] = _RT60_S) -> Samples:
    """A synthetic room impulse response: the direct sound, then, after some milliseconds, noise that decays by 60 dB in its RT60.

    Args:
        sample_rate: in Hz.
        rng: the source of randomness.
        rt60_s: the range of the RT60, in seconds.

    Returns:
        float32 [samples], the direct sound first with the value 1.
    """
    rt60 = rng.uniform(*rt60_s)
    time = np.arange(int(rt60 * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail[: int(rng.uniform(0.002, 0.008) * sample_rate) + 1] = 0
    tail *= 10 ** (-rng.uniform(*_DIRECT_DB) / 20) / max(float(np.sqrt(np.square(tail).sum())), _TINY)
    tail[0] = 1
    return tail.astype(np.float32)


def reverberate(audio: Samples, impulse: Samples) -> Samples:
    """Convolve float32 [samples] with a room impulse response: float32 [samples + taps - 1]."""
    n = len(audio) + len(impulse) - 1
    n_fft = fft_size(n)
    return np.fft.irfft(np.fft.rfft(audio, n_fft) * np.fft.rfft(impulse, n_fft), n_fft)[:n].astype(np.float32)


@lru_cache(maxsize=256)
def fft_size(n: int) -> int:
    """The smallest 2^a · 3^b · 5^c of at least `n`: as fast as a power of two, and at most a tenth longer than needed."""
    best = 1 << (n - 1).bit_length()
    for odd in (3**b * 5**c for b in range(5) for c in range(4)):
        best = min(best, odd << max((-(-n // odd) - 1).bit_length(), 0))
    return best


def fade(audio: Samples, rise: int, fall: int) -> None:
    """Fade float32 [samples] in over `rise` samples and out over `fall`, in place, as a raised cosine."""
    rise, fall = min(rise, len(audio)), min(fall, len(audio))
    if rise:
        audio[:rise] *= _raised_cosine(rise)
    if fall:
        audio[len(audio) - fall :] *= _raised_cosine(fall)[::-1]


def change_speed(audio: Samples, factor: float) -> Samples:
    """Play float32 [samples] `factor` times as fast, pitch included, by Catmull-Rom interpolation: [samples / factor]."""
    if abs(factor - 1) < 1e-6 or len(audio) < 4:
        return audio
    position = np.arange(int((len(audio) - 1) / factor) + 1) * factor
    index = position.astype(np.int64)
    t = (position - index).astype(np.float32)
    padded = np.concatenate([audio[:1], audio, audio[-1:], audio[-1:]])
    before, left, right, after = (padded[index + offset] for offset in range(4))
    slope_left, slope_right = (right - before) / 2, (after - left) / 2
    cubic = 2 * (left - right) + slope_left + slope_right
    square = 3 * (right - left) - 2 * slope_left - slope_right
    result: Samples = ((cubic * t + square) * t + slope_left) * t + left
    return result


def _raised_cosine(n: int) -> Samples:
    return (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, n, endpoint=False, dtype=np.float32))).astype(np.float32)
