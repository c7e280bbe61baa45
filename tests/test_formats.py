from __future__ import annotations

import csv
import doctest
import io

import pytest

from wordspot import formats


def test_the_examples_in_the_docstrings() -> None:
    result = doctest.testmod(formats)
    assert result.attempted >= 9
    assert result.failed == 0


@pytest.mark.parametrize(("time_ms", "expected"), [(0, "0:00.0"), (59_949, "0:59.9"), (59_960, "1:00.0"), (3_723_400, "62:03.4")])
def test_a_clock_carries_over(time_ms: float, expected: str) -> None:
    assert formats.clock(time_ms) == expected


@pytest.mark.parametrize(("value", "expected"), [(99.96, "100"), (100, "100"), (0.00123456, "0.00123"), (0, "0")])
def test_a_rate_has_three_digits(value: float, expected: str) -> None:
    assert formats.rate(value) == expected


def test_csv_text_is_read_back_as_it_was() -> None:
    rows = [["path", "label"], ['a "b"', "ja, nein"], ["two\nlines", ""], ["ö", "1.5"]]
    assert list(csv.reader(io.StringIO(formats.csv_text(rows)))) == rows
    assert "\r" not in formats.csv_text(rows)
