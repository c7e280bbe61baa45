"""A picture of what a recording is taken for over time: its spectrogram, and below it the windows' scores."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wordspot.runtime.recordings import RecordingResult

_COLUMNS = 1200  # of a spectrogram: no more than are seen, so that an hour costs no more memory than a minute
_WINDOW_S = 0.025
_SHORTEST_S = 0.010  # of a column
_FRAMES = 4  # windows in a column; more where it lasts longer than four of them
_TOP_HZ = 16_000.0
_FEW = 60  # window's scores that are drawn as dots too
_RANGE_DB = 70.0
_ORANGE, _GREY = "#d1690e", "#777777"
_COLOURS = ("#1f5fa8", "#2e8b3d", "#c22030", "#7b3fa0", "#3a3a3a")


def save_recording_picture(
    path: Path,
    recording: Path,
    result: RecordingResult,
    labels: Sequence[str],
    threshold: float | None,
    title: str = "",
) -> None:
    """Write a PNG: the spectrogram of a sound file, and below it its windows' scores, with the stretch that decided marked.

    Args:
        recording: the file that `result` is of.
        threshold: of two labels, that of the first, whose scores are drawn; None draws those of every label.
        title: may hold any characters.

    Raises:
        NotFoundError, AudioError: as `blocks.read_blocks`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    _draw_sound(upper, recording, result.seconds)
    _draw_scores(lower, result, labels, threshold)
    for axes, colour in ((upper, "white"), (lower, _ORANGE)):
        for time in (result.start_s, result.stop_s):
            axes.axvline(time, color=colour, linewidth=1.2)
    lower.set(xlim=(0, result.seconds), xlabel="time, seconds")
    figure.suptitle(title, fontsize=11, parse_math=False)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format="png", dpi=100)


def file_spectrogram(path: Path, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The mean power over time of a sound file of so many seconds, read block by block: dB, float32 [columns, bins]; its rate.

    A column lasts 10 ms or more, and there are at most 1200. Windows of 25 ms, the first centred on the beginning.
    """
    rate, blocks = read_blocks(path, thorough=False)
    n_columns = int(min(max(seconds / _SHORTEST_S, 1), _COLUMNS))
    size = max(int(_WINDOW_S * rate), 2)
    hop = min(max(int(seconds * rate / n_columns / _FRAMES), 1), size)
    shape = np.hanning(size).astype(np.float32)
    power, counts = np.zeros((n_columns, size // 2 + 1)), np.zeros(n_columns)
    waiting, centre = np.zeros(size // 2, np.float32), 0
    for block in itertools.chain(blocks, [np.zeros(size, np.float32)]):
        waiting = np.concatenate([waiting, block])
        frames = sliding_window_view(waiting, size)[::hop] if len(waiting) >= size else np.zeros((0, size), np.float32)
        places = (centre + hop * np.arange(len(frames))) * n_columns / (rate * seconds)
        columns = np.minimum(places.astype(np.int64), n_columns - 1)
        np.add.at(power, columns, np.abs(np.fft.rfft(frames * shape, axis=1)) ** 2)
        counts += np.bincount(columns, minlength=n_columns)
        waiting, centre = waiting[len(frames) * hop :], centre + len(frames) * hop
    return (10 * np.log10(power / np.maximum(counts, 1)[:, None] + 1e-10)).astype(np.float32), rate


def _draw_sound(axes: Axes, recording: Path, seconds: float) -> None:
    picture, rate = file_spectrogram(recording, seconds)
    top = float(np.percentile(picture, 99.8))
    axes.imshow(
        picture.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
        extent=(0, seconds, 0, rate / 2000), vmin=top - _RANGE_DB, vmax=top,
    )  # fmt: skip
    axes.set(ylim=(0, min(_TOP_HZ, rate / 2) / 1000), ylabel="frequency, kHz")


def _draw_scores(axes: Axes, result: RecordingResult, labels: Sequence[str], threshold: float | None) -> None:
    axes.axvspan(result.start_s, result.stop_s, color=_ORANGE, alpha=0.15, linewidth=0, label="speaks most for it")
    counts = result.has_sound if result.has_sound.any() else np.ones_like(result.has_sound)
    shown = labels if threshold is None else labels[:1]
    for place, (label, colour) in enumerate(zip(shown, itertools.cycle(_COLOURS), strict=False)):
        scores = result.window_posteriors[:, place]
        marker = "o" if len(scores) <= _FEW else None
        heard = np.where(counts, scores, np.nan)
        axes.plot(result.times_s, heard, color=colour, linewidth=1.3, marker=marker, markersize=4, label=_plain(label))
        axes.plot(result.times_s[~counts], scores[~counts], ".", color=_GREY, alpha=0.4, markersize=3)
    if threshold is not None:
        axes.axhline(threshold, color=_GREY, linewidth=0.9, linestyle="--", label="threshold")
    axes.set(ylim=(-0.03, 1.03), ylabel="posterior of windows")
    axes.grid(alpha=0.25)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _plain(label: str) -> str:
    """matplotlib leaves what begins with an underscore out of a legend."""
    return f" {label}" if label.startswith("_") else label
