"""Read and write ground truth (which words are spoken when in a stream) in three text formats.

- ``classic``: a line ``label, start_ms`` for each word, the format of TensorFlow's speech_commands example.
- ``csv``: a header with ``label`` and ``start_ms``, optionally ``end_ms``, ``clip`` and ``snr_db``; other columns are ignored.
  Cells may be separated by semicolons or tabs too; with those, numbers may have a decimal comma.
- ``audacity``: a label track, ``start<TAB>end<TAB>label`` in seconds. Lines that begin with a backslash (frequencies) are
  ignored.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.errors import ConfigError, DataError, NotFoundError
from wordspot.files import write_text
from wordspot.formats import csv_text, decimal

KINDS = ("classic", "csv", "audacity")
_COLUMNS = ("label", "start_ms", "end_ms", "clip", "snr_db")
_NUMBERS = ("start_ms", "end_ms", "snr_db")
_SEPARATORS = (",", ";", "\t")
_MAX_BYTES = 1 << 26
_MAX_MS = 1e12
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class SpokenWord:
    """A word in a stream."""

    label: str
    start_ms: float
    """Start of its speech; in a classic stream, of its clip."""
    end_ms: float | None = None
    """End of its last frame of speech; None if the file does not give it."""
    clip: str = ""
    """The recording it was made from."""
    snr_db: float | None = None


def read_truth(path: Path) -> list[SpokenWord]:
    """Read a ground-truth file of any of `KINDS`, in the file's order. An empty file means a stream without words.

    Raises:
        NotFoundError: no such file.
        DataError: not text, or a line that cannot be parsed; the message gives the file, the line's number and its text.
    """
    lines = _read_lines(path)
    first = next((line for _, line in lines), "")
    for separator in _SEPARATORS:
        header = [cell.strip(' "').lower() for cell in first.split(separator)]
        if "label" in header and "start_ms" in header:
            return _read_csv(path, lines, separator)
    is_audacity = "\t" in first
    read_line = _audacity_line if is_audacity else _classic_line
    words = []
    for number, line in lines:
        if is_audacity and line.startswith("\\"):
            continue
        try:
            words.append(read_line(line))
        except ValueError as error:
            hint = "; the first line may be a header with label and start_ms" if line == first else ""
            raise _bad(path, number, line, f"{error}{hint}") from error
    return words


def write_truth(path: Path, words: Sequence[SpokenWord], kind: str) -> None:
    """Write `words` as one of `KINDS`, atomically. For Audacity, a word without an end ends at its start.

    Raises:
        ConfigError: no such kind, or a label that does not fit on a line.
    """
    if kind not in KINDS:
        raise ConfigError(f"a ground-truth file is one of {', '.join(KINDS)}, got {kind!r}")
    for word in words:
        if not word.label.strip() or word.label != word.label.strip() or re.search(r"[\t\r\n\0]", word.label):
            raise ConfigError(f"a label must be text on one line, without tabs, got {word.label!r}")
        if kind == "classic" and _ends_in_number(word.label):
            raise ConfigError(f"the classic format cannot hold a label that ends in a comma and a number, got {word.label!r}")
    if kind == "csv":
        text = _csv_text(words)
    elif kind == "classic":
        text = "".join(f"{word.label}, {decimal(word.start_ms)}\n" for word in words)
    else:
        text = "".join(
            f"{word.start_ms / 1000:.6f}\t{(word.start_ms if word.end_ms is None else word.end_ms) / 1000:.6f}\t{word.label}\n"
            for word in words
        )
    write_text(path, text)


def _csv_text(words: Sequence[SpokenWord]) -> str:
    rows = ((word.label, decimal(word.start_ms), decimal(word.end_ms), word.clip, decimal(word.snr_db)) for word in words)
    return csv_text([_COLUMNS, *rows])


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, each with its number from 1."""
    if path.is_dir() or not path.exists():
        raise NotFoundError(f"{path}: no such file; expected a ground-truth file")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(
            f"{path}: the file has {path.stat().st_size} bytes; a ground-truth file has at most {_MAX_BYTES >> 20} MB"
        )
    with path.open("rb") as file:  # perhaps a pipe, which has no size
        data = file.read(_MAX_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {number}: not UTF-8 text; is it a ground-truth file? Save it as UTF-8") from error
    lines = enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1)
    return [(number, line) for number, line in lines if line.strip()]


