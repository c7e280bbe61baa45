"""Whether `wordspot scan` finds what `wordspot detect` finds, while its workers are killed; and how fast a large scan is.

    python benchmarks/scan_faults.py data/english_speech data/speech_commands [--short 1000] [--hours 10] [--runs 20]
        [--large 20] [--engine processes] [--folder DIR] [--json OUT]

An archive of short recordings (1 to 5 s; FLAC, Opus and WAV) and one long FLAC is made of the sentences, with words of the model
between them. `detect` goes through it. Then it is scanned with 1, 2 and 4 workers, first undisturbed, then `--runs` times while
workers are killed (SIGKILL) at random moments: whenever they have used a random amount of processor time. The detections of each
scan, sorted and written as Parquet, must equal those of `detect` byte by byte. A scan lists recordings that lost three workers as
unreadable, and is then run again, as a user would.

`--large`: hours of other recordings of ten minutes that the command scans first with all cores: the rate in processor time of
one core, the memory, and whether the detections are those of `detect`. 0 leaves it out. The recordings of all kinds are made in
`--folder`, which keeps them for the next time (2 GB by default), or in a temporary one.

Times and memory are those of worker processes, so with `--engine ray` only the tables are compared. `--json` is written after
each scan.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from results import write_result
from wordspot.archive.dataset import detection_parts, read_part
from wordspot.archive.scan import scan
from wordspot.archive.sources import list_files
from wordspot.audio.files import read_audio
from wordspot.audio.folder import walk_folder
from wordspot.runtime.detect import detect_file
from wordspot.runtime.model import Model, open_model

RATE = 16_000
WORKERS = (1, 2, 4)
_COLUMNS = ("file", "word", "end_ms", "score", "emitted_ms")
_FORMATS = ("flac", "ogg", "wav")
_SHORT_SECONDS = 1.0, 5.0
_BETWEEN_KILLS = 1.0, 8.0  # seconds of processor time of all workers


@dataclass(frozen=True)
class Outcome:
    """A scan of the archive, repeated until all recordings were scanned.

    Attributes:
        workers: at a time.
        n_killed: workers that were killed.
        n_scans: how often it was run.
        seconds: by the clock.
        processor_seconds: of all processes.
        is_same: whether its table equals that of `detect`, byte by byte.
    """

    workers: int
    n_killed: int
    n_scans: int
    seconds: float
    processor_seconds: float
    is_same: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, help="a folder of recordings")
    parser.add_argument("words", type=Path, help="a folder with one folder of recordings for each word")
    parser.add_argument("--short", type=int, default=1000, help="short recordings (default: 1000)")
    parser.add_argument("--hours", type=float, default=10.0, help="of the long recording (default: 10)")
    parser.add_argument("--runs", type=int, default=20, help="scans whose workers are killed (default: 20)")
    parser.add_argument("--large", type=float, default=20.0, help="hours of the large scan (default: 20)")
    parser.add_argument("--engine", choices=("processes", "ray"), default="processes")
    parser.add_argument("--folder", type=Path, help="keep the recordings here, and use those that are there")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for measured in measure(args.folder or Path(folder), Path(folder), args):
            rows = table(measured)
            if args.json:
                write_result(args.json, measured, ("what", "result"), rows)
    for row in rows:
        print(" | ".join(row))


def measure(folder: Path, out: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Make recordings in `folder`, write results of scans to `out`, and yield what has been measured, after each scan."""
    sound = made_sound(args.sentences, args.words)
    measured: dict[str, Any] = {"hours": args.hours, "short": args.short}
    if args.engine == "processes" and args.large:
        measured["large"] = large_scan(make_large(folder / "large", sound, args.large), out / "large")
        yield measured
    archive, hits = make_archive(folder / f"{args.hours:g} hours", sound, args.short, args.hours), out / "hits"
    truth, measured["n_detections"] = by_detect(archive)
    say(f"detect: {measured['n_detections']} detections")
    measured |= {"undisturbed": [], "killed": []}
    for workers in WORKERS:
        measured["undisturbed"].append(scanned(archive, hits, truth, workers, args.engine).__dict__)
        yield measured
    for run, workers in zip(range(args.runs), itertools.cycle(WORKERS), strict=False):
        measured["killed"].append(scanned(archive, hits, truth, workers, args.engine, random.Random(run)).__dict__)
        yield measured


