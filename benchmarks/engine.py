"""The C engine beside ONNX Runtime: how equal its posteriors are on real sound, and how long a hop takes.

    python benchmarks/engine.py data/english_speech --json benchmarks/results/engine.json

Every compiler of this machine (gcc, clang) is tried with vectors of 16, 8, 4 and 1 floats. Times are the least of many short
passes over one second of sound, in one thread, the engine and ONNX Runtime in turn: on a machine with other work the least is
what repeats. The files are the model that comes with wordspot and one of the default network with random weights.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wordspot
from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.folder import is_audio_name
from wordspot.config import RunConfig
from wordspot.export.c_target import engine_model
from wordspot.export.run import export_network
from wordspot.models import make_model
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import open_model, read_model
from wordspot.runtime.modelfile.engine.blob import make_blob

ENGINE = Path(wordspot.__file__).parent / "engine"
FLAGS = ("-std=gnu99", "-ffp-contract=fast", "-Wno-psabi")
CHUNKS, LANES = (1, 2, 7, 48), (16, 8, 4, 1)
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: What is timed: a name and the compiler's flags.
BUILDS = {"this processor (-march=native)": ("-O3", "-march=native"), "any x86-64 or ARM (-O3)": ("-O3",)}
Samples = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path, nargs="+", help="recordings, or folders of them")
    parser.add_argument("--minutes", type=float, default=10.0, help="of sound for the comparison (default: 10)")
    parser.add_argument("--lanes", type=int, nargs="+", default=LANES, help="floats in a vector to compare (default: all)")
    parser.add_argument("--sanitizers", action="store_true", help="compare builds with sanitizers as well")
    parser.add_argument("--rounds", type=int, default=20, help="of timing; the least counts (default: 20)")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), args)
    rows = table(measured)
    for row in rows:
        print(" | ".join(row))
    if args.json:
        write_result(args.json, measured, ("measure", "result"), rows)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    samples = recordings(args.sound, int(args.minutes * 60 * 16000))
    (folder / "samples").write_bytes(samples.tobytes())
    shipped = read_model(None)[1]
    files = {"shipped": shipped, "48 channels": default_network()}
    for name, data in files.items():
        model, card = engine_model(data)
        for weights in ("float32", "int8"):
            (folder / f"{name} {weights}").write_bytes(make_blob(model, card, weights))
    compilers = [name for name in ("gcc", "clang") if shutil.which(name)]
    return {
        "minutes": len(samples) / 16000 / 60,
        "compilers": {name: version(name) for name in compilers},
        "difference": equality(folder, shipped, samples, compilers, args),
        "int8": int8_cost(folder, shipped, samples, compilers[0]),
        "us_a_hop": times(folder, files, samples, compilers, args.rounds),
    }


def default_network() -> bytes:
    """`residual_1d` with its default of 48 channels, ten words and random weights."""
    config = RunConfig(words=("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"))
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 12).eval()
    return export_network(network.requires_grad_(False), config).model


def equality(folder: Path, data: bytes, samples: Samples, compilers: list[str], args: argparse.Namespace) -> dict[str, float]:
    """The largest difference of a posterior from ONNX Runtime, for each build, over all lengths of calls."""
    expected = scores_of_file(data, samples)
    builds = {f"{cc}, {n} floats": (cc, "-O3", "-march=native", f"-DWS_LANES={n}") for cc in compilers for n in args.lanes}
    if args.sanitizers:
        builds |= {f"{cc}, with sanitizers": (cc, *SANITIZERS, "-march=native") for cc in compilers}
    found = {}
    for name, (cc, *flags) in builds.items():
        program = compiled(folder / "program", cc, *flags)
        print(name, flush=True)
        found[name] = max(
            float(np.abs(run_engine(program, folder, "shipped float32", n, expected.shape[1])[-len(expected) :] - expected).max())
            for n in (CHUNKS if "sanitizers" not in name else CHUNKS[2:3])
        )
    return found


def int8_cost(folder: Path, data: bytes, samples: Samples, cc: str) -> dict[str, float]:
    """How far scores with weights in 8 bits are from those in float32."""
    expected = scores_of_file(data, samples)
    program = compiled(folder / "program", cc, "-O3", "-march=native")
    scores = run_engine(program, folder, "shipped int8", 48, expected.shape[1])[-len(expected) :]
    apart, changed = np.abs(scores - expected), scores.argmax(axis=1) != expected.argmax(axis=1)
    return {"largest": float(apart.max()), "mean": float(apart.mean()), "labels_changed_percent": float(100 * changed.mean())}


def times(
    folder: Path, files: dict[str, bytes], samples: Samples, compilers: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Microseconds a hop, live (one hop a call) and in bulk (240 a call): the least of all rounds."""
    programs = {
        f"{cc}, {build}": compiled(folder / f"{cc} {number}", cc, *flags)
        for cc in compilers
        for number, (build, flags) in enumerate(BUILDS.items())
    }
    least: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, data in files.items():
            for key, value in onnx_runtime_times(data, samples):
                note(least, f"{name}, ONNX Runtime", key, value)
            for build, program in programs.items():
                for weights in ("float32", "int8"):
                    for key, size in (("live", 1), ("bulk", 240)):
                        command = [program, "time", folder / f"{name} {weights}", folder / "samples", str(size), "10"]
                        done = subprocess.run(command, check=True, capture_output=True, text=True)
                        note(least, f"{name}, {weights}, {build}", key, 1e6 * float(done.stdout))
    return least


