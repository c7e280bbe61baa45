"""The result of a scan on disk: a folder with two Parquet data sets, of detections and of files that were scanned.

    hits/
      detections/part-0f3a….parquet   file, start_ms, end_ms, word, score, emitted_ms, content, model, settings, version
      files/part-0f3a….parquet        file, seconds, n_detections, error, bytes, fingerprint, content, model, settings, version

A part of each, with the same name, is the result of some recordings. The part of `files` is written last, and makes both
count: a part of `detections` without it was left by a scan that was killed, and is removed before the next one. Every part is
written beside its place and renamed, so that it is there as a whole or not at all. Only the process that runs the scan
writes, so workers can be killed at any moment.

A result that replaces an older one, since the recording has changed or could not be read, first rewrites the part with the
older one. The new part names the one it `replaces`, which is removed; if that did not happen, the next scan does it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot import __version__
from wordspot.archive.sources import SourceFile
from wordspot.archive.worker import FileResult, Setup
from wordspot.errors import DataError, missing_extra
from wordspot.files import atomic_path
from wordspot.locks import hold_lock
from wordspot.runtime.modelfile.card import Card

DETECTIONS, FILES = "detections", "files"
_REPLACES = b"wordspot.replaces"
_LOCK = ".lock"
_SUFFIX = ".parquet"
_TEXTS = ("content", "model", "settings", "version")  # repeated in every row, and stored once


@dataclass(frozen=True)
class Entry:
    """What the data set knows about a recording that was scanned with the same model and settings.

    Attributes:
        part: the part that has it.
        fingerprint: of the recording.
        content: SHA-256 of it; empty if it could not be read.
        error: why it could not be read, if so.
    """

    part: str
    fingerprint: str
    content: str
    error: str


class Dataset:
    """A result that is being written, as a context manager that keeps other scans from writing it.

    Args:
        folder: of the result.
        setup: model and settings; results of others stay beside those of this scan.
        card: of the model.

    Raises:
        LockedError: another scan is writing it.
        DataError: a part is damaged.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, folder: Path, setup: Setup, card: Card) -> None:
        import_parquet()
        self._folder, self._clip_ms = folder, card.clip_samples * 1000 / card.sample_rate
        self._common = {
            "model": hashlib.sha256(setup.model).hexdigest(),
            "settings": _settings_text(setup, card),
            "version": __version__,
        }
        self._results: list[FileResult] = []
        self._touched: dict[str, str] = {}
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Dataset:
        for name in (DETECTIONS, FILES):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                hold_lock(
                    self._folder / _LOCK, f"{self._folder}: another scan is writing there; wait for it, or choose another `out`"
                )
            )
            self._remove_leftovers()
            self.entries = self._read_entries()
            self._lock = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    @property
    def n_unwritten(self) -> int:
        """The number of results that `flush` would write."""
        return len(self._results)

    def add(self, results: Iterable[FileResult]) -> None:
        """Keep results until `flush`."""
        self._results += results

    def touch(self, file: SourceFile) -> None:
        """Keep the new fingerprint of a recording, whose content is what it was, until `flush`."""
        self._touched[file.name] = file.fingerprint

    def flush(self) -> None:
        """Write the results that were added since the last time, as one part, and fingerprints into the parts they belong to.

        Raises:
            OSError: the disk is full, for example; nothing of them was written then, and `flush` can be tried again.
        """
        self._write_fingerprints()
        if not self._results:
            return
        old: dict[str, set[str]] = {}
        for result in self._results:
            if entry := self.entries.get(result.file.name):
                old.setdefault(entry.part, set()).add(result.file.name)
        for part, names in old.items():
            self._rewrite(part, names)
        part = self._write(self._detection_rows(), self._file_rows())
        for result in self._results:
            file = result.file
            self.entries[file.name] = Entry(part, file.fingerprint, result.content, result.error)
        self._results = []

    def _write_fingerprints(self) -> None:
        by_part: dict[str, dict[str, str]] = {}
        for name, fingerprint in self._touched.items():
            by_part.setdefault(self.entries[name].part, {})[name] = fingerprint
        for part, fingerprints in by_part.items():
            path = self._path(FILES, part)
            _write_table(path, _with_fingerprints(read_part(path), fingerprints, self._common), FILES)
            for name, fingerprint in fingerprints.items():
                self.entries[name] = dataclasses.replace(self.entries[name], fingerprint=fingerprint)
        self._touched = {}

    def _detection_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "file": result.file.name, "start_ms": max(one.time_ms - self._clip_ms, 0.0), "end_ms": one.time_ms,
                "word": one.label, "score": one.score, "emitted_ms": one.emitted_ms, "content": result.content, **self._common,
            }
            for result in self._results for one in result.detections
        ]  # fmt: skip

    def _file_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "file": result.file.name, "seconds": result.seconds, "n_detections": len(result.detections),
                "error": result.error or None, "bytes": result.file.n_bytes, "fingerprint": result.file.fingerprint,
                "content": result.content, **self._common,
            }
            for result in self._results
        ]  # fmt: skip

    def _write(self, detections: Any, files: Any, replaces: str = "") -> str:
        """Write a part, from rows or tables; return its name."""
        name = f"part-{secrets.token_hex(8)}"
        if len(detections):
            _write_table(self._path(DETECTIONS, name), detections, DETECTIONS)
        _write_table(self._path(FILES, name), files, FILES, replaces)
        return name

    def _rewrite(self, part: str, names: set[str]) -> None:
        """Replace a part by one without the rows of some recordings with this model and these settings."""
        detections, files = (
            _without(read_part(path), names, self._common) if (path := self._path(data, part)).exists() else []
            for data in (DETECTIONS, FILES)
        )
        new = self._write(detections, files, replaces=part) if len(files) else ""
        self._remove(part)
        moved = {name: entry for name, entry in self.entries.items() if entry.part == part}
        for name, entry in moved.items():
            del self.entries[name]
            if name not in names:
                self.entries[name] = Entry(new, entry.fingerprint, entry.content, entry.error)

    def _remove(self, part: str) -> None:
        """Remove a part; that of `files` first, since it makes the other count."""
        self._path(FILES, part).unlink(missing_ok=True)
        self._path(DETECTIONS, part).unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Remove what a scan left that was killed."""
        for temporary in self._folder.glob(f"*/.part-*{_SUFFIX}"):
            temporary.unlink(missing_ok=True)
        for replaced in _replaced(self._parts(FILES)):
            self._remove(replaced)
        whole = {path.name for path in self._parts(FILES)}
        for path in self._parts(DETECTIONS):
            if path.name not in whole:
                path.unlink()

    def _read_entries(self) -> dict[str, Entry]:
        columns = ["file", "fingerprint", "content", "error", "model", "settings"]
        entries = {}
        for path in self._parts(FILES):
            for row in read_part(path, columns).to_pylist():
                if (row["model"], row["settings"]) == (self._common["model"], self._common["settings"]):
                    entries[row["file"]] = Entry(path.stem, row["fingerprint"], row["content"], row["error"] or "")
        return entries

    def _parts(self, data: str) -> list[Path]:
        return _parts(self._folder / data)

    def _path(self, data: str, part: str) -> Path:
        return self._folder / data / f"{part}{_SUFFIX}"


def import_parquet() -> Any:
    """The module `pyarrow.parquet`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing_extra(error, "a scan's result, which is Parquet,") from error
    return pyarrow.parquet


