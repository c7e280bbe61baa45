"""The reports on a test with streams, with scores over time and playable events, and on a trigger's scenes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench, BenchMetrics
from wordspot.evaluation.false_accepts import DetectionMetrics, WordMetrics
from wordspot.evaluation.matching import KINDS
from wordspot.evaluation.results import TriggerResult
from wordspot.evaluation.streams import StreamResult
from wordspot.formats import clock, finite, interval, percent, rate, whole
from wordspot.overrides import decoder_to_json
from wordspot.reports import charts
from wordspot.reports.page import data_url, fact_boxes, left_out_section, section, source_line, table, write_page
from wordspot.reports.stream_events import MAX_PLAYED, Event, cut_pieces, list_events, most_telling, smooth
from wordspot.reports.timeline import SCRIPT, STRIP_MS, STYLE, Mark, draw_strip, words_with_scores

MAX_STRIPS = 15
_AROUND_MS = 500.0


def write_stream_report(path: Path, result: StreamResult, before: Sequence[str] = ()) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        result: of `test_stream`; its sound files are read again for the events that can be played.
        before: more parts (HTML) on top of the page.
    """
    bench, metrics = result.bench, result.metrics
    events = list_events(bench, metrics.matchings)
    played = most_telling(events)
    anchors = {event: f"event-{position}" for position, event in enumerate(played)}
    streams = [stream.path for stream in result.streams]
    files = ", ".join(f"<code>{html.escape(str(stream))}</code>" for stream in streams)
    parts = [
        STYLE,
        *before,
        f"<p>Model <code>{html.escape(result.model)}</code> on {files}.</p>",
        _facts(metrics.detections),
        section("Per word", _word_table(metrics.detections)),
        section("Scores over time", _strips(bench, metrics.decoder, events, anchors, streams)),
        section("Listen", _players(played, anchors, streams, bench.clip_ms)),
        *_metric_sections(metrics),
        SCRIPT,
    ]
    names = ", ".join(stream.name for stream in streams)
    write_page(path, f"wordspot: {Path(result.model).name} on {names}", parts)