def note(least: dict[str, dict[str, float]], name: str, key: str, value: float) -> None:
    row = least.setdefault(name, {})
    row[key] = min(value, row.get(key, value))


def onnx_runtime_times(data: bytes, samples: Samples) -> Iterator[tuple[str, float]]:
    model = open_model(data)
    audio = samples[: 16000 * 3].astype(np.float32) / 32768
    for key, size in (("live", 1), ("bulk", 240)):
        scorer = Scorer(model)
        best = 1e9
        for _ in range(3):
            begun = time.perf_counter()
            for start in range(0, 240 * 160, size * 160):
                scorer.feed(audio[start : start + size * 160])
            best = min(best, (time.perf_counter() - begun) / 240)
        yield key, 1e6 * best


def scores_of_file(data: bytes, samples: Samples) -> NDArray[np.float32]:
    return Scorer(open_model(data)).feed(samples)[0]


def run_engine(program: Path, folder: Path, blob: str, n_hops: int, n_labels: int) -> NDArray[np.float32]:
    command = [program, "scores", folder / blob, folder / "samples", str(n_hops), folder / "scores"]
    # the program leaves its memory to the system at its end
    subprocess.run(command, check=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return np.fromfile(folder / "scores", np.float32).reshape(-1, n_labels)


def compiled(out: Path, cc: str, *flags: str) -> Path:
    sources = [*(path for path in sorted(ENGINE.glob("*.c")) if path.name != "main.c"), Path(__file__).with_suffix(".c")]
    subprocess.run([cc, *FLAGS, *flags, f"-I{ENGINE}", "-o", out, *sources], check=True)
    return out


def version(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[0]


def recordings(paths: list[Path], n_samples: int) -> Samples:
    """Recordings one after another: int16 [n_samples], or fewer if there are no more."""
    parts: list[NDArray[np.float32]] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if is_audio_name(file.name) and sum(map(len, parts)) < n_samples:
                parts.append(read_audio(file, 16000)[0])
    return (np.concatenate(parts)[:n_samples] * 32767).astype(np.int16)


def table(measured: dict[str, Any]) -> list[tuple[str, str]]:
    worst = max(measured["difference"].values())
    int8 = measured["int8"]
    rows = [
        (f"largest difference of a posterior from ONNX Runtime, {measured['minutes']:.0f} minutes, all builds", f"{worst:.1e}"),
        (
            "weights in 8 bits: largest, mean difference; rows with another best label",
            f"{int8['largest']:.3f}, {int8['mean']:.1e}; {int8['labels_changed_percent']:.2f} %",
        ),
    ]
    for name, row in measured["us_a_hop"].items():
        rows.append(
            (name, f"live {row['live']:.1f} µs a hop, bulk {row['bulk']:.2f} µs = {10_000 / row['bulk']:,.0f} × real time")
        )
    return rows


if __name__ == "__main__":
    main()
