"""Results as text for a terminal: tables and lines, ending with the main metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wordspot.evaluation.bench import BenchMetrics
from wordspot.evaluation.compare import Comparison, Operation
from wordspot.evaluation.false_accepts import DetectionMetrics, WordMetrics
from wordspot.evaluation.recordings import RecordingsMetrics
from wordspot.evaluation.recordings_tuning import RecordingsTuning
from wordspot.evaluation.results import RecordingsResult, TriggerResult, WordsResult
from wordspot.evaluation.scores import ScoreMetrics
from wordspot.evaluation.streaming_accuracy import ClassicCounts
from wordspot.evaluation.streams import StreamResult
from wordspot.evaluation.tuning import StreamTuning
from wordspot.formats import MISSING, finite, interval, percent, rate, some, whole
from wordspot.intervals import Proportion
from wordspot.limits import Limits

_MOST_SPEAKERS = 10
_MOST_TRIGGERS = 10
_MOST_TAKES = 20


@dataclass(frozen=True)
class Table:
    """A table of text and numbers, without markup."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


Text = list[Table | str]


def describe(result: Any) -> Text:
    """Tables and lines about the result of an evaluation, a test or a comparison; the last line is the most important one.

    Raises:
        TypeError: another type.
    """
    for kind, describe_it in _DESCRIPTIONS.items():
        if isinstance(result, kind):
            return describe_it(result)
    raise TypeError(f"an object of type {type(result).__name__} is no result")


def describe_words(result: WordsResult) -> Text:
    """The confusion matrix, metrics of each label, speakers and accuracy."""
    metrics = result.metrics
    rows = [
        (label, row.n, percent(row.precision), percent(row.recall.rate), percent(row.equal_error_rate))
        for label, row in metrics.per_label.items()
    ]
    text: Text = [
        confusion_table(metrics.labels, metrics.confusion.tolist()),
        Table("Per label, in percent", ("", "clips", "precision", "recall", "equal error rate"), rows),
    ]
    speakers = metrics.speakers
    if speakers.n_speakers > 1:
        low, middle, _ = (percent(value) for value in speakers.quartiles)
        text.append(
            f"{speakers.n_speakers} speakers: accuracy is at most {low} % for a quarter of them, at most {middle} % for half, "
            f"lowest {percent(speakers.lowest)} %"
        )
    text.append(f"calibration error {percent(finite(metrics.calibration.error))} %")
    text.append(
        f"Accuracy on {result.split}: {percent(metrics.accuracy)} % (N={metrics.n}, 95 % interval "
        f"{interval(*metrics.interval)}); on keywords alone {percent(metrics.correct_keywords.rate)} %"
    )
    return text


