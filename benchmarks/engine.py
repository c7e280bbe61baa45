"""The C engine beside ONNX Runtime: how equal its posteriors are on real sound, what a hop costs, what loading costs.

    python benchmarks/engine.py data/english_speech --json benchmarks/results/engine.json

Times are processor time of one thread, medians of passes over a second of sound; the engine and ONNX Runtime take turns, so
that both meet the same machine. Instructions (valgrind; qemu for a Cortex-M4F) repeat exactly. The files are the model that
comes with wordspot, and networks with random weights.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cortex_m
import wordspot
from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.folder import is_audio_name
from wordspot.config import RunConfig
from wordspot.export.c_target import engine_model
from wordspot.export.run import export_network
from wordspot.models import make_model
from wordspot.overrides import override
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import read_card
from wordspot.runtime.modelfile.engine.blob import make_blob
from wordspot.runtime.modelfile.engine.library import load_library
from wordspot.runtime.modelfile.session import open_session, run_stream

ENGINE = Path(wordspot.__file__).parent / "engine"
FLAGS = ("-std=gnu99", "-ffp-contract=fast", "-Wno-psabi")
CHUNKS, LANES = (1, 2, 7, 48), (16, 8, 4, 1)
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
AVX2 = ("-O3", "-mavx2", "-mfma")
#: What is timed: a name and the compiler's flags.
BUILDS = {"this processor": ("-O3", "-march=native"), "AVX2": AVX2, "SSE2": ("-O3",)}
#: What `peak.c` measures.
PEAKS = {
    "floats_256": "8 floats",
    "floats_512": "16 floats",
    "int16_512": "32 integers of 16 bits",
    "int8_512": "64 of 8 bits",
}
CALLS = {"live": 1, "bulk": 240}
#: Programs in Python: what they do before they print their processor time, the interpreter's start included.
PYTHON = {
    "Python alone": "pass",
    "Python and `import numpy`": "import numpy",
    "Python with the compiled engine": "import wordspot as ws; ws.Detector(ws.open_model(engine='c'))",
    "Python with ONNX Runtime": "import wordspot as ws; ws.Detector(ws.open_model(engine='onnx'))",
}
PRINT = """
import time
print(1000 * time.process_time(), next(line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line))
"""
Samples = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path, nargs="+", help="recordings, or folders of them")
    parser.add_argument("--minutes", type=float, default=10.0, help="of sound for the comparison (default: 10)")
    parser.add_argument("--lanes", type=int, nargs="+", default=LANES, help="floats in a vector to compare (default: all)")
    parser.add_argument("--sanitizers", action="store_true", help="compare builds with sanitizers as well")
    parser.add_argument("--rounds", type=int, default=5, help="of timing (default: 5)")
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
    files = {
        "shipped": shipped,
        "96 channels + 32 local": random_network({"model.n_channels": 96, "model.n_local": 32, "features.clip_ms": 1500.0}),
        "48 channels": random_network({}),
    }
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
        "peak": peak(folder, compilers[0]),
        "us_a_hop": times(folder, files, samples, compilers, args.rounds),
        "instructions": instructions(folder, files, compilers[0]),
        "loading": loading(folder, compilers[0]),
        "cortex_m4": cortex_m4(folder, files),
    }


def random_network(changes: dict[str, Any]) -> bytes:
    """`residual_1d` for ten words with random weights, and some settings changed."""
    config = RunConfig(words=("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"))
    config = override(config, {"model.name": "residual_1d", "model.dilations": "auto", **changes})
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
    """Microseconds a hop, live and in bulk: the median of all rounds. Weights in 8 bits with vectors from AVX2 on."""
    builds = [
        (f"{weights}, {cc}, {build}", weights, compiled(folder / f"{cc} {build}", cc, *flags))
        for cc in compilers
        for build, flags in BUILDS.items()
        for weights in (("float32",) if build == "SSE2" else ("float32", "int8"))
    ]
    sessions = {name: open_session(data) for name, data in files.items()}
    found: dict[str, dict[str, list[float]]] = {}

    def note(name: str, call: str, microseconds: float) -> None:
        found.setdefault(name, {key: [] for key in CALLS})[call].append(microseconds)

    for _ in range(rounds):
        for name, data in files.items():
            for call, size in CALLS.items():
                note(f"{name}, ONNX Runtime", call, onnx_runtime_time(sessions[name], data, samples, size))
                for build, weights, program in builds:
                    printed = run(program, "time", folder / f"{name} {weights}", folder / "samples", size, 50)
                    note(f"{name}, {build}", call, printed[0])
    return {name: {call: statistics.median(values) for call, values in row.items()} for name, row in found.items()}


def peak(folder: Path, cc: str) -> dict[str, float]:
    """The most multiply-adds a second of one core, in billions, by kind of vector; empty if this is not x86-64."""
    if platform.machine() != "x86_64":
        return {}
    program = folder / "peak"
    subprocess.run([cc, *FLAGS, "-O2", "-o", program, Path(__file__).with_name("peak.c")], check=True)
    done = subprocess.run([program], check=True, capture_output=True, text=True)
    return {name: float(number) for name, number in map(str.split, done.stdout.splitlines())}


def onnx_runtime_time(session: Any, data: bytes, samples: Samples, size: int) -> float:
    card = read_card(data)
    audio = samples[None, : card.step_samples * max(100, size)].astype(np.float32) / 32768
    passes = []
    for _ in range(5):
        begun = time.thread_time()
        run_stream(session, card, audio, size)
        passes.append(1e6 * (time.thread_time() - begun) / (audio.shape[1] // card.step_samples))
    return statistics.median(passes)


def instructions(folder: Path, files: dict[str, bytes], cc: str) -> dict[str, float]:
    """Of a hop with AVX2, as valgrind counts them; empty without it."""
    if not shutil.which("valgrind"):
        return {}
    program = compiled(folder / "program", cc, *AVX2)

    def counted(blob: Path, size: int, passes: int) -> int:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={os.devnull}"]
        done = subprocess.run(
            [*command, program, "time", blob, folder / "samples", str(size), str(passes)],
            check=True,
            capture_output=True,
            text=True,
        )
        return int(done.stderr.split("refs:")[1].split()[0].replace(",", ""))

    found = {}
    for name in files:
        for weights in ("float32", "int8"):
            for call, size in CALLS.items():
                blob = folder / f"{name} {weights}"
                found[f"{name}, {weights}, {call}"] = (counted(blob, size, 2) - counted(blob, size, 1)) / max(100, size)
    return found


def loading(folder: Path, cc: str) -> dict[str, dict[str, float]]:
    """Milliseconds until a stream of the shipped model is there, and resident memory: a C program, and Python, step by step.

    Modules are compiled, as in an installed package: the first of the runs compiles them if they are not.
    """
    (folder / "second").write_bytes((folder / "samples").read_bytes()[:32000])
    program = compiled(folder / "program", cc, "-O3", "-march=native")
    in_c = [run(program, "load", folder / "shipped float32", folder / "second", 1, 0) for _ in range(9)]
    found = {"a C program": in_c}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name, program in PYTHON.items():
        if "compiled" not in name or load_library():
            found[name] = [run(sys.executable, "-c", program + PRINT, environment=environment) for _ in range(9)]
    return {
        name: {"ms": statistics.median(row[0] for row in rows), "kB": statistics.median(row[1] for row in rows)}
        for name, rows in found.items()
    }


def cortex_m4(folder: Path, files: dict[str, bytes]) -> dict[str, dict[str, int]]:
    if not cortex_m.has_tools():
        return {}
    return {
        f"{name}, {weights}": cortex_m.cost(data, weights, folder)
        for name, data in files.items()
        for weights in ("float32", "int8")
    }


def run(*command: object, environment: dict[str, str] | None = None) -> list[float]:
    """The numbers that a command prints."""
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, env=environment)
    return [float(word) for word in done.stdout.split()]


def scores_of_file(data: bytes, samples: Samples) -> NDArray[np.float32]:
    """Of ONNX Runtime, without the rows that see what was before the sound."""
    card = read_card(data)
    audio = samples[None].astype(np.float32) / 32768
    return run_stream(open_session(data), card, audio, 200)[0, card.clip_samples // card.step_samples :]


def run_engine(program: Path, folder: Path, blob: str, n_hops: int, n_labels: int) -> NDArray[np.float32]:
    command = [program, "scores", folder / blob, folder / "samples", str(n_hops), folder / "scores"]
    # the program leaves its memory to the system at its end
    subprocess.run(command, check=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return np.fromfile(folder / "scores", np.float32).reshape(-1, n_labels)


def compiled(out: Path, cc: str, *flags: str) -> Path:
    sources = [
        *(path for path in sorted(ENGINE.glob("*.c")) if path.name not in ("main.c", "library.c")),
        Path(__file__).with_suffix(".c"),
    ]
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
    if measured["peak"]:
        peaks = ", ".join(f"{PEAKS[name]} {number:.0f}" for name, number in measured["peak"].items())
        rows.append(("the most that one core can do, billion multiply-adds a second", peaks))
    for name, row in measured["us_a_hop"].items():
        bulk = f"bulk {row['bulk']:.2f} µs = {10_000 / row['bulk']:,.0f} × real time"
        rows.append((name, f"live {row['live']:.1f} µs a hop, {bulk}"))
    rows += [(f"{name}, AVX2", f"{count:,.0f} instructions a hop") for name, count in measured["instructions"].items()]
    for name, row in measured["loading"].items():
        rows.append((f"loading: {name}", f"{row['ms']:.1f} ms, {row['kB'] / 1000:.1f} MB resident"))
    for name, row in measured["cortex_m4"].items():
        sizes = f"{row['flash'] / 1000:.0f} kB of flash, {row['ram'] / 1000:.1f} kB of RAM with the stack"
        rows.append((f"{name}, Cortex-M4F", f"{row['instructions']:,} instructions a hop, {sizes}"))
    return rows


if __name__ == "__main__":
    main()
