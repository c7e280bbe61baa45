"""One HTML page about a test on whole recordings: figures, every score, and the most telling recordings to listen to."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import to_float32
from wordspot.evaluation.scores import Resampling
from wordspot.metrics import Floats, Ints
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, percent, section, table, write_page
from wordspot.reports.recording_charts import ScoreRow, TimeCurve, draw_det, draw_scores, draw_time_curve

N_WORST, N_TYPICAL = 12, 8
PLAYED_S = 8.0
_MOST_ROWS = 20
_STYLE = """<style>
.curve { width: 100%; margin: .4rem 0 0; }
.curve .marked { fill: #8883; } .curve .line { fill: none; stroke: #1f5fa8; stroke-width: 2; stroke-linecap: round; }
.curve .limit { fill: none; stroke: #777; stroke-dasharray: 4 3; }
</style>"""


@dataclass(frozen=True)
class Shown:
    """A recording of the set, as the page needs it.

    audio: int16 [samples]; generator, speaker: "" where not known.
    """

    name: str
    speaker: str
    generator: str
    audio: NDArray[np.int16]


def write_recording_report(
    path: Path,
    measures: dict[str, Any],
    truth: Ints,
    posteriors: Floats,
    recordings: Sequence[Shown],
    over_time: Callable[[NDArray[np.int16], int], TimeCurve],
    sample_rate: int,
) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        measures: what `recording_measures.measure_recordings` gives, with ``model``, ``step``, ``data``, ``split``,
            ``left_out``.
        truth: int64 [n]; posteriors: float64 [n, labels].
        recordings: what was judged, in this order.
        over_time: from a recording's samples and a label's position to that label's posterior over time.
        sample_rate: of the recordings, Hz.
    """
    labels = measures["labels"]
    worst = most_wrong(truth, posteriors)
    rest = [at for at in most_typical(truth, posteriors, recordings) if at not in worst]

    def players(positions: Sequence[int]) -> str:
        items = (
            _player(recordings[at], labels, int(truth[at]), posteriors[at], measures, over_time, sample_rate)
            for at in positions
        )
        return f'<ul class="clips">{"".join(items)}</ul>'

    parts = [_STYLE, _summary(measures), section("Every recording", _scores(measures, truth, posteriors, recordings))]
    if measures.get("eer") is not None:
        n_targets = measures["per_label"][labels[0]]["n"]
        det = draw_det(
            measures["det"], measures["miss_rate"], measures["false_alarm_rate"], n_targets, measures["n"] - n_targets
        )
        parts.append(section("Misses against false alarms", _curve_text(measures) + det + _threshold_table(measures)))
    parts.append(section("Per generator", _generator_table(measures)))
    if len(labels) > 2:
        parts.append(section("Per label", _label_table(measures)))
        parts.append(section("Confusion", charts.draw_confusion(labels, measures["confusion"])))
    parts += [
        section("Per speaker", _speaker_table(measures)),
        section("Worst recordings", _listen_text(measures) + players(worst)),
    ]
    if rest:
        parts.append(section("Typical recordings", f"<p>Of each generator, one of middling score.</p>{players(rest)}"))
    if measures.get("left_out"):
        items = "".join(f"<li>{html.escape(problem)}</li>" for problem in measures["left_out"])
        parts.append(section("Recordings left out", f"<ul>{items}</ul>"))
    write_page(path, f"wordspot: {Path(measures['model']).name}", parts)


def most_wrong(truth: Ints, posteriors: Floats, n: int = N_WORST) -> list[int]:
    """Positions of the recordings whose own label has the lowest posterior, the lowest first."""
    own = posteriors[np.arange(len(truth)), truth]
    return np.argsort(own, kind="stable")[:n].tolist()


def most_typical(truth: Ints, posteriors: Floats, recordings: Sequence[Shown], n: int = N_TYPICAL) -> list[int]:
    """Of each label's generators, the recording of middling posterior."""
    chosen = []
    for members in _by_generator(truth, recordings).values():
        own = posteriors[members, truth[members]]
        chosen.append(members[int(np.argsort(own, kind="stable")[len(members) // 2])])
    return chosen[:n]


def _by_generator(truth: Ints, recordings: Sequence[Shown]) -> dict[tuple[int, str], list[int]]:
    """Positions by (label, generator), sorted."""
    members: dict[tuple[int, str], list[int]] = {}
    for at, (label, one) in enumerate(zip(truth.tolist(), recordings, strict=True)):
        members.setdefault((label, one.generator), []).append(at)
    return dict(sorted(members.items()))


def _summary(measures: dict[str, Any]) -> str:
    facts = []
    if measures.get("eer") is not None:
        facts += [
            ("equal error rate (EER)", percent(measures["eer"])),
            ("95 % interval of that", _span(measures, "eer")),
            ("area under the ROC", f"{measures['auc']:.3f}"),
        ]
    facts += [
        ("accuracy", percent(measures["accuracy"])),
        ("95 % interval of that", _span(measures, "accuracy")),
        ("recordings", f"{measures['n']:,}"),
        ("speakers", f"{len(measures['per_speaker']):,}" if measures["per_speaker"] else "–"),
    ]
    checkpoint = "" if measures["step"] is None else f", checkpoint of step {measures['step']}"
    source = (
        f"Model <code>{html.escape(measures['model'])}</code>{checkpoint}, on the "
        f"{measures['split']} set of <code>{html.escape(measures['data'])}</code>."
    )
    return f"<p>{source}</p>{fact_boxes(facts)}<p><small>{html.escape(_caution(measures))}</small></p>"


def _caution(measures: dict[str, Any]) -> str:
    interval = measures.get("interval")
    text = "The interval of accuracy takes recordings for independent; those of one speaker are not."
    if interval:
        text += f" That of the EER is {Resampling(**interval).describe()}"
        few = interval["over"] == "recordings" and interval["n_speakers"]
        text += ", since a class has too few speakers: it tells nothing of other speakers." if few else "."
    return f"{text} No interval tells of generators that are not in this set."


def _scores(measures: dict[str, Any], truth: Ints, posteriors: Floats, recordings: Sequence[Shown]) -> str:
    labels, is_binary = measures["labels"], len(measures["labels"]) == 2
    rows = []
    for (label, generator), members in _by_generator(truth, recordings).items():
        name = f"{labels[label]}: {generator}" if generator else labels[label]
        rows.append(ScoreRow(f"{name} ({len(members)})", posteriors[members, 0 if is_binary else label], label))
    if is_binary:
        text = (
            f"Each dot is a recording, at its posterior of “{labels[0]}”; to the right of the dashed line "
            f"(threshold {measures['threshold']:.4g}) it is taken for that. The black marks are medians."
        )
        chart = draw_scores(rows, measures["threshold"], f"posterior of {labels[0]}")
    else:
        text = "Each dot is a recording, at its posterior of its own label. The black marks are medians."
        chart = draw_scores(rows, None, "posterior of its own label")
    return f"<p>{html.escape(text)}</p>{chart}"


def _curve_text(measures: dict[str, Any]) -> str:
    target = html.escape(measures["labels"][0])
    return (
        f"<p>A miss is a recording of “{target}” not taken for one, a false alarm another one taken for it. The dot is the "
        f"threshold {measures['threshold']:.4g}: {percent(measures['miss_rate'])} missed ({_span(measures, 'miss_rate')}), "
        f"{percent(measures['false_alarm_rate'])} false alarms ({_span(measures, 'false_alarm_rate')}). The dashed line is "
        "where both are equal.</p>"
    )


def _threshold_table(measures: dict[str, Any]) -> str:
    rows = [
        (percent(row["at_most"]), f"{row['threshold']:.4g}", percent(row["false_alarm_rate"]), percent(row["miss_rate"]))
        for row in measures["thresholds"]
    ]  # fmt: skip
    note = (
        "<p>Thresholds chosen on these very recordings, which flatters them; <code>wordspot tune</code> chooses one on the "
        "validation set.</p>"
    )
    return note + table(("false alarms, at most", "threshold", "false alarms", "misses"), rows)


def _generator_table(measures: dict[str, Any]) -> str:
    if not measures["per_generator"]:
        return "<p>The list names no generators.</p>"
    rows = [
        (row["generator"], row["label"], row["n"], percent(row["accuracy"]), _span(row, "accuracy"), percent(row["eer"]),
         _span(row, "eer"), "–" if row["auc"] is None else f"{row['auc']:.3f}")
        for row in measures["per_generator"]
    ]  # fmt: skip
    columns = ("generator", "label", "recordings", "right", "95 % interval", "EER", "95 % interval", "AUC")
    return "<p>EER and AUC are against all recordings of other labels.</p>" + table(columns, rows)


def _label_table(measures: dict[str, Any]) -> str:
    rows = [
        (label, row["n"], percent(row["recall"]), _span(row, "recall"), percent(row["eer"]), _span(row, "eer"))
        for label, row in measures["per_label"].items()
    ]
    columns = ("label", "recordings", "right", "95 % interval", "EER against the rest", "95 % interval")
    return table(columns, rows)


def _speaker_table(measures: dict[str, Any]) -> str:
    speakers = measures["per_speaker"]
    if not speakers:
        return "<p>The list names no speakers.</p>"
    rows = [(row["speaker"], row["n"], percent(row["accuracy"])) for row in speakers[:_MOST_ROWS]]
    more = f"<p>The {_MOST_ROWS} lowest of {len(speakers)}.</p>" if len(speakers) > _MOST_ROWS else ""
    return more + table(("speaker", "recordings", "right"), rows)


def _listen_text(measures: dict[str, Any]) -> str:
    labels = measures["labels"]
    what = f"of “{html.escape(labels[0])}”" if len(labels) == 2 else "of the recording's own label"
    return (
        f"<p>Those that score lowest for what they are. The line is the posterior {what} over time, from 0 (bottom) to 1 (top), "
        f"with gaps where there is no sound; a recording judged as one window has no line. Of a longer recording the "
        f"{PLAYED_S:g} seconds around its worst moment can be played, marked grey.</p>"
    )


def _player(
    one: Shown,
    labels: Sequence[str],
    truth: int,
    posteriors: Floats,
    measures: dict[str, Any],
    over_time: Callable[[NDArray[np.int16], int], TimeCurve],
    sample_rate: int,
) -> str:
    """A recording with what it was taken for, its score over time, and `PLAYED_S` seconds of it around its worst moment."""
    threshold = measures.get("threshold")
    answer = int(posteriors.argmax()) if threshold is None else int(posteriors[0] < threshold)
    column = truth if threshold is None else 0
    curve, seconds = over_time(one.audio, column), len(one.audio) / sample_rate
    begin_s = _worst_s(curve, is_low_bad=column == truth) - PLAYED_S / 2
    begin_s = max(min(begin_s, seconds - PLAYED_S), 0.0)
    played = one.audio[round(begin_s * sample_rate) :][: round(PLAYED_S * sample_rate)]
    stop_s = begin_s + len(played) / sample_rate
    name = f"posterior of {labels[column]} over {seconds:.1f} s"
    is_whole = len(played) == len(one.audio)
    marked = None if is_whole else (begin_s, stop_s)
    drawn = draw_time_curve(curve, seconds, threshold, marked, name) if len(curve.times_s) > 1 else ""
    whose = ", ".join(text for text in (one.speaker, one.generator) if text)
    span = f"{seconds:.1f} s" if is_whole else f"{begin_s:.1f} to {stop_s:.1f} of {seconds:.1f} s"
    verb = "taken for" if answer != truth else "rightly taken for"
    return (
        f"<li><div><b>{html.escape(labels[truth])}</b> {verb} <b>{html.escape(labels[answer])}</b> "
        f"({percent(float(posteriors[answer]))})</div>"
        f"<code>{html.escape(one.name)}</code><small>{html.escape(whose)}{', ' if whose else ''}{span}</small>{drawn}"
        f'<audio controls preload="none" src="{data_url(to_float32(played), sample_rate)}"></audio></li>'
    )


def _worst_s(curve: TimeCurve, *, is_low_bad: bool) -> float:
    """Where the window stands that speaks most against what the recording is."""
    against = curve.posteriors if is_low_bad else 1 - curve.posteriors
    if curve.has_sound.any():
        against = np.where(curve.has_sound, against, np.inf)
    return float(curve.times_s[int(against.argmin())])


def _span(measures: dict[str, Any], name: str) -> str:
    low, high = measures[f"{name}_low"], measures[f"{name}_high"]
    return "–" if low is None else f"{100 * low:.1f} to {100 * high:.1f} %"
