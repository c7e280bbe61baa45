"""The pictures of a report on whole recordings, as SVG: errors by threshold, all scores, and scores over time."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.reports.charts import new_figure, to_svg

_COLOURS = ("#1f5fa8", "#d1690e", "#3a8a4d", "#8a4fa3", "#777777")
_PERCENTS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90)
_MOST_LOG_ODDS = 9.0
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_WIDE, _HIGH, _SIDE = 300, 56, 4


@dataclass(frozen=True)
class ScoreRow:
    """Scores that stand in one row of a chart.

    scores: float64 [n], 0 to 1; colour: the number of its class.
    """

    name: str
    scores: NDArray[np.float64]
    colour: int


@dataclass(frozen=True)
class TimeCurve:
    """A recording's posterior of one label over time.

    times_s, posteriors : float64 [n], of the windows' middles; has_sound : bool [n], the windows that count
    """

    times_s: NDArray[np.float64]
    posteriors: NDArray[np.float64]
    has_sound: NDArray[np.bool_]


def draw_det(det: dict[str, Any], miss_rate: float, false_alarm_rate: float, n_targets: int, n_others: int) -> str:
    """Misses against false alarms as SVG, both axes stretched as a normal distribution's; a dot at the chosen threshold.

    What no recording errs at cannot be drawn on such axes: it stands where half of one would err.

    Args:
        det: miss_rate and false_alarm_rate, lists of the same length.
        miss_rate, false_alarm_rate: at the chosen threshold.
        n_targets, n_others: how many recordings there are of each kind.
    """
    figure, (axes,) = new_figure(5.2, 4.8, 1)
    least_alarm, least_miss = 0.5 / n_others, 0.5 / n_targets

    def place(rates: Sequence[float], least: float) -> list[float]:
        return [_deviate(min(max(rate, least), 1 - least)) for rate in rates]

    x, y = place(det["false_alarm_rate"], least_alarm), place(det["miss_rate"], least_miss)
    axes.plot(x, y, color=_COLOURS[0], linewidth=1.6)
    axes.plot(*(place([rate], least) for rate, least in ((false_alarm_rate, least_alarm), (miss_rate, least_miss))),
              "o", color=_COLOURS[1], markersize=7)  # fmt: skip
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
    """Every recording as a dot at its score, as SVG; a line stands at the threshold. The axis is one of log-odds."""
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
    curve: TimeCurve, seconds: float, threshold: float | None, marked_s: tuple[float, float] | None, name: str
) -> str:
    """A small SVG of a posterior over time, 0 below and 1 above; what is marked is grey.

    Windows without sound are left out: the line has a gap there.
    """

    def x(time_s: float) -> float:
        return _SIDE + (_WIDE - 2 * _SIDE) * min(max(time_s / seconds, 0.0), 1.0)

    def y(posterior: float) -> float:
        return _SIDE + (_HIGH - 2 * _SIDE) * (1 - posterior)

    path, is_open = "", False
    for time_s, posterior, heard in zip(curve.times_s, curve.posteriors, curve.has_sound, strict=True):
        if heard:
            path += f"{'L' if is_open else 'M'}{x(time_s):.1f} {y(posterior):.1f}"
            path += "" if is_open else "h0.01"  # so that a single window shows as a dot
        is_open = bool(heard)
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
