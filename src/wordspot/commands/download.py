"""``wordspot download``: download recordings and voices that others have published."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "download Google's Speech Commands recordings, or neural voices"
EXAMPLE = "wordspot download speech-commands --version 0.02 --out speech_commands"
#: The names of `wordspot.data.download.ARCHIVES`, without its imports: ``--help`` must be quick.
VERSIONS = ("0.01", "0.02", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "collection",
        choices=("speech-commands", "voices"),
        help="recordings, or the 54 voices of Kokoro-82M for `wordspot speak`",
    )
    parser.add_argument(
        "--version",
        choices=VERSIONS,
        help="of speech-commands: 0.02 (105,829 clips, 2.4 GB), 0.01, or test: the clips of the published 12-class test "
        "(default: 0.02)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the recordings; voices have a place of their own")
    parser.add_argument("--url", metavar="BASE", help="download from this server's folder instead of the publisher's")
    parser.add_argument("--keep-archive", action="store_true", help="keep the archive of recordings beside DIR")
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files, or get the voices again")


def run(args: argparse.Namespace) -> None:
    if args.collection == "voices":
        _voices(args)
    else:
        _speech_commands(args)


def _speech_commands(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.download import URL, download
    from wordspot.errors import ConfigError
    from wordspot.formats import command_line

    if args.out is None:
        raise ConfigError("speech-commands needs `out`, the folder for the recordings")
    with console.show_progress() as progress:
        done = download(
            args.out,
            version=args.version or "0.02",
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


def _voices(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.voices.download import LICENCE, download_voices
    from wordspot.errors import ConfigError
    from wordspot.formats import command_line

    if args.version or args.keep_archive:
        raise ConfigError("voices have no `version` and keep no archive; leave out --version and --keep-archive")
    console.say(f"Kokoro-82M, 119 MB; licence: {LICENCE}")
    with console.show_progress() as progress:
        done = download_voices(args.out, url=args.url, force=args.force, progress=progress, on_note=console.note)
    state = "already complete; --force downloads them again" if done.was_complete else "complete"
    named = () if args.out is None else ("--voice-files", args.out)
    speak = command_line("wordspot", "speak", "hey lamp", "--engine", "kokoro", *named, "--out", "voices")
    console.say(f"{done.out}: {done.n_voices} voices, {state}; next: {speak}")
