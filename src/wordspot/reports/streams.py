"""One HTML page about a test on streams: scores over time with every event marked, the most telling of them playable."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks
from wordspot.audio.samples import Samples
from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.curves import total_curve
from wordspot.evaluation.matching import KINDS, Matching
from wordspot.formats import clock
from wordspot.metrics import StreamCurve
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, percent, section, table, write_page
from wordspot.reports.timeline import SCRIPT, STRIP_MS, STYLE, Mark, draw_strip
from wordspot.runtime.moving_mean import MovingMean, in_units

MAX_STRIPS = 15
#: Most events of each kind that can be played.
MAX_PLAYED = {"false accept": 16, "miss": 16, "hit": 6}
_AROUND_MS = 500.0


@dataclass(frozen=True)
class Event:
    """Something that happened in a stream.

    kind: ``hit``, ``miss`` or ``false accept``; time_ms: where it is marked; weight: the larger, the more telling.
    """

    stream: int
    kind: str
    label: str
    time_ms: float
    text: str
    weight: float


def write_stream_report(
    path: Path,
    measures: Mapping[str, Any],
    bench: Bench,
    config: DecoderConfig,
    matchings: Sequence[Matching],
    curves: Mapping[str, StreamCurve],
    streams: Sequence[Path],
) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        measures: what `stream_sweep.measure` gives, with ``model`` and ``streams``.
        bench: the scored streams; config: the decoder's settings; matchings: what was hit and missed, per stream.
        curves: of each word.
        streams: the sound files, for the events that can be played.
    """
    events = list_events(bench, matchings)
    played = most_telling(events)
    anchors = {event: f"event-{position}" for position, event in enumerate(played)}
    latencies = [value for matching in matchings for hit in matching.hits if (value := hit.latency_ms) is not None]
    parts = [
        STYLE,
        _summary(measures),
        section("Per word", _word_table(measures)),
        section("Scores over time", _strips(bench, config, events, anchors, streams)),
        section("Listen", _players(played, anchors, streams, bench.clip_ms)),
        section("False accepts by what was spoken", _kind_table(measures)),
        section("Misses against false accepts", _curves(measures, curves)),
    ]
    if latencies:
        parts.append(section("Latency", charts.draw_latencies(latencies)))
    parts += [
        section("The classic figures", _classic_table(measures)),
        section("Decoder", _settings_table(measures["decoder"])),
        SCRIPT,
    ]
    names = ", ".join(stream.name for stream in streams)
    write_page(path, f"wordspot: {Path(measures['model']).name} on {names}", parts)


def list_events(bench: Bench, matchings: Sequence[Matching]) -> list[Event]:
    """All hits, misses and false accepts.

    The most telling false accepts are those the decoder was surest of, misses those it heard least of, hits those that came
    latest.
    """
    events = []
    for position, (stream, matching) in enumerate(zip(bench.streams, matchings, strict=True)):
        for hit in matching.hits:
            latency = hit.latency_ms
            late = "" if latency is None else f", {latency:.0f} ms after its end"
            text = f"hit: {hit.word.label}, score {hit.detection.score:.2f}{late}"
            weight = hit.detection.emitted_ms - hit.word.start_ms if latency is None else latency
            events.append(Event(position, "hit", hit.word.label, hit.detection.time_ms, text, weight))
        for word in matching.misses:
            end = word.start_ms + bench.clip_ms if word.end_ms is None else word.end_ms
            best = _best_score(stream, bench.labels.index(word.label), word.start_ms, end + bench.tolerance_ms)
            text = f"missed: {word.label}, its best posterior was {best:.2f}"
            events.append(Event(position, "miss", word.label, end, text, -best))
        for one in matching.false_accepts:
            heard = f" while {one.heard} was spoken" if one.heard else ""
            what = "second accept" if one.kind == "repeat" else "false accept"
            text = f"{what}: {one.detection.label}, score {one.detection.score:.2f}{heard}"
            event = Event(
                position, "false accept", one.detection.label, one.detection.time_ms, text, one.detection.score
            )
            events.append(event)
    return events


def most_telling(events: Sequence[Event]) -> list[Event]:
    """The events that can be played, at most `MAX_PLAYED` of each kind: false accepts, then misses, then hits."""
    chosen = []
    for kind, most in MAX_PLAYED.items():
        of_kind = sorted((event for event in events if event.kind == kind), key=lambda event: -event.weight)
        chosen += sorted(of_kind[:most], key=lambda event: (event.stream, event.time_ms))
    return chosen


