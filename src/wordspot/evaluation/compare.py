"""Run several models over the same takes and the same hours without their words: the verb `compare`.

A *take* is a recording of one word; it is found if the model detects the word anywhere in it. It is played between a second
of quiet before (longer for a model with a longer clip) and one after. The word of a take is the name of its folder, if the
model has such a word; else any of the model's words counts. Every detection in a *negative* is a false accept.

Each model is measured at its own thresholds, and with one threshold for all of its words: the lowest from which on the
negatives have no more false accepts per hour than are wanted. It is chosen on the negatives alone, not on the takes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.files import read_audio, read_info
from wordspot.audio.folder import find_clips
from wordspot.audio.samples import Samples
from wordspot.config import DecoderConfig
from wordspot.errors import AudioError, ConfigError, DataError
from wordspot.evaluation.bench import Bench, ScoredStream, decode, score_stream
from wordspot.evaluation.curves import THRESHOLDS
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.streams import open_for_streams
from wordspot.evaluation.thresholds import hours_needed
from wordspot.formats import rate, some
from wordspot.intervals import EventRate, Proportion
from wordspot.labels import normalize_word
from wordspot.presets import FALSE_ACCEPTS_PER_HOUR
from wordspot.progress import OnProgress, Progress, ignore
from wordspot.runtime.batch import Recordings, as_paths
from wordspot.runtime.detector import CLIP_STRIDE_MS, Scorer
from wordspot.runtime.model import Model, OtherFormat

_QUIET_S, _QUIET_DB = 1.0, -70.0
_MOST_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Operation:
    """A model at certain thresholds.

    Attributes:
        threshold: of all words; None: each word's own.
        found: takes that were found.
        false_accepts: in the negatives.
        missed: names of the takes that were not found.
    """

    threshold: float | None
    found: Proportion
    false_accepts: EventRate
    missed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "n_found": self.found.count,
            **self.found.to_json("found"),
            "n_false_accepts": self.false_accepts.n,
            **self.false_accepts.to_json("false_accepts_per_hour"),
            "missed": list(self.missed),
        }


@dataclass(frozen=True)
class ComparedModel:
    """One of the models.

    Attributes:
        model: name of the file.
        own: at its own thresholds.
        wanted: at the one threshold that the wanted rate allows; None if no threshold keeps to it.
    """

    model: str
    own: Operation
    wanted: Operation | None

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "own": self.own.to_json(), "wanted": self.wanted.to_json() if self.wanted else None}


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        models: in the order given.
        n_takes: how many takes each was run over.
        hours: of negatives.
        false_accepts_per_hour: that were wanted.
        warnings: recordings left out, and what these cannot show, a line each.
    """

    models: tuple[ComparedModel, ...]
    n_takes: int
    hours: float
    false_accepts_per_hour: float
    warnings: tuple[str, ...]

    @property
    def only_missed_own(self) -> dict[str, tuple[str, ...]]:
        """Per model, the takes that only it misses at its own thresholds."""
        return _only_missed({one.model: one.own for one in self.models})

    @property
    def only_missed_wanted(self) -> dict[str, tuple[str, ...]]:
        """The same at the one threshold, among the models that have one; empty if fewer than two have."""
        rows = {one.model: one.wanted for one in self.models if one.wanted}
        return _only_missed(rows) if len(rows) > 1 else {}

    def to_json(self) -> dict[str, Any]:
        return {
            "n_takes": self.n_takes,
            "hours": self.hours,
            "false_accepts_per_hour": self.false_accepts_per_hour,
            "models": [one.to_json() for one in self.models],
            "only_missed_own": {model: list(takes) for model, takes in self.only_missed_own.items()},
            "only_missed_wanted": {model: list(takes) for model, takes in self.only_missed_wanted.items()},
        }


def compare(
    models: Sequence[Path | str | OtherFormat],
    *,
    takes: Recordings,
    negatives: Recordings,
    false_accepts_per_hour: float = FALSE_ACCEPTS_PER_HOUR,
    progress: OnProgress | None = None,
) -> Comparison:
    """Measure models on the same recordings. None of these should have been used to train any of them.

    Args:
        models: two exported files or more, or opened ones of another format.
        takes: recordings of one word each, or folders of them; several words: a folder for each.
        negatives: recordings of any length in which no word of the models is said, or folders of them.
        false_accepts_per_hour: the wanted rate, over all words of a model together.
        progress: called while recordings are scored.

    Raises:
        ConfigError: fewer than two models, one twice, a kind of file or model that cannot be compared, or a rate outside 0 to
            3600.
        DataError: no take or no negative could be read.
        NotFoundError, CardError: a model that is missing or damaged, or a folder without recordings.
    """
    report, sources = progress or ignore, [model if isinstance(model, OtherFormat) else Path(model) for model in models]
    _check(sources, false_accepts_per_hour)
    opened = [open_for_streams(source) for source in sources]
    clips, left_out = _readable(find_clips(as_paths(takes)), "takes", read_audio)
    streams, also_left_out = _readable(find_clips(as_paths(negatives)), "negatives", read_info)
    compared = [_compare_one(model, clips, streams, false_accepts_per_hour, report) for model in opened]
    hours = compared[0].own.false_accepts.hours
    warnings = [*left_out, *also_left_out, *_doubts(compared, hours, false_accepts_per_hour)]
    return Comparison(tuple(compared), len(clips), hours, false_accepts_per_hour, tuple(warnings))


