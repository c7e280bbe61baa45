"""How long it takes from `wordspot studio` to a model that hears one's own words, stage by stage.

    python benchmarks/studio_time.py --data shared/data/speech_commands --words marvin,sheila [--plan good] [--cores 2]

It does over HTTP what a user does on the page: adds the words, uploads takes, trains with the numbers of a plan, and waits. Then
the model listens to clips of the words that it never got. On a machine where other programs run, look at the time that its own
cores have worked: outside of training, whose duration is chosen, a free machine takes no longer than that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from results import write_result
from wordspot.commands import console
from wordspot.labels import normalize_word
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import open_model
from wordspot.studio.project import StudioFolder
from wordspot.studio.versions import list_versions
from wordspot.wakeword.measuring import hear

#: The plans of the page: src/wordspot/studio/web/training.js.
PLANS = {
    "quick": {"minutes": 1.0, "n_voices": 60, "n_near_misses": 8, "stream_minutes": 5.0},
    "good": {"minutes": 4.0, "n_voices": 120, "n_near_misses": 20, "stream_minutes": 20.0},
}
SECONDS_A_TAKE, COUNTDOWN_S = 2.6, 2.1  # as the page records
HEADINGS = ("stage", "time", "time of a core")
NAME = "timed"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of recordings for each word")
    parser.add_argument("--words", default="marvin,sheila")
    parser.add_argument("--takes", type=int, default=10, help="of each word (default: 10)")
    parser.add_argument("--plan", choices=tuple(PLANS), default="quick")
    parser.add_argument("--cores", type=int, default=2, help="of the machine that are used (default: 2)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: args.cores]))
    words = [normalize_word(word) for word in args.words.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        stages = train(Path(folder), args, words)
        found = {word: found_in(Path(folder), clips_of(args, word)[args.takes :][:20], word) for word in words}
    recording = len(words) * (COUNTDOWN_S + args.takes * SECONDS_A_TAKE)
    rows = [("recording on the page", recording, 0.0), *stages]
    total, others = sum(row[1] for row in rows), sum(row[2] for row in rows if row[0] != "Training")
    bound = recording + others + 60 * PLANS[args.plan]["minutes"]
    table = [(name, f"{wall:.0f} s", f"{cpu:.0f} s") for name, wall, cpu in rows]
    console.print_table("From `wordspot studio` to a model", HEADINGS, table)
    load = os.getloadavg()[0]
    console.say(f"together {total:.0f} s at a load of {load:.1f}; on a free machine at most {bound:.0f} s")
    console.say("heard in clips that were not given: " + ", ".join(f"{word} {n} of {of}" for word, (n, of) in found.items()))
    if args.json is not None:
        value = {"stages": rows, "total_s": total, "free_machine_s": bound, "load": load, "found": found}
        write_result(args.json, value, HEADINGS, table)


def clips_of(args: argparse.Namespace, word: str) -> list[Path]:
    return sorted(path for path in (args.data / word).iterdir() if path.suffix in (".wav", ".opus", ".flac"))


def train(folder: Path, args: argparse.Namespace, words: list[str]) -> list[tuple[str, float, float]]:
    """Use the studio as the page does. Each stage with its seconds, and those of a core."""
    command = [sys.executable, "-m", "wordspot", "studio", "--dir", str(folder), "--port", "0", "--no-browser"]
    began = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    base = server.stdout.readline().split()[-1].removesuffix("studio/") + "v1/studio/projects"
    rows = [("start of the command", time.monotonic() - began, cpu_s(server.pid))]
    try:
        ask("POST", base, {"name": NAME})
        one = f"{base}/{NAME}"
        for word in words:
            ask("POST", f"{one}/words", {"word": word})
            for path in clips_of(args, word)[: args.takes]:
                ask("POST", f"{one}/sounds/takes?word={quote(word)}&speaker=me", path.read_bytes())
        ask("PUT", f"{one}/settings", PLANS[args.plan])
        ask("POST", f"{one}/training", {})
        return [*rows, *watch(f"{one}/training", server.pid)]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        server.stdout.close()


def watch(url: str, pid: int) -> list[tuple[str, float, float]]:
    """The stages until a training ends."""
    rows: list[tuple[str, float, float]] = []
    stage, began, worked = "", time.monotonic(), cpu_s(pid)
    while True:
        state = ask("GET", url)
        if state["state"] not in ("running", "finished"):
            raise SystemExit(f"the training is {state['state']}: {state['error']}")
        now = state["stage"] if state["state"] == "running" else ""
        if now != stage:
            moment, work = time.monotonic(), cpu_s(pid)
            if stage:
                rows.append((stage, moment - began, work - worked))
            stage, began, worked = now, moment, work
        if state["state"] == "finished":
            return joined(rows)
        time.sleep(0.5)


def joined(rows: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """One row for each kind of stage: voices say many words, one after another."""
    sums: dict[str, list[float]] = {}
    for stage, wall, cpu in rows:
        name = "Voices" if stage.startswith("Voices say") else "Measuring" if stage.startswith(("Scor", "Tun")) else stage
        total = sums.setdefault(name, [0.0, 0.0])
        total[0], total[1] = total[0] + wall, total[1] + cpu
    return [(name, wall, cpu) for name, (wall, cpu) in sums.items()]


def ask(method: str, url: str, value: Any = None) -> Any:
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    kind = "audio/wav" if isinstance(value, bytes) else "application/json"
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


def cpu_s(root: int) -> float:
    """Seconds that cores have worked for a process and all that descend from it (Linux)."""
    rows: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            rows[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    family = {root}
    while more := {number for number, row in rows.items() if int(row[1]) in family} - family:
        family |= more
    ticks = sum(sum(map(int, row[11:15])) for number, row in rows.items() if number in family)
    return ticks / os.sysconf("SC_CLK_TCK")


def found_in(folder: Path, clips: list[Path], word: str) -> tuple[int, int]:
    """In how many clips the newest model hears the word."""
    version = list_versions(StudioFolder(folder).project(NAME))[-1]
    detector = Detector(open_model(version.model))
    heard = [any(normalize_word(one.label) == word for one in hear(detector, clip)[0]) for clip in clips]
    return sum(heard), len(heard)


if __name__ == "__main__":
    main()
