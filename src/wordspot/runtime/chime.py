"""Mix a chime into a recording at given times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.files import check_out_name, read_audio, write_audio
from wordspot.audio.samples import Samples
from wordspot.errors import ConfigError


def check_chime(recording: Path, out: Path) -> None:
    """Check, before a long recording is processed, that `add_chimes` can write `out`.

    Raises:
        ConfigError: a name that no sound file is written by, or the recording itself.
    """
    check_out_name(out)
    if out.exists() and recording.exists() and out.samefile(recording):
        raise ConfigError(f"`chime`: {out} is the recording itself, which would be overwritten; name another file")


def add_chimes(recording: Path, out: Path, times_ms: Sequence[float], *, channel: int | None = None) -> None:
    """Write a channel of `recording` to `out` with a chime that begins at each of `times_ms`.

    Raises:
        NotFoundError, AudioError: a recording that cannot be read.
        ConfigError: a name that no sound file is written by.
        OSError: `out` cannot be written.
    """
    audio, rate = read_audio(recording, channel=channel, thorough=False)
    chime = _chime(rate)
    mixed = np.concatenate([audio, np.zeros(len(chime), np.float32)])
    for time_ms in times_ms:
        start = min(int(time_ms * rate / 1000), len(audio))
        mixed[start : start + len(chime)] += chime
    write_audio(out, mixed, rate)


def _chime(sample_rate: int) -> Samples:
    """Two tones, one after the other, that fade out: float32 [0.3 s]."""
    seconds = np.arange(int(0.3 * sample_rate)) / sample_rate
    late = np.maximum(seconds - 0.1, 0)
    tones = np.sin(2 * np.pi * 880 * seconds) * np.exp(-25 * seconds)
    tones += np.sin(2 * np.pi * 1320 * late) * np.exp(-15 * late)
    return (0.3 * tones).astype(np.float32)
