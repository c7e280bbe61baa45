"""Which of several training processes this one is, as `torchrun` says in the environment."""

from __future__ import annotations

import os


def n_processes() -> int:
    """How many processes train together; 1 without ``torchrun``."""
    return max(int(os.environ.get("WORLD_SIZE", "1")), 1)


def rank() -> int:
    """The number of this process, from 0. Process 0 writes the run; the others write and print nothing."""
    return int(os.environ.get("RANK", "0")) if n_processes() > 1 else 0


def local_rank() -> int:
    """The number of this process on its machine, which is also that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if n_processes() > 1 else 0
