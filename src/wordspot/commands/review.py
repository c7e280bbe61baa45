"""``wordspot review``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordspot.audio.player import Player
    from wordspot.runtime.kept_files import KeptFile

HELP = "play what `listen` or `serve` kept, and sort it into what was meant and what was not"
EXAMPLE = "wordspot review kept"

#: Key → answer of `runtime.review`.
KEYS = {"m": "meant", "n": "not-meant", "s": "skip", "r": "replay", "q": "quit"}
_CHOICES = "m meant, n not meant, s skip, r replay, q quit"
_CTRL_C, _CTRL_D = "\x03", "\x04"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that was given to --save, or a satellite's in it")
    parser.add_argument("--no-sound", action="store_true", help="print the path of each recording and play nothing")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(args: argparse.Namespace) -> int:
    """Sort the recordings; keys come from the terminal, or as letters from standard input."""
    from wordspot.commands import console
    from wordspot.runtime.review import review

    speaker = _Speaker(is_silent=args.no_sound)
    try:
        result = review(args.folder, _Asker(read_key).ask, speaker.play)
    except KeyboardInterrupt:  # what was answered is moved
        return 130
    finally:
        speaker.stop()
    if args.json:
        console.print_json(result.to_json())
        return 0
    console.say(f"meant: {result.n_meant}   not meant: {result.n_not_meant}   left: {result.n_left}")
    if result.n_meant:
        console.say(f"recordings of the words: {result.meant}")
    if result.n_not_meant:
        console.say(f"recordings of what is not: {result.not_meant}")
    return 0


class _Speaker:
    """Plays recordings, or prints their paths if that is impossible; it says once why."""

    def __init__(self, *, is_silent: bool) -> None:
        from wordspot.audio.player import Player
        from wordspot.commands import console
        from wordspot.errors import MissingExtraError

        self._player: Player | None = None
        if not is_silent:
            try:
                self._player = Player()
            except MissingExtraError as error:
                console.note(str(error))

    def play(self, file: KeptFile) -> None:
        """Play a recording."""
        from wordspot.audio.files import read_audio
        from wordspot.audio.player import PlaybackError
        from wordspot.commands import console
        from wordspot.errors import AudioError

        try:
            if self._player:
                self._player.play(*read_audio(file.path))
        except PlaybackError as error:
            console.note(str(error))
            self._player = None
        except AudioError as error:  # a damaged file: it can still be sorted
            console.note(str(error))
        if self._player is None:
            console.note(str(file.path))

    def stop(self) -> None:
        """Stop playing."""
        if self._player:
            self._player.stop()


class _Asker:
    """Asks by single keys."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def ask(self, file: KeptFile, n_left: int) -> str:
        """The answer about a recording. The end of the input is an end of the review."""
        from wordspot.commands import console

        what = "nearly " if file.is_near else ""
        when = f"{file.time[:4]}-{file.time[4:6]}-{file.time[6:8]} {file.time[9:11]}:{file.time[11:13]}:{file.time[13:]}"
        console.note(f"{n_left} left   {when}   {what}{file.label} ({file.score:.2f})   {_CHOICES}")
        while True:
            key = self._key().lower()
            if key in ("", _CTRL_D):
                return "quit"
            if key == _CTRL_C:
                raise KeyboardInterrupt
            if key in KEYS:
                return KEYS[key]
            if not key.isspace():
                console.note(f"expected a key: {_CHOICES}")


def read_key() -> str:
    """One key from the terminal, without Enter, or one letter from standard input if that is no terminal; empty at its end."""
    if not sys.stdin.isatty():
        return sys.stdin.read(1)
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch()
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number, termios.TCSADRAIN)  # keeps what was typed ahead; Ctrl-C still interrupts
        return sys.stdin.read(1)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
