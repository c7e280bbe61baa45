"""Random seeds derived from numbers, so that a resumed run draws the same random numbers as an uninterrupted one."""

from __future__ import annotations

import numpy as np

SET_NUMBERS = {"training": 0, "validation": 1, "testing": 2, "all": 3}


def step_seed(*numbers: int) -> int:
    """A random seed derived from a run's seed, a step and a purpose; equal numbers give equal seeds.

    Because each step is seeded anew, a run can resume exactly from any checkpoint.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
