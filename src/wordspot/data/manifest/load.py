"""Load the recordings of a manifest: decode, resample and split them into sets, and look for data leakage."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples, to_int16
from wordspot.config import SETS, DataConfig, RecordingsConfig
from wordspot.data.decode import Problem, decode_many
from wordspot.data.folders import LeftOut, Recording, left_out_notes, recordings_in
from wordspot.data.manifest.rows import Manifest, ManifestRow, check_labels, check_problems, read_manifest
from wordspot.data.manifest.split import assign_rows, leakage
from wordspot.data.reader import DecodedRecording, Reader
from wordspot.data.split import set_shares
from wordspot.errors import ConfigError, DataError
from wordspot.formats import csv_text, some
from wordspot.labels import normalize_word
from wordspot.progress import OnProgress

_BLOCK_MS = 10_000.0
_MARGIN_S = 0.1  # decoded beyond the kept part, so that the resampler has context for its last samples


@dataclass(frozen=True)
class DecodedRow:
    """A decoded recording: its first channel, int16 [samples] at the rate asked for, and its file's SHA-256."""

    row: ManifestRow
    samples: NDArray[np.int16]
    digest: str


@dataclass(frozen=True)
class RecordingSet:
    """The recordings of one set.

    audio: int16 [samples] each. truth: int64 [recordings], the position of the true label among `labels`.
    """

    labels: tuple[str, ...]
    rows: tuple[ManifestRow, ...]
    audio: tuple[NDArray[np.int16], ...]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class ManifestData:
    """All recordings of a manifest, by set.

    labels: the classes, the target first.
    listing: set, label, path, speaker, generator and SHA-256 of every recording in a set, sorted.
    problems: a line for each skipped recording. warnings: what the user should know before training.
    leaks: the warnings about data leakage: a speaker, a generator or a recording in two sets.
    backgrounds: recorded sounds to mix into training.
    """

    labels: tuple[str, ...]
    sets: dict[str, RecordingSet]
    listing: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    leaks: tuple[str, ...] = ()
    backgrounds: tuple[DecodedRecording, ...] = ()

    def listing_text(self) -> str:
        """The contents of ``data.csv``."""
        header = ("set", "label", "path", "speaker", "generator", "sha256")
        backgrounds = (("background", "", one.recording.path, "", "", one.sha256) for one in self.backgrounds)
        return csv_text([header, *self.listing, *backgrounds])


def labels_in(path: Path) -> tuple[str, ...]:
    """The classes of a CSV file or a folder of classes, sorted by name. Raises the errors of `read_manifest`."""
    return read_manifest(path).labels


def load_manifest(
    path: Path,
    words: Sequence[str],
    data: DataConfig,
    recordings: RecordingsConfig,
    sample_rate: int,
    progress: OnProgress | None = None,
    *,
    clip_ms: float = math.inf,
) -> ManifestData:
    """Find, decode and split the recordings of a CSV file or a folder of classes.

    Recordings may have any rate and number of channels; they are resampled to `sample_rate`. Missing, damaged and entirely
    silent recordings are skipped, each with a line in `problems`.

    Args:
        words: the labels in the wanted order, the target first; empty for all labels, sorted by name.
        progress: called after each recording.
        clip_ms: the length of a window. If the network takes entire recordings, only this much of each is kept.

    Raises:
        NotFoundError, DataError: see `read_manifest`, `assign_rows`, `find_backgrounds` and `read_backgrounds`; or the same
            samples under two labels.
        ConfigError: a held-out generator without recordings; more folds than speakers; a label named twice.
    """
    listed = read_manifest(path)
    left_out = list(listed.left_out)
    noise = find_backgrounds(listed.root, recordings.backgrounds, left_out)
    labels = _labels(path, listed, words)
    chosen = [row for row in listed.rows if row.label in labels]
    longest_s = min(recordings.longest_s, clip_ms / 1000 if recordings.whole else math.inf)
    problems = list(listed.problems)
    clips: list[DecodedRow] = []
    for _, result in decode_many(chosen, partial(_decode, sample_rate, longest_s), progress):
        if isinstance(result, Problem):
            problems.append(result.text)
        else:
            clips.append(result)
    check_problems(path, problems, len(chosen) + len(listed.problems))
    rows = [clip.row for clip in clips]
    check_labels(path, rows)
    if lost := [label for label in labels if label not in {row.label for row in rows}]:
        raise DataError(f"{path}: none of the recordings of {', '.join(lost)} can be used: {problems[0]}")
    sets = assign_rows(rows, data, recordings)
    leaks = [*leakage(rows, sets, recordings.hold_out), *_repeated(path, clips, sets)]
    warnings = [
        *left_out_notes(left_out),
        *_unused(path, listed, labels),
        *leaks,
        *_lacking(rows, sets, labels, data),
    ]
    parts = {name: _set(labels, clips, sets, name) for name in SETS}
    listing = sorted(_line(clip, name) for clip, name in zip(clips, sets, strict=True) if name)
    digests = {clip.digest for clip in clips}
    backgrounds = read_backgrounds(listed.root, noise, sample_rate, digests, problems)
    return ManifestData(labels, parts, tuple(listing), tuple(problems), tuple(warnings), tuple(leaks), backgrounds)


