"""``wordspot check``: find what is wrong with a data folder or a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import RECORDINGS_CLIP_MS, FeatureConfig

if TYPE_CHECKING:
    from wordspot.data.checks import Examination, Finding

HELP = "find what is wrong with a data folder or a list of recordings"
EXAMPLE = "wordspot check recordings"
_LISTED = 10
_ALL_LISTED = ("damaged", "unusable-row")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with one folder per word or class, or a CSV file of recordings"
    )
    parser.add_argument(
        "--task",
        choices=("words", "recordings"),
        help="words, or classes of entire recordings (default: recordings for a CSV file, else words)",
    )
    parser.add_argument(
        "--split",
        choices=("hash", "lists"),
        help="how recordings are split into sets: by a hash of the name, or by validation_list.txt and testing_list.txt "
        "(default: hash, as for train)",
    )
    rate, length = FeatureConfig.sample_rate, FeatureConfig.clip_ms
    parser.add_argument("--sample-rate", type=int, default=rate, metavar="HZ", help=f"rate to train at (default: {rate})")
    parser.add_argument(
        "--clip-ms",
        type=float,
        metavar="MS",
        help=f"length of a clip, or of a window of a recording (default: {length:g}; recordings: {RECORDINGS_CLIP_MS:g})",
    )
    parser.add_argument("--json", action="store_true", help="print all findings with all their files as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot.commands import console
    from wordspot.data.checks import check

    with console.show_progress() as progress:
        examination = check(
            args.folder, task=args.task, split=args.split, sample_rate=args.sample_rate, clip_ms=args.clip_ms, progress=progress
        )
    if args.json:
        console.print_json(examination.to_json())
    else:
        _print(examination)
    return 1 if examination.has_errors else 0


def _print(examination: Examination) -> None:
    from wordspot.commands import console

    console.say(
        f"{examination.path}: {examination.n_recordings} recordings of {len(examination.words)} {examination.noun}, "
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
        listed = messages if code in _ALL_LISTED else messages[:_LISTED]
        for message in listed:
            console.say(console.shown(f"{severity}: {code}: {message}"))
        if len(messages) > len(listed):
            console.say(f"{severity}: {code}: and {len(messages) - len(listed)} more; --json lists them all")