def _read_csv(path: Path, lines: list[tuple[int, str]], separator: str) -> list[SpokenWord]:
    columns: list[str] = []
    words = []
    for number, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=separator != "\t"))
            if not columns:
                columns = _header(cells)
                continue
            while len(cells) > len(columns) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(columns):
                raise ValueError(f"it has {len(cells)} cells, the header {len(columns)}")
            row = dict(zip(columns, cells, strict=True))
            if separator != ",":  # some locales write 1,5
                row |= {name: row[name].replace(",", ".") for name in _NUMBERS if name in row}
            words.append(_csv_word(row))
        except (ValueError, csv.Error) as error:
            raise _bad(path, number, line, error) from error
    return words


def _header(cells: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    if "label" not in columns or "start_ms" not in columns or len(set(columns)) < len(columns):
        raise ValueError("the header must have label and start_ms, and each column once")
    return columns


def _csv_word(row: dict[str, str]) -> SpokenWord:
    end, snr = row.get("end_ms", ""), row.get("snr_db", "")
    return _word(
        row["label"],
        _milliseconds(row["start_ms"]),
        _milliseconds(end) if end.strip() else None,
        clip=row.get("clip", ""),
        snr_db=_parse(snr) if snr.strip() else None,
    )


def _classic_line(line: str) -> SpokenWord:
    label, comma, start = line.rpartition(",")
    if not comma:
        raise ValueError("a line must be 'label, start_ms'")
    if _ends_in_number(label):
        raise ValueError("a line must be 'label, start_ms', with one number")
    return _word(label, _milliseconds(start))


def _ends_in_number(label: str) -> bool:
    """Whether a line ``label, start_ms`` with this label would look like one with several numbers."""
    return _NUMBER.fullmatch(label.rpartition(",")[2].strip()) is not None and "," in label


def _audacity_line(line: str) -> SpokenWord:
    cells = line.split("\t")
    if len(cells) != 3:
        raise ValueError("a line must be 'start<TAB>end<TAB>label', times in seconds")
    start, end = (_milliseconds(cell.replace(",", "."), unit=1000) for cell in cells[:2])  # some locales write 1,5
    return _word(cells[2], start, end)


def _word(label: str, start: float, end: float | None = None, clip: str = "", snr_db: float | None = None) -> SpokenWord:
    if not label.strip():
        raise ValueError("the label is empty")
    if end is not None and end < start:
        raise ValueError(f"the word ends at {end:g} ms, before it starts at {start:g} ms")
    return SpokenWord(label.strip(), start, end, clip, snr_db)


def _milliseconds(text: str, unit: float = 1) -> float:
    value = _parse(text) * unit
    if not 0 <= value <= _MAX_MS:
        raise ValueError(f"the time must be at least 0, got {text.strip()}")
    return value


def _parse(text: str) -> float:
    stripped = text.strip()
    if len(stripped) > 60 or not _NUMBER.fullmatch(stripped) or not math.isfinite(float(stripped)):
        hint = "; times are in milliseconds" if ":" in stripped else ""
        raise ValueError(f"{stripped[:40]!r} is not a number{hint}")
    return float(stripped)


def _bad(path: Path, number: int, line: str, error: Exception | str) -> DataError:
    shown = line if len(line) <= 80 else f"{line[:77]}..."
    return DataError(f"{path}, line {number}: {error}; the line is {shown!r}")
