"""The charts of a report on recordings, as SVG: errors by threshold, all scores, and posteriors over time."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wordspot.evaluation.judging import PosteriorTrack
from wordspot.evaluation.recordings import BinaryMetrics
from wordspot.reports.charts import new_figure, to_svg

_COLOURS = ("#1f5fa8", "#d1690e", "#3a8a4d", "#8a4fa3", "#777777")
_PERCENTS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90)
_MOST_LOG_ODDS = 9.0
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_WIDE, _HIGH, _SIDE = 300, 56, 4


@dataclass(frozen=True)
class ScoreRow:
    """The scores in one row of a chart.

    Attributes:
        name: of the row.
        scores: float64 [n], 0 to 1.
        colour: the number of its class.
    """

    name: str
    scores: NDArray[np.float64]
    colour: int


def draw_det(binary: BinaryMetrics) -> str:
    """Misses against false alarms as SVG, with a dot at the threshold in use.

    Both axes are scaled by the inverse normal distribution (a DET plot). A rate of zero cannot be drawn on them; it is
    drawn where half a recording would be wrong.
    """
    figure, (axes,) = new_figure(5.2, 4.8, 1)
    det, missed, alarms = binary.det, binary.missed, binary.false_alarms
    least_alarm, least_miss = 0.5 / alarms.n, 0.5 / missed.n

    def place(rates: Sequence[float | None], least: float) -> list[float]:
        return [_deviate(min(max(rate, least), 1 - least)) for rate in rates if rate is not None]

    x, y = place(det.false_alarm_rate, least_alarm), place(det.miss_rate, least_miss)
    axes.plot(x, y, color=_COLOURS[0], linewidth=1.6)
    axes.plot(place([alarms.rate], least_alarm), place([missed.rate], least_miss), "o", color=_COLOURS[1], markersize=7)
    low, high = _deviate(min(least_alarm, least_miss)) - 0.1, _deviate(0.9)
    axes.plot([low, high], [low, high], color="#bbbbbb", linewidth=1, linestyle="--")
    ticks = [percent for percent in _PERCENTS if low < _deviate(percent / 100) <= high]
    places = [_deviate(percent / 100) for percent in ticks]
    names = [f"{percent:g}" for percent in ticks]
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="false alarms, percent", ylabel="misses, percent")
    axes.grid(alpha=0.25)
    return to_svg(figure)


def draw_scores(rows: Sequence[ScoreRow], threshold: float | None, label: str) -> str:
    """Every recording as a dot at its score, as SVG, on an axis of log-odds; a dashed line marks the threshold."""
    figure, (axes,) = new_figure(9.5, 1.2 + 0.42 * len(rows), 1)
    for position, row in enumerate(rows):
        spread = (np.arange(len(row.scores)) * 0.618034 % 1 - 0.5) * 0.6  # even, and the same each time
        x = _log_odds(row.scores)
        axes.scatter(x, position + spread, s=14, alpha=0.6, color=_COLOURS[row.colour % len(_COLOURS)], linewidths=0)
        axes.plot([np.median(x)] * 2, [position - 0.4, position + 0.4], color="black", linewidth=1.2)
    if threshold is not None:
        axes.axvline(float(_log_odds(np.array([threshold]))[0]), color="#777777", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [row.name for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xticks(_log_odds(np.array(_TICKS)).tolist(), [f"{tick:g}" for tick in _TICKS])
    axes.set_xlim(-_MOST_LOG_ODDS - 0.4, _MOST_LOG_ODDS + 0.4)
    axes.set_xlabel(label, parse_math=False)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return to_svg(figure)


def draw_time_curve(
    track: PosteriorTrack,
    label: int,
    seconds: float,
    threshold: float | None,
    marked_s: tuple[float, float] | None,
    name: str,
) -> str:
    """A small SVG of a label's posterior over time, from 0 (bottom) to 1 (top), with gaps at windows without sound.

    Args:
        track: the posteriors of a recording's windows.
        label: the position of the label.
        seconds: length of the recording.
        threshold: drawn as a line.
        marked_s: (start, stop) of a grey band, in seconds.
        name: for screen readers.
    """

    def x(time_s: float) -> float:
        return _SIDE + (_WIDE - 2 * _SIDE) * min(max(time_s / seconds, 0.0), 1.0)

    def y(posterior: float) -> float:
        return _SIDE + (_HIGH - 2 * _SIDE) * (1 - posterior)

    path, is_open = "", False
    for time_ms, posterior, has_sound in zip(track.time_ms, track.posteriors[:, label], track.has_sound, strict=True):
        if has_sound:
            path += f"{'L' if is_open else 'M'}{x(time_ms / 1000):.1f} {y(posterior):.1f}"
            path += "" if is_open else "h0.01"  # so that a single window shows as a dot
        is_open = bool(has_sound)
    line = "" if threshold is None else f'<path d="M{_SIDE} {y(threshold):.1f}H{_WIDE - _SIDE}" class="limit"/>'
    band = ""
    if marked_s is not None:
        start, stop = x(marked_s[0]), x(marked_s[1])
        band = f'<rect x="{start:.1f}" y="0" width="{stop - start:.1f}" height="{_HIGH}" class="marked"/>'
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{html.escape(name)}">'
        f'{band}{line}<path d="{path}" class="line"/></svg>'
    )


def _deviate(rate: float) -> float:
    return NormalDist().inv_cdf(rate)


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    return np.clip(np.log(clipped / (1 - clipped)), -_MOST_LOG_ODDS, _MOST_LOG_ODDS)
