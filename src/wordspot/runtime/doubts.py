"""When a model of whole recordings cannot tell: what is wrong with a recording, or how close its scores are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.condition import Condition
from wordspot.limits import Limits
from wordspot.runtime.windows import log_posteriors


@dataclass(frozen=True)
class Doubt:
    """A reason why a recording's class is not to be relied on.

    Attributes:
        code: ``silent``, ``short``, ``noisy``, ``narrow`` or ``close``.
        reason: in words.
    """

    code: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "reason": self.reason}


def doubts_about(condition: Condition, limits: Limits) -> Iterator[Doubt]:
    """What is wrong with a recording itself."""
    if condition.is_silent:
        yield Doubt("silent", "it contains digital silence only")
        return
    if condition.sound_s < limits.least_s:
        tuned_on = f"the model was tuned on recordings of {limits.least_s:.1f} s or more"
        yield Doubt("short", f"too short: {condition.sound_s:.1f} s of sound; {tuned_on}")
    if condition.snr_db < limits.least_snr_db:
        tuned_on = f"the model was tuned on recordings of {limits.least_snr_db:.0f} dB or more"
        yield Doubt("noisy", f"too noisy: the sound is {condition.snr_db:.0f} dB above the noise; {tuned_on}")
    if condition.bandwidth_hz < limits.least_bandwidth_hz:
        reach, least = condition.bandwidth_hz / 1000, limits.least_bandwidth_hz / 1000
        tuned_on = f"the model was tuned on recordings that reach {least:.1f} kHz or more"
        yield Doubt("narrow", f"too narrow: the sound reaches {reach:.1f} kHz; {tuned_on}")


def doubts_about_scores(
    posteriors: NDArray[np.float64], labels: Sequence[str], threshold: float | None, limits: Limits
) -> Iterator[Doubt]:
    """Whether posteriors [labels] lie too close together; of two labels, too close to the threshold of the first."""
    if distance(posteriors, threshold) >= limits.margin:
        return
    if threshold is None:
        first, second = np.argsort(-posteriors)[:2]
        yield Doubt("close", f"too close: {labels[first]} ({posteriors[first]:.2f}), {labels[second]} ({posteriors[second]:.2f})")
    else:
        yield Doubt("close", f"the score of {labels[0]}, {posteriors[0]:.2f}, is too close to the threshold, {threshold:.2f}")


def distance(posteriors: NDArray[np.float64], threshold: float | None) -> float:
    """How far posteriors [labels] are from another class, in log-odds.

    With a threshold: the difference of the first label's log-odds and the threshold's. Without: the log of how many times the
    likeliest label is likelier than the second.
    """
    if threshold is None:
        second, first = np.sort(log_posteriors(posteriors))[-2:]
        return float(first - second)
    odds = log_posteriors(np.array([posteriors[0], 1 - posteriors[0], threshold, 1 - threshold]))
    return float(abs(odds[0] - odds[1] - (odds[2] - odds[3])))