def cut_pieces(path: Path, spans_ms: Sequence[tuple[float, float]]) -> tuple[list[Samples], int]:
    """The sound of each span of a file, which is read once, block by block, and its rate in Hz."""
    rate, blocks = read_blocks(path, thorough=False)
    spans = [(max(round(start * rate / 1000), 0), round(stop * rate / 1000)) for start, stop in spans_ms]
    pieces: list[list[Samples]] = [[] for _ in spans]
    begin = 0
    for block in blocks:
        for piece, (start, stop) in zip(pieces, spans, strict=True):
            if start < begin + len(block) and stop > begin:
                piece.append(block[max(start - begin, 0) : stop - begin])
        begin += len(block)
    return [np.concatenate(piece) if piece else np.zeros(0, np.float32) for piece in pieces], rate


def smooth(stream: ScoredStream, columns: Sequence[int], average_ms: float) -> NDArray[np.float32]:
    """The means over the last `average_ms` that a threshold is compared with: float32 [n, columns]."""
    if not len(stream.end_ms):
        return np.zeros((0, len(columns)), np.float32)
    means = MovingMean(len(columns), average_ms).extend(in_units(stream.scores[:, columns]), stream.end_ms)
    return means.rows.astype(np.float32)


def _best_score(stream: ScoredStream, column: int, first_ms: float, last_ms: float) -> float:
    rows = slice(*np.searchsorted(stream.end_ms, [first_ms, last_ms]))
    return float(stream.scores[rows, column].max(initial=0.0))


def _summary(measures: Mapping[str, Any]) -> str:
    low, high = _rate(measures["false_accepts_per_hour_low"]), _rate(measures["false_accepts_per_hour_high"])
    latency = measures["latency_ms"]["median"]
    facts = (
        ("of the words missed", percent(measures["miss_rate"])),
        ("false accepts per hour", _rate(measures["false_accepts_per_hour"])),
        ("95 % interval of that", f"{low} to {high}"),
        ("hours tested", f"{measures['hours']:.3g}"),
        ("median latency", "–" if latency is None else f"{latency:.0f} ms"),
    )
    files = ", ".join(f"<code>{html.escape(stream['path'])}</code>" for stream in measures["streams"])
    return f"<p>Model <code>{html.escape(measures['model'])}</code> on {files}.</p>{fact_boxes(facts)}"


def _word_table(measures: Mapping[str, Any]) -> str:
    columns = (
        "word", "spoken", "missed", "miss rate", "95 % interval", "false accepts", "per hour", "95 % interval",
        "median latency, ms", "90 %",
    )  # fmt: skip
    rows = [
        (name, row["n_words"], row["n_misses"], percent(row["miss_rate"]),
         f"{percent(row['miss_rate_low'])} to {percent(row['miss_rate_high'])}", row["n_false_accepts"],
         _rate(row["false_accepts_per_hour"]),
         f"{_rate(row['false_accepts_per_hour_low'])} to {_rate(row['false_accepts_per_hour_high'])}",
         _whole(row["latency_ms"]["median"]), _whole(row["latency_ms"]["quantile_90"]))
        for name, row in {**measures["per_word"], "all": measures}.items()
    ]  # fmt: skip
    return table(columns, rows)


def _strips(
    bench: Bench, config: DecoderConfig, events: Sequence[Event], anchors: Mapping[Event, str], streams: Sequence[Path]
) -> str:
    """A strip for each minute; of more than `MAX_STRIPS`, those with the most misses and false accepts."""
    minutes = [
        (position, minute)
        for position, stream in enumerate(bench.streams)
        for minute in range(max(int(np.ceil(stream.duration_ms / STRIP_MS)), 1))
    ]
    errors = dict.fromkeys(minutes, 0)
    for event in events:
        errors[_minute_of(event, bench)] += event.kind != "hit"
    shown = sorted(sorted(minutes, key=lambda one: -errors[one])[:MAX_STRIPS])
    text = (
        "<p>The mean that a threshold is compared with, for each word; words that stay quiet are left out. "
        "<b class='hit'>✓</b> hit, <b class='miss'>×</b> miss, <b class='false'>▲</b> false accept; the dashed line is the "
        "threshold. Point at a mark to read what it is; those with a ring can be clicked to hear it.</p>"
    )
    if len(shown) < len(minutes):
        text += f"<p>{len(shown)} of {len(minutes)} minutes are shown: those with the most errors.</p>"
    columns = [bench.labels.index(word) for word in bench.words]
    thresholds = [config.threshold_of(word) for word in bench.words]
    smoothed = {
        position: smooth(bench.streams[position], columns, config.average_ms)
        for position in {position for position, _ in shown}
    }
    for position, minute in shown:
        marks = [
            Mark(event.label, event.time_ms, event.kind, f"{clock(event.time_ms)} {event.text}", anchors.get(event, ""))
            for event in events
            if _minute_of(event, bench) == (position, minute)
        ]
        if minute == 0 or (position, minute - 1) not in shown:
            text += f"<p><code>{html.escape(streams[position].name)}</code> from {clock(minute * STRIP_MS)}</p>"
        end_ms = bench.streams[position].end_ms
        text += draw_strip(minute * STRIP_MS, bench.words, smoothed[position], end_ms, marks, thresholds)
    return text


