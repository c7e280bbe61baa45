"""Test a model on streams in which the spoken words are known: misses, false accepts per hour, latency."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordspot.config import DEVICE_DECODER, DecoderConfig
from wordspot.errors import ConfigError
from wordspot.evaluation.bench import MS_PER_HOUR, Bench, BenchMetrics, measure_bench, score_stream
from wordspot.evaluation.curves import THRESHOLDS, make_curves, sweep
from wordspot.evaluation.ground_truth import check_times, find_truths, read_ground_truth
from wordspot.evaluation.matching import words_of
from wordspot.metrics import StreamCurve
from wordspot.overrides import override_decoder
from wordspot.presets import CLASSIC_TEST_DECODER, ESPHOME_DECODER, MICRO_DECODER, TIME_TOLERANCE_MS
from wordspot.progress import OnProgress, Progress, ignore
from wordspot.runtime.batch import Recordings, as_paths
from wordspot.runtime.decoder import make_decoder
from wordspot.runtime.model import Model, Source, as_model, check_detects

_DECODERS = {
    "peak": DecoderConfig(),
    "classic": CLASSIC_TEST_DECODER,
    "micro": MICRO_DECODER,
    DEVICE_DECODER: ESPHOME_DECODER,
}
_MAX_TOLERANCE_MS = 60_000.0
#: Stages of the progress, the first with the name of a file.
SCORING, TRYING_THRESHOLDS = "scoring {}", "trying thresholds"


@dataclass(frozen=True)
class StreamFile:
    """A stream that was tested on.

    Attributes:
        path: the sound file.
        truth: its annotations; None if nothing is spoken.
        hours: of audio.
        n_spoken: annotated words, including those that the model does not know.
    """

    path: Path
    truth: Path | None
    hours: float
    n_spoken: int

    def to_json(self) -> dict[str, Any]:
        truth = None if self.truth is None else str(self.truth)
        return {"path": str(self.path), "truth": truth, "hours": self.hours, "n_spoken": self.n_spoken}


@dataclass(frozen=True)
class StreamResult:
    """The result of `test_stream`.

    Attributes:
        model: name of the file.
        streams: what was tested on.
        metrics: everything that was measured.
        warnings: what the metrics cannot show, and what looks like a mistake, a line each.
        bench: the scored streams.
    """

    model: str
    streams: tuple[StreamFile, ...]
    metrics: BenchMetrics
    warnings: tuple[str, ...]
    bench: Bench = field(repr=False, compare=False)

    @property
    def hours(self) -> float:
        """Of audio tested."""
        return self.metrics.detections.hours

    @property
    def miss_rate(self) -> float | None:
        """Of all words together; None if none was spoken."""
        return self.metrics.detections.all_words.miss_rate

    @property
    def false_accepts_per_hour(self) -> float | None:
        """Of all words together."""
        return self.metrics.detections.all_words.false_accepts_per_hour

    def to_json(self) -> dict[str, Any]:
        streams = [stream.to_json() for stream in self.streams]
        return {"model": self.model, "streams": streams, **self.metrics.to_json()}


def test_stream(
    model: Source,
    streams: Recordings,
    *,
    truth: Recordings | None = None,
    no_words: bool = False,
    time_tolerance_ms: float = TIME_TOLERANCE_MS,
    decoder: str | DecoderConfig | None = None,
    settings: Mapping[str, object] | None = None,
    progress: OnProgress | None = None,
) -> StreamResult:
    """Measure a model on streams in which the spoken words are known.

    Args:
        model: an exported file, or an opened one; None for the model that comes with wordspot.
        streams: a sound file of any length and sample rate, or several.
        truth: a file of annotations per stream (CSV, Audacity labels or the classic text), in the same order; None for the
            CSV file beside each stream.
        no_words: none of the model's words is spoken, so every detection is a false accept.
        time_tolerance_ms: how long after a word's end its detection counts.
        decoder: see `choose_decoder`; None for the model's own.
        settings: single settings of the decoder by name.
        progress: called while the streams are scored and the thresholds tried.

    Raises:
        ConfigError: options that contradict each other, or a model of whole recordings.
        NotFoundError, AudioError, CardError, DataError: a file that is missing, damaged or does not fit.
    """
    opened, prepared = open_for_streams(model), prepare_streams(streams, truth, no_words, time_tolerance_ms)
    config = choose_decoder(opened.card.decoder, decoder, settings)
    bench, files, warnings = load_bench(opened, prepared, time_tolerance_ms, config, progress or ignore)
    metrics = measure_bench(bench, config, sweep_thresholds(bench, config, progress or ignore))
    return StreamResult(opened.name, files, metrics, (*warnings, *doubts(bench)), bench)


def open_for_streams(model: Source) -> Model:
    """Open a model that detects words in streams.

    Raises:
        ConfigError: a model of whole recordings.
        NotFoundError, CardError: see `open_model`.
    """
    opened = as_model(model)
    check_detects(opened)
    return opened


def choose_decoder(
    own: DecoderConfig, decoder: str | DecoderConfig | None = None, settings: Mapping[str, object] | None = None
) -> DecoderConfig:
    """The decoder settings to measure.

    Args:
        own: those of the model.
        decoder: other settings, or a rule: ``peak``, ``classic``, ``micro`` or ``esphome``. A rule other than the model's has
            its own defaults; those of ``classic`` are the ones of the classic streaming test, stricter than the recogniser's.
        settings: single settings by name. A ``threshold`` without ``thresholds`` is that of every word.

    Raises:
        ConfigError: no such rule or setting, or a value that makes no sense.
    """
    if isinstance(decoder, DecoderConfig):
        own = decoder
    elif decoder is not None and decoder != own.kind:
        if decoder not in _DECODERS:
            raise ConfigError(f"`decoder` must be one of {', '.join(_DECODERS)}, got {decoder!r}")
        own = _DECODERS[decoder]
    changes = dict(settings or {})
    if "threshold" in changes and "thresholds" not in changes:
        own = dataclasses.replace(own, thresholds={})
    return override_decoder(own, changes)


def prepare_streams(
    streams: Recordings, truth: Recordings | None, no_words: bool, tolerance_ms: float
) -> list[tuple[Path, Path | None]]:
    """Each stream with its annotations, once the options are known to make sense.

    Raises:
        ConfigError: no streams, or options that contradict each other.
    """
    if not 0 <= tolerance_ms <= _MAX_TOLERANCE_MS:
        raise ConfigError(f"`time_tolerance_ms` must lie between 0 and {_MAX_TOLERANCE_MS:g}, got {tolerance_ms:g}")
    paths = as_paths(streams)
    if not paths:
        raise ConfigError("`streams` is empty; name at least one sound file")
    truths = find_truths(paths, None if truth is None else as_paths(truth), no_words=no_words)
    return list(zip(paths, truths, strict=True))


def load_bench(
    model: Model,
    streams: Sequence[tuple[Path, Path | None]],
    tolerance_ms: float,
    config: DecoderConfig,
    progress: OnProgress = ignore,
) -> tuple[Bench, tuple[StreamFile, ...], list[str]]:
    """Score all streams, each once.

    Args:
        model: an opened model.
        streams: sound files with their annotations; None if nothing is spoken.
        tolerance_ms: how long after a word's end its detection counts.
        config: the decoder that will be used; only its stride matters for the scores.
        progress: called with the seconds scored of each stream.

    Returns:
        the bench, what was tested on, and warnings about the annotations.

    Raises:
        ConfigError: settings that do not fit the model.
        NotFoundError, AudioError, DataError: a file that is missing, damaged or does not fit.
    """
    card, words = model.card, words_of(model.card.labels)
    make_decoder(config, card.labels)  # like the reading of annotations, this fails before the long work begins
    annotated = [((), []) if truth is None else read_ground_truth(truth, words) for _, truth in streams]
    scored, files, warnings = [], [], []
    for (path, truth), (spoken, notes) in zip(streams, annotated, strict=True):
        stream = score_stream(model, path, spoken, config.stride_ms, _seconds(progress, path))
        warnings += notes
        if truth is not None:
            warnings += check_times(spoken, truth, path, stream.duration_ms)
        scored.append(stream)
        files.append(StreamFile(path, truth, stream.duration_ms / MS_PER_HOUR, len(spoken)))
    bench = Bench(tuple(scored), card.labels, 1000 * card.clip_samples / card.sample_rate, tolerance_ms)
    if any(stream.truth for stream in scored) and not any(bench.n_spoken.values()):
        warnings.append(
            f"the annotations contain none of the model's words ({', '.join(words)}), so every detection is a false accept"
        )
    return bench, tuple(files), warnings


def _seconds(progress: OnProgress, path: Path) -> Callable[[int], None]:
    return lambda done: progress(Progress(SCORING.format(path.name), done))


def sweep_thresholds(bench: Bench, config: DecoderConfig, progress: OnProgress = ignore) -> dict[str, StreamCurve]:
    """Each word's curve over all of `THRESHOLDS`."""
    counts = []
    for done, row in enumerate(sweep(bench, config), 1):
        counts.append(row)
        progress(Progress(TRYING_THRESHOLDS, done, len(THRESHOLDS)))
    return make_curves(bench, counts)


def doubts(bench: Bench) -> list[str]:
    """What metrics on this bench cannot show, a line each."""
    lines = []
    spoken = [word for stream in bench.streams for word in stream.truth if word.label in bench.words]
    if spoken and all(word.end_ms is None for word in spoken):
        lines.append(
            "no latency: the annotations do not say where words end (the CSV and Audacity's labels can, the classic text cannot)"
        )
    lines.append(
        "the model file does not list its training data; if any of it is in these streams, these results are too optimistic"
    )
    return lines
