"""How long it takes from `wordspot studio` to a model that hears one's own words, stage by stage.

    python benchmarks/studio_time.py --data shared/data/speech_commands --words marvin,sheila [--plans quick,good] [--cores 2]

It does over HTTP what a user does on the page: adds the words, uploads takes, trains with the numbers of a plan, and waits. Then
the model listens to clips of the words that it never got. Nothing that voices said before is used again; the files of neural
voices are those in the folder of the variable WORDSPOT_VOICES, if it is set.
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
from dataclasses import dataclass
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

#: The plans of the page, src/wordspot/studio/web/training.js; and one with which only the benchmark is tried.
PLANS: dict[str, dict[str, Any]] = {
    "trial": {"minutes": 0.1, "n_voices": 12, "n_near_misses": 3, "stream_minutes": 0.5, "engine": "espeak-ng"},
    "quick": {"minutes": 1.0, "n_voices": 60, "n_near_misses": 8, "stream_minutes": 5.0},
    "good": {"minutes": 4.0, "n_voices": 120, "n_near_misses": 20, "stream_minutes": 20.0},
}
SECONDS_A_TAKE, COUNTDOWN_S = 2.6, 2.1  # as the page records
RECORDING, TOGETHER = "recording on the page", "together"
MOST_CLIPS = 50  # of each word, that the model listens to
NAME = "timed"

Stages = list[tuple[str, float, float]]
"""Each stage with its seconds, and those that cores have worked."""


@dataclass(frozen=True)
class Timed:
    """A plan's stages; for each word the clips in which it is heard, of how many; and the measures of the report."""

    stages: Stages
    found: dict[str, tuple[int, int]]
    measured: dict[str, Any]

    @property
    def total_s(self) -> float:
        return sum(seconds for _, seconds, _ in self.stages)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of recordings for each word")
    parser.add_argument("--words", default="marvin,sheila")
    parser.add_argument("--takes", type=int, default=10, help="of each word (default: 10)")
    parser.add_argument("--plans", default="quick,good", help=f"some of {', '.join(PLANS)} (default: quick,good)")
    parser.add_argument("--cores", type=int, default=2, help="of the machine that are used (default: 2)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder in which the projects stay")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: args.cores]))
    timed: dict[str, Timed] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for plan in args.plans.split(","):
            folder = (args.keep or Path(temporary)) / plan
            timed[plan] = time_plan(folder, plan, args)
            heard = ", ".join(f"{word} in {n} of {of}" for word, (n, of) in timed[plan].found.items())
            console.say(f"{plan}: {timed[plan].total_s:.0f} s, at a load of {os.getloadavg()[0]:.1f}; heard {heard}")
            headings, rows = table(timed)
            if args.json is not None:
                write_result(
                    args.json, {name: vars(one) | {"total_s": one.total_s} for name, one in timed.items()}, headings, rows
                )
    console.print_table("From `wordspot studio` to a model", headings, rows)


def table(timed: dict[str, Timed]) -> tuple[list[str], list[list[str]]]:
    """A row for each stage, a column for each plan."""
    names = dict.fromkeys(name for one in timed.values() for name, *_ in one.stages)
    seconds = {plan: {name: wall for name, wall, _ in one.stages} for plan, one in timed.items()}
    rows = [[name, *(f"{seconds[plan].get(name, 0):.0f} s" for plan in timed)] for name in names]
    rows.append([TOGETHER, *(f"{one.total_s:.0f} s" for one in timed.values())])
    words = dict.fromkeys(word for one in timed.values() for word in one.found)
    for word in words:
        rows.append(
            [f"“{word}” heard in clips that were not given", *("{} of {}".format(*one.found[word]) for one in timed.values())]
        )
    alarms = [f"{one.measured['n_false_accepts']} in {60 * one.measured['hours']:.0f} minutes" for one in timed.values()]
    return ["stage", *timed], [*rows, ["false alarms in words and noise that were held out", *alarms]]


def time_plan(folder: Path, plan: str, args: argparse.Namespace) -> Timed:
    """Train two words as the page does, and listen to clips that were not given."""
    words = [normalize_word(word) for word in args.words.split(",")]
    recording = len(words) * (COUNTDOWN_S + args.takes * SECONDS_A_TAKE)
    stages = train(folder, plan, args, words)
    version = list_versions(StudioFolder(folder).project(NAME))[-1]
    clips = {word: clips_of(args, word)[args.takes :][:MOST_CLIPS] for word in words}
    found = {word: found_in(version.model, clips[word], word) for word in words}
    return Timed([(RECORDING, recording, 0.0), *stages], found, version.read()["measured"])


def clips_of(args: argparse.Namespace, word: str) -> list[Path]:
    return sorted(path for path in (args.data / word).iterdir() if path.suffix in (".wav", ".opus", ".flac"))


def train(folder: Path, plan: str, args: argparse.Namespace, words: list[str]) -> Stages:
    """Use the studio as the page does."""
    command = [sys.executable, "-m", "wordspot", "studio", "--dir", str(folder), "--port", "0", "--no-browser"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as cache:  # of what voices say
        environment = {**os.environ, "WORDSPOT_CACHE": cache}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert server.stdout is not None
        base = server.stdout.readline().split()[-1].removesuffix("studio/") + "v1/studio/projects"
        stages = [("start of the command", time.monotonic() - began, cpu_s(server.pid))]
        try:
            began = time.monotonic()
            ask("POST", base, {"name": NAME})
            one = f"{base}/{NAME}"
            for word in words:
                ask("POST", f"{one}/words", {"word": word})
                for path in clips_of(args, word)[: args.takes]:
                    ask("POST", f"{one}/sounds/takes?word={quote(word)}&speaker=me", path.read_bytes())
            stages.append(("saving the takes", time.monotonic() - began, 0.0))
            ask("PUT", f"{one}/settings", PLANS[plan])
            ask("POST", f"{one}/training", {})
            return [*stages, *watch(f"{one}/training", server.pid)]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
            server.stdout.close()


def watch(url: str, pid: int) -> Stages:
    """The stages until a training ends."""
    rows: Stages = []
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


def joined(rows: Stages) -> Stages:
    """One row for each kind of stage: voices say many words, one after another."""
    sums: dict[str, list[float]] = {}
    for stage, wall, cpu in rows:
        name = "voices" if stage.startswith("Voices say") else "measuring" if stage.startswith(("Scor", "Tun")) else stage
        total = sums.setdefault(name[:1].lower() + name[1:], [0.0, 0.0])
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


def found_in(model: Path, clips: list[Path], word: str) -> tuple[int, int]:
    """In how many clips a model hears the word, and of how many."""
    detector = Detector(open_model(model))
    heard = [any(normalize_word(one.label) == word for one in hear(detector, clip)[0]) for clip in clips]
    return sum(heard), len(heard)


if __name__ == "__main__":
    main()