def _minute_of(event: Event, bench: Bench) -> tuple[int, int]:
    """The strip that shows an event. A word may be missed after the stream's end: in its last minute."""
    last = max(int(np.ceil(bench.streams[event.stream].duration_ms / STRIP_MS)), 1) - 1
    return event.stream, min(int(event.time_ms // STRIP_MS), last)


def _players(played: Sequence[Event], anchors: Mapping[Event, str], streams: Sequence[Path], clip_ms: float) -> str:
    if not played:
        return "<p>Nothing was spoken and nothing was heard.</p>"
    sounds: dict[Event, str] = {}
    for position, path in enumerate(streams):
        here = [event for event in played if event.stream == position]
        if here:
            spans = [(event.time_ms - clip_ms - _AROUND_MS, event.time_ms + _AROUND_MS) for event in here]
            pieces, rate = cut_pieces(path, spans)
            sounds |= {event: data_url(piece, rate) for event, piece in zip(here, pieces, strict=True)}
    items = "".join(
        f'<li id="{anchors[event]}"><div>{html.escape(event.text)}</div>'
        f"<code>{html.escape(streams[event.stream].name)} {clock(event.time_ms)}</code>"
        f'<audio controls preload="none" src="{sounds[event]}"></audio></li>'
        for event in played
    )
    most = ", ".join(f"{number} {kind}{'es' if kind == 'miss' else 's'}" for kind, number in MAX_PLAYED.items())
    return (
        f"<p>At most {most}: the surest false accepts, the words of which least was heard, the latest hits.</p>"
        f'<ul class="clips">{items}</ul>'
    )


def _kind_table(measures: Mapping[str, Any]) -> str:
    names = {
        "repeat": "the word itself, once more", "keyword": "another word of the model", "other word": "a word it does not know",
        "no word": "no word",
    }  # fmt: skip
    counts = measures["false_accepts_by_kind"]
    text = table(("spoken there", "false accepts"), [(names[kind], counts[kind]) for kind in KINDS])
    if measures["triggered_by"]:
        text += table(("spoken word", "false accepts"), list(measures["triggered_by"].items()))
    return text


def _curves(measures: Mapping[str, Any], curves: Mapping[str, StreamCurve]) -> str:
    chosen = {
        name: (row["false_accepts_per_hour"], row["miss_rate"])
        for name, row in {**measures["per_word"], "all words": measures}.items()
        if row["miss_rate"] is not None and row["false_accepts_per_hour"] is not None
    }
    text = "<p>At one threshold for all words, from high to low; the scores are the same, only decoded again.</p>"
    if measures["n_words"]:
        text += charts.draw_stream_curves({"all words": total_curve(curves), **curves}, chosen)
    rows = [
        (f"{row['at_most_per_hour']:g}", f"{row['threshold']:.5g}", percent(row["miss_rate"]))
        for row in measures["operating_points"]
    ]
    return text + table(("false accepts per hour, at most", "threshold", "miss rate"), rows)


def _classic_table(measures: Mapping[str, Any]) -> str:
    classic, names = measures["classic"], ("matched", "correct", "wrong", "false_positive")
    rows = [(name.replace("_", " "), classic[f"n_{name}"], percent(classic[name])) for name in names]
    text = (
        f"<p>As TensorFlow's <code>test_streaming_accuracy</code> counts, of {classic['n_truth']} words and with a tolerance "
        f"of {measures['time_tolerance_ms']:g} ms: other words are to be found as <code>_unknown_</code>, which the peak "
        "decoder does not give, and a second detection is wrong.</p>"
    )
    return text + table(("", "words", "of the truth"), rows)


def _settings_table(decoder: Mapping[str, Any]) -> str:
    rows = [(name, value) for name, value in decoder.items() if name != "thresholds"]
    return table(
        ("setting", "value"), rows + [(f"threshold of {word}", x) for word, x in decoder["thresholds"].items()]
    )


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
