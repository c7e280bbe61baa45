"""Whether `wordspot scan` finds what `wordspot detect` finds, while its workers are killed; and how fast a large scan is.

    python benchmarks/scan_faults.py data/english_speech data/speech_commands [--short 1000] [--hours 10] [--runs 20]
        [--large 20] [--engine processes] [--json OUT]

An archive of short recordings (FLAC, Opus and WAV) and one long FLAC is made of the sentences, with words of the model between
them. `detect` goes through it in one process. Then it is scanned with 1, 2 and 4 workers, first undisturbed, then `--runs` times
while a worker is killed (SIGKILL) at random moments. The detections of each scan, sorted and written as Parquet, must equal those
of `detect` byte by byte. A scan lists recordings that lost three workers as unreadable, and is then run again, as a user would.

`--large`: hours of other recordings of ten minutes that are scanned with all cores, for the rate of a large scan in processor
time of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
from wordspot.runtime.model import open_model

RATE = 16_000
WORKERS = (1, 2, 4)
_COLUMNS = ("file", "word", "end_ms", "score", "emitted_ms")
_FORMATS = ("flac", "ogg", "wav")
_BETWEEN_KILLS = 2.0, 30.0  # seconds


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
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), args)
    rows = table(measured)
    for row in rows:
        print(" | ".join(row))
    if args.json:
        write_result(args.json, measured, ("what", "result"), rows)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    sound = made_sound(args.sentences, args.words)
    archive = make_archive(folder / "archive", sound, args.short, args.hours)
    begun = time.process_time()
    truth, n_detections = by_detect(archive)
    detecting = time.process_time() - begun
    say(f"detect: {n_detections} detections in {detecting:.0f} s of processor time")
    undisturbed = [scanned(archive, folder / "hits", truth, workers, args.engine) for workers in WORKERS]
    killed = [
        scanned(archive, folder / "hits", truth, workers, args.engine, random.Random(run))
        for run, workers in zip(range(args.runs), itertools.cycle(WORKERS), strict=False)
    ]
    shutil.rmtree(archive)
    return {
        "n_detections": n_detections,
        "detect_processor_seconds": detecting,
        "hours": args.hours,
        "short": args.short,
        "undisturbed": [one.__dict__ for one in undisturbed],
        "killed": [one.__dict__ for one in killed],
        "large": large_scan(folder, sound, args.large, args.engine),
    }


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
    rng = np.random.default_rng(1)
    folder.mkdir()
    for number, format_ in zip(range(n_short), itertools.cycle(_FORMATS), strict=False):
        start = int(rng.integers(len(sound) - 15 * RATE))
        audio = sound[start : start + int(rng.uniform(1, 15) * RATE)]
        encoding = {"subtype": "OPUS"} if format_ == "ogg" else {}
        soundfile.write(folder / f"{number:04}.{format_}", audio, RATE, **encoding)
    write_long(folder / "long.flac", sound, hours, rng)
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
    """The table that `detect` gives, as a hash, and its length."""
    model, rows = open_model(), []
    for file in list_files([str(archive)]):
        found = detect_file(model, model.card.decoder, Path(file.name), file.name)
        rows += [(file.name, one.label, one.time_ms, one.score, one.emitted_ms) for one in found]
    return table_hash(rows), len(rows)


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
        while not self._is_over.wait(self._rng.uniform(*_BETWEEN_KILLS)):
            if pids := workers_now():
                os.kill(self._rng.choice(pids), signal.SIGKILL)
                self.n_killed += 1


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


def large_scan(folder: Path, sound: NDArray[np.int16], hours: float, engine: str) -> dict[str, float]:
    """Scan recordings of ten minutes with all cores."""
    source, rng = folder / "large", np.random.default_rng(2)
    source.mkdir()
    for number in range(round(hours * 6)):
        write_long(source / f"{number:03}.flac", sound, 1 / 6, rng)
    processor = processor_time()
    result = scan(source, out=folder / "large hits", engine=engine)
    processor = processor_time() - processor
    return {"hours": result.audio_seconds / 3600, "seconds": result.seconds, "processor_seconds": processor}


def say(text: str) -> None:
    print(text, flush=True)


def table(measured: dict[str, Any]) -> list[tuple[str, str]]:
    what = f"detections of `detect` in {measured['short']:,} recordings and one of {measured['hours']:g} hours"
    rows = [(what, f"{measured['n_detections']:,}")]
    for name in ("undisturbed", "killed"):
        for workers in WORKERS:
            runs = [one for one in measured[name] if one["workers"] == workers]
            if not runs:
                continue
            n_same, n_killed = sum(one["is_same"] for one in runs), sum(one["n_killed"] for one in runs)
            n_more = sum(one["n_scans"] - 1 for one in runs)
            what = f"{n_killed} workers killed, run again {n_more} times" if name == "killed" else "undisturbed"
            rows.append((f"{workers} workers, {what}", f"{n_same} of {len(runs)} tables equal to that of `detect`, byte by byte"))
    one, two = (next(one["processor_seconds"] for one in measured["undisturbed"] if one["workers"] == n) for n in (1, 2))
    rows.append(("processor time of two workers against one", f"{two / one:.2f} times"))
    large = measured["large"]
    rate = large["hours"] * 3600 / large["processor_seconds"]
    rows.append((f"{large['hours']:g} hours in recordings of ten minutes, all processes", f"{rate:,.0f} × real time of one core"))
    rows.append(("1,000 hours, planned from that", f"{1000 / rate:.1f} hours of one core"))
    return rows


if __name__ == "__main__":
    main()
