"""A teacher for tests, which is a spectrum; and noise that is dark or bright, which it tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import write_audio
from wordspot.wakeword.teacher import FRAME_SAMPLES, N_SAMPLES

PHRASE, OTHER = 1, -1  # signs of `write_hiss`


def spectrum(clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """The magnitudes of each frame, every 50 Hz: float32 [clips, frames, 160]."""
    assert clips.shape[1:] == (N_SAMPLES,)
    frames = clips.reshape(len(clips), -1, FRAME_SAMPLES)
    return np.log1p(np.abs(np.fft.rfft(frames, axis=2))[..., :160]).astype(np.float32)


def write_hiss(path: Path, sign: int, number: int, seconds: int = 1) -> None:
    """Noise through x[n] + sign x[n - 1]: most of it is below 4 kHz for 1, above for -1."""
    noise = np.random.default_rng(number).standard_normal(16_000 * seconds + 1)
    write_audio(path, (0.05 * (noise[1:] + sign * noise[:-1])).astype(np.float32), 16_000)
