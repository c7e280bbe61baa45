"""Choose a model's thresholds for a wanted rate of false accepts, and write a copy of the file that has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.config import DEVICE_DECODER, DecoderConfig
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.bench import Bench
from wordspot.evaluation.false_accepts import DetectionMetrics, measure_detections
from wordspot.evaluation.recordings_tuning import RecordingsTuning, tune_recordings
from wordspot.evaluation.streaming_accuracy import ClassicCounts
from wordspot.evaluation.streams import (
    StreamFile,
    choose_decoder,
    doubts,
    load_bench,
    open_for_streams,
    prepare_streams,
    sweep_thresholds,
)
from wordspot.evaluation.thresholds import (
    CLASSIC_LIMIT,
    N_CLASSIC,
    N_ROUNDS,
    extrapolate_threshold,
    hours_needed,
    tune_classic,
    tune_windows,
    tune_words,
)
from wordspot.files import atomic_path
from wordspot.formats import rate
from wordspot.overrides import decoder_to_json
from wordspot.presets import TIME_TOLERANCE_MS
from wordspot.progress import OnProgress, Progress, ignore
from wordspot.runtime.batch import Recordings, as_paths
from wordspot.runtime.model import OtherFormat, read_model
from wordspot.runtime.modelfile.card import Card, read_card, with_card

_MAX_PER_HOUR = 3600.0
_DEVICE_AVERAGES_MS = (60.0, 120.0, 210.0, 300.0)  # of 3, 5, 8 and 11 scores, one every 30 ms


@dataclass(frozen=True)
class DecoderMetrics:
    """Decoder settings, and what they give on the streams tuned on."""

    decoder: DecoderConfig
    detections: DetectionMetrics
    classic: ClassicCounts

    def to_json(self) -> dict[str, Any]:
        return {"decoder": decoder_to_json(self.decoder), **self.detections.to_json(), "classic": self.classic.to_json()}


@dataclass(frozen=True)
class StreamTuning:
    """The result of `tune` for a model that detects words in streams.

    Attributes:
        model: name of the file.
        streams: what was tuned on.
        out: the copy with the new settings.
        time_tolerance_ms: how long after a word's end its detection counts.
        wanted: false accepts per hour that were allowed; None for the classic decoders.
        before: the settings as they were.
        after: the new ones.
        warnings: what so little audio cannot show, and what could not be reached, a line each.
    """

    model: str
    streams: tuple[StreamFile, ...]
    out: Path
    time_tolerance_ms: float
    wanted: float | None
    before: DecoderMetrics
    after: DecoderMetrics
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "streams": [stream.to_json() for stream in self.streams],
            "out": str(self.out),
            "time_tolerance_ms": self.time_tolerance_ms,
            "false_accepts_per_hour": self.wanted,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }


def tune(
    model: OtherFormat | Path | str | None,
    streams: Recordings,
    *,
    out: Path | str,
    false_accepts_per_hour: float | None = None,
    false_alarm_rate: float | None = None,
    error_rate: float | None = None,
    truth: Recordings | None = None,
    no_words: bool = False,
    time_tolerance_ms: float = TIME_TOLERANCE_MS,
    decoder: str | DecoderConfig | None = None,
    settings: Mapping[str, object] | None = None,
    extrapolate: bool = False,
    force: bool = False,
    progress: OnProgress | None = None,
) -> StreamTuning | RecordingsTuning:
    """Choose a threshold for each word and write a copy of the model with them.

    For ESPHome the window of scores that are averaged is chosen too, unless `settings` name `average_ms`.

    Args:
        model: an exported file, or an opened one of another format; None for the model that comes with wordspot.
        streams: sound files with ground truth; for a model of entire recordings one list of them, whose validation set is
            used.
        out: the copy, an ``.onnx`` file, or the manifest of a model for ESPHome.
        false_accepts_per_hour: the wanted rate over all words together. Required for the decoders ``peak`` and ``esphome``;
            ``classic`` and ``micro`` instead maximise correct words with at most 2 % wrong and 2 % false positives.
        false_alarm_rate: for a model of entire recordings: the fraction of the other class that may be accepted as the
            first label.
        error_rate: for a model of entire recordings: the mean of the two classes' error rates. It does not tell the class of
            recordings whose scores lie so close to the threshold that the rate would be higher, or that are shorter, noisier or
            narrower than those tuned on.
        truth, no_words, time_tolerance_ms, decoder, settings: as in `test_stream`.
        extrapolate: for a model of one word and the decoder ``peak``, choose the threshold by `extrapolate_threshold`, not by
            the few false accepts that the rate allows in so little audio.
        force: replace `out` if it exists.
        progress: called while the streams are scored and settings tried.

    Raises:
        ConfigError: options that contradict each other or do not fit the model, or `out` exists.
        DataError: nothing to tune on, or no threshold keeps to the rate.
        NotFoundError, AudioError, CardError: a file that is missing or damaged.
    """
    out, report = Path(out), progress or ignore
    other = model if isinstance(model, OtherFormat) else None
    _check_out(out, other.suffix if other else ".onnx", force=force)
    if model is not None and not isinstance(model, OtherFormat) and read_card(Path(model)).task.predicts_recordings:
        _refuse_for_recordings(
            false_accepts_per_hour=false_accepts_per_hour,
            truth=truth,
            no_words=no_words,
            decoder=decoder,
            **(settings or {}),
        )
        card, result = tune_recordings(Path(model), as_paths(streams), out, false_alarm_rate, error_rate, report)
        _write_copy(model, card, out)
        return result
    for name, given in (("false_alarm_rate", false_alarm_rate), ("error_rate", error_rate)):
        if given is not None:
            raise ConfigError(f"`{name}` is for models of entire recordings; use `false_accepts_per_hour`")
    opened, prepared = open_for_streams(model), prepare_streams(streams, truth, no_words, time_tolerance_ms)
    config = choose_decoder(opened.card.decoder, decoder, settings)
    _check_rate(false_accepts_per_hour, config)
    if (config.kind == DEVICE_DECODER) != (other is not None):
        raise ConfigError(f"the decoder {DEVICE_DECODER} is that of a manifest for ESPHome, and the only one that it can have")
    bench, files, warnings = load_bench(opened, prepared, time_tolerance_ms, config, report)
    averages = () if isinstance(decoder, DecoderConfig) or "average_ms" in (settings or {}) else _averages(config)
    before, after, notes = _tune_bench(bench, config, averages, false_accepts_per_hour, report, extrapolate=extrapolate)
    if not isinstance(model, OtherFormat):
        _write_copy(model, dataclasses.replace(opened.card, decoder=after.decoder), out)
    else:
        model.write_copy(after.decoder, out)
    return StreamTuning(opened.name, files, out, time_tolerance_ms, false_accepts_per_hour, before, after, (*warnings, *notes))


def _averages(config: DecoderConfig) -> tuple[float, ...]:
    """The times to average over that are tried besides the decoder's own."""
    return tuple(ms for ms in _DEVICE_AVERAGES_MS if ms != config.average_ms) if config.kind == DEVICE_DECODER else ()


