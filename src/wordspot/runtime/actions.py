"""Run a program for each detection, without blocking the detector."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time

from wordspot.errors import ConfigError
from wordspot.runtime.decoder import Detection

MAX_RUNNING = 8
_ESCAPE = "" if sys.platform == "win32" else "\\"  # paths contain it there


class Runner:
    """Runs a program for each detection, without a shell.

    Its environment variables ``WORDSPOT_LABEL``, ``WORDSPOT_SCORE`` and ``WORDSPOT_TIME_MS`` hold the word, its score and
    its time in the stream. The output of the program goes to stderr.

    Args:
        command: the program and its arguments, quoted as in a shell.

    Raises:
        ConfigError: quotes that do not close, or no such program.
    """

    def __init__(self, command: str) -> None:
        try:
            self.arguments = split_command(command)
        except ValueError as error:
            raise ConfigError(f"`command`: {command!r} cannot be split into a program and its arguments ({error})") from error
        if not self.arguments:
            raise ConfigError(f"`command`: {command!r} names no program")
        program = shutil.which(self.arguments[0])
        if program is None:
            raise ConfigError(f"`command`: there is no program {self.arguments[0]!r}; install it, or give its path")
        self.arguments[0] = program  # Windows would not find NAME.cmd by NAME
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, detection: Detection) -> list[str]:
        """Start the program. Returns a line for each problem, also of programs that have ended since the last call."""
        problems = self.check()
        if len(self.running) >= MAX_RUNNING:
            return [*problems, f"{MAX_RUNNING} programs are still running; none was started for {detection.label}"]
        environment = {
            **os.environ,
            "WORDSPOT_LABEL": detection.label,
            "WORDSPOT_SCORE": f"{detection.score:.4f}",
            "WORDSPOT_TIME_MS": f"{detection.time_ms:.0f}",
        }
        try:
            self.running.append(subprocess.Popen(self.arguments, env=environment, stdin=subprocess.DEVNULL, stdout=_stderr()))
        except OSError as error:
            problems.append(f"{self.arguments[0]} could not be started ({error.strerror})")
        return problems

    def check(self) -> list[str]:
        """A line for each program that has failed since the last call."""
        ended = [program for program in self.running if program.poll() is not None]
        self.running = [program for program in self.running if program not in ended]
        return [f"{self.arguments[0]} ended with status {program.returncode}" for program in ended if program.returncode]

    def finish(self, seconds: float = 10.0) -> list[str]:
        """End: wait for the programs that are still running, for at most `seconds`."""
        until, problems = time.monotonic() + seconds, []
        for program in self.running:
            try:
                program.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                problems.append(f"{self.arguments[0]} is still running and was not stopped")
        return problems + self.check()


def split_command(command: str, escape: str = _ESCAPE) -> list[str]:
    """Split a command into words: quotes as in a shell, but no variables, patterns or pipes.

    Args:
        command: the program and its arguments.
        escape: the escape character; empty on Windows, where it is part of paths.
    """
    lexer = shlex.shlex(command, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", escape
    return list(lexer)


def _stderr() -> int:
    """Where programs write: stdout is for detections."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError):  # neither a terminal nor a file
        return subprocess.DEVNULL
