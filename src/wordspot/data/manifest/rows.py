"""Read a manifest: the rows of a CSV file, or the files in a folder with one folder per class.

Contradictions that would spoil results (one recording under two labels, a repeated column, an unknown set) raise an error. A
row whose file is missing is reported as a problem and skipped; too many problems raise an error.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.audio.folder import walk_folder
from wordspot.data.folders import LeftOut, Recording, is_utf8, left_out_files, left_out_notes
from wordspot.data.manifest.table import NEEDED, OPTIONAL, read_records
from wordspot.errors import DataError, NotFoundError
from wordspot.labels import normalize_word

MOST_PROBLEMS = 0.1
_SETS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "validation": "validation",
    "test": "testing",
    "testing": "testing",
}
_NOT_IN_LABELS = frozenset("/\\\n\r\t\0")
_TOLD = 5


@dataclass(frozen=True)
class ManifestRow:
    """One recording of a manifest.

    path: as written in the manifest; for a folder of classes, relative to it with forward slashes.
    file: the resolved path.
    label: lower-cased (NFC). speaker, generator: None if unknown.
    split: ``training``, ``validation`` or ``testing``; None if the manifest does not say.
    line: its line in the CSV file, counted from 1; 0 for a folder.
    corpus: the collection that it comes from; None if unknown.
    """

    path: str
    file: Path
    label: str
    speaker: str | None = None
    generator: str | None = None
    split: str | None = None
    line: int = 0
    corpus: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The contents of a manifest.

    root: the CSV file's folder, or the folder of classes.
    problems: one line for each skipped row.
    left_out: unused files in a folder of classes.
    """

    root: Path
    rows: tuple[ManifestRow, ...]
    problems: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted by name."""
        return tuple(sorted({row.label for row in self.rows}))


def read_manifest(path: Path) -> Manifest:
    """The rows of a CSV file, or of a folder with one folder per class.

    A CSV file has a header with ``path`` and ``label``, and may have ``speaker``, ``generator``, ``split`` and ``corpus``.
    It is UTF-8, or UTF-16 with a byte order mark, delimited by comma, semicolon, tab or ``|``. Paths are relative to its
    folder, absolute, or begin with ``~``.

    In a folder of classes, the first folder below a class's folder names the generator, and the part of a file's name before
    ``_nohash_`` the speaker. Names that begin with ``.`` or ``_`` are skipped.

    Raises:
        NotFoundError: no such file or folder.
        DataError: not a manifest, missing or repeated columns, contradictory rows, an unknown split, fewer than two classes, a
            class with a single recording, or more than `MOST_PROBLEMS` of the rows without a file.
    """
    listed, conflicts = survey_manifest(path)
    if conflicts:
        more = f" (and {len(conflicts) - 1} more such lines)" if len(conflicts) > 1 else ""
        raise DataError(f"{path}: {conflicts[0]}{more}")
    check_problems(path, listed.problems, len(listed.rows) + len(listed.problems))
    check_labels(path, listed.rows)
    return listed


def survey_manifest(path: Path) -> tuple[Manifest, tuple[str, ...]]:
    """Like `read_manifest`, but return a line for each row that it would reject instead of raising.

    Raises:
        NotFoundError: no such file or folder.
        DataError: the file cannot be read as a manifest.
    """
    if path.is_dir():
        return _of_folder(path), ()
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file or folder; expected a CSV file or a folder of classes")
    return _of_table(path)


def check_problems(path: Path, problems: Sequence[str], n_rows: int) -> None:
    """Raise DataError if more than `MOST_PROBLEMS` of a list's `n_rows` recordings cannot be used."""
    if len(problems) > MOST_PROBLEMS * n_rows:
        told = "; ".join(problems[:_TOLD]) + ("; ..." if len(problems) > _TOLD else "")
        raise DataError(
            f"{path}: {len(problems)} of {n_rows} recordings cannot be used; the limit is "
            f"{MOST_PROBLEMS:.0%}; correct the manifest or the files: {told}"
        )


