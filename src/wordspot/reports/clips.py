"""One HTML page with everything in it: figures, charts, and the clips the network was most wrong about, playable."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples
from wordspot.metrics import det_curve
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, percent, section, table, write_page


@dataclass(frozen=True)
class ConfusedClip:
    """A clip that was answered wrongly. audio: float32 [samples]; posterior: of the answer."""

    name: str
    truth: str
    answer: str
    posterior: float
    audio: Samples


def most_confused(truth: NDArray[np.int64], posteriors: NDArray[np.float64], n: int = 24) -> list[int]:
    """Positions of the clips that were answered wrongly, the surest answers first."""
    wrong = np.flatnonzero(posteriors.argmax(axis=1) != truth)
    return [int(i) for i in wrong[np.argsort(-posteriors[wrong].max(axis=1), kind="stable")][:n]]


def write_report(
    path: Path,
    measures: dict[str, Any],
    truth: NDArray[np.int64],
    posteriors: NDArray[np.float64],
    log: Sequence[dict[str, Any]],
    confused: Sequence[ConfusedClip],
    sample_rate: int,
) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        measures: what `evaluation.measure_clips` gives, with ``model``, ``step``, ``data``, ``split``, ``left_out``.
        truth: int64 [n].
        posteriors: float64 [n, labels].
        log: the run's log, for the learning curves; may be empty.
        confused: clips to listen to.
        sample_rate: of their audio, Hz.
    """
    labels = measures["labels"]
    curves = {
        label: det_curve(posteriors[:, i], truth == i)
        for i, label in enumerate(labels)
        if 0 < (truth == i).sum() < len(truth)
    }
    parts = [_summary(measures)]
    if any(line["kind"] == "step" for line in log):
        parts.append(section("Learning", charts.draw_learning(log)))
    parts += [
        section("Confusion", charts.draw_confusion(labels, measures["confusion"])),
        section("Per label", _label_table(measures)),
        section("Most confused clips", _clip_list(confused, sample_rate)),
        section("Errors by threshold", charts.draw_error_curves(curves)),
        section("Calibration", _calibration_text(measures) + charts.draw_calibration(measures["calibration"])),
        section("Speakers", _speaker_table(measures)),
    ]
    if measures.get("left_out"):
        items = "".join(f"<li>{html.escape(problem)}</li>" for problem in measures["left_out"])
        parts.append(section("Recordings left out", f"<ul>{items}</ul>"))
    write_page(path, f"wordspot: {Path(measures['model']).name}", parts)


def _summary(measures: dict[str, Any]) -> str:
    facts = (
        ("accuracy", percent(measures["accuracy"])),
        ("95 % interval", f"{percent(measures['accuracy_low'])} to {percent(measures['accuracy_high'])}"),
        ("keywords alone", percent(measures["keyword_accuracy"])),
        ("clips", f"{measures['n']:,}"),
        ("speakers", f"{measures['speakers']['n']:,}"),
    )
    checkpoint = "" if measures["step"] is None else f", checkpoint of step {measures['step']}"
    source = (
        f"Model <code>{html.escape(measures['model'])}</code>{checkpoint}, on the "
        f"{measures['split']} set of <code>{html.escape(measures['data'])}</code>."
    )
    caution = (
        "The interval takes the clips for independent. Takes of one speaker are not quite, so with few speakers it is too "
        "narrow."
    )
    return f"<p>{source}</p>{fact_boxes(facts)}<p><small>{caution}</small></p>"


def _label_table(measures: dict[str, Any]) -> str:
    rows = [
        (label, row["n"], percent(row["precision"]), percent(row["recall"]),
         f"{percent(row['recall_low'])} to {percent(row['recall_high'])}", percent(row["equal_error_rate"]))
        for label, row in measures["per_label"].items()
    ]  # fmt: skip
    return table(("label", "clips", "precision", "recall", "95 % interval of recall", "equal error rate"), rows)


def _speaker_table(measures: dict[str, Any]) -> str:
    speakers = measures["speakers"]
    if not speakers["n"]:
        return "<p>No clip names its speaker.</p>"
    low, middle, high = (percent(value) for value in speakers["quartiles"])
    text = (
        f"<p>Accuracy over {speakers['n']} speakers, each counting once: mean {percent(speakers['mean'])}, quartiles "
        f"{low}, {middle} and {high}. Those heard worst:</p>"
    )
    rows = [(row["speaker"], row["n"], percent(row["accuracy"])) for row in speakers["worst"]]
    return text + table(("speaker", "clips", "accuracy"), rows)


def _calibration_text(measures: dict[str, Any]) -> str:
    error = percent(measures["calibration"]["error"])
    return f"<p>The network's sureness is off by {error} on average. On the dashed line it would be exact.</p>"


def _clip_list(confused: Sequence[ConfusedClip], sample_rate: int) -> str:
    if not confused:
        return "<p>None: every clip was answered rightly.</p>"
    items = "".join(
        f"<li><div><b>{html.escape(clip.truth)}</b> heard as <b>{html.escape(clip.answer)}</b> "
        f"({percent(clip.posterior)} sure)</div><code>{html.escape(clip.name)}</code>"
        f'<audio controls preload="none" src="{data_url(clip.audio, sample_rate)}"></audio></li>'
        for clip in confused
    )
    return f'<ul class="clips">{items}</ul>'
