"""Which recordings a model can tell the class of: those within its limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.condition import Condition, measure_condition
from wordspot.audio.samples import to_float32
from wordspot.config import RunConfig
from wordspot.limits import Limits
from wordspot.metrics import Bools, Floats
from wordspot.runtime.doubts import distance, doubts_about


def measure_conditions(audio: Sequence[NDArray[np.int16]], config: RunConfig) -> list[Condition]:
    """The condition of what a model of `config` sees of recordings, int16 [samples] each."""
    stop = config.features.clip_samples if config.recordings.whole else None
    return [measure_condition(to_float32(samples[:stop]), config.features.sample_rate) for samples in audio]


def distances_of(posteriors: Floats, threshold: float | None) -> Floats:
    """How far posteriors float64 [n, labels] are from another class, in log-odds: float64 [n]."""
    return np.array([distance(row, threshold) for row in posteriors], np.float64)


def within(limits: Limits, conditions: Sequence[Condition]) -> Bools:
    """Which recordings are as the limits demand, whatever their scores: bool [n]."""
    return np.array([not any(doubts_about(one, limits)) for one in conditions], bool)


def find_answered(posteriors: Floats, threshold: float | None, limits: Limits, conditions: Sequence[Condition]) -> Bools:
    """Which recordings the model can tell the class of: bool [n]."""
    return within(limits, conditions) & (distances_of(posteriors, threshold) >= limits.margin)
