"""Draw PNG pictures: spectrograms of recordings and scenes with a model's predictions, and features of a front end."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.audio.samples import Samples
from wordspot.config import FeatureConfig
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import PART
from wordspot.files import atomic_path
from wordspot.reports.charts import add_legend, legend_name, new_figure, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wordspot.runtime.recordings import RecordingResult

Track = tuple[NDArray[np.float64], NDArray[np.floating]]
"""float64 [n], where in the scene each value ends, in milliseconds; and float [n], the values, 0 to 1."""

ROW_S, MAX_ROWS = 12.0, 5  # of the picture of a scene
_COLUMNS = 1200  # of a spectrogram: more cannot be seen, and an hour takes no more memory than a minute
_WINDOW_S = 0.025
_SHORTEST_S = 0.010  # of a column
_FRAMES = 4  # windows per column; more if it is longer than four of them
_RECORDING_HZ, _SCENE_HZ = 16_000.0, 8000.0  # the highest frequency shown
_RANGE_DB = 70.0
_FEW = 60  # windows whose scores are drawn as dots too
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1690e", "#777777"
_COLOURS = (_BLUE, "#2e8b3d", "#c22030", "#7b3fa0", "#3a3a3a")


def spectrogram(blocks: Iterable[Samples], sample_rate: int, seconds: float) -> NDArray[np.float32]:
    """The mean power over time of a recording, block by block.

    A column lasts 10 ms or more, and there are at most 1200. Windows of 25 ms, the first one centred on the beginning.

    Args:
        blocks: float32 [samples] each, one after another.
        sample_rate: Hz.
        seconds: the length of all blocks together.

    Returns:
        power in dB, float32 [columns, bins].
    """
    n_columns = int(min(max(seconds / _SHORTEST_S + 1e-6, 1), _COLUMNS))
    size = max(int(_WINDOW_S * sample_rate), 2)
    hop = min(max(int(seconds * sample_rate / n_columns / _FRAMES), 1), size)
    shape = np.hanning(size).astype(np.float32)
    power, counts = np.zeros((n_columns, size // 2 + 1)), np.zeros(n_columns)
    waiting, centre = np.zeros(size // 2, np.float32), 0
    for block in itertools.chain(blocks, [np.zeros(size, np.float32)]):
        waiting = np.concatenate([waiting, block])
        frames = sliding_window_view(waiting, size)[::hop] if len(waiting) >= size else np.zeros((0, size), np.float32)
        places = (centre + hop * np.arange(len(frames))) * n_columns / (sample_rate * seconds)
        columns = np.minimum(places.astype(np.int64), n_columns - 1)
        np.add.at(power, columns, np.abs(np.fft.rfft(frames * shape, axis=1)) ** 2)
        counts += np.bincount(columns, minlength=n_columns)
        waiting, centre = waiting[len(frames) * hop :], centre + len(frames) * hop
    return (10 * np.log10(power / np.maximum(counts, 1)[:, None] + 1e-10)).astype(np.float32)


def save_recording_picture(
    path: Path,
    recording: Path,
    result: RecordingResult,
    labels: Sequence[str],
    threshold: float | None,
    title: str = "",
) -> None:
    """Write a PNG: the spectrogram of a recording, and below it the scores of its windows, with the decisive part marked.

    Args:
        path: the picture.
        recording: the sound file that `result` is of.
        result: of a `RecordingClassifier`.
        labels: of the model.
        threshold: with two labels, that of the first one, whose scores are drawn; None draws those of every label.
        title: any characters.

    Raises:
        NotFoundError, AudioError: see `read_blocks`.
    """
    figure, _ = new_figure(12, 5.5, 0)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    rate, blocks = read_blocks(recording)
    _draw_spectrogram(upper, spectrogram(blocks, rate, result.seconds), rate, (0, result.seconds), _RECORDING_HZ)
    _draw_scores(lower, result, labels, threshold)
    for axes, colour in ((upper, "white"), (lower, _ORANGE)):
        for time in (result.start_s, result.stop_s):
            axes.axvline(time, color=colour, linewidth=1.2)
    lower.set(xlim=(0, result.seconds), xlabel="time, seconds")
    figure.suptitle(title, fontsize=11, parse_math=False)
    save_png(figure, path, dpi=100)


def save_scene_picture(
    path: Path, scene: Scene, word: str, target: Track, posterior: Track | None = None, title: str = ""
) -> None:
    """Write a PNG of a scene, in rows of `ROW_S` seconds, at most `MAX_ROWS` of them: the beginning of the scene.

    Args:
        path: the picture.
        scene: shown with its words: `word` bright, others dimmed.
        word: of the trigger.
        target: what a network is trained to predict.
        posterior: what a model predicts.
        title: any characters.
    """
    seconds = len(scene.audio) / scene.sample_rate
    n_rows = max(min(int(np.ceil(seconds / ROW_S - 1e-9)), MAX_ROWS), 1)
    span = min(seconds, ROW_S)
    figure, _ = new_figure(13, 0.5 + 3.6 * n_rows, 0)
    axes = figure.subplots(2 * n_rows, 1, squeeze=False, gridspec_kw={"height_ratios": [3, 1] * n_rows})[:, 0]
    for row in range(n_rows):
        upper, lower = axes[2 * row], axes[2 * row + 1]
        begin, end = row * ROW_S, row * ROW_S + span
        piece = scene.audio[int(begin * scene.sample_rate) : int(end * scene.sample_rate)]
        length = len(piece) / scene.sample_rate
        if length:
            picture = spectrogram([piece], scene.sample_rate, length)
            _draw_spectrogram(upper, picture, scene.sample_rate, (begin, begin + length), _SCENE_HZ)
        upper.set(xlim=(begin, end), ylim=(0, min(_SCENE_HZ, scene.sample_rate / 2) / 1000))
        _draw_words(upper, scene, word, begin, end)
        _draw_tracks(lower, target, posterior, begin, end)
    axes[-1].set_xlabel("time, seconds")
    if seconds > n_rows * ROW_S:
        title += f" (the first {n_rows * ROW_S:g} of {seconds:g} s)"
    figure.suptitle(title, parse_math=False)
    save_png(figure, path, dpi=90)


def save_features(path: Path, features: NDArray[np.float32], config: FeatureConfig, title: str) -> None:
    """Write a PNG of features, float32 [frames, features]: time left to right, with axes."""
    figure, (axes,) = new_figure(max(4.0, min(4 + 4e-3 * len(features), 16)), 4.0, 1)
    seconds = (len(features) * config.hop_ms + config.window_ms - config.hop_ms) / 1000
    is_linear = config.kind == "spectrogram"
    top = config.sample_rate / 2000 if is_linear else features.shape[1]
    values = 10 * np.log10(features + 1e-10) if config.kind in ("spectrogram", "average") else features
    image = axes.imshow(
        values.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=(0, seconds, 0, top)
    )
    names = {"mfcc": "cepstral coefficient", "psf_mfcc": "cepstral coefficient", "average": "group of bins"}
    axes.set(xlabel="time, seconds", ylabel="frequency, kHz" if is_linear else names.get(config.kind, "mel channel"))
    axes.set_title(title, parse_math=False)
    units = {"spectrogram": "power, dB", "average": "power, dB", "logmel": "log energy, scaled"}
    figure.colorbar(image, label=units.get(config.kind, "value"))
    save_png(figure, path)


def save_classic_spectrogram(path: Path, audio: NDArray[np.float32]) -> None:
    """Write a PNG as TensorFlow's ``wav_to_spectrogram`` does: magnitudes × 64 as grey, time downward, no axes.

    Window 256, stride 128, as there; each pixel is one bin of one window, saturated at white.
    """
    from PIL import Image

    if len(audio) < 256:
        audio = np.pad(audio, (0, 256 - len(audio)))
    frames = sliding_window_view(audio, 256)[::128]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(257)[:-1], axis=1))
    with atomic_path(path) as temporary:
        Image.fromarray(np.clip(magnitude * 64, 0, 255).astype(np.uint8)).save(temporary, format="PNG")


def _draw_spectrogram(
    axes: Axes, picture: NDArray[np.float32], sample_rate: int, span_s: tuple[float, float], top_hz: float
) -> None:
    """Draw what `spectrogram` gives, up to `top_hz`; the loudest 70 dB have colours."""
    loudest = float(np.percentile(picture, 99.8))
    axes.imshow(
        picture.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        extent=(*span_s, 0, sample_rate / 2000),
        vmin=loudest - _RANGE_DB,
        vmax=loudest,
    )
    axes.set(ylim=(0, min(top_hz, sample_rate / 2) / 1000), ylabel="frequency, kHz")


def _draw_scores(axes: Axes, result: RecordingResult, labels: Sequence[str], threshold: float | None) -> None:
    axes.axvspan(result.start_s, result.stop_s, color=_ORANGE, alpha=0.15, linewidth=0, label="most decisive part")
    counts = result.has_sound if result.has_sound.any() else np.ones_like(result.has_sound)
    shown = labels if threshold is None else labels[:1]
    for place, (label, colour) in enumerate(zip(shown, itertools.cycle(_COLOURS), strict=False)):
        scores = result.window_posteriors[:, place]
        marker = "o" if len(scores) <= _FEW else None
        heard = np.where(counts, scores, np.nan)
        axes.plot(result.times_s, heard, color=colour, linewidth=1.3, marker=marker, markersize=4, label=legend_name(label))
        axes.plot(result.times_s[~counts], scores[~counts], ".", color=_GREY, alpha=0.4, markersize=3)
    if threshold is not None:
        axes.axhline(threshold, color=_GREY, linewidth=0.9, linestyle="--", label="threshold")
    axes.set(ylim=(-0.03, 1.03), ylabel="posterior of windows")
    axes.grid(alpha=0.25)
    add_legend(axes, 1.0)


def _draw_words(axes: Axes, scene: Scene, word: str, begin: float, end: float) -> None:
    top = axes.get_ylim()[1]
    for spoken in scene.words:
        start, stop = spoken.start_ms / 1000, (spoken.start_ms if spoken.end_ms is None else spoken.end_ms) / 1000
        if stop < begin or start > end:
            continue
        is_word = spoken.label == word
        colour = "white" if is_word else "#b8d4e8"
        axes.vlines([start, stop], 0, top, color=colour, linewidth=1.0, linestyle="-" if is_word else ":")
        name = word if is_word else _name_of_clip(spoken.clip, word) or spoken.label
        box = {"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 1.0}
        axes.text(
            max(start, begin) + 0.03, 0.96 * top, name, color=colour, va="top", fontsize=9, clip_on=True, bbox=box,
            parse_math=False,
        )  # fmt: skip


def _name_of_clip(clip: str, word: str) -> str:
    """The name of another word: a part of `word`, or the folder of its recording."""
    if clip.endswith(PART):
        return f"part of {word}"
    return clip.rsplit("/", 2)[-2] if clip.count("/") else ""


def _draw_tracks(axes: Axes, target: Track, posterior: Track | None, begin: float, end: float) -> None:
    ends, values = _within(target, begin, end)
    axes.fill_between(ends, values, step="pre", color=_ORANGE, alpha=0.35, linewidth=0, label="target")
    if posterior is not None:
        axes.plot(*_within(posterior, begin, end), color=_BLUE, linewidth=1.3, label="posterior")
    axes.set(xlim=(begin, end), ylim=(-0.03, 1.05), yticks=(0, 1), ylabel="posterior")
    axes.grid(alpha=0.25)
    if begin == 0:
        axes.legend(loc="upper left", frameon=False, fontsize=8)


def _within(track: Track, begin: float, end: float) -> tuple[NDArray[np.float64], Sequence[float]]:
    ends, values = track[0] / 1000, track[1]
    chosen = (ends >= begin) & (ends <= end)
    return ends[chosen], values[chosen]  # type: ignore[return-value]
