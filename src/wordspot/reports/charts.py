"""The charts of reports, drawn by matplotlib without a display.

They are SVG files with text as text, which the browser draws, so labels in any script are shown.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.cache_folder import own_folder, usable_cache
from wordspot.errors import ConfigError
from wordspot.files import atomic_path
from wordspot.metrics import Calibration, Curve, Ints, StreamCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1690e", "#777777"


def draw_learning(log: Sequence[dict[str, Any]]) -> str:
    """Loss and accuracy over the steps, as SVG; training is smoothed over a fiftieth of the run.

    For validation it is always the cross-entropy. Logs of older versions use that name for a step's loss, too.
    """
    figure, (left, right) = new_figure(9.5, 3.4, 2)
    steps = [line for line in log if line["kind"] == "step"]
    checks = [line for line in log if line["kind"] == "evaluation" and line["set"] == "validation"]
    for axes, of_step, measure, title, scale in (
        (left, "loss", "cross_entropy", "Loss, and cross-entropy of validation", 1),
        (right, "accuracy", "accuracy", "Accuracy, percent", 100),
    ):
        values = _smooth(np.array([line.get(of_step, line.get(measure)) for line in steps], np.float64) * scale)
        axes.plot([line["step"] for line in steps], values, color=_GREY, linewidth=1.2, label="training (smoothed)")
        axes.plot(
            [line["step"] for line in checks],
            [line[measure] * scale for line in checks],
            color=_BLUE,
            marker="o",
            markersize=3.5,
            linewidth=1.6,
            label="validation",
        )
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
    left.set_ylim(bottom=0)
    right.set_ylim(top=100)
    right.legend(loc="lower right", frameon=False)
    return to_svg(figure)


def draw_confusion(labels: Sequence[str], confusion: Ints) -> str:
    """The confusion matrix as SVG: colour by the fraction of the row, counts in the cells."""
    counts = confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.52 * len(labels) + 1.6)
    figure, (axes,) = new_figure(size + 0.6, size, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true label")
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            shade = "white" if shares[row, column] > 0.5 else "#222222"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade, fontsize=8)
    axes.spines[:].set_visible(False)
    return to_svg(figure)


def draw_error_curves(curves: dict[str, Curve]) -> str:
    """Per label, misses against false alarms (DET, both axes logarithmic) and hits against false alarms (ROC), as SVG."""
    figure, (left, right) = new_figure(9.5, 4.2, 2)
    colours = import_matplotlib().colormaps["tab20"]
    for position, (label, curve) in enumerate(curves.items()):
        style: dict[str, Any] = {"color": colours(position % 20), "linewidth": 1.3, "label": legend_name(label)}
        left.plot(100 * np.maximum(curve.false_alarm_rate, 1e-4), 100 * np.maximum(curve.miss_rate, 1e-3), **style)
        right.plot(100 * curve.false_alarm_rate, 100 * curve.hit_rate, **style)
    left.set(xscale="log", yscale="log", xlabel="false alarms, percent", ylabel="misses, percent", title="DET")
    left.set(xlim=(0.01, 100), ylim=(0.1, 100))
    right.set(
        xlabel="false alarms, percent",
        ylabel="hits, percent",
        title="ROC, upper left corner",
        xlim=(-0.3, 20),
        ylim=(50, 100.5),
    )
    for axes in (left, right):
        axes.grid(alpha=0.25)
    add_legend(right, 1.02)
    return to_svg(figure)


def draw_calibration(calibration: Calibration) -> str:
    """Accuracy against the top posterior, as SVG; a larger dot stands for more clips."""
    figure, (axes,) = new_figure(4.2, 3.6, 1)
    counts = calibration.counts
    used = counts > 0
    confidence, accuracy = 100 * calibration.confidence[used], 100 * calibration.accuracy[used]
    axes.plot([0, 100], [0, 100], color=_GREY, linewidth=1, linestyle="--")
    axes.plot(confidence, accuracy, color=_BLUE, linewidth=1.2)
    axes.scatter(confidence, accuracy, s=15 + 150 * counts[used] / counts.sum(), color=_BLUE)
    axes.set(xlabel="top posterior, percent", ylabel="accuracy, percent", xlim=(0, 103), ylim=(0, 103))
    axes.grid(alpha=0.25)
    return to_svg(figure)


def draw_stream_curves(curves: dict[str, StreamCurve], chosen: dict[str, tuple[float, float]]) -> str:
    """Per word, misses against false accepts per hour (DET over streams), as SVG.

    No false accepts at all cannot be drawn on a logarithmic axis: such a curve ends on the left edge, at half a false accept
    in the hours tested.

    Args:
        curves: by the name in the legend, the first one in bold; words that were never spoken are left out.
        chosen: (false accepts per hour, miss rate) at the decoder's thresholds, marked by a dot.
    """
    figure, (axes,) = new_figure(8.0, 4.6, 1)
    colours = import_matplotlib().colormaps["tab20"]
    drawn = {name: curve for name, curve in curves.items() if curve.n_words and curve.hours}
    floor = min((0.5 / curve.hours for curve in drawn.values()), default=0.1)
    for position, (name, curve) in enumerate(drawn.items()):
        is_first = position == 0
        order = np.lexsort((-curve.miss_rate, curve.false_accepts_per_hour))
        rate = np.maximum(curve.false_accepts_per_hour[order], floor)
        style: dict[str, Any] = {"color": "black" if is_first else colours((position - 1) % 20)}
        style["linewidth"] = 2.0 if is_first else 1.2
        axes.plot(rate, 100 * curve.miss_rate[order], drawstyle="steps-post", label=legend_name(name), **style)
        if name in chosen:
            axes.plot(max(chosen[name][0], floor), 100 * chosen[name][1], "o", markersize=5, color=style["color"])
    axes.axvline(2 * floor, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", ylim=(-2, 102), xlabel="false accepts per hour", ylabel="misses, percent")
    axes.set_xlim(left=0.9 * floor)
    axes.set_title("dots: the decoder's thresholds; dotted: one false accept in the hours tested", fontsize=9)
    axes.grid(alpha=0.25)
    if drawn:
        add_legend(axes, 1.02)
    return to_svg(figure)


def draw_latencies(latencies_ms: Sequence[float]) -> str:
    """A histogram of latencies as SVG, with lines at the median and at 90 %."""
    figure, (axes,) = new_figure(6.0, 2.8, 1)
    axes.hist(latencies_ms, bins=40, color=_BLUE)
    for part, name in ((0.5, "median"), (0.9, "90 %")):
        place = float(np.quantile(latencies_ms, part))
        axes.axvline(place, color=_ORANGE, linewidth=1.2)
        axes.annotate(
            f" {name} {place:.0f} ms",
            (place, 1 if part < 0.9 else 0.85),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=8,
        )
    axes.set(xlabel="latency after the word's end, ms", ylabel="hits")
    axes.grid(alpha=0.25)
    return to_svg(figure)


def import_matplotlib() -> Any:
    """The module `matplotlib`, which then keeps its list of fonts in wordspot's cache, not in a folder of its own in the home."""
    if "MPLCONFIGDIR" not in os.environ:
        try:
            folder = usable_cache()[0] / "matplotlib"
        except ConfigError:
            folder = own_folder() / "matplotlib"
        folder.mkdir(exist_ok=True)
        os.environ["MPLCONFIGDIR"] = str(folder)
    import matplotlib as mpl

    return mpl


def new_figure(width: float, height: float, n_axes: int) -> tuple[Figure, list[Axes]]:
    """A figure of this size in inches, not bound to a screen, with axes side by side."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, n_axes, position + 1) for position in range(n_axes)]


def legend_name(label: str) -> str:
    """A label for a legend: matplotlib leaves out names that begin with an underscore."""
    return f" {label}" if label.startswith("_") else label


def add_legend(axes: Axes, x: float) -> None:
    """A legend to the right of the axes, in which labels are text and not formulas."""
    legend = axes.legend(loc="center left", bbox_to_anchor=(x, 0.5), frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def to_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element."""
    mpl, text = import_matplotlib(), io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wordspot"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has the font, matplotlib not
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def save_png(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write the figure as a PNG, atomically."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format="png", dpi=dpi)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a window of a fiftieth of the values, shorter at the ends."""
    half = max(len(values) // 100, 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    position = np.arange(len(values))
    start, stop = np.maximum(position - half, 0), np.minimum(position + half + 1, len(values))
    result: NDArray[np.float64] = (sums[stop] - sums[start]) / (stop - start)
    return result