def _tune_bench(
    bench: Bench,
    config: DecoderConfig,
    averages: tuple[float, ...],
    per_hour: float | None,
    progress: OnProgress,
    *,
    extrapolate: bool,
) -> tuple[DecoderMetrics, DecoderMetrics, list[str]]:
    """The settings before and after, and warnings.

    Raises:
        DataError: none of the model's words is spoken.
    """
    if not any(bench.n_spoken.values()):
        raise DataError(
            f"{', '.join(bench.words)}: none of these words is annotated in the streams; tuning needs streams in which they "
            "are spoken, and their annotations"
        )
    tuned, notes = _search(bench, config, averages, per_hour, progress)
    if extrapolate and per_hour is not None:
        tuned = _extrapolate(bench, tuned, per_hour, progress)
    after = _measure(bench, tuned)
    return _measure(bench, config), after, [*notes, *_limits(bench, per_hour, after.detections), *doubts(bench)]


def _extrapolate(bench: Bench, tuned: DecoderConfig, per_hour: float, progress: OnProgress) -> DecoderConfig:
    """The settings with the threshold of their only word extrapolated; as they are if that cannot be."""
    if tuned.kind != "peak" or len(bench.words) != 1:
        return tuned
    (curve,) = sweep_thresholds(bench, tuned, progress).values()
    threshold = extrapolate_threshold(curve, bench.hours, per_hour)
    return tuned if threshold is None else dataclasses.replace(tuned, thresholds={bench.words[0]: threshold})