def check_labels(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Raise DataError if there are fewer than two classes, or a class has a single recording."""
    counts = Counter(row.label for row in rows)
    if len(counts) < 2:
        what = f"{next(iter(counts))!r} is the only class" if counts else "there are no classes"
        raise DataError(f"{path}: {what}; expected at least two. Add recordings of another class")
    if single := sorted(label for label, count in counts.items() if count == 1):
        row = next(row for row in rows if row.label == single[0])
        where = f"line {row.line}" if row.line else row.path
        raise DataError(
            f"{path}: there is only one recording of {', '.join(map(repr, single))} ({where}); expected at least two of each "
            "label. Correct the label or add recordings"
        )


def _of_folder(root: Path) -> Manifest:
    rows: list[ManifestRow] = []
    problems: list[str] = []
    left_out: list[LeftOut] = []
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name.startswith((".", "_")):
            continue
        files = walk_folder(folder)
        left_out += left_out_files(root, files.others)
        for file in files.sounds:
            path = file.relative_to(root).as_posix()
            if not is_utf8(path):
                problems.append(f"{path!r}: the name is not UTF-8; rename it")
            elif not file.name.startswith("_"):
                rows.append(_row_of_file(path, file))
    left_out = [one for one in left_out if one.code != "ignored"]
    if not rows:
        lists = sorted(path.name for path in root.glob("*.csv"))
        hint = f"; or name the list: {root / lists[0]}" if lists else ""
        notes = "".join(f"; {note}" for note in left_out_notes(left_out))
        raise DataError(
            f"{root}: no recordings found; expected one folder per class with recordings (WAV, FLAC, Ogg or MP3){hint}{notes}"
        )
    return Manifest(root, tuple(rows), tuple(problems), tuple(left_out))


def _row_of_file(path: str, file: Path) -> ManifestRow:
    label, *folders = path.split("/")[:-1]
    speaker = Recording(path, "", 0, 0).speaker
    generator = folders[0] if folders else None
    return ManifestRow(path, file, normalize_word(label).strip(), _name(speaker or ""), generator)


def _of_table(path: Path) -> tuple[Manifest, tuple[str, ...]]:
    records = read_records(path)
    _, header = next(records)
    rows: list[ManifestRow] = []
    problems: list[str] = []
    conflicts: list[str] = []
    seen: dict[str, ManifestRow] = {}
    for line, cells in records:
        if len(cells) > len(header) and any(cells[len(header) :]):
            problems.append(
                f"line {line}: has {len(cells)} cells, expected {len(header)}; put a cell that contains the delimiter in quotes"
            )
            continue
        named = dict(zip(header, cells, strict=False))
        if problem := _cell_problem(named):
            problems.append(f"line {line}: {problem}")
            continue
        if conflict := _cell_conflict(named):
            conflicts.append(f"line {line}: {conflict}")
            continue
        row = _row_of_cells(path.parent, named, line)
        if problem := _file_problem(row):
            problems.append(f"line {line}: {problem}")
            continue
        first = seen.setdefault(os.path.realpath(row.file), row)
        if first is row:
            rows.append(row)
        elif differing := _differing(first, row):
            conflicts.append(f"line {line}: {_shown(row.path)} is also in line {first.line}, with another {differing}; keep one")
        else:
            problems.append(f"line {line}: {_shown(row.path)} is already in line {first.line}; remove one of the two")
    return Manifest(path.parent, tuple(rows), tuple(problems)), tuple(conflicts)


def _cell_problem(named: dict[str, str]) -> str:
    """Why a record is skipped, or an empty text."""
    for column in NEEDED:
        if not named.get(column):
            return f"the {column} is empty"
    return ""


def _cell_conflict(named: dict[str, str]) -> str:
    """Why a record is rejected, or an empty text."""
    label, split = named["label"], named.get("split", "")
    if label[0] in "._" or not _NOT_IN_LABELS.isdisjoint(label):
        return f"the label {label[:80]!r} contains a slash or begins with '_' or '.'; rename it"
    if split and split.lower() not in _SETS:
        return f"the split {split[:80]!r} is unknown; expected training, validation, testing or an empty cell"
    return ""


def _row_of_cells(root: Path, named: dict[str, str], line: int) -> ManifestRow:
    path = named["path"]
    return ManifestRow(
        path,
        _locate(root, path),
        normalize_word(named["label"]),
        _name(named.get("speaker", "")),
        _name(named.get("generator", "")),
        _SETS.get(named.get("split", "").lower()),
        line,
        _name(named.get("corpus", "")),
    )


def _name(cell: str) -> str | None:
    return unicodedata.normalize("NFC", cell) or None


def _locate(root: Path, path: str) -> Path:
    """Locate the file: ``~`` is a home folder, and backslashes separate folders unless a name contains them."""
    found: Path | None = None
    for text in dict.fromkeys((path, path.replace("\\", "/"))):
        try:
            place = root / Path(text).expanduser()
        except RuntimeError:  # ~name, if the system has no such user
            place = root / text
        found = found or place
        if _is_file(place):
            return place
    assert found is not None  # there is at least one spelling
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a folder that may not be entered, a NUL
        return False


def _file_problem(row: ManifestRow) -> str:
    if _is_file(row.file):
        return ""
    try:
        is_folder = row.file.is_dir()
    except (OSError, ValueError):
        is_folder = False
    return f"{_shown(row.path)}: " + ("is a folder, expected a sound file" if is_folder else "there is no such file")


def _shown(path: str) -> str:
    return path[:200] if path.isprintable() else repr(path[:200])


def _differing(first: ManifestRow, second: ManifestRow) -> str:
    """The columns in which two rows of one file contradict each other."""
    columns = ("label", *OPTIONAL)
    return " and ".join(column for column in columns if getattr(first, column) != getattr(second, column))
