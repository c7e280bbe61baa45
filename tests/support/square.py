"""A work item for the tests of prefetching."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Square:
    """Squares a number, and tells in which process."""

    limit: int = 1000

    def __call__(self, number: int) -> tuple[int, int]:
        if number > self.limit:
            raise ValueError(f"{number} is more than {self.limit}")
        return number * number, os.getpid()
