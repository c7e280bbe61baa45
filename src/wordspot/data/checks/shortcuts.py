"""Find shortcuts: properties such as the level or the noise floor that separate the classes without their content.

A classifier that learns a shortcut fails on recordings without it. A measure is reported as a shortcut if it alone separates
a class, or one generator of it, from the other classes with an area under the curve of at least 0.75, and if that is more
than 3.5 standard deviations of the rank sum away from a random result (Mann and Whitney 1947).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.condition import FRAME_MS, SOUND_BELOW_TOP_DB, Condition, level_db, measure_condition
from wordspot.audio.samples import Samples
from wordspot.data.manifest.rows import ManifestRow
from wordspot.metrics import area_under_roc, det_curve

SHORTCUT_AREA, SHORTCUT_DEVIATIONS = 0.75, 3.5
_FRAMES_AT_ONCE = 256
_GAP_HZ, _GAP_DB = 500.0, 20.0  # width of a band, and how far a gap lies below the lower of its neighbours

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Measures(Condition):
    """Properties of a recording that could reveal its class without its content.

    Attributes:
        gaps_percent: share of bands, frame by frame, that lie far below both of their neighbours, as MP3 and Vorbis leave them;
            Opus leaves none.
        length_s: of the recording.
    """

    gaps_percent: float
    length_s: float


#: Each measure's code in a finding, its name in a message, its format, and the advice.
_SHOWN = {
    "level_db": ("level", "level", "{:.1f} dBFS", "bring them to one level"),
    "floor_db": ("floor", "noise floor", "{:.0f} dBFS", "mix the same noises into all of them"),
    "lead_ms": ("lead", "silence before the first sound", "{:.0f} ms", "trim all of them alike"),
    "tail_ms": ("tail", "silence after the last sound", "{:.0f} ms", "trim all of them alike"),
    "bandwidth_hz": ("bandwidth", "highest frequency", "{:.0f} Hz", "low-pass them alike"),
    "gaps_percent": ("codec", "share of gaps that a codec leaves in the spectrum", "{:.2f} %", "encode all of them alike"),
    "length_s": ("length", "length", "{:.1f} s", "cut them alike, and train on windows"),
}


@dataclass(frozen=True)
class Shortcut:
    """A measure that separates a class. code: the measure. name: the label, or the generator."""

    code: str
    name: str
    area: float
    text: str


def find_shortcuts(rows: Sequence[ManifestRow], measures: Sequence[Measures]) -> list[Shortcut]:
    """The shortcuts among recordings, by measure: of each label, and of each generator if a label has several."""
    groups = list(_groups(rows))
    found = []
    for attribute, (code, shown, unit, remedy) in _SHOWN.items():
        values = np.array([getattr(one, attribute) for one in measures], np.float64)
        for name, among, against, others in groups:
            used = among | against
            if (area := separation(values[used], among[used])) < SHORTCUT_AREA:
                continue
            medians = [unit.format(float(np.median(values[part]))) for part in (among, against)]
            text = (
                f"the {shown} alone separates {name} from {others} (area under the curve {area:.2f}; median {medians[0]} "
                f"against {medians[1]}); {remedy}, or a model may learn that"
            )
            found.append(Shortcut(code, name, area, text))
    return found


def _groups(rows: Sequence[ManifestRow]) -> Iterator[tuple[str, Bools, Bools, str]]:
    """The comparisons to make: a name, its rows [rows], the other rows [rows], and the others' name."""
    every = np.array([row.label for row in rows])
    generators = np.array([row.generator or "" for row in rows])
    labels = sorted(set(every.tolist()))
    for label in labels:
        among = every == label
        others = " and ".join(other for other in labels if other != label) if len(labels) < 4 else "the rest"
        if len(labels) > 2 or label == labels[0]:  # with two labels, one comparison is enough
            yield label, among, ~among, others
        made_by = sorted(set(generators[among].tolist()) - {""})
        for generator in made_by if len(made_by) > 1 else ():
            yield generator, among & (generators == generator), ~among, others


def measure(audio: Samples, sample_rate: int, length_s: float) -> Measures:
    """Measure float32 [samples], the first part of a recording of `length_s` seconds."""
    condition = dataclasses.asdict(measure_condition(audio, sample_rate))
    return Measures(**condition, gaps_percent=_gaps(audio, sample_rate), length_s=length_s)


def _gaps(audio: Samples, sample_rate: int) -> float:
    """The share of bands that lie `_GAP_DB` below both neighbours in frames with sound, in percent."""
    size = max(sample_rate * FRAME_MS // 1000, 1)
    width = max(round(_GAP_HZ * size / sample_rate), 1)
    n_bands = (size // 2 + 1) // width
    frames = audio[: len(audio) // size * size].reshape(-1, size)
    if n_bands < 3 or not len(frames):
        return 0.0
    levels = level_db(frames)
    frames = frames[levels >= levels.max() - SOUND_BELOW_TOP_DB]
    n_gaps = 0
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + _FRAMES_AT_ONCE] * np.blackman(size))
        power = np.mean(np.abs(spectrum[:, : n_bands * width].reshape(-1, n_bands, width)) ** 2, axis=2)
        bands = 10 * np.log10(np.maximum(power, 1e-12))
        n_gaps += int((bands[:, 1:-1] < np.minimum(bands[:, :-2], bands[:, 2:]) - _GAP_DB).sum())
    return float(100 * n_gaps / (len(frames) * (n_bands - 2)))


def separation(values: NDArray[np.float64], among: Bools) -> float:
    """The area under the curve if `values` [n] alone predict the class, bool [n]; 0.5 if that may be random."""
    n_class, n_rest = int(among.sum()), int((~among).sum())
    if not n_class or not n_rest:
        return 0.5
    area = area_under_roc(det_curve(values, among))
    area = max(area, 1 - area)
    deviation = math.sqrt((n_class + n_rest + 1) / (12 * n_class * n_rest))
    return area if area - 0.5 >= SHORTCUT_DEVIATIONS * deviation else 0.5