def _check(sources: Sequence[Path | OtherFormat], per_hour: float) -> None:
    for source in sources:
        if isinstance(source, Path) and source.suffix.lower() == ".tflite":
            raise ConfigError(f"{source}: a network without its cut-off and window; open it with `open_esphome`")
    paths = [source if isinstance(source, Path) else Path(source.name) for source in sources]
    if len(paths) < 2 or len(set(paths)) < len(paths):
        named = ", ".join(map(str, paths)) or "none"
        raise ConfigError(f"`models` must be at least two different files, got {named}")
    if not 0 <= per_hour <= _MOST_PER_HOUR:
        raise ConfigError(f"`false_accepts_per_hour` must lie between 0 and {_MOST_PER_HOUR:g}, got {per_hour:g}")


def _readable(
    files: Sequence[tuple[Path, str]], what: str, read: Callable[[Path], object]
) -> tuple[list[tuple[Path, str]], list[str]]:
    """The recordings that `read` accepts, and a warning for each other one."""
    good, warnings = [], []
    for path, name in files:
        try:
            read(path)
            good.append((path, name))
        except (AudioError, OSError) as error:
            warnings.append(f"left out: {error}")
    if not good:
        raise DataError(f"none of the {len(files)} {what} could be read; expected sound files: {some(warnings, 1)}")
    return good, warnings


def _compare_one(
    model: Model, takes: Sequence[tuple[Path, str]], negatives: Sequence[tuple[Path, str]], per_hour: float, report: OnProgress
) -> ComparedModel:
    card, config = model.card, model.card.decoder
    scored = []
    for done, (path, _) in enumerate(takes, 1):
        scored.append(_score_take(model, path))
        report(Progress(f"{model.name}: takes", done, len(takes)))
    seconds = _counted(report, f"{model.name}: seconds of negatives")
    streams = tuple(score_stream(model, path, (), config.stride_ms, seconds(path)) for path, _ in negatives)
    bench = Bench(streams, card.labels, 1000 * card.clip_seconds, 0.0)

    def measure(decoder: DecoderConfig, threshold: float | None) -> Operation:
        missed = [
            name
            for (path, name), stream in zip(takes, scored, strict=True)
            if not _is_found(stream, decoder, card.labels, path.parent.name)
        ]
        found = Proportion(len(takes) - len(missed), len(takes))
        return Operation(threshold, found, EventRate(_n_accepts(bench, decoder), bench.hours), tuple(missed))

    threshold = lowest_threshold(bench, config, per_hour)
    wanted = None if threshold is None else measure(config.with_threshold(threshold), threshold)
    same = set(map(config.threshold_of, words_of(card.labels)))
    return ComparedModel(model.name, measure(config, same.pop() if len(same) == 1 else None), wanted)


def lowest_threshold(bench: Bench, config: DecoderConfig, per_hour: float) -> float | None:
    """The lowest of `THRESHOLDS` from which on the streams have at most `per_hour` false accepts per hour; None: none has."""
    budget, lowest = math.floor(per_hour * bench.hours + 1e-9), None
    for threshold in reversed(THRESHOLDS):
        if _n_accepts(bench, config.with_threshold(threshold)) > budget:
            break
        lowest = threshold
    return lowest


def _n_accepts(bench: Bench, config: DecoderConfig) -> int:
    return int(bench.count(config)[:, 1].sum())


def _score_take(model: Model, path: Path) -> ScoredStream:
    """A take between quiet, after the network."""
    audio, sample_rate = read_audio(path)
    before, after = (_quiet(seconds, sample_rate) for seconds in (max(_QUIET_S, model.card.clip_seconds), _QUIET_S))
    scorer = Scorer(model, sample_rate=sample_rate, stride_ms=model.card.decoder.stride_ms or CLIP_STRIDE_MS)
    whole = np.concatenate([before, audio, after])
    (scores, end_ms), (last_scores, last_ms) = scorer.feed(whole), scorer.flush()
    duration_ms = 1000 * len(whole) / sample_rate
    return ScoredStream(np.concatenate([scores, last_scores]), np.concatenate([end_ms, last_ms]), (), duration_ms)


def _quiet(seconds: float, sample_rate: int) -> Samples:
    """Faint noise, always the same: no microphone delivers zeros."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * sample_rate), dtype=np.float32)
    return noise * np.float32(10 ** (_QUIET_DB / 20))


def _is_found(stream: ScoredStream, config: DecoderConfig, labels: Sequence[str], folder: str) -> bool:
    words = words_of(labels)
    named = [word for word in words if _folded(word) == _folded(folder)]
    return any(one.label in (named or words) for one in decode(stream, config, labels))


def _folded(name: str) -> str:
    return normalize_word(name).replace("_", " ")


def _only_missed(rows: dict[str, Operation]) -> dict[str, tuple[str, ...]]:
    times = Counter(take for row in rows.values() for take in row.missed)
    return {model: tuple(take for take in row.missed if times[take] == 1) for model, row in rows.items()}


def _counted(report: OnProgress, stage: str) -> Callable[[Path], Callable[[int], None]]:
    """Callbacks that count the seconds of one file after another together."""
    total = 0

    def of_file(_: Path) -> Callable[[int], None]:
        before = total

        def count(seconds: int) -> None:
            nonlocal total
            total = before + seconds
            report(Progress(stage, total))

        return count

    return of_file


def _doubts(compared: Sequence[ComparedModel], hours: float, per_hour: float) -> list[str]:
    lines = []
    needed = hours_needed(per_hour)
    if hours < needed:
        lines.append(
            f"{hours:.3g} hours of negatives cannot show {per_hour:g} false accepts per hour: even with none at all the true "
            f"rate may be {rate(hours_needed(1) / hours)} (95 %); at least {rate(needed)} hours are needed"
        )
    if none := [one.model for one in compared if one.wanted is None]:
        lines.append(f"no threshold keeps to {per_hour:g} false accepts per hour: {', '.join(none)}")
    lines.append("the files do not list their training data; a model that was trained on these recordings is overestimated")
    return lines
