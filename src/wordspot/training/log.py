"""Write a run's records: ``log.jsonl``, TensorBoard scalars and images, ``data.csv`` and ``versions.json``."""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import itertools
import json
import platform
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import wordspot
from wordspot.data.folders import hash_name
from wordspot.errors import CheckpointError, DataError
from wordspot.files import read_text, write_json, write_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from wordspot.data.cache import DecodedClips
    from wordspot.data.clips import ClipSet
    from wordspot.training.run_folder import RunFolder

#: The label of recordings of speech in ``data.csv``.
SPEECH_LABEL = "_speech_"
GUIDANCE_LABEL = "_guidance_"

_Record = TypeVar("_Record")


class RunLog:
    """Appends records to a run's log, and to TensorBoard if it is installed. Use it as a context manager."""

    def __init__(self, run: RunFolder, step: int) -> None:
        """Open the log of `run`, which is at `step`. TensorBoard's records of later steps are removed."""
        self._file = run.log.open("a", encoding="utf-8")
        self._board: Any = _open_tensorboard(run.tensorboard, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, *records: _Record) -> tuple[_Record, ...]:
        """Log records (dataclasses with ``step`` and ``kind``), and return them."""
        for record in records:
            fields: dict[str, Any] = dataclasses.asdict(record)  # type: ignore[call-overload]
            line = {"step": fields.pop("step"), "kind": fields.pop("kind"), **fields}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            if self._board is not None:
                self._add_scalars(line)
        self._file.flush()
        return records

    def _add_scalars(self, line: dict[str, Any]) -> None:
        name = line.get("set", "training")
        for measure in {"accuracy", "loss", "cross_entropy"} & line.keys() - ({"cross_entropy"} if "loss" in line else set()):
            self._board.add_scalar(f"{measure}/{name}", line[measure], line["step"])
        if line["kind"] == "evaluation":
            self._board.flush()
        if "learning_rate" in line:
            self._board.add_scalar("learning_rate", line["learning_rate"], line["step"])

    def show_features(self, examples: dict[str, Tensor]) -> None:
        """Images of features [frames, features] by label: time left to right, low coefficients at the bottom."""
        if self._board is None:
            return
        for label, features in examples.items():
            low, high = features.min(), features.max()
            picture = ((features - low) / (high - low).clamp(min=1e-9)).T.flip(0)
            self._board.add_image(f"features/{label}", picture, 0, dataformats="HW")


class NoLog:
    """The log of a process that writes nothing, since another of the same training does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, *records: _Record) -> tuple[_Record, ...]:
        """Return the records."""
        return records

    def show_features(self, examples: dict[str, Tensor]) -> None:
        """Nothing is shown."""


def _open_tensorboard(folder: Path, step: int) -> Any:
    """A writer to TensorBoard from `step` on; None if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1)


def listing_text(
    decoded: DecodedClips, sets: dict[str, ClipSet], labels: tuple[str, ...], speech: Iterable[tuple[str, str]] = ()
) -> str:
    """The content of ``data.csv``: the set, label, path and SHA-256 of every recording used.

    speech: the path and SHA-256 of each recording of speech.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "label", "path", "sha256"])
    for name, clips in sets.items():
        rows = [(int(row), int(label)) for row, label in zip(clips.rows, clips.labels, strict=True) if row >= 0]
        for row, label in sorted(rows):
            writer.writerow([name, labels[label], decoded.listing.clips[row].path, decoded.hashes[row]])
    writer.writerows(["training", SPEECH_LABEL, path, sha256] for path, sha256 in speech)
    return text.getvalue()


def write_listing(out: Path, listing: str) -> None:
    """Write ``data.csv``."""
    write_text(out / "data.csv", listing)


def check_listing(out: Path, listing: str) -> None:
    """Compare the recordings with ``data.csv``, if the run has written it.

    Raises:
        DataError: they differ; the message names the first line that does.
    """
    path = out / "data.csv"
    before = read_text(path) if path.is_file() else listing
    if before != listing:
        pairs = itertools.zip_longest(before.splitlines(), listing.splitlines(), fillvalue="nothing")
        old, new = next(pair for pair in pairs if pair[0] != pair[1])
        raise DataError(
            f"{path}: the recordings have changed since the run began: {old!r} has become {new!r}. "
            "Use the same folder, or begin a new run"
        )


def trained_on(out: Path) -> tuple[set[str], set[str]]:
    """The SHA-256 of the recordings that a run was trained on, and their speakers: as listed, else by their files' names.

    Raises:
        WordspotError: the list is damaged.
    """
    path = out / "data.csv"
    if not path.is_file():
        return set(), set()
    try:
        rows = [row for row in csv.DictReader(io.StringIO(read_text(path), newline="")) if row.get("set") == "training"]
        return {row["sha256"] for row in rows}, {speaker for row in rows if (speaker := _speaker(row))}
    except (csv.Error, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); expected the list of recordings that the run used") from error


def _speaker(row: dict[str, str]) -> str | None:
    if "speaker" in row:
        return row["speaker"] or None
    return hash_name(row["path"]) if "_nohash_" in row["path"].rsplit("/", 1)[-1] else None


def write_versions(out: Path, device: torch.device) -> None:
    """Write ``versions.json``: wordspot, Python, the packages that the result depends on, and the machine."""
    packages = ("torch", "numpy", "soundfile", "soxr", "safetensors")
    versions = {
        "wordspot": wordspot.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "device": str(device),
    }
    write_json(out / "versions.json", versions)
