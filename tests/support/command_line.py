"""Run `wordspot` in this process, as the tests of its commands do."""

from __future__ import annotations

import re

import pytest

from wordspot.commands.main import main


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """The exit status of a command line, and what it printed to stdout and stderr."""
    capsys.readouterr()
    status = main([str(arg) for arg in args])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails(capsys: pytest.CaptureFixture[str], match: str, *args: object) -> None:
    """The command exits with 1, prints nothing to stdout, and one line that matches to stderr."""
    status, out, error = run(capsys, *args)
    assert (status, out) == (1, "")
    assert re.search(match, error), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
