"""A small list of recordings of two classes that are quick to tell apart, for tests of the task `recordings`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
GENERATORS = ("flite", "vits")


def made_voice(rng: np.random.Generator, generator: str, seconds: float) -> NDArray[np.float64]:
    """Noise that comes and goes: some five times a second for a person, thirty for machines; each machine has its colour."""
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = rng.uniform(4, 6) if generator == "person" else rng.uniform(28, 34)
    audio = rng.standard_normal(len(time)) * (1.1 + np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6)))
    if generator == "vits":
        audio[1:] += audio[:-1]
    return np.asarray(rng.uniform(0.02, 0.1) * audio)


def make_voices(root: Path, n_speakers: int = 8, n_takes: int = 2) -> Path:
    """``labels.csv`` in `root`, with a row for each speaker's takes by a person and by two machines, after some silence."""
    rng = np.random.default_rng(11)
    lines = ["path,label,speaker,generator"]
    for speaker in range(n_speakers):
        for generator in ("person", *GENERATORS):
            for take in range(n_takes):
                voice = made_voice(rng, generator, rng.uniform(0.3, 1.2))
                audio = np.concatenate([np.zeros(int(rng.uniform(0, 0.3) * RATE)), voice])
                name = f"{generator}-{speaker}-{take}.wav"
                soundfile.write(root / name, audio.clip(-1, 1), RATE, subtype="PCM_16")
                label = "real" if generator == "person" else "synthetic"
                lines.append(f"{name},{label},p{speaker},{generator}")
    path = root / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
