"""A stream's scores over time as SVG: a strip for each minute, a lane for each word, a mark for each event."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.formats import clock

STRIP_MS = 60_000.0
_POOL_MS = 100.0
_WIDTH, _LEFT, _TOP, _LANE = 900, 96, 14, 24
_QUIET = 0.02  # lower scores are not drawn
_HIGHEST_OF_IDLE = 0.1  # a word without marks whose scores stay below has no lane
_SHAPES = {
    "hit": ("#2e8b3d", "M-4 0L-1 4L5 -4"),
    "miss": ("#d1690e", "M-4 -4L4 4M-4 4L4 -4"),
    "false accept": ("#c22030", "M0 -5L5 4L-5 4Z"),
}


#: The style of the strips, and the script that plays an event when its mark is clicked.
STYLE = """<style>
.strip { background: none; margin: .2rem 0 .8rem; }
.strip text { font-size: 11px; fill: currentColor; }
.strip .rule { stroke: #8886; fill: none; }
.strip .threshold { stroke: #888a; stroke-dasharray: 3 3; fill: none; }
.strip .score { fill: #4a90d9; }
.strip a circle { stroke: #8888; fill: transparent; }
.strip a:hover circle { fill: #8884; }
.hit { color: #2e8b3d; } .miss { color: #d1690e; } .false { color: #c22030; }
.clips li:target { outline: 2px solid #4a90d9; }
</style>"""
SCRIPT = """<script>
for (const link of document.querySelectorAll(".strip a")) link.addEventListener("click", (event) => {
  event.preventDefault();
  const id = link.getAttribute("href").slice(1);
  for (const other of document.querySelectorAll("audio")) other.pause();
  const player = document.getElementById(id).querySelector("audio");
  player.currentTime = 0;
  player.play();
});
</script>"""


@dataclass(frozen=True)
class Mark:
    """An event on a word's lane.

    Attributes:
        label: the word.
        time_ms: in the stream.
        kind: ``hit``, ``miss`` or ``false accept``.
        text: the tooltip.
        anchor: id of the element that it links to, or empty.
    """

    label: str
    time_ms: float
    kind: str
    text: str
    anchor: str = ""


def draw_strip(
    first_ms: float,
    words: Sequence[str],
    scores: NDArray[np.float32],
    end_ms: NDArray[np.float64],
    marks: Sequence[Mark],
    thresholds: Sequence[float],
) -> str:
    """The minute from `first_ms` on as an ``<svg>``, without the lanes of words that have low scores and no marks.

    Args:
        first_ms: start of the minute in the stream.
        words: one for each column of `scores`.
        scores: float32 [n, words], 0 to 1, of the entire stream or a part that contains this minute.
        end_ms: float64 [n], ascending.
        marks: of this minute; one outside it is drawn at the nearer end.
        thresholds: one for each of `words`.
    """
    rows = _rows_of_minute(first_ms, end_ms)
    busy = {mark.label for mark in marks} | words_with_scores(first_ms, words, scores, end_ms)
    lanes = [word for word in words if word in busy]
    height = _TOP + _LANE * len(lanes) + 18
    parts = [_axis(first_ms, height)]
    for position, word in enumerate(lanes):
        base = _TOP + _LANE * (position + 1)
        area = _area(end_ms[rows] - first_ms, scores[rows, words.index(word)], base)
        level = base - thresholds[words.index(word)] * (_LANE - 4)
        parts.append(
            f'<text x="{_LEFT - 6}" y="{base - 4}" text-anchor="end">{html.escape(word)}</text>'
            f'{area}<path d="M{_LEFT} {base}H{_LEFT + _WIDTH}" class="rule"/>'
            f'<path d="M{_LEFT} {level:.1f}H{_LEFT + _WIDTH}" class="threshold"/>'
        )
        parts += [_mark(mark, first_ms, base) for mark in marks if mark.label == word]
    return (
        f'<svg class="strip" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" role="img" '
        f'aria-label="scores from {clock(first_ms)} on">{"".join(parts)}</svg>'
    )


def words_with_scores(
    first_ms: float, words: Sequence[str], scores: NDArray[np.float32], end_ms: NDArray[np.float64]
) -> set[str]:
    """The words that `draw_strip` draws for their scores in the minute from `first_ms` on."""
    tops = scores[_rows_of_minute(first_ms, end_ms)].max(axis=0, initial=0.0)
    return {word for word, top in zip(words, tops, strict=True) if top >= _HIGHEST_OF_IDLE}


def _rows_of_minute(first_ms: float, end_ms: NDArray[np.float64]) -> slice:
    first, stop = np.searchsorted(end_ms, [first_ms, first_ms + STRIP_MS])
    return slice(int(first), int(stop))


def _axis(first_ms: float, height: int) -> str:
    ticks = (
        f'<text x="{_LEFT + _WIDTH * part / 6:.0f}" y="{height - 4}" text-anchor="middle">'
        f"{clock(first_ms + STRIP_MS * part / 6)[:-2]}</text>"
        f'<path d="M{_LEFT + _WIDTH * part / 6:.0f} {_TOP}V{height - 16}" class="rule"/>'
        for part in range(7)
    )
    return "".join(ticks)


def _area(time_ms: NDArray[np.float64], scores: NDArray[np.float32], base: int) -> str:
    """A word's scores as filled areas: the maximum of each tenth of a second."""
    bins = (time_ms / _POOL_MS).astype(np.int64)
    peaks = np.zeros(int(STRIP_MS / _POOL_MS) + 1)
    np.maximum.at(peaks, bins, scores)
    path, step, is_open = [], _WIDTH * _POOL_MS / STRIP_MS, False
    for position, peak in enumerate(np.append(peaks, 0.0)):
        x = _LEFT + step * position
        if peak >= _QUIET:
            path.append(f"{'L' if is_open else f'M{x:.1f} {base}L'}{x:.1f} {base - peak * (_LANE - 4):.1f}")
            is_open = True
        elif is_open:
            path.append(f"L{x:.1f} {base}Z")
            is_open = False
    return f'<path d="{"".join(path)}" class="score"/>' if path else ""


def _mark(mark: Mark, first_ms: float, base: int) -> str:
    colour, shape = _SHAPES[mark.kind]
    x = _LEFT + _WIDTH * min(max((mark.time_ms - first_ms) / STRIP_MS, 0.0), 1.0)
    ring = '<circle r="8"/>' if mark.anchor else '<rect x="-8" y="-8" width="16" height="16" fill="transparent"/>'
    drawn = (
        f'<g transform="translate({x:.1f} {base - _LANE + 10})"><title>{html.escape(mark.text)}</title>{ring}'
        f'<path d="{shape}" fill="{colour if "Z" in shape else "none"}" stroke="{colour}" stroke-width="2"/></g>'
    )
    return f'<a href="#{mark.anchor}">{drawn}</a>' if mark.anchor else drawn