def made_sound(sentences: Path, words: Path) -> NDArray[np.int16]:
    """An hour or so of sentences, with a word of the model after each."""
    labels = open_model().card.labels
    spoken = [path for label in labels if (words / label).is_dir() for path in walk_folder(words / label).sounds[:100]]
    if not spoken:
        raise SystemExit(f"{words} has no folder of a word of the model: {', '.join(labels)}")
    random.Random(0).shuffle(spoken)
    parts: list[NDArray[np.float32]] = []
    for sentence, word in zip(walk_folder(sentences).sounds, itertools.cycle(spoken), strict=False):
        parts += [read_audio(path, RATE)[0] for path in (sentence, word)]
        if sum(map(len, parts)) > 3600 * RATE:
            break
    noise = 30 * np.random.default_rng(0).standard_normal(sum(map(len, parts)))
    mixed: NDArray[np.int16] = np.clip(np.concatenate(parts) * 32767 + noise, -32768, 32767).astype(np.int16)
    return mixed


def make_archive(folder: Path, sound: NDArray[np.int16], n_short: int, hours: float) -> Path:
    if folder.is_dir():
        return folder
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for number, format_ in zip(range(n_short), itertools.cycle(_FORMATS), strict=False):
        start = int(rng.integers(len(sound) - int(_SHORT_SECONDS[1] * RATE)))
        audio = sound[start : start + int(rng.uniform(*_SHORT_SECONDS) * RATE)]
        encoding = {"subtype": "OPUS"} if format_ == "ogg" else {}
        soundfile.write(folder / f"{number:04}.{format_}", audio, RATE, **encoding)
    write_long(folder / "long.flac", sound, hours, rng)
    return folder


def make_large(folder: Path, sound: NDArray[np.int16], hours: float) -> Path:
    """Recordings of ten minutes."""
    if folder.is_dir():
        return folder
    rng = np.random.default_rng(2)
    folder.mkdir(parents=True)
    for number in range(round(hours * 6)):
        write_long(folder / f"{number:03}.flac", sound, 1 / 6, rng)
    return folder


