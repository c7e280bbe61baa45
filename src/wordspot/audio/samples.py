"""Samples as arrays: the type, the checks, and the conversion between int16 and float32. Needs numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordspot.errors import AudioError

#: Mono audio: float32 [samples], in [-1, 1].
Samples = NDArray[np.float32]

#: Sample rates that are accepted, in Hz.
MIN_RATE, MAX_RATE = 1000, 1_000_000

#: Larger values mean another scale, such as that of int16.
LOUDEST = 8.0


def to_int16(audio: Samples) -> NDArray[np.int16]:
    """Convert float32 in [-1, 1] to int16, rounded and saturated: the inverse of `to_float32`."""
    result: NDArray[np.int16] = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype(np.int16)
    return result


def to_float32(audio: NDArray[Any]) -> Samples:
    """Convert int16 to float32 in [-1, 1), and other floats to float32. The shape is kept."""
    if audio.dtype == np.int16:
        return audio.astype(np.float32) * np.float32(1 / 32768)
    return np.asarray(audio, np.float32)


def check_samples(samples: ArrayLike) -> NDArray[Any]:
    """Return `samples` as an array after checking that they are audio.

    Raises:
        AudioError: not one-dimensional, not float32, float64 or int16, not finite, or far outside [-1, 1].
    """
    if isinstance(samples, (bytes, bytearray, memoryview)):
        raise AudioError("the samples are bytes instead of an array; convert them: np.frombuffer(data, np.int16)")
    audio = np.asarray(samples)
    if audio.ndim != 1:
        raise AudioError(f"the array has the shape {audio.shape}; expected mono samples [samples]. Mix it down to mono")
    kind = audio.dtype
    if kind == np.int16 or not audio.size:
        return audio
    if kind != np.float32 and kind != np.float64:
        raise AudioError(f"the samples are {kind}; expected float32, float64 or int16. Convert them")
    if not (audio.max() <= LOUDEST and audio.min() >= -LOUDEST):  # false for NaN
        bad = int(np.count_nonzero(~np.isfinite(audio)))
        if bad:
            raise AudioError(f"{bad} of {audio.size} samples are NaN or infinite; leave them out")
        loudest = float(np.abs(audio).max())
        raise AudioError(f"the samples reach {loudest:.3g}; expected at most 1. Divide them by 32768, or pass them as int16")
    return audio


def check_rate(sample_rate: int) -> None:
    """Raises AudioError for a sample rate that no audio has: outside 1 kHz to 1 MHz."""
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise AudioError(f"the sample rate must lie between {MIN_RATE} and {MAX_RATE} Hz, got {sample_rate}")
