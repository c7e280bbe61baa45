"""Check a manifest, or a folder of classes, before its faults spoil a training run or make its results too optimistic."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.files import AudioInfo, read_blocks, read_info
from wordspot.audio.samples import Samples, to_int16
from wordspot.config import RECORDINGS_CLIP_MS, SETS, DataConfig, FeatureConfig, RecordingsConfig
from wordspot.data.checks.by_label import check_corpora, check_encodings, check_rates
from wordspot.data.checks.findings import (
    RARE_WORD,
    SEVERITIES,
    Examination,
    Finding,
    finding_about,
    is_too_quiet,
    one_of_each_set_first,
)
from wordspot.data.checks.shortcuts import Measures, find_shortcuts, measure
from wordspot.data.decode import Problem, decode_many
from wordspot.data.manifest.rows import MOST_PROBLEMS, Manifest, ManifestRow, survey_manifest
from wordspot.data.manifest.split import assign_rows, leakage
from wordspot.errors import DataError, WordspotError
from wordspot.formats import some
from wordspot.progress import OnProgress

_LOOKED_AT_S = 60.0  # the measures use this much of each recording; all of it is decoded
_BLOCK_MS = 10_000.0


@dataclass(frozen=True)
class _Measured:
    """A recording that decodes."""

    row: ManifestRow
    sample_rate: int
    n_channels: int
    encoding: str
    silent: bool
    digest: bytes
    measures: Measures


def examine_manifest(
    path: Path,
    *,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    progress: OnProgress | None = None,
) -> Examination:
    """Check every recording of a CSV file or a folder of classes.

    Args:
        path: the manifest, see `read_manifest`.
        sample_rate: the rate that training resamples to, in Hz; None uses the default of `FeatureConfig`.
        clip_ms: the length of a window in training; None uses that of the default network.
        progress: called after each recording.

    Raises:
        NotFoundError: no such file or folder.
        DataError: the file cannot be read as a manifest.
        ConfigError: an impossible rate or length.
    """
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = RECORDINGS_CLIP_MS if clip_ms is None else clip_ms
    FeatureConfig(sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2)
    listed, conflicts = survey_manifest(path)
    findings = [Finding("error", "refused-row", text) for text in conflicts]
    findings += [Finding("error", "unusable-row", text) for text in listed.problems]
    findings += [Finding("warning", one.code, one.reason, (one.path,)) for one in listed.left_out]
    measured = _measure_all(listed, findings, progress)
    findings += _check_share(listed, measured)
    findings += _check_classes(listed)
    sets = _sets(listed, findings)
    findings += _check_duplicates(measured, sets)
    findings += _check_speakers(listed)
    findings += _check_sound(measured, rate, length)
    findings += _check_by_label(measured)
    findings += _check_shortcuts(measured)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    split = "the list" if any(row.split for row in listed.rows) else "hash"
    labels = dict(sorted(Counter(row.label for row in listed.rows).items()))
    seconds = sum(one.measures.length_s for one in measured)
    return Examination(split, labels, seconds, tuple(findings), noun="labels")


def _measure_all(listed: Manifest, findings: list[Finding], progress: OnProgress | None) -> list[_Measured]:
    """Decode and measure every recording on all cores; the damaged ones become findings."""
    measured: list[_Measured] = []
    for row, result in decode_many(listed.rows, _measure, progress, stage="checking recordings"):
        if isinstance(result, Problem):
            findings.append(Finding("error", "damaged", result.text, (row.path,)))
        else:
            measured.append(result)
    return measured


def _measure(row: ManifestRow) -> _Measured | Problem:
    """The measures of a recording, or why there are none."""
    try:
        rate, blocks = read_blocks(row.file, _BLOCK_MS)
        digest = hashlib.blake2b(digest_size=16, salt=rate.to_bytes(4, "big"))
        kept: list[Samples] = []
        n_samples, silent = 0, True
        for block in blocks:
            if n_samples < rate * _LOOKED_AT_S:
                kept.append(block)
            n_samples += len(block)
            silent = silent and is_too_quiet(block)
            digest.update(to_int16(block).tobytes())
        measures = measure(np.concatenate(kept), rate, n_samples / rate)
        info = read_info(row.file, thorough=False)
        return _Measured(row, rate, info.n_channels, _encoding(info), silent, digest.digest(), measures)
    except WordspotError as error:
        return Problem(str(error).replace(str(row.file), row.path))
    except Exception as error:  # one bad file must not stop the check of the others
        return Problem(f"{row.path}: cannot be read ({str(error) or type(error).__name__})")


def _encoding(info: AudioInfo) -> str:
    """The encoding of a file whose traces remain after decoding; ``lossless`` for all that leave none."""
    container, _, encoding = info.format.partition(" ")
    if encoding.startswith(("PCM_", "FLOAT", "DOUBLE")):
        return "lossless"
    return container if container == "MP3" else encoding.lower()


def _check_share(listed: Manifest, measured: Sequence[_Measured]) -> Iterator[Finding]:
    n_rows = len(listed.rows) + len(listed.problems)
    if (n_bad := n_rows - len(measured)) > MOST_PROBLEMS * n_rows:
        text = f"{n_bad} of {n_rows} recordings cannot be used, training accepts at most {MOST_PROBLEMS:.0%}; correct them"
        yield Finding("error", "too-many-unusable", text)


def _check_classes(listed: Manifest) -> Iterator[Finding]:
    counts = Counter(row.label for row in listed.rows)
    if len(counts) == 1:  # if there are none, each row has its own finding
        yield Finding("error", "one-class", "training needs at least two classes", tuple(counts))
    single = [label for label, count in counts.items() if count == 1]
    yield from finding_about("error", "single-recording", "labels with one recording; is the label misspelt?", single)
    if len(counts) > 1:
        most, largest = counts.most_common(1)[0]
        rare = sorted(label for label, count in counts.items() if count < largest * RARE_WORD)
        text = f"labels with less than a tenth of the recordings of {most!r} ({largest}); record more"
        yield from finding_about("warning", "imbalance", text, rare)


def _sets(listed: Manifest, findings: list[Finding]) -> dict[ManifestRow, str]:
    """The set of each row as training has it; empty, with a finding, if they cannot be assigned."""
    if not listed.rows:
        return {}
    try:
        sets = assign_rows(listed.rows, DataConfig(), RecordingsConfig())
    except DataError as error:
        findings.append(Finding("error", "split", str(error)))
        return {}
    findings += [Finding("error", "speaker-across-sets", text) for text in leakage(listed.rows, sets)]
    for name in SETS:
        present = {row.label for row, part in zip(listed.rows, sets, strict=True) if part == name}
        text = f"labels with no recording in the {name} set; they need more speakers"
        findings += finding_about("warning", f"none-in-{name}", text, sorted({*listed.labels} - present))
    return dict(zip(listed.rows, sets, strict=True))


def _check_duplicates(measured: Sequence[_Measured], sets: dict[ManifestRow, str]) -> Iterator[Finding]:
    groups: dict[bytes, list[ManifestRow]] = defaultdict(list)
    for one in measured:
        if not one.silent:
            groups[one.digest].append(one.row)
    for group in (group for group in groups.values() if len(group) > 1):
        paths = tuple(row.path for row in group)
        contradict = len({row.label for row in group}) > 1
        if contradict:
            text = f"the same recording under different labels: {some(f'{row.path} ({row.label})' for row in group)}"
            yield Finding("error", "contradiction", f"{text}; keep the right one", paths)
        if across := len({sets[row] for row in group if row in sets}) > 1:
            named = one_of_each_set_first(paths, {row.path: sets[row] for row in group if row in sets})
            of_path = {row.path: sets.get(row, "") for row in group}
            text = f"the same recording in two sets: {some(f'{path} ({of_path[path]})' for path in named)}; keep one"
            yield Finding("error", "duplicate-across-sets", text, paths)
        if not contradict and not across:
            yield Finding("warning", "duplicate", "the same samples under several names; keep one of each", paths)


def _check_speakers(listed: Manifest) -> Iterator[Finding]:
    speakers: dict[str, set[str | None]] = defaultdict(set)
    for row in listed.rows:
        speakers[row.label].add(row.speaker)
    alone = [label for label, names in sorted(speakers.items()) if len(names) == 1 and None not in names]
    text = "labels with one speaker: a model may learn the speaker; record others"
    yield from finding_about("warning", "one-speaker", text, alone)
    unknown = [row.path for row in listed.rows if row.speaker is None]
    text = "recordings of no known speaker: only those of one file name are kept in one set; name speakers in the list"
    yield from finding_about("note", "unknown-speaker", text, unknown)


def _check_sound(measured: Sequence[_Measured], sample_rate: int, clip_ms: float) -> Iterator[Finding]:
    text = "nothing above -60 dBFS: was the microphone on?"
    yield from finding_about("warning", "silent", text, [one.row.path for one in measured if one.silent])
    short = [one.row.path for one in measured if 1000 * one.measures.length_s < clip_ms]
    text = f"shorter than a window of {clip_ms:g} ms; they are repeated to fill it"
    yield from finding_about("note", "short", text, short)
    low = [one.row.path for one in measured if one.sample_rate < sample_rate]
    yield from finding_about("note", "low-rate", f"below {sample_rate} Hz, so the upper frequencies are missing", low)
    several = [one.row.path for one in measured if one.n_channels > 1]
    yield from finding_about("note", "channels", "more than one channel; only the first is used", several)


def _check_by_label(measured: Sequence[_Measured]) -> Iterator[Finding]:
    """What is known besides the sound, and depends on the label."""
    labels = [one.row.label for one in measured]
    yield from check_rates(labels, [one.sample_rate for one in measured])
    yield from check_encodings(labels, [one.encoding for one in measured])
    yield from check_corpora(labels, [one.row.corpus for one in measured])


def _check_shortcuts(measured: Sequence[_Measured]) -> Iterator[Finding]:
    audible = [one for one in measured if not one.silent]
    for shortcut in find_shortcuts([one.row for one in audible], [one.measures for one in audible]):
        yield Finding("warning", f"shortcut-{shortcut.code}", shortcut.text, (shortcut.name,))
