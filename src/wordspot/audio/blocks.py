"""A sound file block by block, so that a recording of any length costs little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from wordspot.audio.files import (
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    Samples,
    _check_samples,
    _open,
    _promised,
    _reason,
    _to_mono,
)
from wordspot.errors import AudioError


def read_blocks(path: Path, block_ms: float = 1000.0, *, channel: int | None = None) -> tuple[int, Iterator[Samples]]:
    """A sound file's rate in Hz, and its samples: blocks of float32 [samples], mono, as `audio.read_audio` gives them.

    Raises, when called or while the blocks are read:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, or holding NaN or infinity.
    """
    file = _open(path)
    if file.channels > MAX_CHANNELS or not MIN_RATE <= file.samplerate <= MAX_RATE:
        file.close()
        raise AudioError(
            f"{path}: expected at most {MAX_CHANNELS} channels at {MIN_RATE} to {MAX_RATE} Hz, its header says "
            f"{file.channels} at {file.samplerate} Hz; convert it again"
        )
    rate = int(file.samplerate)
    return rate, _blocks(file, path, max(int(rate * block_ms / 1000), 1), channel)


def _blocks(file: soundfile.SoundFile, path: Path, size: int, channel: int | None) -> Iterator[Samples]:
    n_samples, promised = 0, _promised(file)
    with file:
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{path}: damaged, it does not decode ({_reason(error)}); convert it again") from error
            if not len(block):
                break
            n_samples += len(block)
            mono = np.ascontiguousarray(_to_mono(block, channel, path))
            _check_samples(mono, path)
            yield mono
        if n_samples == 0:
            raise AudioError(f"{path}: expected a recording, but it holds no samples; record it again")
        if file.format != "MP3" and n_samples < promised:
            raise AudioError(f"{path}: truncated, its header promises {promised} samples, it holds {n_samples}")
