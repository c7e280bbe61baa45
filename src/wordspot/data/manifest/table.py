"""Read and write the CSV file of a manifest as records of text: encodings, delimiters, quotes and the header."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wordspot.audio.folder import is_audio_name
from wordspot.errors import DataError
from wordspot.files import write_text
from wordspot.formats import csv_text

NEEDED = ("path", "label")
OPTIONAL = ("speaker", "generator", "split", "corpus")
_DELIMITERS = (",", ";", "\t", "|")


def read_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header (names in lower case), then every record with its cells stripped; each with the number of its first line.

    Empty lines are skipped. The file is UTF-8, or UTF-16 with a byte order mark, delimited by comma, semicolon, tab or ``|``.

    Raises:
        DataError: not text, not CSV, or a header that lacks one of `NEEDED` or repeats a column.
    """
    text = _text(path)
    delimiter = _delimiter(path, text)
    names: list[str] | None = None
    for line, cells in _parse(path, text, delimiter):
        if names is None:
            names = [_column(cell) for cell in cells]
            _check_header(path, line, names)
            yield line, names
        else:
            yield line, [cell.strip() for cell in cells]
    if names is None:
        raise DataError(f"{path}: the file is empty; expected a CSV file with the columns path and label")


def _text(path: Path) -> str:
    if is_audio_name(path.name):
        raise DataError(f"{path}: this is a sound file; expected a CSV file with the columns path and label")
    raw = path.read_bytes()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the file is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def _parse(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {line}: cannot be read as CSV ({error}); look for an unmatched quote") from None


def _delimiter(path: Path, text: str) -> str:
    """The delimiter by which the first line has the most of the columns that are known."""

    def known(delimiter: str) -> tuple[int, int]:
        try:
            _, cells = next(_parse(path, text, delimiter), (0, []))
        except DataError:
            return 0, 0
        names = [_column(cell) for cell in cells]
        return sum(name in NEEDED + OPTIONAL for name in names), len(names)

    return max(_DELIMITERS, key=known)


def _column(cell: str) -> str:
    return " ".join(cell.strip().lower().split())


def _check_header(path: Path, line: int, names: Sequence[str]) -> None:
    if twice := sorted(name for name, count in Counter(names).items() if name and count > 1):
        raise DataError(f"{path}: line {line}: the column {', '.join(twice)} occurs twice; remove or rename one")
    if missing := [name for name in NEEDED if name not in names]:
        seen = ", ".join(name[:40] or "(no name)" for name in names[:20])
        raise DataError(
            f"{path}: line {line}: the header has no column {' or '.join(missing)}; expected path and label. "
            f"Name them in the first line; its columns are: {seen}"
        )


def write_manifest(path: Path, rows: Iterable[tuple[Path, str, str, str]]) -> int:
    """Write a CSV of (file, label, speaker, generator) with paths relative to its folder; returns the number of rows."""
    lines = [(_relative(file, path.parent), *rest) for file, *rest in rows]
    write_text(path, csv_text([("path", "label", "speaker", "generator"), *lines]))
    return len(lines)


def _relative(path: Path, base: Path) -> str:
    """`path` relative to `base` with forward slashes; the full path if it is on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()
