"""What a model of whole recordings can judge: beyond these limits, its answer is "cannot tell"."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from wordspot.errors import ConfigError
from wordspot.formats import shown
from wordspot.sections import Section, setting


@dataclass(frozen=True)
class Limits(Section):
    """Part of an exported file's card, chosen by `wordspot tune`. 0 limits nothing."""

    margin: float = setting(0.0, "log-odds of the score must lie at least this far from the threshold's", 0, 100)
    least_s: float = setting(0.0, "seconds of sound that a recording must have", 0, 3600)
    least_snr_db: float = setting(0.0, "decibels that the sound must lie above the noise floor", 0, 120)
    least_bandwidth_hz: float = setting(0.0, "frequency that the sound must reach, in Hz", 0, 500_000)

    def describe(self) -> str:
        """When the answer is "cannot tell", in words."""
        return (
            f"log-odds within {self.margin:.2f} of the threshold's, less than {self.least_s:.1f} s of sound, less than "
            f"{self.least_snr_db:.0f} dB above the noise, nothing above {self.least_bandwidth_hz / 1000:.1f} kHz"
        )


def limits_to_json(limits: Limits) -> dict[str, float]:
    """A JSON-ready dict of `limits`."""
    return dataclasses.asdict(limits)


def limits_from_json(value: Any) -> Limits:
    """The limits that `limits_to_json` wrote.

    Raises:
        ConfigError: `value` is no such dict, or a number is missing, unknown or out of bounds.
    """
    names = {field.name for field in dataclasses.fields(Limits)}
    if not isinstance(value, dict) or set(value) != names:
        raise ConfigError(f"limits must be a JSON object with {', '.join(sorted(names))}, got {shown(value)}")
    if wrong := next((name for name in value if type(value[name]) not in (int, float)), None):
        raise ConfigError(f"{wrong} must be a number, got {shown(value[wrong])}")
    return Limits(**{name: float(number) for name, number in value.items()})
