"""What the command line prints: lines, tables, JSON, CSV and progress bars. Library code never prints."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from rich.console import Console
    from rich.progress import Progress

    from wordspot.progress import OnProgress
    from wordspot.progress import Progress as Step
    from wordspot.runtime.batch import FailedFile


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def stdout() -> Console:
    """The terminal for results. Wide when piped, so that no table is folded."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def stderr() -> Console:
    """The terminal for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def shown(text: str) -> str:
    """Text on one line of a terminal, whatever a file is called: control characters are shown, not obeyed.

    Those that change the direction of writing count too. Bytes that are not UTF-8 stay, for other programs.

    >>> print(shown("a\\nb\\x1b[31m \\u202egpj.wav"))
    a\\nb\\x1b[31m \\u202egpj.wav
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text: str) -> None:
    """Lines on stdout."""
    stdout().print("\n".join(shown(line) for line in text.split("\n")), markup=False)


def note(text: str) -> None:
    """A line on stderr: progress, warnings, hints."""
    stderr().print(shown(text), markup=False)


def note_of_library(text: str) -> None:
    """A note of the library, with the flag of a setting that it names."""
    for name in ("gain", "init", "speech"):
        text = text.replace(f"`{name}`", f"--{name}")
    note(text)


def with_flags(message: str, parser: argparse.ArgumentParser | None) -> str:
    """Replace the parameters that the library names (`clip_ms`) by the flags of the command (--clip-ms)."""
    actions = parser._actions if parser else []  # argparse has no public list of them
    flags = {action.dest: action.option_strings[-1] for action in actions if action.option_strings}
    return re.sub(r"`(\w+)`", lambda match: flags.get(match[1], match[0]), message)


def print_json(value: Any) -> None:
    """`value` as indented JSON on stdout; labels stay readable in any script."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class CsvLines:
    """Rows of CSV on stdout, each as soon as it is known, after a header with the names of the columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._header: list[Sequence[Any]] = [columns]

    def write(self, *rows: Sequence[Any]) -> None:
        """Print rows; without any, only the header, if it was not printed yet."""
        from wordspot.formats import csv_text

        sys.stdout.write(csv_text([*self._header, *rows]))
        self._header = []


def note_failed(file: FailedFile) -> None:
    """A line on stderr for a recording that could not be read."""
    note(f"skipped: {file.message}")


def note_failures(n_failed: int, n_files: int) -> int:
    """How many recordings failed, on stderr; the exit status."""
    if n_failed:
        note(f"{n_failed} of {n_files} files could not be read")
    return 1 if n_failed else 0


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on stdout; the first column is aligned left, the others right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(Text(shown(str(cell))) for cell in row))
    stdout().print(table)


def show_result(result: Any, *, as_json: bool) -> None:
    """Print the result of `evaluate`, `test_stream` or `tune`, after its warnings."""
    from wordspot.reports.text import Table, describe

    for warning in result.warnings:
        note(warning)
    if as_json:
        print_json(result.to_json())
        return
    for part in describe(result):
        if isinstance(part, Table):
            print_table(part.title, part.columns, part.rows)
        else:
            say(part)


def note_left_out(problems: Sequence[str]) -> None:
    """Lines on stderr for recordings that could not be used, and how many there are."""
    for problem in problems:
        note(f"left out: {problem}")
    if problems:
        note(f"{len(problems)} recordings could not be read and are left out")


def progress_bar() -> Progress:
    """A progress bar on stderr, to be used as a context; nothing if stderr is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


@contextlib.contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Yield a callback for a library function's `progress`, which draws what it reports as a bar."""
    from wordspot.progress import ignore

    if not sys.stderr.isatty():  # a bar that is disabled still ends with an empty line in rich 13
        yield ignore
        return
    with progress_bar() as bar:
        task = bar.add_task("", total=None)

        def show(step: Step) -> None:
            if step.total is None:  # which `update` takes for the total before it
                bar.tasks[0].total = None
            bar.update(task, description=step.stage, completed=step.done, total=step.total)

        yield show


@contextlib.contextmanager
def watch_training(
    when_stopped: str, parser: argparse.ArgumentParser | None = None, is_begun: Callable[[], bool] = lambda: False
) -> Iterator[dict[str, Any]]:
    """The callbacks of a training that is watched on a terminal: a bar, and a line for each evaluation and note.

    Once training has begun, the first Ctrl-C stops it after the current step, and a second one interrupts it at once.

    Args:
        when_stopped: what to say after Ctrl-C.
        parser: of the command, whose flags stand for the parameters that notes name.
        is_begun: whether there is something to go on with even before the first step.
    """
    from wordspot.progress import TRAINING
    from wordspot.progress import Progress as Step
    from wordspot.training.trainer import StepRecord

    step, asked, text = 0, False, TRAINING

    def interrupt(number: int, frame: Any) -> None:
        nonlocal asked
        if asked or not is_training:
            raise KeyboardInterrupt
        asked = True

    is_training = False
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with show_progress() as show:

            def on_progress(progress: Step) -> None:
                nonlocal step, is_training
                if progress.stage == TRAINING:
                    step, is_training = progress.done, progress.done != progress.total
                    progress = Step(f"{text}  {progress.speed}".rstrip(), progress.done, progress.total)
                show(progress)

            def on_record(record: Any) -> None:
                nonlocal text
                if isinstance(record, StepRecord):
                    text = f"rate {record.learning_rate:.2g}  loss {record.loss:.3f}  accuracy {100 * record.accuracy:.0f} %"
                else:
                    note(record.summary())

            def on_note(text: str) -> None:
                note_of_library(with_flags(text, parser))

            yield {"stop": lambda: asked, "on_record": on_record, "on_note": on_note, "progress": on_progress}
    except KeyboardInterrupt:
        if step or is_begun():
            note(f"stopped{f' after step {step}' if step else ''}; {when_stopped}")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
