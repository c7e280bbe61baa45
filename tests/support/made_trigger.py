"""A folder for the task `trigger`: a made word, other words, backgrounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordspot.config import DataConfig

RATE = 16_000
HALF = DataConfig(validation_percent=25, testing_percent=25)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def word(seconds: float = 0.5, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """Something like a voice: harmonics of a gliding tone under three syllables. float32 [samples]."""
    time = np.arange(int(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 20 * rng(seed).uniform() + 30 * time) / rate
    voice = sum(np.cos(k * pitch) / k**0.5 for k in range(1, 40))
    syllables = 0.25 + np.square(np.sin(3 * np.pi * time / seconds))
    return (0.05 * voice * syllables).astype(np.float32)


def take(before: float, after: float, seconds: float = 0.5, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """A word with hiss around it."""
    audio = 0.001 * rng(seed).standard_normal(int((before + seconds + after) * rate)).astype(np.float32)
    start = int(before * rate)
    audio[start : start + int(seconds * rate)] += word(seconds, rate, seed)
    return audio


def write(path: Path, audio: NDArray[np.float32], rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="PCM_16")


def make_trigger_folder(root: Path) -> Path:
    """40 recordings of a synthetic word, 40 of other words, 8 backgrounds, in a folder each."""
    for speaker in range(40):
        write(root / "positives" / "deep" / f"sp{speaker}_nohash_0.wav", take(0.3, 0.4, seed=speaker))
        write(root / "negatives" / ("yes", "no")[speaker % 2] / f"sp{speaker}_nohash_0.wav", take(0.2, 0.1, 0.3))
    for number in range(8):
        write(root / "backgrounds" / f"{number}-100{number}-A.wav", 0.1 * rng(number).standard_normal(5 * RATE))
    return root