def confusion_table(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> Table:
    """The confusion matrix, a row for each true label."""
    rows = [(label, *row) for label, row in zip(labels, confusion, strict=True)]
    return Table("Confusion (rows: true label, columns: predicted label)", ("", *labels), rows)


def describe_trigger(result: TriggerResult) -> Text:
    """The metrics of a test on streams, and the accuracy of single steps."""
    metrics = result.metrics
    return [
        *_describe_bench(metrics.bench),
        f"accuracy of single steps: {percent(metrics.accuracy, digits=2)} %; predicting zeros only would give "
        f"{percent(metrics.accuracy_of_zeros, digits=2)} %",
    ]


def describe_stream(result: StreamResult) -> Text:
    """Metrics of each word, operating points, the classic test, misses and false accepts per hour."""
    return _describe_bench(result.metrics)


def _describe_bench(metrics: BenchMetrics) -> Text:
    detections = metrics.detections
    total = detections.all_words
    columns: Sequence[str] = (
        "",
        "spoken",
        "missed",
        "miss %",
        "false accepts",
        "per hour (95 %)",
        "latency ms",
        "90 %",
    )
    rows: list[Sequence[Any]] = [_word_row(name, row) for name, row in {**detections.per_word, "all": total}.items()]
    text: Text = [Table(f"Words in {detections.hours:.3g} hours, decoder {metrics.decoder.kind}", columns, rows)]
    if total.false_accepts.n:
        kinds = ", ".join(f"{name} {n}" for name, n in total.by_kind.items() if n)
        heard = some([f"{label} {n}" for label, n in total.triggered_by.items()], _MOST_TRIGGERS)
        text.append(f"false accepts by what was spoken: {kinds}{f' (on: {heard})' if heard else ''}")
    if metrics.points:
        columns = ("false accepts per hour, at most", "threshold", "miss %")
        rows = [(f"{row.at_most_per_hour:g}", f"{row.threshold:.5g}", percent(row.miss_rate)) for row in metrics.points]
        text.append(Table("One threshold for all words", columns, rows))
    if metrics.classic.n_truth:
        line = classic_line(metrics.classic, metrics.tolerance_ms)
        if metrics.decoder.kind == "peak" and metrics.classic.n_truth > total.n_words:
            line += "; it expects other words to be detected as _unknown_, which the peak decoder does not emit"
        text.append(line)
    return [*text, detections_line(detections)]


def _word_row(name: str, row: WordMetrics) -> tuple[Any, ...]:
    return (
        name,
        row.n_words,
        row.missed.count,
        percent(row.miss_rate),
        row.false_accepts.n,
        f"{rate(row.false_accepts_per_hour)} ({_rate_interval(row)})",
        whole(row.latency.median_ms),
        whole(row.latency.quantile_90_ms),
    )


def classic_line(classic: ClassicCounts, tolerance_ms: float) -> str:
    """The counts of the classic streaming test as one line."""
    shares = ", ".join(f"{percent(share)} % {name.replace('_', ' ')}" for name, share in classic.rates.items())
    return f"classic streaming test: {shares} (of {classic.n_truth} words, {tolerance_ms:g} ms tolerance)"


def detections_line(detections: DetectionMetrics) -> str:
    """Misses and false accepts per hour as one line."""
    total = detections.all_words
    missed = "no word of the model is spoken"
    if total.n_words:
        missed = (
            f"{percent(total.miss_rate)} % of {total.n_words} words missed (95 % interval {interval(*total.missed.interval)})"
        )
    return (
        f"{missed}; {total.false_accepts.n} false accepts in {detections.hours:.3g} hours: "
        f"{rate(total.false_accepts_per_hour)} per hour (95 % interval {_rate_interval(total)})"
    )


def describe_recordings(result: RecordingsResult) -> Text:
    """The confusion matrix, generators, labels and speakers, the threshold, EER and accuracy."""
    metrics = result.metrics
    text: Text = [confusion_table(metrics.labels, metrics.confusion.tolist())]
    if metrics.per_generator:
        columns: Sequence[str] = ("", "label", "recordings", "accuracy", "equal error rate", "95 % interval")
        rows: list[Sequence[Any]] = [
            (row.generator, row.label, row.correct.n, percent(row.correct.rate), *_eer_cells(row.scores))
            for row in metrics.per_generator
        ]
        text.append(Table("Per generator, in percent; EER against all recordings of other labels", columns, rows))
    if metrics.binary is None:
        columns = ("", "recordings", "recall", "equal error rate", "95 % interval")
        rows = [
            (label, row.recall.n, percent(row.recall.rate), *_eer_cells(row.scores or ScoreMetrics()))
            for label, row in metrics.per_label.items()
        ]
        text.append(Table("Per label, in percent; EER against the rest", columns, rows))
    if speakers := metrics.per_speaker:
        few = f", the {_MOST_SPEAKERS} lowest of {len(speakers)}" if len(speakers) > _MOST_SPEAKERS else ""
        rows = [(row.speaker, row.n, percent(row.accuracy)) for row in speakers[:_MOST_SPEAKERS]]
        text.append(Table(f"Per speaker, in percent{few}", ("", "recordings", "accuracy"), rows))
    if metrics.binary is not None:
        missed, alarms = metrics.binary.missed, metrics.binary.false_alarms
        text.append(
            f"{metrics.labels[0]} is predicted from a score of {metrics.binary.threshold:.4g}: {_with_range(missed)} missed, "
            f"{_with_range(alarms)} false alarms"
        )
    if answered := metrics.answered:
        recalls = ", ".join(f"{percent(recall)} % of {label}" for label, recall in answered.recall.items())
        told = f"it answers for {answered.answered.count} of {answered.answered.n} recordings"
        text.append(f"{told}; {_with_range(answered.correct)} of these are right ({recalls})")
    return [*text, recordings_line(metrics, result.split)]


def recordings_line(metrics: RecordingsMetrics, split: str) -> str:
    """EER and accuracy as one line."""
    accuracy = f"{percent(metrics.accuracy)} % ({interval(*metrics.interval)}, N={metrics.n})"
    scores = None if metrics.binary is None else metrics.binary.scores
    if scores is None or scores.resampling is None:
        return f"Accuracy on {split}: {accuracy}"
    return (
        f"EER on {split}: {percent(scores.eer.value)} % ({interval(scores.eer.low, scores.eer.high)}, "
        f"{scores.resampling.describe()}), AUC {scores.auc.value:.3f}, accuracy {accuracy}"
    )


def describe_stream_tuning(result: StreamTuning) -> Text:
    """Settings, misses and false accepts, before and after."""
    before, after = result.before, result.after
    text: Text = []
    if after.decoder.kind in ("peak", "esphome"):
        columns = ("", "before", "after", "spoken", "missed before", "after", "false accepts before", "after")
        rows = [
            (word, f"{before.decoder.threshold_of(word):.5g}", f"{after.decoder.threshold_of(word):.5g}", now.n_words,
             percent(then.miss_rate), percent(now.miss_rate), then.false_accepts.n, now.false_accepts.n)
            for word, then, now in _pairs(before.detections, after.detections)
        ]  # fmt: skip
        text.append(Table("Thresholds", columns, rows))
    else:
        names = ("average_ms", "threshold", "suppression_ms", "minimum_count")
        settings = [(name, f"{getattr(before.decoder, name):g}", f"{getattr(after.decoder, name):g}") for name in names]
        text += [
            Table("Settings", ("", "before", "after"), settings),
            f"before: {classic_line(before.classic, result.time_tolerance_ms)}",
            f"after: {classic_line(after.classic, result.time_tolerance_ms)}",
        ]
    return [
        *text,
        f"before: {detections_line(before.detections)}",
        f"after: {detections_line(after.detections)}",
        f"these are the streams that were tuned on; to measure the result, test {result.out} on others",
    ]


def _pairs(before: DetectionMetrics, after: DetectionMetrics) -> list[tuple[str, WordMetrics, WordMetrics]]:
    return [(word, before.per_word[word], row) for word, row in after.per_word.items()]


def describe_recordings_tuning(result: RecordingsTuning) -> Text:
    """The threshold, the recordings answered, misses and false alarms, before and after; and the limits."""
    columns = ("", "threshold", "answered, percent", "missed, percent", "false alarms, percent")
    rows = [
        (name, f"{row.threshold:.5g}", percent(row.answered), percent(row.miss_rate), percent(row.false_alarm_rate))
        for name, row in (("before", result.before), ("after", result.after))
    ]
    limits = result.after.limits
    return [
        Table(f"{result.labels[0]}, on the validation set", columns, rows),
        *([] if limits == Limits() else [f"cannot tell: {limits.describe()}"]),
        f"these are the recordings that were tuned on; to measure the result: wordspot evaluate {result.out} LIST",
    ]


def describe_comparison(result: Comparison) -> Text:
    """A table at each model's own thresholds and one at the wanted rate, each with the takes that only one model misses."""
    material = f"{result.n_takes} takes, {result.hours:.3g} hours of negatives"
    own = [_operation_row(one.model, one.own) for one in result.models]
    wanted = [_operation_row(one.model, one.wanted) for one in result.models]
    columns = ("", "threshold", "found", "percent (95 %)", "false accepts", "per hour (95 %)")
    title = f"One threshold for all words, at most {result.false_accepts_per_hour:g} false accepts per hour"
    return [
        Table(f"Own thresholds: {material}", columns, own),
        *_only_missed_lines(result.only_missed_own),
        Table(f"{title}: {material}", columns, wanted),
        *_only_missed_lines(result.only_missed_wanted),
    ]


def _operation_row(model: str, row: Operation | None) -> tuple[Any, ...]:
    if row is None:
        return (model, *[MISSING] * 5)
    low, high = row.false_accepts.interval
    return (
        model,
        "of each word" if row.threshold is None else f"{row.threshold:.5g}",
        row.found.count,
        f"{percent(row.found.rate)} ({interval(*row.found.interval)})",
        row.false_accepts.n,
        f"{rate(finite(row.false_accepts.per_hour))} ({interval(finite(low), finite(high), rate)})",
    )


def _only_missed_lines(missed: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"only {model} misses {len(takes)}: {some(takes, _MOST_TAKES)}" for model, takes in missed.items() if takes]


def _eer_cells(scores: ScoreMetrics) -> tuple[str, str]:
    return percent(scores.eer.value), interval(scores.eer.low, scores.eer.high)


def _rate_interval(row: WordMetrics) -> str:
    low, high = row.false_accepts.interval
    return interval(finite(low), finite(high), rate)


def _with_range(proportion: Proportion) -> str:
    return f"{percent(proportion.rate)} % ({interval(*proportion.interval)})"


_DESCRIPTIONS: Mapping[type, Callable[[Any], Text]] = {
    WordsResult: describe_words,
    TriggerResult: describe_trigger,
    RecordingsResult: describe_recordings,
    StreamResult: describe_stream,
    StreamTuning: describe_stream_tuning,
    RecordingsTuning: describe_recordings_tuning,
    Comparison: describe_comparison,
}
