"""Messages are one printable line, whatever they quote."""

from __future__ import annotations

import errno
import pickle

import pytest

from wordspot.errors import AudioError, DownloadError, MissingExtraError, NotFoundError, WordspotError, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no such file", "no such file"),
        ("\u0431\u0435\u0437 \u65e5\u672c \u00e9", "\u0431\u0435\u0437 \u65e5\u672c \u00e9"),
        ("two\nlines\r\nor\u2028three", "two lines or three"),
        ("a\tb", "a b"),
        ("red \x1b[31m, nothing \0, unit \x1f", r"red \x1b[31m, nothing \x00, unit \x1f"),
        ("a name that is no UTF-8: \udcff", r"a name that is no UTF-8: \udcff"),
        ("turned \u202e round", r"turned \u202e round"),
        ("blanks \u3000\xa0 and joiners \u200d", "blanks \u3000\xa0 and joiners \u200d"),
    ],
)
@pytest.mark.parametrize("kind", [WordspotError, AudioError, NotFoundError, DownloadError, MissingExtraError])
def test_control_characters_are_escaped(kind: type[WordspotError], text: str, expected: str) -> None:
    assert str(kind(text)) == one_line(text) == expected
    assert str(pickle.loads(pickle.dumps(kind(text)))) == expected  # noqa: S301


def test_the_middle_of_a_long_message_is_cut() -> None:
    text = str(WordspotError("expected a word, got " + "x" * 100_000 + "; use a shorter one"))
    assert len(text) < 3100
    assert text.startswith("expected a word, got xxx")
    assert text.endswith("xxx; use a shorter one")


def test_an_error_of_the_system_keeps_its_text() -> None:
    error = DownloadError(errno.ENOSPC, "No space left on device", "a\nb.tar.gz")
    assert error.errno == errno.ENOSPC
    assert str(error) == "[Errno 28] No space left on device: 'a\\nb.tar.gz'"
