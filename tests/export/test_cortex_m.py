"""The C sources on a Cortex-M4F and M7 in qemu: the self-test, and the instructions of a hop, which repeat exactly."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import wordspot as ws
from support.made_engine import HERE
from support.made_exports import export_made

M4 = ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
M7 = ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")


@pytest.fixture(scope="module")
def model() -> bytes:
    """The default network, 48 channels, for two words."""
    return export_made("residual_1d").model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "flags", "weights", "most_instructions", "most_flash", "most_ram"),
    [
        ("mps2-an386", M4, "float32", 200_000, 252_000, 29_000),
        ("mps2-an386", M4, "int8", 200_000, 90_000, 20_000),
        ("mps2-an500", M7, "float32", 200_000, 252_000, 29_000),
        ("mps2-an500", M7, "int8", 200_000, 90_000, 20_000),
    ],
)
def test_a_hop_stays_within_its_budget(
    machine: str,
    flags: tuple[str, ...],
    weights: str,
    most_instructions: int,
    most_flash: int,
    most_ram: int,
    model: bytes,
    tmp_path: Path,
) -> None:
    for program in ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    folder = ws.export_c(model, tmp_path / "c", weights=weights).folder
    elf = tmp_path / "program.elf"
    sources = [path for path in sorted(folder.glob("*.c")) if path.name != "main.c"]
    subprocess.run(
        ["arm-none-eabi-gcc", "-std=gnu99", "-Wall", "-Wextra", "-O2", "-mthumb", *flags, "-ffunction-sections",
         "-Wl,--gc-sections,--no-warn-rwx-segments", "-nostartfiles", f"-I{folder}", "-T", HERE / "cortex_m.ld", "-o", elf,
         *sources, HERE / "cortex_m.c", "-lc", "-lgcc"],
        check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        ["qemu-system-arm", "-M", machine, "-nographic", "-semihosting", "-icount", "shift=0", "-kernel", elf],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    printed = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if line.count(" ") == 1)
    assert done.returncode == 0, printed  # the self-test passed
    assert int(printed["instructions"]) <= most_instructions
    assert int(printed["state"]) + int(printed["stack"]) <= most_ram
    sizes = subprocess.run(["arm-none-eabi-size", elf], check=True, capture_output=True, text=True).stdout.split()
    assert int(sizes[6]) <= most_flash  # code and constants
