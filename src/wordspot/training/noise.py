"""The noise of training: that of the folder, and synthetic noise."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.effects import loop_noise
from wordspot.audio.noise import make_babble, make_sounds
from wordspot.audio.samples import Samples, to_float32
from wordspot.config import RunConfig
from wordspot.data.cache import DecodedClips
from wordspot.data.clips import ClipSet
from wordspot.data.silence import noise_stretches
from wordspot.labels import UNKNOWN

_MADE_SECONDS, _SHORTEST_SECONDS, _MOST_SECONDS = 240, 10, 3840  # of a piece of synthetic noise, and of all


def training_noise(config: RunConfig, decoded: DecodedClips, clips: ClipSet) -> list[NDArray[np.int16]]:
    """Pieces of noise, int16, none shorter than a clip; synthetic noise comes last."""
    pieces = noise_stretches(config, decoded, "training")
    return pieces + _made_noise(config, decoded.clips[_babble_rows(clips)], len(pieces))


def _babble_rows(clips: ClipSet) -> NDArray[np.int64]:
    """The clips that babble is mixed from: only unknown words if there are any, so that babble holds no keyword."""
    unknown: NDArray[np.int64] = clips.rows[clips.labels == UNKNOWN]
    return unknown if len(unknown) else clips.rows[clips.rows >= 0]


def _made_noise(config: RunConfig, clips: NDArray[np.int16], n_recorded: int) -> list[NDArray[np.int16]]:
    """The synthetic noise that `augment.made_noise` asks for, alternately babble of `clips` and generated sounds.

    Pieces are drawn alike, so there are as many as the share needs; with hundreds of recordings they are shorter.
    """
    share = config.augment.made_noise
    n_made = round(max(n_recorded, 1) * share / (1 - share))
    rng = np.random.default_rng([config.data.seed, n_made])
    seconds = max(min(_MADE_SECONDS, _MOST_SECONDS / max(n_made, 1)), _SHORTEST_SECONDS)
    n_samples = max(int(seconds * config.features.sample_rate), config.features.clip_samples)
    return [
        make_sounds(n_samples, config.features.sample_rate, rng) if number % 2 else make_babble(clips, n_samples, rng)
        for number in range(n_made)
    ]


def cut_noise(pieces: list[NDArray[np.int16]], n_samples: int, sample_rate: int, rng: Generator) -> Samples:
    """A random stretch of a random piece: float32 [n_samples]; a shorter piece is looped, see `effects.loop_noise`."""
    piece = pieces[int(rng.integers(len(pieces)))]
    if len(piece) >= n_samples:
        start = int(rng.integers(len(piece) - n_samples + 1))
        return to_float32(piece[start : start + n_samples])
    phase = int(rng.integers(len(piece)))
    return loop_noise(to_float32(piece), n_samples + phase, sample_rate)[phase:]
