"""Find detections in the result of a scan, and cut them out of the recordings: the verb `search`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from wordspot.archive.dataset import FILES, detection_parts, import_parquet, read_part
from wordspot.archive.sources import SourceFile, is_url, opened
from wordspot.audio.files import read_blocks, read_info, write_audio
from wordspot.audio.samples import Samples
from wordspot.errors import ConfigError, NotFoundError, WordspotError
from wordspot.progress import OnNote, OnProgress, Progress, ignore, ignore_note
from wordspot.runtime.keep import AFTER_MS, BEFORE_MS


@dataclass(frozen=True)
class Hit:
    """A detection of a scan.

    Attributes:
        file: path or URL of the recording.
        start_ms: start of the audio that the score depends on.
        end_ms: its end, the time of the detection.
        word: that was detected.
        score: 0 to 1.
        model: SHA-256 of the model file.
        settings: what differed from the model's own settings in the scan, as JSON; empty if nothing did.
    """

    file: str
    start_ms: float
    end_ms: float
    word: str
    score: float
    model: str
    settings: str

    def __str__(self) -> str:
        return f"{self.file}: {self.end_ms / 1000:9.2f} s  {self.word} (score = {self.score:.2f})"

    def to_json(self) -> dict[str, Any]:
        """The detection as a JSON object."""
        return dict(self.__dict__)


def search(
    hits: Path | str,
    *,
    words: Sequence[str] = (),
    min_score: float = 0.0,
    file: str = "",
    model: str = "",
    limit: int | None = None,
    clips: Path | str | None = None,
    channel: int | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> list[Hit]:
    """Find detections in the result of a scan. What several scans found, with other thresholds, is listed once.

    Args:
        hits: the folder that `scan` wrote.
        words: which ones; none: all.
        min_score: the least score, 0 to 1.
        file: a part of the recording's path or URL.
        model: the beginning of the model file's SHA-256; needed only if several models are in the result.
        limit: at most so many, those with the highest scores.
        clips: cut each detection out of its recording, from 2 s before its time to 0.5 s after it, and write it as WAV here.
        channel: for `clips`, as for `detect`.
        on_note: called with a line for each recording that clips could not be cut from.
        progress: called while clips are cut.

    Returns:
        The detections by recording and time; with `limit`, the highest score first.

    Raises:
        NotFoundError: no result of a scan there.
        ConfigError: a score outside 0 to 1, a limit below 1, or several models, of which none is chosen.
        DataError: a part of the result is damaged.
        MissingExtraError: pyarrow is not installed.
        OSError: clips cannot be written.
    """
    if not 0 <= min_score <= 1:
        raise ConfigError(f"`min_score` must lie between 0 and 1, got {min_score:g}")
    if limit is not None and limit < 1:
        raise ConfigError(f"`limit` must be at least 1, got {limit}")
    found = [
        hit for hit in _read(Path(hits)) if (not words or hit.word in words) and hit.score >= min_score
        and file in hit.file and hit.model.startswith(model)
    ]  # fmt: skip
    models = sorted({hit.model for hit in found})
    if len(models) > 1:
        raise ConfigError(f"{hits} has detections of {len(models)} models; choose one with `model`: {', '.join(models)}")
    found.sort(key=lambda hit: (*_what(hit), hit.settings))
    found = [next(same) for _, same in groupby(found, _what)]
    if limit is not None:
        found = sorted(found, key=lambda hit: -hit.score)[:limit]
    if clips is not None:
        cut_clips(found, Path(clips), channel=channel, on_note=on_note, progress=progress)
    return found


def _what(hit: Hit) -> tuple[str, float, str, float]:
    """What makes two detections of a model the same."""
    return hit.file, hit.end_ms, hit.word, hit.score


def cut_clips(
    hits: Sequence[Hit],
    out: Path,
    *,
    channel: int | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> int:
    """Cut detections out of their recordings, into a folder for each word; return how many.

    Args:
        hits: detections.
        out: the folder; clips that are there already are replaced.
        channel: as for `detect`.
        on_note: called with a line for each recording that could not be read.
        progress: called after each recording.

    Raises:
        OSError: a clip cannot be written.
    """
    note, report, n_cut = on_note or ignore_note, progress or ignore, 0
    by_file = [(name, list(group)) for name, group in groupby(sorted(hits, key=lambda hit: hit.file), lambda hit: hit.file)]
    for n_done, (name, group) in enumerate(by_file):
        report(Progress("cutting clips", n_done, len(by_file)))
        try:
            with opened(SourceFile(name, 0, "", is_remote=is_url(name))) as path:
                for hit, audio, rate in _cut(path, group, channel):
                    write_audio(out / _safe(hit.word) / _clip_name(hit), audio, rate)
                    n_cut += 1
        except WordspotError as error:
            note(str(error))
    return n_cut


def _read(folder: Path) -> Iterator[Hit]:
    """All detections that count."""
    if not (folder / FILES).is_dir():
        raise NotFoundError(f"{folder}: no result of a scan there; expected the folder that `wordspot scan --out` wrote")
    import_parquet()
    columns = list(Hit.__dataclass_fields__)
    for part in detection_parts(folder):
        yield from (Hit(**row) for row in read_part(part, columns).to_pylist())


def _cut(path: Path, hits: Sequence[Hit], channel: int | None) -> Iterator[tuple[Hit, Samples, int]]:
    """Each detection with its audio and the rate. A recording that cannot be positioned is decoded once, to the last of them."""
    info = read_info(path, thorough=False)
    spans = [_span(hit, info.sample_rate) for hit in hits]
    if info.can_seek:
        for hit, (start, stop) in zip(hits, spans, strict=True):
            yield hit, _read_span(path, start, stop, channel), info.sample_rate
        return
    rate, blocks = read_blocks(path, channel=channel, thorough=False)
    parts: list[list[Samples]] = [[] for _ in hits]
    last, place = max(stop for _, stop in spans), 0
    for block in blocks:
        for number, (start, stop) in enumerate(spans):
            if start < place + len(block) and stop > place:
                parts[number].append(block[max(start - place, 0) : stop - place])
        place += len(block)
        if place >= last:
            break
    yield from ((hit, np.concatenate(part), rate) for hit, part in zip(hits, parts, strict=True) if part)


def _read_span(path: Path, start: int, stop: int, channel: int | None) -> Samples:
    _, blocks = read_blocks(path, channel=channel, start=start, thorough=False)
    parts, n_samples = list[Samples](), 0
    for block in blocks:
        parts.append(block)
        n_samples += len(block)
        if n_samples >= stop - start:
            break
    return np.concatenate(parts)[: stop - start]


def _span(hit: Hit, rate: int) -> tuple[int, int]:
    return max(round((hit.end_ms - BEFORE_MS) * rate / 1000), 0), round((hit.end_ms + AFTER_MS) * rate / 1000)


def _clip_name(hit: Hit) -> str:
    """A name that sorts by recording and time; the hash tells recordings of the same name in several folders apart."""
    stem = _safe(PurePosixPath(hit.file.replace("\\", "/")).stem)[:80]
    return f"{stem}-{hashlib.sha256(hit.file.encode()).hexdigest()[:8]}-{round(hit.end_ms):010d}.wav"


def _safe(text: str) -> str:
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", text).strip(". ") or "_"
