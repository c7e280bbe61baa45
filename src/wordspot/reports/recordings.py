"""The report on an evaluation of recordings: metrics, every score, and playable examples of the worst and median ones."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.samples import to_float32
from wordspot.evaluation.judging import PosteriorTrack
from wordspot.evaluation.recordings import BinaryMetrics, RecordingsMetrics
from wordspot.evaluation.results import RecordingsResult
from wordspot.formats import interval, percent
from wordspot.intervals import Estimate, Proportion
from wordspot.metrics import Floats, Ints
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, left_out_section, section, source_line, table, write_page
from wordspot.reports.recording_charts import ScoreRow, draw_det, draw_scores, draw_time_curve

N_WORST, N_TYPICAL = 12, 8
PLAYED_S = 8.0
_MOST_ROWS = 20
_STYLE = """<style>
.curve { width: 100%; margin: .4rem 0 0; }
.curve .marked { fill: #8883; } .curve .line { fill: none; stroke: #1f5fa8; stroke-width: 2; stroke-linecap: round; }
.curve .limit { fill: none; stroke: #777; stroke-dasharray: 4 3; }
</style>"""


def write_recording_report(path: Path, result: RecordingsResult) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        result: of `evaluate`.
    """
    metrics = result.metrics
    parts = [_STYLE, _summary(result), section("Every recording", _scores(result))]
    if metrics.binary is not None and metrics.binary.scores.eer.value is not None:
        parts.append(section("Misses against false alarms", _det_section(metrics.labels[0], metrics.binary)))
    parts.append(section("Per generator", _generator_table(metrics)))
    if len(metrics.labels) > 2:
        parts.append(section("Per label", _label_table(metrics)))
        parts.append(section("Confusion", charts.draw_confusion(metrics.labels, metrics.confusion)))
    parts += [section("Per speaker", _speaker_table(metrics)), *_listen_sections(result)]
    parts += left_out_section(result.left_out)
    write_page(path, f"wordspot: {Path(result.model).name}", parts)


def most_wrong(truth: Ints, posteriors: Floats, n: int = N_WORST) -> list[int]:
    """Positions of the recordings whose own label has the lowest posterior, the lowest first."""
    own = posteriors[np.arange(len(truth)), truth]
    result: list[int] = np.argsort(own, kind="stable")[:n].tolist()
    return result


def most_typical(truth: Ints, posteriors: Floats, generators: Sequence[str | None], n: int = N_TYPICAL) -> list[int]:
    """Positions of the recordings with the median posterior of each label's generators."""
    chosen = []
    for members in _by_generator(truth, generators).values():
        own = posteriors[members, truth[members]]
        chosen.append(members[int(np.argsort(own, kind="stable")[len(members) // 2])])
    return chosen[:n]


def _by_generator(truth: Ints, generators: Sequence[str | None]) -> dict[tuple[int, str], list[int]]:
    """Positions by (label, generator), sorted; the generator of a recording without one is empty."""
    members: dict[tuple[int, str], list[int]] = {}
    for at, (label, generator) in enumerate(zip(truth.tolist(), generators, strict=True)):
        members.setdefault((label, generator or ""), []).append(at)
    return dict(sorted(members.items()))


def _summary(result: RecordingsResult) -> str:
    metrics, facts = result.metrics, []
    if metrics.binary is not None and metrics.eer is not None:
        scores = metrics.binary.scores
        facts += [
            ("equal error rate (EER)", percent(scores.eer.value, unit=" %")),
            ("95 % interval of that", _span(scores.eer)),
            ("area under the ROC", _three(scores.auc.value)),
        ]
    facts += [
        ("accuracy", percent(metrics.accuracy, unit=" %")),
        ("95 % interval of that", interval(*metrics.interval, unit=" %")),
        ("recordings", f"{metrics.n:,}"),
        ("speakers", f"{len(metrics.per_speaker):,}" if metrics.per_speaker else "–"),
    ]
    return f"{source_line(result)}{fact_boxes(facts)}<p><small>{html.escape(_caution(metrics))}</small></p>"


def _caution(metrics: RecordingsMetrics) -> str:
    text = "The interval of the accuracy assumes independent recordings; those of one speaker are not."
    resampling = None if metrics.binary is None else metrics.binary.scores.resampling
    if resampling is not None:
        text += f" That of the EER is {resampling.describe()}"
        few = ", since a class has too few speakers: it says nothing about other speakers."
        text += few if resampling.says_nothing_of_other_speakers else "."
    return f"{text} No interval says anything about generators that are not in this set."


def _scores(result: RecordingsResult) -> str:
    metrics, labels = result.metrics, result.metrics.labels
    binary, posteriors, rows = metrics.binary, result.posteriors, []
    for (label, generator), members in _by_generator(result.recordings.truth, _generators(result)).items():
        name = f"{labels[label]}: {generator}" if generator else labels[label]
        rows.append(ScoreRow(f"{name} ({len(members)})", posteriors[members, label if binary is None else 0], label))
    if binary is None:
        text = "Each dot is a recording, at the posterior of its own label. The black marks are medians."
        chart = draw_scores(rows, None, "posterior of its own label")
    else:
        text = (
            f"Each dot is a recording, at its posterior of “{labels[0]}”; to the right of the dashed line (threshold "
            f"{binary.threshold:.4g}) it is predicted as that. The black marks are medians."
        )
        chart = draw_scores(rows, binary.threshold, f"posterior of {labels[0]}")
    return f"<p>{html.escape(text)}</p>{chart}"


def _det_section(target: str, binary: BinaryMetrics) -> str:
    missed, alarms = binary.missed, binary.false_alarms
    text = (
        f"<p>A miss is a recording of “{html.escape(target)}” that is not predicted as such, a false alarm another recording "
        f"that is. The dot is the threshold {binary.threshold:.4g}: {percent(missed.rate, unit=' %')} missed "
        f"({_range(missed)}), {percent(alarms.rate, unit=' %')} false alarms ({_range(alarms)}). On the dashed line both are "
        "equal.</p>"
    )
    return text + draw_det(binary) + _threshold_table(binary)


def _threshold_table(binary: BinaryMetrics) -> str:
    rows = [
        (
            percent(row.at_most, unit=" %"),
            f"{row.threshold:.4g}",
            percent(row.false_alarm_rate, unit=" %"),
            percent(row.miss_rate, unit=" %"),
        )
        for row in binary.thresholds
    ]
    note = (
        "<p>These thresholds are chosen on the same recordings, so their rates are too optimistic; <code>wordspot tune</code> "
        "chooses one on the validation set.</p>"
    )
    return note + table(("false alarms, at most", "threshold", "false alarms", "misses"), rows)


def _generator_table(metrics: RecordingsMetrics) -> str:
    if not metrics.per_generator:
        return "<p>The list has no generators.</p>"
    rows = [
        (row.generator, row.label, row.correct.n, percent(row.correct.rate, unit=" %"), _range(row.correct),
         percent(row.scores.eer.value, unit=" %"), _span(row.scores.eer), _three(row.scores.auc.value))
        for row in metrics.per_generator
    ]  # fmt: skip
    columns = ("generator", "label", "recordings", "accuracy", "95 % interval", "EER", "95 % interval", "AUC")
    return "<p>EER and AUC are against all recordings of other labels.</p>" + table(columns, rows)


def _label_table(metrics: RecordingsMetrics) -> str:
    rows = [
        (
            label,
            row.recall.n,
            percent(row.recall.rate, unit=" %"),
            _range(row.recall),
            percent(row.scores.eer.value, unit=" %"),
            _span(row.scores.eer),
        )
        for label, row in metrics.per_label.items()
        if row.scores is not None
    ]
    columns = ("label", "recordings", "recall", "95 % interval", "EER against the rest", "95 % interval")
    return table(columns, rows)


def _speaker_table(metrics: RecordingsMetrics) -> str:
    speakers = metrics.per_speaker
    if not speakers:
        return "<p>The list has no speakers.</p>"
    rows = [(row.speaker, row.n, percent(row.accuracy, unit=" %")) for row in speakers[:_MOST_ROWS]]
    more = f"<p>The {_MOST_ROWS} lowest of {len(speakers)}.</p>" if len(speakers) > _MOST_ROWS else ""
    return more + table(("speaker", "recordings", "accuracy"), rows)


def _listen_sections(result: RecordingsResult) -> list[str]:
    truth, labels = result.recordings.truth, result.metrics.labels
    worst = most_wrong(truth, result.posteriors)
    rest = [at for at in most_typical(truth, result.posteriors, _generators(result)) if at not in worst]
    what = f"of “{html.escape(labels[0])}”" if len(labels) == 2 else "of the recording's own label"
    text = (
        f"<p>The recordings with the lowest posterior of their own label. The line is the posterior {what} over time, from 0 "
        "(bottom) to 1 (top), with gaps during silence; a recording evaluated as one window has no line. Of a longer recording "
        f"the {PLAYED_S:g} seconds around its worst moment can be played; they are marked grey.</p>"
    )
    sections = [section("Worst recordings", text + _players(result, worst))]
    if rest:
        text = "<p>The recording with the median posterior of each generator.</p>"
        sections.append(section("Typical recordings", text + _players(result, rest)))
    return sections


def _players(result: RecordingsResult, positions: Sequence[int]) -> str:
    return f'<ul class="clips">{"".join(_player(result, at) for at in positions)}</ul>'


def _player(result: RecordingsResult, at: int) -> str:
    """A recording with its prediction, its posterior over time, and `PLAYED_S` seconds of it around its worst moment."""
    labels, binary = result.metrics.labels, result.metrics.binary
    row, audio = result.recordings.rows[at], result.recordings.audio[at]
    truth, posteriors = int(result.recordings.truth[at]), result.posteriors[at]
    rate = result.judge.config.features.sample_rate
    predicted = int(posteriors.argmax()) if binary is None else int(posteriors[0] < binary.threshold)
    column = truth if binary is None else 0
    (track,) = result.judge.over_time([audio])
    seconds = len(audio) / rate
    begin_s = _worst_s(track, column, is_low_bad=column == truth) - PLAYED_S / 2
    begin_s = max(min(begin_s, seconds - PLAYED_S), 0.0)
    played = audio[round(begin_s * rate) :][: round(PLAYED_S * rate)]
    marked = None if len(played) == len(audio) else (begin_s, begin_s + len(played) / rate)
    drawn = ""
    if len(track.time_ms) > 1:
        name = f"posterior of {labels[column]} over {seconds:.1f} s"
        drawn = draw_time_curve(track, column, seconds, None if binary is None else binary.threshold, marked, name)
    span = f"{seconds:.1f} s" if marked is None else f"{marked[0]:.1f} to {marked[1]:.1f} of {seconds:.1f} s"
    details = ", ".join(text for text in (row.speaker, row.generator, span) if text)
    verb = "predicted as" if predicted != truth else "correctly predicted as"
    return (
        f"<li><div><b>{html.escape(labels[truth])}</b> {verb} <b>{html.escape(labels[predicted])}</b> "
        f"({percent(float(posteriors[predicted]), unit=' %')})</div>"
        f"<code>{html.escape(row.path)}</code><small>{html.escape(details)}</small>{drawn}"
        f'<audio controls preload="none" src="{data_url(to_float32(played), rate)}"></audio></li>'
    )


def _worst_s(track: PosteriorTrack, column: int, *, is_low_bad: bool) -> float:
    """The middle of the window with the lowest posterior of the recording's label, in seconds."""
    posteriors = track.posteriors[:, column]
    against = posteriors if is_low_bad else 1 - posteriors
    if track.has_sound.any():
        against = np.where(track.has_sound, against, np.inf)
    return float(track.time_ms[int(against.argmin())]) / 1000


def _generators(result: RecordingsResult) -> list[str | None]:
    return [row.generator for row in result.recordings.rows]


def _range(proportion: Proportion) -> str:
    return interval(*proportion.interval, unit=" %")


def _span(estimate: Estimate) -> str:
    return interval(estimate.low, estimate.high, unit=" %")


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
