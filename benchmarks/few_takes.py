"""What recordings of people bring to a wake word that is typed in: `wordspot new` without any, with ten, with a hundred.

    python benchmarks/few_takes.py athena --takes DIR --speech DIR --negatives DIR... --out DIR [--counts 0,10,100] [--minutes 20]

All models are measured on the same takes, of which none is trained on, at their own thresholds and at the lowest ones that
allow half a false accept an hour on `--negatives`. Takes are drawn by a hash of who speaks: the part of a file's name before
``_nohash_``, or its folder, or the whole name if neither says it; then the same person may be in both parts. The voices speak
once; what is made is kept in `--out`, so that an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import wordspot as ws
from results import write_result
from wordspot.audio.folder import find_clips
from wordspot.commands import console
from wordspot.formats import percent

TITLE = "Recordings of people added to a typed phrase"
HEADINGS = ("recordings of people", "found", "false accepts", "found at 0.5 an hour", "threshold")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("phrase")
    parser.add_argument("--takes", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--backgrounds", type=Path)
    parser.add_argument("--negatives", type=Path, nargs="+", required=True, help="not among what is trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", default="0,10,100", help="how many recordings are added (default: 0,10,100)")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    counts = sorted({0, *map(int, args.counts.split(","))})
    added, rest = draw(args.takes, counts[-1])
    console.say(f"{len(added)} recordings to add, {len(rest)} to measure on")
    models = [make(args, count, added[:count]) for count in counts]
    result = ws.compare(models, takes=rest, negatives=args.negatives)
    rows = [row_of(count, one) for count, one in zip(counts, result.models, strict=True)]
    console.print_table(TITLE, HEADINGS, rows)
    if args.json is not None:
        write_result(args.json, {"counts": counts, **result.to_json()}, HEADINGS, rows)


def draw(folder: Path, n: int) -> tuple[list[Path], list[Path]]:
    """At least `n` recordings, of whole speakers, and those of all other speakers."""
    paths = [path for path, _ in find_clips([folder])]
    ordered = sorted(paths, key=lambda path: (hashlib.sha256(speaker_of(path, folder).encode()).hexdigest(), path.name))
    added: list[Path] = []
    rest: list[Path] = []
    for _, group in groupby(ordered, key=lambda path: speaker_of(path, folder)):
        (added if len(added) < n else rest).extend(group)
    return added, rest


def speaker_of(path: Path, folder: Path) -> str:
    """Who speaks, as far as names say it."""
    name, mark, _ = path.name.partition("_nohash_")
    if mark:
        return name
    return path.parent.name if path.parent != folder else path.name


def make(args: argparse.Namespace, count: int, takes: list[Path]) -> Path:
    """The model with `count` recordings, made if it is not there."""
    out, first = args.out / f"takes-{count}", args.out / "takes-0"
    options: dict[str, Any] = {
        "speech": args.speech, "backgrounds": args.backgrounds, "minutes": args.minutes, "seed": args.seed,
        "on_note": console.say,
    }  # fmt: skip
    if found := list(out.glob("*.onnx")):
        return found[0]
    if count and not out.exists():
        shutil.copytree(first, out, ignore=shutil.ignore_patterns("*.onnx", "report.html", "streams"))
    if not count:
        return ws.new(args.phrase, out=out, resume=out.exists(), **options).model
    folder = args.out / f"people-{count}"
    folder.mkdir(exist_ok=True)
    for path in takes:
        shutil.copyfile(path, folder / path.name)
    return ws.new(args.phrase, out=out, resume=True, takes=folder, **options).model


def row_of(count: int, one: Any) -> tuple[str, ...]:
    own, wanted = one.own, one.wanted
    accepts = f"{own.false_accepts.n} in {own.false_accepts.hours:.2f} h"
    at_rate = ("none", "") if wanted is None else (percent(wanted.found.rate), f"{wanted.threshold:.3f}")
    return str(count), f"{percent(own.found.rate)} of {own.found.n}", accepts, *at_rate


if __name__ == "__main__":
    main()
