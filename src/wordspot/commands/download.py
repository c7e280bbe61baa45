"""``wordspot download``: download recordings that others have published."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "download Google's Speech Commands recordings"
EXAMPLE = "wordspot download speech-commands --version 0.02 --out speech_commands"
#: The names of `wordspot.data.download.ARCHIVES`, without its imports: ``--help`` must be quick.
VERSIONS = ("0.01", "0.02", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection", choices=("speech-commands",), help="what to download")
    parser.add_argument(
        "--version",
        choices=VERSIONS,
        default="0.02",
        help="0.02 (105,829 clips, 2.4 GB), 0.01, or test: the clips of the published 12-class test (default: 0.02)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--url", metavar="BASE", help="download from this server's folder instead of Google's")
    parser.add_argument("--keep-archive", action="store_true", help="keep the archive beside DIR")
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.download import URL, download
    from wordspot.formats import command_line

    with console.show_progress() as progress:
        done = download(
            args.out,
            version=args.version,
            url=args.url or URL,
            keep_archive=args.keep_archive,
            force=args.force,
            progress=progress,
            on_note=console.note,
        )
    if done.was_complete:
        console.say(f"{args.out}: already complete; --force downloads it again")
    else:
        console.say(f"{args.out}: complete; next: {command_line('wordspot', 'check', args.out)}")
