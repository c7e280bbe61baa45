"""``wordspot check``: what is wrong with a data folder, or a list of recordings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import RECORDINGS_CLIP_MS, FeatureConfig
from wordspot.errors import ConfigError
from wordspot.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordspot.data.checks.findings import Examination, Finding

HELP = "find what is wrong with a data folder or a list of recordings"
EXAMPLE = "wordspot check recordings"
_LISTED = 10
_ALL_TOLD = ("damaged", "unusable-row")
_LISTS = (".csv", ".tsv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with one folder per word or class, or a CSV file of recordings"
    )
    parser.add_argument(
        "--task",
        choices=("words", "recordings"),
        help="what it is for: words, or classes of whole recordings (default: recordings for a CSV file, else words)",
    )
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
        "--clip-ms",
        type=float,
        metavar="MS",
        help=f"length of a clip, or of a window of a recording (default: {length:g}; recordings: {RECORDINGS_CLIP_MS:g})",
    )
    parser.add_argument("--json", action="store_true", help="print all findings with all their files as JSON")


def run(args: argparse.Namespace) -> int:
    from wordspot.commands import console

    with console.progress_bar() as bar:
        task = bar.add_task("looking at the recordings")
        examination = _examine(args, lambda done, total: bar.update(task, completed=done, total=total))
    folder = str(args.folder).encode("utf-8", "backslashreplace").decode("utf-8")
    if args.json:
        console.print_json(_to_json(folder, examination))
    else:
        _print(folder, examination, "labels" if _is_for_recordings(args) else "words")
    return 1 if examination.has_errors else 0


def _is_for_recordings(args: argparse.Namespace) -> bool:
    is_list = args.folder.is_file() or (args.folder.suffix.lower() in _LISTS and not args.folder.is_dir())
    return is_list or (args.task is not None and TASKS[args.task].data == "manifest")


def _examine(args: argparse.Namespace, on_clip: Callable[[int, int], None]) -> Examination:
    options = {"sample_rate": args.sample_rate, "clip_ms": args.clip_ms, "on_clip": on_clip}
    if not _is_for_recordings(args):
        from wordspot.data.checks.findings import examine

        return examine(args.folder, split=args.split, **options)
    from wordspot.data.checks.manifest import examine_recordings

    if args.task is not None and TASKS[args.task].data != "manifest":
        raise ConfigError(f"--task words looks at a folder with one folder per word, got a file: {args.folder}")
    if args.split:
        raise ConfigError("--split is for folders of words; a list of recordings has a column for it, named split")
    return examine_recordings(args.folder, **options)


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


def _print(folder: str, examination: Examination, noun: str) -> None:
    from wordspot.commands import console

    console.say(
        f"{folder}: {sum(examination.words.values())} recordings of {len(examination.words)} {noun}, "
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
        shown = messages if code in _ALL_TOLD else messages[:_LISTED]
        for message in shown:
            console.say(f"{severity}: {code}: {message}")
        if len(messages) > len(shown):
            console.say(f"{severity}: {code}: and {len(messages) - len(shown)} more; --json lists them all")
