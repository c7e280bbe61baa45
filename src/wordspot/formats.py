"""Format numbers, times and lists for people, and write CSV.

What cannot be computed is None and shown as a dash. Values meant for programs (JSON) are not rounded here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

MISSING = "–"


def percent(value: float | None, *, digits: int = 1, unit: str = "") -> str:
    """A fraction in percent.

    >>> percent(0.9312), percent(0.9312, digits=0, unit=" %"), percent(None, unit=" %")
    ('93.1', '93 %', '–')
    """
    return MISSING if value is None else f"{100 * value:.{digits}f}{unit}"


def rate(value: float | None) -> str:
    """Events per hour, with three significant digits.

    >>> rate(0.51234), rate(738.4), rate(None)
    ('0.512', '738', '–')
    """
    return MISSING if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def whole(value: float | None, unit: str = "") -> str:
    """A number without decimals, such as milliseconds.

    >>> whole(412.7), whole(412.7, " ms"), whole(None)
    ('413', '413 ms', '–')
    """
    return MISSING if value is None else f"{value:.0f}{unit}"


def interval(low: float | None, high: float | None, form: Callable[[float | None], str] = percent, unit: str = "") -> str:
    """The two ends of a confidence interval, each formatted by `form`; one dash if there is none.

    >>> interval(0.91, 0.95, unit=" %"), interval(0.2, None, rate), interval(None, None)
    ('91.0 to 95.0 %', '0.2 to –', '–')
    """
    if low is None and high is None:
        return MISSING
    return f"{form(low)} to {form(high)}{unit}"


def duration(seconds: float) -> str:
    """How long something takes, in the unit that fits.

    >>> duration(18), duration(90), duration(360), duration(9000)
    ('18 seconds', '1.5 minutes', '6 minutes', '2.5 hours')
    """
    number, unit = (
        (seconds, "second") if seconds < 60 else (seconds / 60, "minute") if seconds < 3600 else (seconds / 3600, "hour")
    )
    shown = f"{number:.0f}" if seconds < 60 or number >= 10 else f"{number:.1f}".removesuffix(".0")
    return f"{shown} {unit}{'' if shown == '1' else 's'}"


def clock(time_ms: float) -> str:
    """Milliseconds as minutes and seconds.

    >>> clock(3_723_400)
    '62:03.4'
    """
    tenths = round(time_ms / 100)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def decimal(value: float | None, digits: int = 4) -> str:
    """A number for a file: at most `digits` decimals, no trailing zeros; nothing for None.

    >>> decimal(12.5), decimal(3.0), decimal(None)
    ('12.5', '3', '')
    """
    return "" if value is None else f"{value:.{digits}f}".rstrip("0").rstrip(".")


def finite(value: float) -> float | None:
    """`value` for JSON, which has no infinity and no NaN: those become None.

    >>> finite(0.5), finite(float("inf"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


def some(texts: Iterable[str], most: int = 4) -> str:
    """The first `most` of `texts`, and how many more there are.

    >>> some(["a", "b"]), some("abcdef")
    ('a, b', 'a, b, c, d and 2 more')
    """
    named = list(texts)
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def command_line(*parts: str | Path) -> str:
    """A command that can be pasted into a shell; a path that begins with a hyphen is no option.

    >>> command_line("wordspot", "check", Path("my words"))
    "wordspot check 'my words'"
    """
    import shlex  # here, since all that loads a model imports this module
    import subprocess

    texts = [f"./{part}" if isinstance(part, Path) and str(part).startswith("-") else str(part) for part in parts]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def shown(value: Any) -> str:
    """Any `value` for an error message: on one line, at most 80 characters.

    >>> shown("yes"), shown(0.50), shown([1] * 100)[-6:]
    ("'yes'", '0.5', ', 1...')
    """
    try:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    except (ValueError, RecursionError):  # Python prints no integer of more than 4300 digits
        return "a value too large to show"
    return text if len(text) <= 80 else f"{text[:77]}..."


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Rows as CSV, a newline after each.

    >>> csv_text([("label", "start_ms"), ("a, b", 20)])
    'label,start_ms\n"a, b",20\n'
    """
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
