"""The trainings of a sweep: every combination of the varied settings, with every seed."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wordspot.errors import ConfigError

SEED = "training.seed"
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Point:
    """A training of a sweep.

    Attributes:
        settings: the varied ones, ``section.field`` → value.
        seed: of weights, clip order and augmentation.
    """

    settings: Mapping[str, Any]
    seed: int

    @property
    def label(self) -> str:
        """The varied settings as text; empty if none is varied.

        >>> Point({"model.n_channels": 8, "training.learning_rates": (0.1, 0.01)}, 0).label
        'model.n_channels=8 training.learning_rates=0.1,0.01'
        """
        return " ".join(f"{name}={_text(value)}" for name, value in self.settings.items())

    @property
    def folder(self) -> str:
        """The name of the folder of the run.

        >>> Point({"model.n_channels": 8}, 3).folder
        'model.n_channels=8 seed=3'
        """
        name = quote(f"{self.label} seed={self.seed}".strip(), safe=" =,.+")
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{hashlib.sha256(self.label.encode()).hexdigest()[:12]} seed={self.seed}"


def make_points(vary: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[Point]:
    """Every combination of the values in `vary`, with every seed.

    Raises:
        ConfigError: no seeds, no values of a setting, or one of them twice.
    """
    if not seeds:
        raise ConfigError("`seeds` must be at least 1")
    if SEED in vary:
        raise ConfigError(f"`vary` cannot have {SEED}; set the number of `seeds`")
    for name, values in vary.items():
        if not values or len({_text(value) for value in values}) < len(values):
            raise ConfigError(f"`vary` needs different values of {name}, got {', '.join(map(_text, values)) or 'none'}")
    grid = itertools.product(*vary.values())
    return [Point(dict(zip(vary, values, strict=True)), seed) for values in grid for seed in seeds]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
