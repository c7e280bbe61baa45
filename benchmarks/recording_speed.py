"""Cost of classifying a long recording with an exported model of the task `recordings`, on one thread.

    python benchmarks/recording_speed.py FILE.onnx... [--minutes 60] [--rate 16000] [--suffix .wav] [--json OUT]

A synthetic recording of that length (a varying voice-like buzz over noise, so that all of it counts as sound) is
written to a temporary file and classified in a fresh process. Reported are the seconds from opening the file to the
result, the speed as a multiple of real time, and the process's peak of resident memory, next to the peak of a process
that classified only ten seconds: the difference is what length costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from results import write_result

_JUDGE = """
import resource, sys, time
from pathlib import Path
from results import write_result
from wordspot.runtime.recordings import RecordingClassifier
classifier = RecordingClassifier(sys.argv[1])
start = time.perf_counter()
result = classifier.classify_file(Path(sys.argv[2]))
seconds = time.perf_counter() - start
assert "torch" not in sys.modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, result.seconds, len(result.times_s), peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of judging a long recording.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=16_000, metavar="HZ")
    parser.add_argument("--suffix", default=".wav", choices=(".wav", ".flac", ".ogg", ".mp3"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short, long = (Path(folder) / f"{name}{args.suffix}" for name in ("short", "long"))
        make_recording(short, 10.0, args.rate)
        make_recording(long, 60 * args.minutes, args.rate)
        rows = [measure(file, short, long) for file in args.files]
    for row in rows:
        print(
            f"{row['file']}: {row['seconds']:.1f} s for {row['audio_s'] / 60:g} minutes in {row['n_windows']} windows, "
            f"{row['times_real_time']:.0f} x real time, peak {row['peak_mb']:.0f} MB "
            f"(ten seconds: {row['peak_of_ten_seconds_mb']:.0f} MB)"
        )
    if args.json:
        write_result(args.json, rows)


def make_recording(path: Path, seconds: float, rate: int) -> None:
    """Write a buzz whose pitch and level wander, over noise, second by second."""
    rng, phase = np.random.default_rng(1), 0.0
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(round(seconds)):
            pitch = np.linspace(rng.uniform(90, 250), rng.uniform(90, 250), rate)
            turns = phase + np.cumsum(pitch) / rate
            phase = float(turns[-1] % 1)
            level = np.linspace(rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.5), rate)
            file.write(level * (turns % 1 - 0.5) + 0.01 * rng.standard_normal(rate))


def measure(model: Path, short: Path, long: Path) -> dict[str, Any]:
    """Both recordings, each in a process of its own."""
    _, _, _, small = judge(model, short)
    seconds, audio_s, n_windows, peak = judge(model, long)
    return {
        "file": str(model),
        "seconds": seconds,
        "audio_s": audio_s,
        "n_windows": int(n_windows),
        "times_real_time": audio_s / seconds,
        "peak_mb": peak,
        "peak_of_ten_seconds_mb": small,
    }


def judge(model: Path, recording: Path) -> list[float]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", _JUDGE, str(model), str(recording)]
    ended = subprocess.run(command, env={**os.environ, **threads}, check=True, capture_output=True, text=True)
    return [float(number) for number in ended.stdout.split()]


if __name__ == "__main__":
    main()
