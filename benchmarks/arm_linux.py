"""What a model costs on ARM Linux, such as a Raspberry Pi: compiled by gcc's cross compilers, run in qemu, instructions counted.

    python benchmarks/arm_linux.py --json benchmarks/results/arm-linux.json

A plugin of qemu counts instructions; the counts repeat exactly. They say nothing of the time that a processor needs for them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import wordspot as ws
from results import write_result
from wordspot.runtime.model import read_model

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
FLAGS = ("-std=gnu99", "-O3", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-static")
LIVE_CALLS, BULK_HOPS = 50, 240


@dataclass(frozen=True)
class Target:
    """A kind of ARM Linux: its compiler, its qemu, and flags for the processor."""

    name: str
    compiler: str
    qemu: str
    flags: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """A program that is needed and not installed."""
        return next((name for name in (self.compiler, self.qemu, "gcc") if not shutil.which(name)), None)


ARM64 = Target("64-bit ARM", "aarch64-linux-gnu-gcc", "qemu-aarch64")
ARM32 = Target("32-bit ARM, NEON", "arm-linux-gnueabihf-gcc", "qemu-arm", ("-mfpu=neon-vfpv4",))


@dataclass(frozen=True)
class Cost:
    """Instructions of a hop, fed alone (live) and with 239 others (bulk), and how far the self-test is off."""

    live: int
    bulk: int
    difference: float


def cost(model: bytes, weights: str, target: Target, folder: Path) -> Cost:
    """Compile an exported file for a target, run its self-test and count.

    Args:
        model: content of an exported file.
        weights: "float32" or "int8".
        target: for which Linux.
        folder: for what is compiled.

    Raises:
        subprocess.CalledProcessError: it does not compile, or the self-test fails.
    """
    out = ws.export_c(model, folder / "c", weights=weights, force=True).folder
    plugin, program = folder / "count.so", folder / "feed_hops"
    api = f"-DQEMU_API={1 if qemu_version(target.qemu) < 9 else 2}"
    subprocess.run(["gcc", "-shared", "-fPIC", api, "-o", plugin, SUPPORT / "count_instructions.c"], check=True)
    sources = [path for path in sorted(out.glob("*.c")) if path.name != "main.c"]
    command = [target.compiler, *FLAGS, *target.flags, f"-I{out}", "-o", program, *sources, SUPPORT / "feed_hops.c"]
    subprocess.run(command, check=True)

    def run(n_calls: int, n_hops: int) -> tuple[int, float]:
        done = subprocess.run(
            [target.qemu, "-plugin", plugin, program, str(n_calls), str(n_hops)], check=True, capture_output=True, text=True
        )
        return int(done.stderr.split()[1]), float(done.stdout.split()[1])

    (once, difference), (more, _) = run(1, 1), run(1 + LIVE_CALLS, 1)
    bulk = run(2, BULK_HOPS)[0] - run(1, BULK_HOPS)[0]
    return Cost((more - once) // LIVE_CALLS, bulk // BULK_HOPS, difference)


def qemu_version(qemu: str) -> int:
    printed = subprocess.run([qemu, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)", printed)
    return int(found[1]) if found else 0


def main() -> None:
    from engine import random_network

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    files = {"shipped": read_model(None)[1], "48 channels": random_network({})}
    rows, measured = [], {}
    for target in (ARM64, ARM32):
        if program := target.missing():
            print(f"{target.name}: there is no {program}")
            continue
        for name, data in files.items():
            for weights in ("float32", "int8"):
                with tempfile.TemporaryDirectory() as folder:
                    found = cost(data, weights, target, Path(folder))
                rows.append((f"{name}, {weights}", target.name, f"{found.live:,}", f"{found.bulk:,}", f"{found.difference:.1e}"))
                measured[f"{name}, {weights}, {target.name}"] = vars(found)
                print(" | ".join(rows[-1]), flush=True)
    if args.json:
        columns = ("model", "processor", "instructions a hop, live", "in bulk", "self-test differs by")
        write_result(args.json, measured, columns, rows)


if __name__ == "__main__":
    main()
