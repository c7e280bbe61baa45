"""The findings of a data check, and the acoustic measures that its rules use.

The rules, each with the fraction of 10,052 Speech Commands clips that it reports:

- clipped: three samples in a row at 99.9 % of full scale or beyond (0.7 %).
- silent: nothing above -60 dBFS after a constant offset is removed (1 clip).
- cut-off: the first or the last 20 ms are within 10 dB of the clip's loudest 20 ms and at least 15 dB above its noise
  floor, the quietest tenth of its 20 ms frames (3.6 %; it finds 95 % of clips that were deliberately cut at their loudest).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wordspot.audio.condition import level_db
from wordspot.audio.samples import Samples

SEVERITIES = ("error", "warning", "note")
CLIPPED_LEVEL, CLIPPED_RUN = 0.999, 3
SILENT_DB = -60.0
EDGE_MS = 20
EDGE_BELOW_TOP_DB, EDGE_ABOVE_FLOOR_DB = 10.0, 15.0
RARE_WORD = 0.1


@dataclass(frozen=True)
class Finding:
    """One problem of the data, or a fact worth knowing.

    severity: ``error`` (spoils the training or its results), ``warning`` (probably not meant) or ``note``.
    code: its kind, a fixed word.
    paths: the files or folders it is about, relative to the data folder.
    """

    severity: str
    code: str
    message: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """What `examine` found: the recordings of each word, their total length, and the findings, worst first."""

    split: str
    words: dict[str, int]
    seconds: float
    findings: tuple[Finding, ...]
    path: str = ""
    noun: str = "words"

    @property
    def has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def n_recordings(self) -> int:
        return sum(self.words.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": self.path,
            "split": self.split,
            "n_recordings": self.n_recordings,
            "seconds": round(self.seconds, 3),
            "words": self.words,
            "findings": [asdict(finding) for finding in self.findings],
        }


def is_clipped(audio: Samples) -> bool:
    """Whether float32 [samples] stays at full scale for `CLIPPED_RUN` samples or more."""
    full = np.abs(audio) >= CLIPPED_LEVEL
    run = full[: max(0, len(full) - CLIPPED_RUN + 1)].copy()
    for shift in range(1, CLIPPED_RUN):
        run &= full[shift : shift + len(run)]
    return bool(run.any())


def is_too_quiet(audio: Samples) -> bool:
    """Whether float32 [samples] never rises above `SILENT_DB`, after a constant offset is removed."""
    return float(np.abs(audio - audio.mean()).max()) < 10 ** (SILENT_DB / 20)


def is_cut_off(audio: Samples, sample_rate: int) -> bool:
    """Whether float32 [samples] begins or ends in the middle of a word; see the module's docstring."""
    size = sample_rate * EDGE_MS // 1000
    n_frames = len(audio) // size if size else 0
    if n_frames < 3:
        return False
    audio = audio - audio.mean()
    levels = level_db(audio[: n_frames * size].reshape(n_frames, size))
    needed = max(levels.max() - EDGE_BELOW_TOP_DB, np.percentile(levels, 10) + EDGE_ABOVE_FLOOR_DB)
    return bool(max(levels[0], level_db(audio[-size:][None])[0]) >= needed)


def finding_about(severity: str, code: str, message: str, paths: Iterable[str]) -> Iterator[Finding]:
    """One finding about all of `paths`, or nothing if there are none."""
    if named := tuple(paths):
        yield Finding(severity, code, message, named)


def tally(counts: Counter[Any], unit: str) -> str:
    """``30 at 16000 Hz, 2 at 8000 Hz``; without a unit ``30 FLAC, 2 MP3``."""
    shown = (f"{count} at {value} {unit}" if unit else f"{count} {value}" for value, count in counts.most_common())
    return ", ".join(shown)


def one_of_each_set_first(paths: Sequence[str], sets: Mapping[str, str]) -> list[str]:
    """`paths`, reordered to begin with one of each set, since a message names only the first few."""
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(sets.get(path, ""), path)
    return [*first.values(), *(path for path in paths if path not in first.values())]
