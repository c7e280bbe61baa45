"""The command line's frame: help, version, wrong usage, exit statuses, and errors as one line. Not the commands' work."""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.metadata
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wordspot
from wordspot import errors
from wordspot.commands import console
from wordspot.commands import main as cli
from wordspot.commands.main import COMMANDS, build_parser, main
from wordspot.errors import AudioError, DownloadError, MissingExtraError, NotFoundError, WordspotError

MODULES = {name: importlib.import_module(f"wordspot.commands.{name.replace('-', '_')}") for name in COMMANDS}


def run_program(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "wordspot", *args], capture_output=True, text=True, encoding="utf-8", timeout=60)


Outcome = Callable[[argparse.Namespace], int | None]


@pytest.fixture
def with_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], int]:
    """Runs `main` with a command line whose only command is the given function."""

    def with_command(run: Outcome) -> int:
        parser = argparse.ArgumentParser(prog="wordspot")
        parser.set_defaults(run=run)
        monkeypatch.setattr(cli, "build_parser", lambda: parser)
        return main([])

    return with_command


def raising(error: BaseException) -> Outcome:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


# ----------------------------------------------------------------------------------------------------------- help and usage


def test_version() -> None:
    result = run_program("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"wordspot {wordspot.__version__}\n", "")


def test_the_installed_command_is_the_same_program() -> None:
    (script,) = (point for point in importlib.metadata.entry_points(group="console_scripts") if point.name == "wordspot")
    assert script.load() is main


def test_help_lists_every_command() -> None:
    result = run_program("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for name, module in MODULES.items():
        assert any(line.split()[:1] == [name] for line in result.stdout.splitlines())
        assert module.HELP in " ".join(result.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"usage: wordspot {name}")
    assert f"example:\n  {MODULES[name].EXAMPLE}" in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_is_explained_and_no_help_breaks(name: str) -> None:
    parser = argparse.ArgumentParser(prog="x")
    MODULES[name].add_arguments(parser)
    parser.format_help()  # a stray % in a help text fails here
    unexplained = [action.dest for action in parser._actions if not action.help]
    assert unexplained == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_right_usage(name: str) -> None:
    words = shlex.split(MODULES[name].EXAMPLE)
    assert words[:2] == ["wordspot", name]
    args = build_parser().parse_args(words[1:])
    assert args.run is MODULES[name].run


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_phrase_is_a_phrase(name: str) -> None:
    phrase = MODULES[name].HELP
    assert phrase[0].islower()
    assert not phrase.endswith(".")


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sing"], "invalid choice: 'sing'"),
        (["--loud"], "required: COMMAND"),
        (["check"], "required: DIR"),
        (["check", "x", "--loud"], "wordspot check: error: unrecognized arguments: --loud\n"),
        (
            ["train", "x", "--out", "y", "--backgrund", "z"],
            "unrecognized arguments: --backgrund z; did you mean --backgrounds?",
        ),
        (["check", "x", "y"], "unrecognized arguments: y\n"),
        (["detect", "x.wav", "--model", "y"], "unrecognized arguments: --model\n"),
    ],
)
def test_wrong_usage_is_status_2(args: list[str], match: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(args)
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: wordspot")
    assert match in shown.err


# ------------------------------------------------------------------------------------------------------ statuses and errors


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_command_returns_is_the_status(with_command: Callable[[Outcome], int], returned: int | None, status: int) -> None:
    assert with_command(lambda args: returned) == status


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (WordspotError("expected that, got this; do so"), "expected that, got this; do so"),
        (WordspotError("two\nlines  and\ttabs"), "two lines and tabs"),
        (AudioError("a.wav: 汪汪叫"), "a.wav: 汪汪叫"),
        (NotFoundError("data: no such folder"), "data: no such folder"),
        (DownloadError("broken off"), "broken off"),
        (MissingExtraError("pip install 'wordspot[train]'"), "pip install 'wordspot[train]'"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a.json"),
            "runs/a.json: No space left on device; free some space and run it again",
        ),
        (OSError(errno.ENOSPC, "No space left"), "No space left; free some space and run it again"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            "a: Permission denied; choose a place that you have permission for",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "a"),
            "a: Read-only file system; choose a place that can be written to",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
            "a: No such file or directory; check the path",
        ),
        (OSError("a.ogg: could not be written; is the disk full?"), "a.ogg: could not be written; is the disk full?"),
    ],
)
def test_an_expected_error_is_one_line_and_status_1(
    with_command: Callable[[Outcome], int], capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    assert with_command(raising(error)) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"wordspot: {line}\n")


def test_every_error_of_ours_is_expected_and_has_a_builtin_beside_it() -> None:
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(ours) >= 8
    for kind in ours:
        assert issubclass(kind, WordspotError)
        assert str(kind("a message")) == "a message"
    assert issubclass(NotFoundError, FileNotFoundError)
    assert issubclass(AudioError, ValueError)


def test_a_defect_of_ours_is_not_hidden(with_command: Callable[[Outcome], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        with_command(raising(ZeroDivisionError()))


def test_ctrl_c_is_status_130(with_command: Callable[[Outcome], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert with_command(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "wordspot: interrupted\n"


def test_ctrl_c_while_the_commands_load(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> argparse.ArgumentParser:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err == "wordspot: interrupted\n"


def test_a_reader_that_went_away_is_no_error_of_ours(
    with_command: Callable[[Outcome], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert with_command(raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == 1
    sys.stdout.close()  # the null device that took its place
    assert capsys.readouterr().err == ""


SLEEPER = """
import argparse, sys, time
from wordspot.commands import main as cli

def run(args):
    print("ready", flush=True)
    time.sleep(60)

parser = argparse.ArgumentParser()
parser.set_defaults(run=run)
cli.build_parser = lambda: parser
sys.exit(cli.main([]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_a_real_ctrl_c() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=30)
    assert (program.returncode, err) == (130, "wordspot: interrupted\n")


def test_a_real_error_is_one_line(tmp_path: Path) -> None:
    result = run_program("check", str(tmp_path / "nowhere"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"wordspot: {tmp_path / 'nowhere'}: no such folder; expected")


# ----------------------------------------------------------------------------------------------------------------- console


def test_json_on_stdout_is_strict_and_readable(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"汪汪叫": [1, None]})
    text = capsys.readouterr().out
    assert "汪汪叫" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"汪汪叫": [1, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        console.print_json(float("nan"))


def test_lines_come_out_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]a[/bold] :cat: 汪汪叫 " + "long " * 60 + "end"
    console.say(line)
    console.note(line)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (line + "\n", line + "\n")


def test_tables_hold_their_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("[title] :cat:", ["word", "n"], [["[red]汪汪叫", 3], [":dog:", 0.5]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["[title]", ":cat:"] in lines
    assert ["[red]汪汪叫", "3"] in lines
    assert [":dog:", "0.5"] in lines


def test_no_progress_bar_where_no_one_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar() as bar:
        for _ in bar.track(range(3)):
            pass
    assert capsys.readouterr().err == ""


def test_the_terminal_does_not_decide_what_a_pipe_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "20")
    console.print_table("", ["a", "b"], [["x" * 100, "y"]])
    assert "x" * 100 in capsys.readouterr().out


def test_a_parameter_in_a_message_is_shown_as_the_commands_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["speak", "yes", "--out", str(tmp_path / "full")]) == 1
    error = capsys.readouterr().err
    assert "Choose another --out, or set --force" in error
    assert "`" not in error