def result_schema(data: str) -> Any:
    """The schema of `detections` or `files`."""
    import pyarrow as pa

    text, number, repeated = pa.string(), pa.float64(), pa.dictionary(pa.int32(), pa.string())
    own = {
        DETECTIONS: [("file", repeated), ("start_ms", number), ("end_ms", number), ("word", repeated), ("score", number),
                     ("emitted_ms", number)],
        FILES: [("file", text), ("seconds", number), ("n_detections", pa.int64()), ("error", text), ("bytes", pa.int64()),
                ("fingerprint", text)],
    }  # fmt: skip
    return pa.schema([*own[data], *((name, repeated) for name in _TEXTS)])


def _settings_text(setup: Setup, card: Card) -> str:
    """What differs from the model's own settings, as JSON; empty if nothing does."""
    changed: dict[str, Any] = {"channel": setup.channel, "gain": setup.gain}
    if setup.decoder != card.decoder:
        changed |= dataclasses.asdict(setup.decoder)
    changed = {name: value for name, value in changed.items() if value is not None}
    return json.dumps(changed, sort_keys=True) if changed else ""


def _write_table(path: Path, rows: Any, data: str, replaces: str = "") -> None:
    import pyarrow as pa

    schema = result_schema(data)
    table = pa.Table.from_pylist(rows, schema=schema) if isinstance(rows, list) else rows
    table = table.replace_schema_metadata({_REPLACES: replaces.encode()} if replaces else None)
    with atomic_path(path) as temporary:
        import_parquet().write_table(table, temporary, compression="zstd")


def detection_parts(folder: Path) -> list[Path]:
    """The parts of `detections` that count, of the result in `folder`.

    Raises:
        DataError: a part is damaged.
    """
    parts = _parts(folder / FILES)
    replaced = _replaced(parts)
    return [path for part in parts if part.stem not in replaced and (path := folder / DETECTIONS / part.name).exists()]


def read_part(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A part as a table.

    Raises:
        DataError: it is damaged.
    """
    try:
        return import_parquet().ParquetFile(path).read(columns)
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise _damaged(path, error) from error


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"part-*{_SUFFIX}"))


def _replaced(parts: Sequence[Path]) -> set[str]:
    """The names of the parts that other parts replace."""
    metadata = [_schema(path).metadata or {} for path in parts]
    return {one[_REPLACES].decode() for one in metadata if _REPLACES in one}


def _schema(path: Path) -> Any:
    try:
        return import_parquet().read_schema(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    decides = path.parent.parent / FILES / path.name
    return DataError(f"{path} is damaged ({error}); remove {decides}, and the recordings in it are scanned again")


def _without(table: Any, names: Collection[str], common: dict[str, str]) -> Any:
    """A table without the rows of some recordings with one model and its settings."""
    return table.filter([not is_one for is_one in _are_of(table, names, common)])


def _with_fingerprints(table: Any, fingerprints: dict[str, str], common: dict[str, str]) -> Any:
    """A table of files with new fingerprints of some recordings, with one model and its settings."""
    rows = zip(_are_of(table, fingerprints, common), table.select(["file", "fingerprint"]).to_pylist(), strict=True)
    values = [fingerprints[row["file"]] if is_one else row["fingerprint"] for is_one, row in rows]
    place = table.schema.get_field_index("fingerprint")
    return table.set_column(place, table.schema.field(place), [values])


def _are_of(table: Any, names: Collection[str], common: dict[str, str]) -> list[bool]:
    """Which rows are of some recordings with one model and its settings."""
    key = common["model"], common["settings"]
    rows = table.select(["file", "model", "settings"]).to_pylist()
    return [row["file"] in names and (row["model"], row["settings"]) == key for row in rows]