def write_long(path: Path, sound: NDArray[np.int16], hours: float, rng: np.random.Generator) -> None:
    """A long recording: the sound again and again, from another place on each time."""
    n_left = int(hours * 3600 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while n_left > 0:
            part = sound[int(rng.integers(len(sound) // 2)) :][:n_left]
            file.write(part)
            n_left -= len(part)


def by_detect(archive: Path) -> tuple[str, int]:
    """The table that `detect` gives, as a hash, and its length. Each recording is scanned by one process, in one pass."""
    names = sorted((file.name for file in list_files([str(archive)])), key=lambda name: -Path(name).stat().st_size)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        rows = [row for part in pool.map(detected, names, chunksize=8) for row in part]
    return table_hash(rows), len(rows)


def detected(name: str) -> list[tuple[Any, ...]]:
    model = _opened()
    found = detect_file(model, model.card.decoder, Path(name), name)
    return [(name, one.label, one.time_ms, one.score, one.emitted_ms) for one in found]


@cache
def _opened() -> Model:
    return open_model()


def by_scan(hits: Path) -> str:
    rows = (row for part in detection_parts(hits) for row in read_part(part, _COLUMNS).to_pylist())
    return table_hash([tuple(row[name] for name in _COLUMNS) for row in rows])


def table_hash(rows: list[tuple[Any, ...]]) -> str:
    """SHA-256 of the rows, sorted, as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    columns = zip(*sorted(rows), strict=True) if rows else [()] * len(_COLUMNS)
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table([list(column) for column in columns], names=_COLUMNS), file)
    return hashlib.sha256(file.getvalue()).hexdigest()


def scanned(archive: Path, hits: Path, truth: str, workers: int, engine: str, rng: random.Random | None = None) -> Outcome:
    """Scan the archive anew; with `rng`, workers are killed meanwhile."""
    shutil.rmtree(hits, ignore_errors=True)
    begun, processor, n_scans = time.perf_counter(), processor_time(), 0
    with Killer(rng) as killer:
        is_complete = False
        while not is_complete:
            is_complete = not scan(archive, out=hits, engine=engine, workers=workers).failed
            n_scans += 1
    seconds, processor = time.perf_counter() - begun, processor_time() - processor
    one = Outcome(workers, killer.n_killed, n_scans, seconds, processor, by_scan(hits) == truth)
    say(f"{one}")
    return one


class Killer:
    """Kills a worker at random moments while it is entered; none without `rng`."""

    def __init__(self, rng: random.Random | None) -> None:
        self._rng, self._is_over, self.n_killed = rng, threading.Event(), 0
        self._thread = threading.Thread(target=self._kill, daemon=True)

    def __enter__(self) -> Killer:
        if self._rng:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._rng:
            self._thread.join()

    def _kill(self) -> None:
        assert self._rng
        used: dict[int, float] = {}
        due = self._rng.uniform(*_BETWEEN_KILLS)
        while not self._is_over.wait(0.05):
            pids = workers_now()
            used |= {pid: seconds for pid in pids if (seconds := used_by(pid)) is not None}
            if pids and sum(used.values()) > due:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._rng.choice(pids), signal.SIGKILL)
                self.n_killed += 1
                due = sum(used.values()) + self._rng.uniform(*_BETWEEN_KILLS)


def used_by(pid: int) -> float | None:
    """Seconds of processor time of a process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_now() -> list[int]:
    """The worker processes of the scan in this process: its children, or those of Ray if it runs here."""
    if children := [child.pid for child in multiprocessing.active_children() if child.pid]:
        return children
    if "ray" not in sys.modules:
        return []
    titles = ((path.parent, path.read_bytes()) for path in _command_lines())
    return [int(folder.name) for folder, title in titles if title.startswith(b"ray::run_task")]


def _command_lines() -> Iterator[Path]:
    return (path for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK))


def processor_time() -> float:
    """Seconds of this process and of those that it has started and that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def large_scan(source: Path, hits: Path) -> dict[str, Any]:
    """Run the command on a folder, with all cores."""
    command = [sys.executable, "-m", "wordspot", "scan", str(source), "--out", str(hits), "--engine", "processes", "--json"]
    processor, most_bytes = processor_time(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most_bytes = max(most_bytes, sum(map(resident_bytes, family(process.pid))))
            time.sleep(0.2)
        result = json.loads(process.communicate()[0])
    large = {
        "hours": result["audio_seconds"] / 3600,
        "seconds": result["seconds"],
        "processor_seconds": processor_time() - processor,
        "n_detections": result["n_detections"],
        "n_failed": len(result["failed"]),
        "most_bytes": most_bytes,
        "is_same": by_scan(hits) == by_detect(source)[0],
    }
    say(f"large: {large}")
    return large


def family(pid: int) -> Iterator[int]:
    """A process and its children, and theirs."""
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from family(int(child))


def resident_bytes(pid: int) -> int:
    """Memory of a process, with what it shares with others; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def say(text: str) -> None:
    print(text, flush=True)


def table(measured: dict[str, Any]) -> list[tuple[str, str]]:
    rows = large_rows(measured["large"]) if "large" in measured else []
    if "n_detections" not in measured:
        return rows
    what = f"detections of `detect` in {measured['short']:,} recordings and one of {measured['hours']:g} h"
    rows.append((what, f"{measured['n_detections']:,}"))
    for name, workers in itertools.product(("undisturbed", "killed"), WORKERS):
        if runs := [one for one in measured[name] if one["workers"] == workers]:
            n_same, n_killed = sum(one["is_same"] for one in runs), sum(one["n_killed"] for one in runs)
            n_more = sum(one["n_scans"] - 1 for one in runs)
            what = f"{n_killed} workers killed, run again {n_more} times" if name == "killed" else "undisturbed"
            same = f"{n_same} of {len(runs)} tables equal to that of `detect`, byte by byte"
            rows.append((f"{workers} worker{'s' * (workers > 1)}, {what}", same))
    used = {one["workers"]: one["processor_seconds"] for one in measured["undisturbed"]}
    if "large" in measured and 2 in used:
        rows.append(("processor time of two workers against one", f"{used[2] / used[1]:.2f} times"))
    return rows


def large_rows(large: dict[str, Any]) -> list[tuple[str, str]]:
    rate = large["hours"] * 3600 / large["processor_seconds"]
    is_same = "equal to" if large["is_same"] else "different from"
    return [
        (f"{large['hours']:.1f} hours in recordings of ten minutes, all processes", f"{rate:,.0f} × real time of one core"),
        ("its memory, at most, of all processes", f"{large['most_bytes'] / 1e6:,.0f} MB"),
        ("its detections", f"{large['n_detections']:,}; the table is {is_same} that of `detect`, byte by byte"),
        ("1,000 hours, planned from that", f"{1000 / rate:.2f} hours of one core"),
    ]


if __name__ == "__main__":
    main()