def write_trigger_report(path: Path, result: TriggerResult) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        result: of `evaluate`. Its scenes were made in memory, so there is nothing to play.
    """
    metrics = result.metrics
    steps = (
        f"<p>Accuracy of single steps: {percent(metrics.accuracy, digits=2, unit=' %')}; predicting zeros only would give "
        f"{percent(metrics.accuracy_of_zeros, digits=2, unit=' %')}.</p>"
    )
    parts = [
        source_line(result),
        _facts(metrics.bench.detections),
        section("Per word", _word_table(metrics.bench.detections) + steps),
        *_metric_sections(metrics.bench),
        *left_out_section(result.left_out),
    ]
    write_page(path, f"wordspot: {Path(result.model).name}", parts)


def _metric_sections(metrics: BenchMetrics) -> list[str]:
    latencies = [value for one in metrics.matchings for hit in one.hits if (value := hit.latency_ms) is not None]
    return [
        section("False accepts by what was spoken", _kind_table(metrics.detections.all_words)),
        section("Misses against false accepts", _curves(metrics)),
        *([section("Latency", charts.draw_latencies(latencies))] if latencies else []),
        section("The classic streaming test", _classic_table(metrics)),
        section("Decoder", _settings_table(metrics.decoder)),
    ]


def _facts(detections: DetectionMetrics) -> str:
    words = detections.all_words
    facts = (
        ("miss rate", percent(words.miss_rate, unit=" %")),
        ("false accepts per hour", rate(words.false_accepts_per_hour)),
        ("95 % interval of that", _rate_interval(words)),
        ("hours tested", f"{detections.hours:.3g}"),
        ("median latency", whole(words.latency.median_ms, " ms")),
    )
    return fact_boxes(facts)


def _word_table(detections: DetectionMetrics) -> str:
    columns = (
        "word", "spoken", "missed", "miss rate", "95 % interval", "false accepts", "per hour", "95 % interval",
        "median latency, ms", "90 %",
    )  # fmt: skip
    rows = [
        (name, row.n_words, row.missed.count, percent(row.miss_rate, unit=" %"),
         interval(*row.missed.interval, unit=" %"), row.false_accepts.n, rate(row.false_accepts_per_hour),
         _rate_interval(row), whole(row.latency.median_ms), whole(row.latency.quantile_90_ms))
        for name, row in {**detections.per_word, "all": detections.all_words}.items()
    ]  # fmt: skip
    return table(columns, rows)


def _strips(
    bench: Bench, config: DecoderConfig, events: Sequence[Event], anchors: Mapping[Event, str], streams: Sequence[Path]
) -> str:
    """A strip for each minute with an event or a score; at most `MAX_STRIPS`, those with the most misses and false accepts."""
    columns = [bench.labels.index(word) for word in bench.words]
    smoothed = [smooth(stream, columns, config.average_ms) for stream in bench.streams]
    minutes = [
        (position, minute)
        for position, stream in enumerate(bench.streams)
        for minute in range(max(int(np.ceil(stream.duration_ms / STRIP_MS)), 1))
    ]
    errors = {_minute_of(event, bench): 0 for event in events}
    for event in events:
        errors[_minute_of(event, bench)] += event.kind != "hit"
    for position, minute in minutes:
        if words_with_scores(minute * STRIP_MS, bench.words, smoothed[position], bench.streams[position].end_ms):
            errors.setdefault((position, minute), 0)
    shown = sorted(sorted(sorted(errors), key=lambda one: -errors[one])[:MAX_STRIPS])
    text = (
        "<p>The smoothed posterior of each word, which is compared with the threshold (dashed); words with low posteriors are "
        "not shown. <b class='hit'>✓</b> hit, <b class='miss'>×</b> miss, <b class='false'>▲</b> false accept. Hover over a "
        "mark for details; click one with a ring to play it.</p>"
    )
    if len(shown) < len(minutes):
        chosen = "those with the most errors" if len(shown) < len(errors) else "in the others no word scores"
        text += f"<p>{len(shown)} of {len(minutes)} minutes are shown: {chosen}.</p>"
    thresholds = [config.threshold_of(word) for word in bench.words]
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
    """The strip that shows an event; one after the stream's end is in its last minute."""
    last = max(int(np.ceil(bench.streams[event.stream].duration_ms / STRIP_MS)), 1) - 1
    return event.stream, min(int(event.time_ms // STRIP_MS), last)


def _players(played: Sequence[Event], anchors: Mapping[Event, str], streams: Sequence[Path], clip_ms: float) -> str:
    if not played:
        return "<p>No words were spoken and none detected.</p>"
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
        f"<p>At most {most}: the false accepts with the highest score, the misses with the lowest, and the latest hits.</p>"
        f'<ul class="clips">{items}</ul>'
    )


def _kind_table(words: WordMetrics) -> str:
    names = {
        "repeat": "the word itself, once more",
        "keyword": "another word of the model",
        "other word": "a word it does not know",
        "no word": "no word",
    }
    text = table(("spoken there", "false accepts"), [(names[kind], words.by_kind[kind]) for kind in KINDS])
    if words.triggered_by:
        text += table(("spoken word", "false accepts"), list(words.triggered_by.items()))
    return text


def _curves(metrics: BenchMetrics) -> str:
    detections = metrics.detections
    chosen = {
        name: (row.false_accepts_per_hour, row.miss_rate)
        for name, row in {**detections.per_word, "all words": detections.all_words}.items()
        if row.miss_rate is not None and row.false_accepts_per_hour is not None
    }
    text = "<p>With one threshold for all words, from high to low; the same scores are decoded again.</p>"
    if detections.all_words.n_words:
        text += charts.draw_stream_curves(metrics.curves, chosen)
    rows = [(f"{row.at_most_per_hour:g}", f"{row.threshold:.5g}", percent(row.miss_rate, unit=" %")) for row in metrics.points]
    return text + table(("false accepts per hour, at most", "threshold", "miss rate"), rows)


def _classic_table(metrics: BenchMetrics) -> str:
    classic = metrics.classic
    rows = [(name.replace("_", " "), count, percent(classic.rates[name], unit=" %")) for name, count in classic.counts.items()]
    text = (
        f"<p>As TensorFlow's <code>test_streaming_accuracy</code> counts, for {classic.n_truth} words and with a tolerance of "
        f"{metrics.tolerance_ms:g} ms: other words must be detected as <code>_unknown_</code>, which the peak decoder does not "
        "emit, and a second detection counts as wrong.</p>"
    )
    return text + table(("", "words", "of all words"), rows)


def _settings_table(decoder: DecoderConfig) -> str:
    settings = decoder_to_json(decoder)
    rows = [(name, value) for name, value in settings.items() if name != "thresholds"]
    return table(("setting", "value"), rows + [(f"threshold of {word}", x) for word, x in decoder.thresholds.items()])


def _rate_interval(words: WordMetrics) -> str:
    low, high = words.false_accepts.interval
    return interval(finite(low), finite(high), rate)
