"""The command line: parse, call, and turn expected errors into one line and an exit status.

Each command is a module of `wordspot.commands` with ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and
``run(args)``. They import the library inside `run` only, so that ``--help`` is instant.

Exit status: 0 done, 1 an expected error (one line on stderr), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import codecs
import difflib
import errno
import importlib
import io
import json
import os
import re
import sys
from collections.abc import Sequence

from wordspot import __version__
from wordspot.commands import console
from wordspot.commands.arguments import options_first
from wordspot.errors import WordspotError, missing_extra, one_line

COMMANDS = (
    "demo", "studio", "new", "speak", "download", "check", "align", "train", "evaluate", "spectrogram", "export", "verify",
    "info", "label", "classify", "detect", "listen", "review", "make-stream", "make-scenes", "test-stream", "tune", "compare",
    "serve", "export-web", "scan", "search", "sweep",
)  # fmt: skip

_WHAT_TO_DO = {
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some space and run it again",
    errno.EACCES: "choose a place that you have permission for",
    errno.EPERM: "choose a place that you have permission for",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the entire command line."""
    parser = argparse.ArgumentParser(
        prog="wordspot",
        description="Train keyword spotters and wake words on your own recordings, and run them anywhere.",
        epilog="`wordspot COMMAND --help` explains a command and shows an example.",
    )
    parser.add_argument("--version", action="version", version=f"wordspot {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"wordspot.commands.{name.replace('-', '_')}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run, parser=subparser)
    parser.set_defaults(commands=subparsers.choices)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    _set_encoding()
    args = argparse.Namespace()
    try:
        parser = build_parser()
        words = list(sys.argv[1:] if argv is None else argv)
        args, unknown = parser.parse_known_args(options_first(words, parser.get_default("commands") or {}))
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown, args.parser)}")
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - so that the flush at exit does not fail again
        return 1
    except WordspotError as error:
        return _fail(console.with_flags(_one_line(error), getattr(args, "parser", None)), 1)
    except OSError as error:
        return _fail(_one_line(error), 1)
    except UnicodeEncodeError as error:  # the name of a file or folder
        return _fail(f"{error.object!r} cannot be written in this locale's encoding, {error.encoding}; set PYTHONUTF8=1", 1)
    except ModuleNotFoundError as error:
        return _fail(_one_line(missing_extra(error)), 1)


def _meant(unknown: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """The option that is most similar to a mistyped one."""
    known = sorted({*re.findall(r"--[\w-]+", parser.format_help())} - {"--help"})
    for text in unknown:
        if text.startswith("--") and (near := difflib.get_close_matches(text.partition("=")[0], known, n=1)):
            return f"; did you mean {near[0]}?"
    return ""


def _set_encoding() -> None:
    """Write UTF-8 to stdout unless it is a terminal: the code page of Windows lacks most letters.

    What an encoding lacks is escaped as JSON has it, so that a label never ends a command, and JSON stays what it was.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    codecs.register_error("wordspot", _escape)
    is_chosen = sys.stdout.isatty() or "PYTHONIOENCODING" in os.environ
    handler = "wordspot" if sys.stdout.errors in ("strict", "surrogateescape") else sys.stdout.errors
    sys.stdout.reconfigure(encoding=sys.stdout.encoding if is_chosen else "utf-8", errors=handler)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """What to write for the first character that cannot be encoded: a byte of a file's name as it is, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return json.dumps(character)[1:-1], error.start + 1


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, WordspotError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        hint = _WHAT_TO_DO.get(error.errno or 0)
        return one_line(f"{where}{error.strerror}{f'; {hint}' if hint else ''}")
    return " ".join(one_line(str(error)).split())


def _fail(message: str, status: int) -> int:
    print(f"wordspot: {message}", file=sys.stderr)  # noqa: T201
    return status
