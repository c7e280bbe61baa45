"""A small data folder made of tones, quick to learn, for tests of everything above the front ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
TONES = {"low": 300.0, "middle": 1000.0, "high": 3000.0, "other": 5500.0}


def make_tone_folder(root: Path, n_speakers: int = 30, *, noise_seconds: float = 30.0) -> Path:
    """``root/<word>/sp<i>_nohash_0.wav``: a tone per word, at a level and a pitch of the speaker's, over faint noise."""
    rng = np.random.default_rng(7)
    time = np.arange(RATE) / RATE
    for word, hertz in TONES.items():
        (root / word).mkdir(parents=True)
        for speaker in range(n_speakers):
            tone = rng.uniform(0.1, 0.5) * np.sin(2 * np.pi * hertz * rng.uniform(0.95, 1.05) * time)
            tone[: int(rng.uniform(0, 0.3) * RATE)] = 0
            audio = (tone + 0.005 * rng.standard_normal(RATE)).astype(np.float32)
            soundfile.write(root / word / f"sp{speaker}_nohash_0.wav", audio, RATE, subtype="PCM_16")
    if noise_seconds:
        (root / "_background_noise_").mkdir()
        noise = 0.1 * rng.standard_normal(int(noise_seconds * RATE))
        soundfile.write(root / "_background_noise_" / "hiss.wav", noise, RATE, subtype="PCM_16")
    return root


def spoken_tones() -> NDArray[np.float32]:
    """Tones, of which `tests/files/0.1/words.onnx` knows one as a word for sure, with faint noise around them; 16 kHz."""
    time = np.arange(RATE) / RATE
    quiet = np.zeros(int(1.5 * RATE))
    parts = [part for word in ("low", "high", "low") for part in (quiet, 0.3 * np.sin(2 * np.pi * TONES[word] * time))]
    audio = np.concatenate([*parts, quiet])
    return (audio + 0.005 * np.random.default_rng(0).standard_normal(len(audio))).astype(np.float32)
