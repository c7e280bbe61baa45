"""What is wrong with a list of recordings and their classes, said before it spoils a training run or flatters its figures."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_blocks, read_info
from wordspot.audio.samples import Samples, to_int16
from wordspot.config import RECORDINGS_CLIP_MS, SETS, DataConfig, FeatureConfig, RecordingsConfig
from wordspot.data.checks.findings import (
    RARE_WORD,
    SEVERITIES,
    Examination,
    Finding,
    _finding,
    _tally,
    is_silent,
)
from wordspot.data.checks.shortcuts import Measures, find_shortcuts, measure
from wordspot.data.manifest.rows import MOST_PROBLEMS, Row, RowList, survey_rows
from wordspot.data.manifest.split import assign_rows, leakage
from wordspot.errors import DataError, WordspotError
from wordspot.formats import some

MIXED_RATES = 0.25
_LOOKED_AT_S = 60.0  # of each recording, for the measures; all of it is decoded
_BLOCK_MS = 10_000.0


@dataclass(frozen=True)
class _Looked:
    """A recording that decodes."""

    row: Row
    sample_rate: int
    n_channels: int
    silent: bool
    digest: bytes
    measures: Measures


def examine_recordings(
    path: Path,
    *,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    on_clip: Callable[[int, int], None] | None = None,
) -> Examination:
    """Look at every recording of a CSV file or a folder of classes.

    Args:
        path: the list, see `recordings_listing.list_rows`.
        sample_rate: what training will resample to, in Hz; None takes the default of `FeatureConfig`.
        clip_ms: the length of a window in training; None takes that of the default network.
        on_clip: called with the number of recordings looked at and of all.

    Raises:
        NotFoundError: no such file or folder.
        DataError: nothing that can be read as a list.
        ConfigError: a rate or a length that no front end takes.
    """
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = RECORDINGS_CLIP_MS if clip_ms is None else clip_ms
    FeatureConfig(sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2)
    listed, conflicts = survey_rows(path)
    findings = [Finding("error", "refused-row", text) for text in conflicts]
    findings += [Finding("error", "unusable-row", text) for text in listed.problems]
    looked = _look_at_all(listed, findings, on_clip)
    findings += _check_share(listed, looked)
    findings += _check_classes(listed)
    sets = _sets(listed, findings)
    findings += _check_duplicates(looked, sets)
    findings += _check_speakers(listed)
    findings += _check_sound(looked, rate, length)
    findings += _check_rates(looked)
    findings += _check_shortcuts(looked)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    split = "the list" if any(row.split for row in listed.rows) else "hash"
    labels = dict(sorted(Counter(row.label for row in listed.rows).items()))
    return Examination(split, labels, sum(one.measures.length_s for one in looked), tuple(findings))


def _look_at_all(listed: RowList, findings: list[Finding], on_clip: Callable[[int, int], None] | None) -> list[_Looked]:
    """Decode and measure every recording on all cores; the damaged ones become findings."""
    looked: list[_Looked] = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        results = pool.map(_look, listed.rows)
        for count, (row, result) in enumerate(zip(listed.rows, results, strict=True), 1):
            if isinstance(result, str):
                findings.append(Finding("error", "damaged", result, (row.path,)))
            else:
                looked.append(result)
            if on_clip:
                on_clip(count, len(listed.rows))
    finally:
        pool.shutdown(cancel_futures=True)
    return looked


def _look(row: Row) -> _Looked | str:
    """What is measured of a recording, or why nothing is."""
    try:
        rate, blocks = read_blocks(row.file, _BLOCK_MS)
        digest = hashlib.blake2b(digest_size=16, salt=rate.to_bytes(4, "big"))
        kept: list[Samples] = []
        n_samples, silent = 0, True
        for block in blocks:
            if n_samples < rate * _LOOKED_AT_S:
                kept.append(block)
            n_samples += len(block)
            silent = silent and is_silent(block)
            digest.update(to_int16(block).tobytes())
        measures = measure(np.concatenate(kept), rate, n_samples / rate)
        return _Looked(row, rate, read_info(row.file, thorough=False).n_channels, silent, digest.digest(), measures)
    except WordspotError as error:
        return str(error).replace(str(row.file), row.path)
    except Exception as error:  # whatever one file does, the others are looked at
        return f"{row.path}: cannot be read ({str(error) or type(error).__name__})"


def _check_share(listed: RowList, looked: Sequence[_Looked]) -> Iterator[Finding]:
    n_rows = len(listed.rows) + len(listed.problems)
    if (n_bad := n_rows - len(looked)) > MOST_PROBLEMS * n_rows:
        text = f"{n_bad} of {n_rows} recordings cannot be used, training takes at most {MOST_PROBLEMS:.0%}; mend them"
        yield Finding("error", "too-many-unusable", text)


def _check_classes(listed: RowList) -> Iterator[Finding]:
    counts = Counter(row.label for row in listed.rows)
    if len(counts) == 1:  # with none, each row is a finding of its own
        yield Finding("error", "one-class", "training needs at least two classes to tell apart", tuple(counts))
    single = [label for label, count in counts.items() if count == 1]
    yield from _finding("error", "single-recording", "labels with one recording; is the label misspelt?", single)
    if len(counts) > 1:
        most, largest = counts.most_common(1)[0]
        rare = sorted(label for label, count in counts.items() if count < largest * RARE_WORD)
        text = f"labels with less than a tenth of the recordings of {most!r} ({largest}); record more"
        yield from _finding("warning", "imbalance", text, rare)


def _sets(listed: RowList, findings: list[Finding]) -> dict[Row, str]:
    """The set of each row as training has it; empty, and a finding, where there are none."""
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
        findings += _finding("warning", f"none-in-{name}", text, sorted({*listed.labels} - present))
    return dict(zip(listed.rows, sets, strict=True))


def _check_duplicates(looked: Sequence[_Looked], sets: dict[Row, str]) -> Iterator[Finding]:
    groups: dict[bytes, list[Row]] = defaultdict(list)
    for one in looked:
        if not one.silent:
            groups[one.digest].append(one.row)
    for group in (group for group in groups.values() if len(group) > 1):
        paths = tuple(row.path for row in group)
        contradict = len({row.label for row in group}) > 1
        if contradict:
            text = f"the same recording under different labels: {some(f'{row.path} ({row.label})' for row in group)}"
            yield Finding("error", "contradiction", f"{text}; keep the right one", paths)
        if across := len({sets[row] for row in group if row in sets}) > 1:
            text = f"the same recording in two sets: {some(f'{row.path} ({sets[row]})' for row in group)}; keep one"
            yield Finding("error", "duplicate-across-sets", text, paths)
        if not contradict and not across:
            yield Finding("warning", "duplicate", "the same samples under several names; keep one of each", paths)


def _check_speakers(listed: RowList) -> Iterator[Finding]:
    speakers: dict[str, set[str | None]] = defaultdict(set)
    for row in listed.rows:
        speakers[row.label].add(row.speaker)
    alone = [label for label, names in sorted(speakers.items()) if len(names) == 1 and None not in names]
    text = "labels with one speaker: a model may learn the speaker; record others"
    yield from _finding("warning", "one-speaker", text, alone)
    unknown = [row.path for row in listed.rows if row.speaker is None]
    text = "recordings of no known speaker: only those of one file name are kept in one set; name speakers in the list"
    yield from _finding("note", "unknown-speaker", text, unknown)


def _check_sound(looked: Sequence[_Looked], sample_rate: int, clip_ms: float) -> Iterator[Finding]:
    text = "nothing above -60 dBFS: was the microphone on?"
    yield from _finding("warning", "silent", text, [one.row.path for one in looked if one.silent])
    short = [one.row.path for one in looked if 1000 * one.measures.length_s < clip_ms]
    text = f"shorter than a window of {clip_ms:g} ms; they are repeated to fill it"
    yield from _finding("note", "short", text, short)
    low = [one.row.path for one in looked if one.sample_rate < sample_rate]
    yield from _finding("note", "low-rate", f"below {sample_rate} Hz, so the upper frequencies are missing", low)
    several = [one.row.path for one in looked if one.n_channels > 1]
    yield from _finding("note", "channels", "more than one channel; only the first is used", several)


def _check_rates(looked: Sequence[_Looked]) -> Iterator[Finding]:
    """Sample rates by which classes could be told apart; the bandwidth may stay with them after resampling."""
    rates: dict[str, Counter[int]] = defaultdict(Counter)
    for one in looked:
        rates[one.row.label][one.sample_rate] += 1
    every = sum(rates.values(), Counter[int]())
    if len(every) < 2:
        return
    apart = [label for label, counts in sorted(rates.items()) if _distance(counts, every - counts) >= MIXED_RATES]
    told = "; ".join(f"{label}: {_tally(counts, 'Hz')}" for label, counts in sorted(rates.items()))
    if apart:
        text = f"sample rates differ by label ({told}); a model may learn the rate; record or convert them alike"
        yield Finding("warning", "rates-by-label", text, tuple(apart))
    else:
        yield Finding("note", "mixed-rates", f"sample rates differ ({told}); they will be resampled")


def _distance(first: Counter[int], second: Counter[int]) -> float:
    """Half the summed differences of two distributions: 0 where they are alike, 1 where they share nothing."""
    n_first, n_second = first.total(), second.total()
    if not n_first or not n_second:
        return 0.0
    return sum(abs(first[value] / n_first - second[value] / n_second) for value in {*first, *second}) / 2


def _check_shortcuts(looked: Sequence[_Looked]) -> Iterator[Finding]:
    heard = [one for one in looked if not one.silent]
    for shortcut in find_shortcuts([one.row for one in heard], [one.measures for one in heard]):
        yield Finding("warning", f"shortcut-{shortcut.code}", shortcut.text, (shortcut.name,))