def _labels(path: Path, listed: Manifest, words: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(normalize_word(word) for word in words) or listed.labels
    if unknown := [label for label in labels if label not in listed.labels]:
        raise DataError(f"{path}: no recordings of {', '.join(unknown)}; the labels here are {', '.join(listed.labels)}")
    if len(set(labels)) < len(labels):
        raise ConfigError(f"each label must be named once, got {', '.join(labels)} (case is ignored)")
    if len(labels) < 2:
        raise DataError(f"{path}: {labels[0]} is the only label named; expected at least two of {', '.join(listed.labels)}")
    return labels


def _decode(sample_rate: int, longest_s: float, row: ManifestRow) -> DecodedRow | Problem:
    samples = to_int16(read_start(row.file, sample_rate, longest_s))
    with row.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not samples.any():
        return Problem(f"{row.file}: the recording is digital silence; record it again or remove it")
    return DecodedRow(row, samples, digest)


def read_start(path: Path, sample_rate: int, longest_s: float) -> Samples:
    """The first `longest_s` seconds of a sound file's first channel: float32 [samples] at `sample_rate` Hz.

    Only that much is decoded, so that memory does not grow with the length of the recording.

    Raises:
        NotFoundError: no such file.
        AudioError: the part that is read is damaged, empty or truncated, or contains NaN or infinity.
    """
    rate, blocks = read_blocks(path, _BLOCK_MS)
    parts: list[Samples] = []
    n_samples = 0
    for block in blocks:
        parts.append(block)
        n_samples += len(block)
        if n_samples >= rate * (longest_s + _MARGIN_S):
            break
    audio = resample(np.concatenate(parts), rate, sample_rate)
    return audio if math.isinf(longest_s) else audio[: max(round(sample_rate * longest_s), 1)]


def _set(labels: tuple[str, ...], clips: Sequence[DecodedRow], sets: Sequence[str], wanted: str) -> RecordingSet:
    held = [clip for clip, name in zip(clips, sets, strict=True) if name == wanted]
    truth = np.array([labels.index(clip.row.label) for clip in held], np.int64)
    return RecordingSet(labels, tuple(clip.row for clip in held), tuple(clip.samples for clip in held), truth)


def _line(clip: DecodedRow, name: str) -> tuple[str, ...]:
    row = clip.row
    return (name, row.label, row.path, row.speaker or "", row.generator or "", clip.digest)


def _repeated(path: Path, clips: Sequence[DecodedRow], sets: Sequence[str]) -> list[str]:
    """Warn about identical recordings in different sets, one line for each group.

    Raises:
        DataError: such recordings have different labels.
    """
    groups: dict[bytes, list[tuple[ManifestRow, str]]] = defaultdict(list)
    for clip, name in zip(clips, sets, strict=True):
        groups[hashlib.sha256(clip.samples.tobytes()).digest()].append((clip.row, name))
    warnings = []
    for group in groups.values():
        if len({row.label for row, _ in group}) > 1:
            named = some(f"{row.path} ({row.label})" for row, _ in group)
            raise DataError(f"{path}: the same recording under two labels: {named}; keep the right one")
        used = [(row, name) for row, name in group if name]
        if len({name for _, name in used}) > 1:
            named = some(f"{row.path} ({name})" for row, name in used)
            warnings.append(f"the same recording in two sets: {named}; keep one")
    return warnings


def _unused(path: Path, listed: Manifest, labels: Sequence[str]) -> list[str]:
    others = [label for label in listed.labels if label not in labels]
    return [f"recordings of {', '.join(others)} are not used: these labels were not asked for"] if others else []


def _lacking(rows: Sequence[ManifestRow], sets: Sequence[str], labels: Sequence[str], data: DataConfig) -> list[str]:
    """Warn about labels without recordings in a set that should have some."""
    warnings = []
    shares = set_shares(data)
    for name in SETS:
        held = {row.label for row, part in zip(rows, sets, strict=True) if part == name}
        lacking = [label for label in labels if label not in held]
        if lacking and (held or shares[name] > 0):
            what = {"validation": "no threshold can be chosen", "testing": "nothing can be measured"}
            warnings.append(
                f"the {name} set holds no recordings of {', '.join(lacking)}: {what.get(name, 'nothing can be learned')}; "
                "add recordings of more speakers"
            )
    return warnings


def find_backgrounds(root: Path, folders: Sequence[str], left_out: list[LeftOut]) -> list[Recording]:
    """The recordings in `folders` and all folders below them; none if no folder is named.

    Args:
        root: the folder that relative paths refer to.
        folders: their paths.
        left_out: unused files are appended to it.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings in it.
    """
    return list(recordings_in(root, folders, "backgrounds", left_out).values())


def read_backgrounds(
    root: Path, found: Sequence[Recording], sample_rate: int, digests: Collection[str], problems: list[str]
) -> tuple[DecodedRecording, ...]:
    """Decode what `find_backgrounds` found in `root`, at `sample_rate` Hz.

    Args:
        digests: SHA-256 of the recordings to classify; a background must not be one of them.
        problems: a line is appended for each recording that is skipped because it is damaged or silent.

    Raises:
        DataError: no background can be used, or one is also a recording to classify.
    """
    reader = Reader(root, cut=False, sample_rate=sample_rate, scene_ms=math.inf)
    backgrounds: list[DecodedRecording] = []
    own: list[str] = []
    for one in reader.decode_all(found, "background", own):
        if one.sha256 in digests:
            raise DataError(
                f"{root / one.recording.path}: this background is also one of the recordings to classify; "
                "keep the backgrounds in folders of their own"
            )
        if one.samples.any():
            backgrounds.append(one)
        else:
            own.append(f"{root / one.recording.path}: the background is digital silence; remove it")
    if found and not backgrounds:
        raise DataError(f"{root}: none of its {len(found)} backgrounds can be used; {own[0]}")
    problems += own
    return tuple(backgrounds)
