"""How fast `wordspot scan` is: one core against the engine's bulk rate, what decoding costs, two workers against one.

    python benchmarks/scan.py data/english_speech [--minutes 10] [--files 12] [--hours 1000] [--json OUT]

Recordings are joined to FLAC files of ten minutes. The parts of a scan are timed in processor time of one process, as
multiples of real time. Workers are timed by the clock, which needs a machine with two idle cores, and (on Linux) in their
processor time, which holds on a busy machine too: how much more two workers need than one for the same work. `--hours` is planned
from the rate of one core.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from results import write_result
from wordspot.archive.engine import run_tasks
from wordspot.archive.processes import ProcessEngine
from wordspot.archive.sources import SourceFile, content_hash, list_files
from wordspot.archive.worker import FilesTask, Setup, run_task
from wordspot.audio.files import read_audio, read_blocks
from wordspot.audio.folder import walk_folder
from wordspot.runtime.decoder import make_decoder
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import open_model, read_model

RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path, help="a folder of recordings")
    parser.add_argument("--model", type=Path, help="an exported file (default: the model that comes with wordspot)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each file (default: 10)")
    parser.add_argument("--files", type=int, default=12, help="default: 12")
    parser.add_argument("--hours", type=float, default=1000.0, help="of an archive to plan (default: 1000)")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), args)
    rows = table(measured, args.hours)
    for row in rows:
        print(" | ".join(row))
    if args.json:
        write_result(args.json, measured, ("part", "result"), rows)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    audio = make_files(folder, args.sound, int(args.minutes * 60 * RATE), args.files)
    files, setup = list_files([str(folder)]), Setup(read_model(args.model)[1], open_model(args.model).card.decoder)
    model = open_model(setup.model)
    run_task(setup, FilesTask(()))  # opens the model
    scorer, decoder, seconds = Scorer(model), make_decoder(setup.decoder, model.card.labels), len(audio) / RATE
    scores, ends = scorer.feed(audio)
    path = Path(files[0].name)
    rates = {
        "engine": rate(seconds, lambda: Scorer(model).feed(audio)),
        "decoder": rate(seconds, lambda: decoder.feed(scores, ends + 1e9 * time.perf_counter())),
        "reading": rate(seconds, lambda: sum(len(block) for block in read_blocks(path)[1])),
        "hash": rate(seconds, lambda: content_hash(path)),
        "scan": rate(seconds, lambda: run_task(setup, FilesTask((files[0],)))),
    }
    return {"rates": rates, "workers": of_workers(setup, files, seconds)}


def make_files(folder: Path, source: Path, n_samples: int, n_files: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Write FLAC files; return the audio of one."""
    parts, n_read = [], 0
    for sound in walk_folder(source).sounds:
        parts.append(read_audio(sound, RATE)[0])
        n_read += len(parts[-1])
        if n_read >= n_samples:
            break
    audio = np.resize(np.concatenate(parts), n_samples)
    for number in range(n_files):
        soundfile.write(folder / f"{number}.flac", np.roll(audio, number), RATE)
    return np.asarray(audio, np.float32)


def rate(seconds: float, work: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of audio for each second of processor time; the best of some rounds."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return seconds / min(times)


def of_workers(setup: Setup, files: list[SourceFile], seconds: float, rounds: int = 5) -> dict[str, dict[str, float]]:
    """For one and two workers, seconds of audio for each second of the clock, and for each of all workers' processor time.

    Each is the best of some rounds, as for `rate`. One and two take turns, since the speed of a machine drifts.
    """
    engines = {n: ProcessEngine(setup, n) for n in (1, 2)}
    found: dict[str, dict[str, float]] = {}
    try:
        for n, engine in engines.items():
            list(run_tasks(engine, iter([FilesTask(()) for _ in range(4 * n)])))  # opens the model
        for _, (n, engine) in itertools.product(range(rounds), engines.items()):
            begun, before = time.perf_counter(), processor_time(engine.pids)
            list(run_tasks(engine, iter([FilesTask((file,)) for file in files])))
            times = {"by_clock": time.perf_counter() - begun, "by_processor": processor_time(engine.pids) - before}
            rates = {name: len(files) * seconds / passed for name, passed in times.items()}
            best = found.setdefault(str(n), rates)
            found[str(n)] = {name: max(best[name], rate) for name, rate in rates.items()}
    finally:
        for engine in engines.values():
            engine.close()
    return found


def processor_time(pids: list[int]) -> float:
    """Seconds that processes have computed, as Linux counts them; in multiples of 10 ms."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def table(measured: dict[str, Any], hours: float) -> list[tuple[str, str]]:
    rates, one, two = measured["rates"], *measured["workers"].values()
    rest = 1 / (1 / rates["scan"] - 1 / rates["reading"])
    both = f"{one['by_clock']:,.0f} and {two['by_clock']:,.0f} × real time"
    more = one["by_processor"] / two["by_processor"]
    return [
        ("engine, bulk, one core", f"{rates['engine']:,.0f} × real time"),
        ("scan, one core", f"{rates['scan']:,.0f} × real time"),
        ("scan without decoding FLAC", f"{rest:,.0f} × real time, {100 * rest / rates['engine']:.0f} % of the engine"),
        ("decoding FLAC", f"{rates['reading']:,.0f} × real time, {100 * rates['scan'] / rates['reading']:.0f} % of the scan"),
        ("from scores to detections", f"{rates['decoder']:,.0f} × real time"),
        ("SHA-256", f"{rates['hash']:,.0f} × real time"),
        ("two workers against one, by the clock", f"{two['by_clock'] / one['by_clock']:.2f} times ({both})"),
        ("processor time of two workers against one, for the same work", f"{more:.2f} times"),
        (f"{hours:,.0f} hours, planned", f"{hours / rates['scan']:.1f} hours of one core"),
    ]


if __name__ == "__main__":
    main()
