"""What a model costs on a Cortex-M4F: compiled by arm-none-eabi-gcc, run in qemu, instructions counted exactly."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import wordspot as ws

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
FLAGS = ("-std=gnu99", "-O2", "-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffunction-sections")
LINK = ("-Wl,--gc-sections,--no-warn-rwx-segments", "-nostartfiles")


def has_tools() -> bool:
    return all(shutil.which(name) for name in ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"))


def cost(model: bytes, weights: str, folder: Path) -> dict[str, int]:
    """Bytes of flash and RAM (a stream and the stack), and instructions of a hop.

    Args:
        model: content of an exported file.
        weights: "float32" or "int8".
        folder: for what is compiled.
    """
    out = ws.export_c(model, folder / "c", weights=weights, force=True).folder
    elf = folder / "program.elf"
    sources = [path for path in sorted(out.glob("*.c")) if path.name != "main.c"]
    command = ["arm-none-eabi-gcc", *FLAGS, *LINK, f"-I{out}", "-T", SUPPORT / "cortex_m.ld", "-o", elf, *sources]
    subprocess.run([*command, SUPPORT / "cortex_m.c", "-lc", "-lgcc"], check=True)
    machine = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting", "-icount", "shift=0"]
    done = subprocess.run([*machine, "-kernel", elf], stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True)
    printed = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if line.count(" ") == 1)
    sizes = subprocess.run(["arm-none-eabi-size", elf], check=True, capture_output=True, text=True).stdout.split()
    return {
        "instructions": int(printed["instructions"]),
        "flash": int(sizes[6]),
        "ram": int(printed["state"]) + int(printed["stack"]),
    }
