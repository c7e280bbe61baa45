"""The report on an evaluation of clips: metrics, charts, and the most confidently wrong clips, playable."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples
from wordspot.evaluation.clips import ClipMetrics
from wordspot.evaluation.results import ClipsSeen, WordsResult
from wordspot.formats import interval, percent
from wordspot.metrics import det_curve
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, left_out_section, section, source_line, table, write_page

N_CONFUSED = 24


@dataclass(frozen=True)
class ConfusedClip:
    """A clip whose predicted label is wrong.

    Attributes:
        name: of its file.
        truth: its label.
        predicted: the label predicted.
        posterior: of the predicted label.
        audio: float32 [samples].
    """

    name: str
    truth: str
    predicted: str
    posterior: float
    audio: Samples


def most_confused(truth: NDArray[np.int64], posteriors: NDArray[np.float64], n: int = N_CONFUSED) -> list[int]:
    """Positions of the clips with a wrong prediction, the most confident first."""
    wrong = np.flatnonzero(posteriors.argmax(axis=1) != truth)
    return [int(i) for i in wrong[np.argsort(-posteriors[wrong].max(axis=1), kind="stable")][:n]]


def write_clip_report(path: Path, result: WordsResult) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        result: of `evaluate`.
    """
    metrics, clips = result.metrics, result.clips
    curves = {
        label: det_curve(clips.posteriors[:, i], clips.truth == i)
        for i, label in enumerate(metrics.labels)
        if 0 < (clips.truth == i).sum() < len(clips.truth)
    }
    parts = [_summary(result)]
    if any(line["kind"] == "step" for line in result.log):
        parts.append(section("Learning", charts.draw_learning(result.log)))
    parts += [
        section("Confusion", charts.draw_confusion(metrics.labels, metrics.confusion)),
        section("Per label", _label_table(metrics)),
        section("Most confused clips", _clip_list(_confused(metrics.labels, clips), clips.sample_rate)),
        section("Errors by threshold", charts.draw_error_curves(curves)),
        section("Calibration", _calibration_text(metrics) + charts.draw_calibration(metrics.calibration)),
        section("Speakers", _speaker_table(metrics)),
        *left_out_section(result.left_out),
    ]
    write_page(path, f"wordspot: {Path(result.model).name}", parts)


def _confused(labels: Sequence[str], clips: ClipsSeen) -> list[ConfusedClip]:
    return [
        ConfusedClip(
            clips.names[at],
            labels[clips.truth[at]],
            labels[clips.posteriors[at].argmax()],
            float(clips.posteriors[at].max()),
            clips.audio(at),
        )
        for at in most_confused(clips.truth, clips.posteriors)
    ]


def _summary(result: WordsResult) -> str:
    metrics = result.metrics
    facts = (
        ("accuracy", percent(metrics.accuracy, unit=" %")),
        ("95 % interval", interval(*metrics.interval, unit=" %")),
        ("accuracy on keywords", percent(metrics.correct_keywords.rate, unit=" %")),
        ("clips", f"{metrics.n:,}"),
        ("speakers", f"{metrics.speakers.n_speakers:,}"),
    )
    caution = (
        "The interval assumes independent clips. Clips of one speaker are not independent, so with few speakers it is too narrow."
    )
    return f"{source_line(result)}{fact_boxes(facts)}<p><small>{caution}</small></p>"


def _label_table(metrics: ClipMetrics) -> str:
    rows = [
        (
            label,
            row.n,
            percent(row.precision, unit=" %"),
            percent(row.recall.rate, unit=" %"),
            interval(*row.recall.interval, unit=" %"),
            percent(row.equal_error_rate, unit=" %"),
        )
        for label, row in metrics.per_label.items()
    ]
    return table(("label", "clips", "precision", "recall", "95 % interval of recall", "equal error rate"), rows)


def _speaker_table(metrics: ClipMetrics) -> str:
    speakers = metrics.speakers
    if not speakers.n_speakers:
        return "<p>The speakers of these clips are not known.</p>"
    low, middle, high = (percent(value, unit=" %") for value in speakers.quartiles)
    text = (
        f"<p>Accuracy of {speakers.n_speakers} speakers, each counting once: mean {percent(speakers.mean, unit=' %')}, "
        f"quartiles {low}, {middle} and {high}. The lowest:</p>"
    )
    rows = [(name, count, percent(accuracy, unit=" %")) for name, accuracy, count in speakers.worst]
    return text + table(("speaker", "clips", "accuracy"), rows)


def _calibration_text(metrics: ClipMetrics) -> str:
    error = percent(metrics.calibration.error, unit=" %")
    return (
        f"<p>The top posterior differs from the accuracy by {error} on average (expected calibration error). A calibrated "
        "network lies on the dashed line.</p>"
    )


def _clip_list(confused: Sequence[ConfusedClip], sample_rate: int) -> str:
    if not confused:
        return "<p>None: every clip was recognised.</p>"
    items = "".join(
        f"<li><div><b>{html.escape(clip.truth)}</b> predicted as <b>{html.escape(clip.predicted)}</b> "
        f"(posterior {percent(clip.posterior, unit=' %')})</div><code>{html.escape(clip.name)}</code>"
        f'<audio controls preload="none" src="{data_url(clip.audio, sample_rate)}"></audio></li>'
        for clip in confused
    )
    return f'<ul class="clips">{items}</ul>'