def _check_out(out: Path, suffix: str, *, force: bool) -> None:
    if out.suffix.lower() != suffix:
        raise ConfigError(f"`out` must end in {suffix}, got {out}")
    if out.is_dir() or (out.exists() and not force):
        raise ConfigError(f"{out} already exists; choose another `out`, or `force` to replace it")


def _check_rate(per_hour: float | None, config: DecoderConfig) -> None:
    if config.kind in ("classic", "micro"):
        if per_hour is not None:
            raise ConfigError(
                f"`false_accepts_per_hour` is for the decoders peak and esphome; the settings of the {config.kind} one are "
                "chosen by the classic streaming test: leave it out, or set `decoder` to peak"
            )
    elif per_hour is None:
        raise ConfigError("`false_accepts_per_hour` is missing: how many false accepts to allow, over all words together")
    elif not 0 <= per_hour <= _MAX_PER_HOUR:
        raise ConfigError(f"`false_accepts_per_hour` must lie between 0 and {_MAX_PER_HOUR:g}, got {per_hour:g}")


def _refuse_for_recordings(**options: object) -> None:
    """
    Raises:
        ConfigError: an option for streams is set.
    """
    for name, value in options.items():
        if value not in (None, False, (), []):
            raise ConfigError(f"`{name}` is for streams; a model of whole recordings has `false_alarm_rate`")


def _search(
    bench: Bench, config: DecoderConfig, averages: tuple[float, ...], per_hour: float | None, progress: OnProgress
) -> tuple[DecoderConfig, list[str]]:
    """The tuned settings, and warnings."""
    if per_hour is not None:
        total, found = N_ROUNDS * len(bench.words), []
        for average_ms in (config.average_ms, *averages):
            trial = dataclasses.replace(config, average_ms=average_ms)
            curves = sweep_thresholds(bench, trial, progress)
            found.append(tune_words(bench, trial, curves, per_hour, _counted(progress, "tuning thresholds", total)))
        return tune_windows(bench, found, per_hour), []
    tuned, within = tune_classic(bench, config, progress=_counted(progress, "trying settings", N_CLASSIC))
    if within:
        return tuned, []
    return tuned, [
        f"no settings keep wrong words and false positives within {100 * CLASSIC_LIMIT:g} % each; chose those that exceed it "
        "least"
    ]


def _counted(progress: OnProgress, stage: str, total: int) -> Callable[[], None]:
    done = iter(range(1, total + 1))
    return lambda: progress(Progress(stage, next(done), total))


def _measure(bench: Bench, config: DecoderConfig) -> DecoderMetrics:
    detections = measure_detections(bench.match(config), bench.words, bench.hours)
    return DecoderMetrics(config, detections, bench.count_classic(config))


def _limits(bench: Bench, per_hour: float | None, after: DetectionMetrics) -> list[str]:
    """What these hours cannot show, and what could not be reached."""
    if per_hour is None:
        return []
    lines, hours, needed = [], bench.hours, hours_needed(per_hour)
    if hours < needed:
        lines.append(
            f"{hours:.3g} hours cannot show {per_hour:g} false accepts per hour: even with none at all the true rate may be "
            f"{rate(hours_needed(1) / hours)} (95 %). At least {rate(needed)} hours are needed; add recordings without the "
            "words, each with an empty annotation file"
        )
    if (n := after.all_words.false_accepts.n) > per_hour * hours + 1e-9:
        lines.append(
            f"no thresholds found that keep to {per_hour:g} per hour in {hours:.3g} hours; the fewest false accepts found are {n}"
        )
    if silent := [word for word, n in bench.n_spoken.items() if not n]:
        lines.append(f"never spoken in these streams, so not tuned for misses: {', '.join(silent)}")
    return lines


def _write_copy(model: Path | str | None, card: Card, out: Path) -> None:
    """Write the model with another card."""
    _, content = read_model(model)
    data = with_card(content, card)
    assert read_card(data) == card
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)
