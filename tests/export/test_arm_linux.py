"""The C sources on ARM Linux in qemu's user mode: the self-test, and the instructions of a hop, which repeat exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from arm_linux import ARM32, ARM64, Target, cost
from wordspot.runtime.model import read_model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "weights", "most_live", "most_bulk"),
    [(ARM64, "float32", 165_000, 180_000), (ARM64, "int8", 215_000, 215_000), (ARM32, "int8", 375_000, 375_000)],
)
def test_a_hop_of_the_shipped_model_stays_within_its_budget(
    target: Target, weights: str, most_live: int, most_bulk: int, tmp_path: Path
) -> None:
    if program := target.missing():
        pytest.skip(f"there is no {program}")
    found = cost(read_model(None)[1], weights, target, tmp_path)  # raises if the self-test fails
    assert found.live <= most_live
    assert found.bulk <= most_bulk
