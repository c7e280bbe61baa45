"""Random seeds that are mixed from numbers, so that a resumed run draws what an uninterrupted one would have drawn."""

from __future__ import annotations

import numpy as np

SET_NUMBERS = {"training": 0, "validation": 1, "testing": 2, "all": 3}


def step_seed(*numbers: int) -> int:
    """A seed mixed from a run's seed, a step, and what the chance is for: the same numbers, the same chance.

    Seeding each step anew is what lets a run resume from any checkpoint, to the bit.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
