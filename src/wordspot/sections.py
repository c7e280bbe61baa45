"""Sections of settings: frozen dataclasses whose fields carry their help text, bounds and choices.

One loop checks every field when a section is created, and the command line shows the same bounds in its help.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any, ClassVar

from wordspot.errors import ConfigError
from wordspot.formats import shown

MANY = 1_000_000  # bounds this high are not shown in the help


def setting(default: Any, help: str, low: float | None = None, high: float = MANY, **metadata: Any) -> Any:  # noqa: A002
    """A setting with its help text and bounds. With `choices`, one of them; with `pair`, two numbers LOW,HIGH."""
    bounds = {} if low is None else {"low": low, "high": high}
    about = "" if low is None else f", at least {low}" if high >= MANY else f", {low} to {high}"
    return field(default=default, metadata={"help": help + about, **bounds, **metadata})


class Section:
    """Base of the sections: checks every field against its bounds and choices."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value, about = getattr(self, each.name), each.metadata
            if "choices" in about and value not in about["choices"]:
                raise ConfigError(f"{each.name} must be one of {', '.join(about['choices'])}, got {shown(value)}")
            if about.get("pair"):
                _check_pair(each, value)
            elif "low" in about:
                for number in value if isinstance(value, tuple) else (value,):
                    name = f"each of {each.name}" if isinstance(value, tuple) else each.name
                    check_range(name, number, about["low"], about["high"])


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise a `ConfigError` unless `value` lies in the range; NaN does not."""
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low} and {high}, got {shown(value)}")


def _check_pair(each: dataclasses.Field[Any], pair: tuple[float, ...]) -> None:
    low, high = each.metadata["low"], each.metadata["high"]
    if pair != each.default and (len(pair) != 2 or not low <= pair[0] <= pair[1] <= high):
        raise ConfigError(f"{each.name} must be LOW,HIGH with {low} <= LOW <= HIGH <= {high}, got {shown(pair)}")
