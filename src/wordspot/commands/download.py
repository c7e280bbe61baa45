"""``wordspot download``: fetch recordings that others have published."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "fetch Google's Speech Commands recordings"
EXAMPLE = "wordspot download speech-commands --version 0.02 --out speech_commands"
#: The names of `wordspot.data.download.ARCHIVES`, without its imports: ``--help`` answers at once.
VERSIONS = ("0.01", "0.02", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection", choices=("speech-commands",), help="what to fetch")
    parser.add_argument(
        "--version",
        choices=VERSIONS,
        default="0.02",
        help="0.02 (105,829 clips, 2.4 GB), 0.01, or test: the clips of the published 12-class test (default: 0.02)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--url", metavar="BASE", help="fetch from this server's folder instead of Google's")
    parser.add_argument("--keep-archive", action="store_true", help="keep the archive beside DIR")
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.download import ARCHIVES, MIRRORS, download, is_complete

    archive = ARCHIVES[args.version]
    if is_complete(args.out, archive) and not args.force:
        console.say(f"{args.out}: already there; --force fetches it again")
        return
    bases = (args.url,) if args.url else MIRRORS
    stage, task = "", None
    with console.progress_bar() as bar:
        for step in download(archive, args.out, base_urls=bases, keep_archive=args.keep_archive, force=args.force):
            if step.note:
                bar.console.print(step.note, markup=False)
                continue
            if step.stage != stage or task is None:
                if task is not None:
                    bar.remove_task(task)
                stage, task = step.stage, bar.add_task(f"{step.stage} {archive.name} (MB)")
                if bar.disable:
                    console.note(f"{step.stage} {archive.name}")
            total = None if step.total is None else step.total / 1e6
            bar.update(task, completed=step.done / 1e6, total=total)
    console.say(f"{args.out}: complete; next: wordspot check {args.out}")
