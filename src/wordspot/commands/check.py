"""``wordspot check``: what is wrong with a data folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import FeatureConfig

if TYPE_CHECKING:
    from wordspot.doctor import Examination, Finding

HELP = "find what is wrong with a data folder"
EXAMPLE = "wordspot check recordings"
_LISTED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with one folder per word")
    parser.add_argument(
        "--split",
        choices=("hash", "lists"),
        help="how recordings fall into sets: hash of the name, or validation_list.txt and testing_list.txt "
        "(default: lists where both are there)",
    )
    rate, length = FeatureConfig.sample_rate, FeatureConfig.clip_ms
    parser.add_argument(
        "--sample-rate", type=int, default=rate, metavar="HZ", help=f"rate to train at (default: {rate})"
    )
    parser.add_argument(
        "--clip-ms", type=float, default=length, metavar="MS", help=f"length of a clip (default: {length:g})"
    )
    parser.add_argument("--json", action="store_true", help="print all findings with all their files as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot import console
    from wordspot.doctor import examine

    with console.progress_bar() as bar:
        task = bar.add_task("looking at the recordings")
        examination = examine(
            args.folder,
            split=args.split,
            sample_rate=args.sample_rate,
            clip_ms=args.clip_ms,
            on_clip=lambda done, total: bar.update(task, completed=done, total=total),
        )
    folder = str(args.folder).encode("utf-8", "backslashreplace").decode("utf-8")
    if args.json:
        console.print_json(_to_json(folder, examination))
    else:
        _print(folder, examination)
    return 1 if examination.has_errors else 0


def _to_json(folder: str, examination: Examination) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "folder": folder,
        "split": examination.split,
        "n_recordings": sum(examination.words.values()),
        "seconds": round(examination.seconds, 3),
        "words": examination.words,
        "findings": [asdict(finding) for finding in examination.findings],
    }


def _print(folder: str, examination: Examination) -> None:
    from wordspot import console

    console.say(
        f"{folder}: {sum(examination.words.values())} recordings of {len(examination.words)} words, "
        f"{examination.seconds / 60:.1f} minutes, split by {examination.split}"
    )
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in examination.findings:
        kinds.setdefault((finding.code, finding.severity), []).append(finding)
    if not kinds:
        console.say("nothing found")
        return
    rows = []
    for (code, severity), findings in kinds.items():
        paths = [path for finding in findings for path in finding.paths]
        rows.append((code, severity, len(set(paths)) or len(findings), paths[0] if paths else ""))
    console.print_table("", ("finding", "severity", "count", "example"), rows)
    for (code, severity), findings in kinds.items():
        messages = list(dict.fromkeys(finding.message for finding in findings))
        shown = messages if code == "damaged" else messages[:_LISTED]
        for message in shown:
            console.say(f"{severity}: {code}: {message}")
        if len(messages) > len(shown):
            console.say(f"{severity}: {code}: and {len(messages) - len(shown)} more; --json lists them all")
