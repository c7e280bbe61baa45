"""A picture of a scene: its spectrogram with the words in it, and below it what a network shall answer, and what one does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import PART
from wordspot.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Track = tuple[NDArray[np.float64], NDArray[np.floating]]
"""float64 [n], where in the scene each value ends, in milliseconds; and float [n], the values, 0 to 1."""

ROW_S, MAX_ROWS = 12.0, 5
_WINDOW_S, _HOP_S = 0.025, 0.010
_TOP_HZ = 8000.0
_RANGE_DB = 70.0
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1690e", "#777777"


def save_scene_picture(
    path: Path, scene: Scene, word: str, label: Track, posterior: Track | None = None, title: str = ""
) -> None:
    """Write a PNG of a scene, in rows of `ROW_S` seconds, at most `MAX_ROWS` of them: the scene's beginning.

    Args:
        scene: what is shown, with its words: `word` bright, others dimmed.
        label: the right answers.
        posterior: a network's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = len(scene.audio) / scene.sample_rate
    n_rows = max(min(int(np.ceil(seconds / ROW_S - 1e-9)), MAX_ROWS), 1)
    span = min(seconds, ROW_S)
    figure = Figure(figsize=(13, 0.5 + 3.6 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * n_rows, 1, squeeze=False, gridspec_kw={"height_ratios": [3, 1] * n_rows})[:, 0]
    for row in range(n_rows):
        upper, lower = axes[2 * row], axes[2 * row + 1]
        begin = row * ROW_S
        _draw_sound(upper, scene, begin, begin + span)
        _draw_words(upper, scene, word, begin, begin + span)
        _draw_tracks(lower, label, posterior, begin, begin + span)
    axes[-1].set_xlabel("time, seconds")
    if seconds > n_rows * ROW_S:
        title += f" (the first {n_rows * ROW_S:g} of {seconds:g} s)"
    figure.suptitle(title, parse_math=False)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format="png", dpi=90)


def spectrogram(audio: Samples, sample_rate: int) -> NDArray[np.float32]:
    """Power in dB, float32 [frames, bins] up to `_TOP_HZ`; frames of 25 ms every 10 ms, the first centred on the beginning."""
    window, hop = int(_WINDOW_S * sample_rate), int(_HOP_S * sample_rate)
    padded = np.pad(audio, (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: len(audio) : hop]
    spectrum = np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1)
    n_bins = int(np.searchsorted(np.fft.rfftfreq(window, 1 / sample_rate), _TOP_HZ, side="right"))
    return (20 * np.log10(np.abs(spectrum[:, :n_bins]) + 1e-5)).astype(np.float32)


def _draw_sound(axes: Axes, scene: Scene, begin: float, end: float) -> None:
    piece = scene.audio[int(begin * scene.sample_rate) : int(end * scene.sample_rate)]
    axes.set(xlim=(begin, end), ylim=(0, min(_TOP_HZ, scene.sample_rate / 2) / 1000), ylabel="kHz")
    if not len(piece):
        return
    picture = spectrogram(piece, scene.sample_rate)
    top = float(np.percentile(picture, 99.8))
    extent = (begin, begin + len(piece) / scene.sample_rate, 0, min(_TOP_HZ, scene.sample_rate / 2) / 1000)
    axes.imshow(
        picture.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=extent,
        vmin=top - _RANGE_DB, vmax=top,
    )  # fmt: skip


def _draw_words(axes: Axes, scene: Scene, word: str, begin: float, end: float) -> None:
    top = axes.get_ylim()[1]
    for spoken in scene.words:
        start, stop = spoken.start_ms / 1000, (spoken.start_ms if spoken.end_ms is None else spoken.end_ms) / 1000
        if stop < begin or start > end:
            continue
        colour = "white" if spoken.label == word else "#b8d4e8"
        axes.vlines([start, stop], 0, top, color=colour, linewidth=1.0, linestyle="-" if spoken.label == word else ":")
        name = word if spoken.label == word else _of_clip(spoken.clip, word) or spoken.label
        box = {"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 1.0}
        axes.text(
            max(start, begin) + 0.03,
            0.96 * top,
            name,
            color=colour,
            va="top",
            fontsize=9,
            clip_on=True,
            bbox=box,
            parse_math=False,
        )


def _of_clip(clip: str, word: str) -> str:
    """What another word is: a part of `word`, or else the folder of its recording."""
    if clip.endswith(PART):
        return f"part of {word}"
    return clip.rsplit("/", 2)[-2] if clip.count("/") else ""


def _draw_tracks(axes: Axes, label: Track, posterior: Track | None, begin: float, end: float) -> None:
    ends, values = _within(label, begin, end)
    axes.fill_between(ends, values, step="pre", color=_ORANGE, alpha=0.35, linewidth=0, label="right answer")
    if posterior is not None:
        axes.plot(*_within(posterior, begin, end), color=_BLUE, linewidth=1.3, label="posterior")
    axes.set(xlim=(begin, end), ylim=(-0.03, 1.05), yticks=(0, 1), ylabel="answer")
    axes.grid(alpha=0.25)
    if begin == 0:
        axes.legend(loc="upper left", frameon=False, fontsize=8)


def _within(track: Track, begin: float, end: float) -> tuple[NDArray[np.float64], Sequence[float]]:
    ends, values = track[0] / 1000, track[1]
    chosen = (ends >= begin) & (ends <= end)
    return ends[chosen], values[chosen]  # type: ignore[return-value]
