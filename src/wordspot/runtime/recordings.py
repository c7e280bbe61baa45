"""Classify recordings of any length with an exported model: `RecordingClassifier`. `runtime.windows` says how.

Needs numpy and onnxruntime, not torch. Files are read block by block, so that an hour of audio needs little memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordspot.audio.condition import Condition, ConditionMeter
from wordspot.audio.files import read_blocks
from wordspot.audio.resample import StreamResampler
from wordspot.audio.samples import Samples, check_samples, to_float32
from wordspot.config import RecordingsConfig
from wordspot.errors import AudioError, CardError, ConfigError
from wordspot.overrides import from_json
from wordspot.progress import OnNote
from wordspot.runtime.doubts import Doubt, doubts_about, doubts_about_scores
from wordspot.runtime.model import Source, as_model
from wordspot.runtime.modelfile.card import Card, most_at_once
from wordspot.runtime.modelfile.session import judge_clips
from wordspot.runtime.windows import (
    WholeCutter,
    WindowCutter,
    combine,
    log_posteriors,
    power_of,
    stride_of,
    window_starts,
    with_sound,
)

DEFAULT_THRESHOLD = 0.5
_AT_ONCE = 8  # windows of one call: more are no faster on one core, and take memory
_EVEN = 1e-6  # log-odds that lie closer together point to no stretch


@dataclass(frozen=True)
class RecordingResult:
    """The class of a recording, and the scores that decided it.

    Attributes:
        label: the class.
        score: the posterior of `label`. With a threshold other than 0.5 it may be below 0.5.
        labels: all classes.
        posteriors: float64 [labels], of the entire recording.
        threshold: what the posterior of the first label must reach if there are two, else None.
        start_s: start of the stretch with the strongest evidence for `label`, compared with the rest of the recording.
        stop_s: its end.
        times_s: float64 [n], the middle of each window.
        window_posteriors: float64 [n, labels].
        has_sound: bool [n], which windows count; in digital silence none has sound, and all count.
        seconds: length of the recording.
        judged_seconds: how much of it, from its start, the model has seen.
        doubts: why the model cannot tell the class; empty if it can.
    """

    label: str
    score: float
    labels: tuple[str, ...]
    posteriors: NDArray[np.float64]
    threshold: float | None
    start_s: float
    stop_s: float
    times_s: NDArray[np.float64]
    window_posteriors: NDArray[np.float64]
    has_sound: NDArray[np.bool_]
    seconds: float
    judged_seconds: float
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether the recording is digital silence, so that its class means nothing."""
        return not self.has_sound.any()

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object; `windows` holds the scores over time."""
        windows = {
            "time_s": [round(float(time), 3) for time in self.times_s],
            "has_sound": self.has_sound.tolist(),
            "scores": {label: _rounded(self.window_posteriors[:, place]) for place, label in enumerate(self.labels)},
        }
        return {
            "label": self.label,
            "score": round(self.score, 6),
            "scores": dict(zip(self.labels, _rounded(self.posteriors), strict=True)),
            **({} if self.threshold is None else {"threshold": self.threshold}),
            "doubts": [doubt.to_json() for doubt in self.doubts],
            "start_s": round(self.start_s, 3),
            "stop_s": round(self.stop_s, 3),
            "seconds": round(self.seconds, 3),
            "windows": windows,
        }


class RecordingClassifier:
    """Classifies entire recordings with an exported model of the task `recordings`.

    Args:
        model: an exported file, its content, or an opened model.
        threads: how many threads one call may use.
        threshold: what the posterior of the first of two labels must reach; None: as the file says, else 0.5.
        self_test: run the file's self-test, and reject the file if it fails.

    Raises:
        NotFoundError: no such file.
        CardError: a file that is damaged, or not written by wordspot.
        ConfigError: a model of another task, or a threshold outside 0 to 1 or for a model with three or more labels.
    """

    def __init__(self, model: Source, threads: int = 1, *, threshold: float | None = None, self_test: bool = True) -> None:
        opened = as_model(model, threads=threads, self_test=self_test)
        self._model = opened
        self.card: Card = opened.card
        self.labels = self.card.labels
        self.settings = _settings(self.card)
        if threshold is not None:
            _check_threshold(threshold, self.labels)
        own = self.card.decoder.thresholds.get(self.labels[0], DEFAULT_THRESHOLD)
        self.threshold = own if threshold is None else threshold
        """With two labels, the least posterior of the first for a recording to be of its class. Unused with more."""

    @property
    def stride_samples(self) -> int:
        """Distance between the starts of two windows, at the model's rate."""
        return stride_of(self.settings.stride_ms, self.card.sample_rate, self.card.clip_samples)

    def classify_file(self, path: Path, *, channel: int | None = None, on_note: OnNote | None = None) -> RecordingResult:
        """Classify a sound file of any length and rate, by the channel that training would use unless another is named.

        Raises:
            NotFoundError: no such file.
            AudioError: damaged, empty, truncated, or holding NaN or infinity.
        """
        rate, blocks = read_blocks(Path(path), channel=channel, on_note=on_note)
        return self._classify(blocks, rate)

    def classify(self, samples: ArrayLike, sample_rate: int) -> RecordingResult:
        """Classify a recording: float32, float64 or int16 [n] at `sample_rate` Hz.

        Raises:
            AudioError: no samples, NaN or infinity, another type, shape or scale, or a rate outside 1 kHz to 1 MHz.
        """
        audio = check_samples(samples)
        if not audio.size:
            raise AudioError("the recording holds no samples; leave it out")
        size = max(sample_rate, 1)  # the blocks of a file
        return self._classify((to_float32(audio[start : start + size]) for start in range(0, len(audio), size)), sample_rate)

    def judge(self, windows: Samples) -> NDArray[np.float64]:
        """Posteriors of windows, each on its own: float32 [k, clip_samples] → float64 [k, labels].

        Raises:
            CardError: ONNX Runtime cannot run the file, or its outputs are not posteriors.
        """
        posteriors = judge_clips(self._model.session, self.card, windows).astype(np.float64)
        if not np.isfinite(posteriors).all():
            raise CardError("the model gives NaN or infinity in place of posteriors; train it again")
        return posteriors

    def decide(self, posteriors: NDArray[np.float64]) -> int:
        """The label's position for a recording's posteriors [labels]."""
        if len(self.labels) == 2:
            return 0 if posteriors[0] >= self.threshold else 1
        return int(posteriors.argmax())

    def doubts_about_scores(self, posteriors: NDArray[np.float64]) -> Iterator[Doubt]:
        """Whether posteriors [labels] are too close to tell."""
        return doubts_about_scores(posteriors, self.labels, self.threshold if len(self.labels) == 2 else None, self.card.limits)

    def _classify(self, blocks: Iterable[Samples], rate: int) -> RecordingResult:
        card, whole = self.card, self.settings.whole
        cutter = WholeCutter(card.clip_samples) if whole else self._window_cutter()
        meter = ConditionMeter(card.sample_rate)
        n_samples, rows, powers = 0, [], []
        for block in _resampled(blocks, rate, card.sample_rate):
            meter.feed(block[: max(card.clip_samples - n_samples, 0)] if whole else block)
            n_samples += len(block)
            for windows in cutter.feed(block):
                rows.append(self.judge(windows))
                powers.append(power_of(windows))
        for windows in cutter.finish():
            rows.append(self.judge(windows))
            powers.append(power_of(windows))
        return self._result(n_samples, np.concatenate(rows), np.concatenate(powers), meter.finish())

    def _window_cutter(self) -> WindowCutter:
        return WindowCutter(self.card.clip_samples, self.stride_samples, min(_AT_ONCE, most_at_once(self.card)))

    def _result(
        self, n_samples: int, rows: NDArray[np.float64], powers: NDArray[np.float64], condition: Condition
    ) -> RecordingResult:
        card, has_sound = self.card, with_sound(powers)
        clip = card.clip_samples
        starts = np.zeros(1, np.int64) if self.settings.whole else window_starts(n_samples, clip, self.stride_samples)
        stops = np.minimum(starts + clip, n_samples)
        posteriors = combine(rows, has_sound)
        position = self.decide(posteriors)
        first, last = _stretch(_log_odds(rows, position), has_sound)
        return RecordingResult(
            label=self.labels[position],
            score=float(posteriors[position]),
            labels=self.labels,
            posteriors=posteriors,
            threshold=self.threshold if len(self.labels) == 2 else None,
            start_s=float(starts[first] / card.sample_rate),
            stop_s=float(stops[last] / card.sample_rate),
            times_s=(starts + stops) / (2 * card.sample_rate),
            window_posteriors=rows,
            has_sound=has_sound,
            seconds=n_samples / card.sample_rate,
            judged_seconds=(min(n_samples, clip) if self.settings.whole else n_samples) / card.sample_rate,
            doubts=(
                *doubts_about(condition, card.limits),
                *self.doubts_about_scores(posteriors),
            ),
        )


def _resampled(blocks: Iterable[Samples], rate: int, to_rate: int) -> Iterator[Samples]:
    if rate == to_rate:
        yield from blocks
        return
    resampler = StreamResampler(rate, to_rate)
    for block in blocks:
        yield resampler.feed(block)
    yield resampler.flush()


def _settings(card: Card) -> RecordingsConfig:
    if not card.task.predicts_recordings:
        raise ConfigError(
            f"the model does not classify entire recordings, but detects {', '.join(card.labels[:6])}; "
            "train one with the task recordings, or use `detect` for words in recordings, `label` for clips"
        )
    try:
        return from_json(card.config).recordings
    except ConfigError as error:
        raise CardError(f"the settings in the model's card cannot be used: {error}; export it again") from error


def _check_threshold(threshold: float, labels: tuple[str, ...]) -> None:
    if not 0 <= threshold <= 1:
        raise ConfigError(f"`threshold` must lie between 0 and 1, got {threshold:g}")
    if len(labels) != 2:
        raise ConfigError(f"`threshold` decides between two labels, but the model has {len(labels)}; leave it out")


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 6) for value in values]


def _log_odds(posteriors: NDArray[np.float64], position: int) -> NDArray[np.float64]:
    """Of one label against all others, in each window: [k, labels] → [k]."""
    others = np.delete(posteriors, position, axis=1).sum(axis=1)
    return np.asarray(log_posteriors(posteriors[:, position]) - log_posteriors(others))


def _stretch(log_odds: NDArray[np.float64], has_sound: NDArray[np.bool_]) -> tuple[int, int]:
    """The first and last of the consecutive windows whose log-odds exceed the recording's mean by the largest sum.

    Windows without sound add nothing. Where all windows say the same, it is the whole recording.
    """
    counts = has_sound if has_sound.any() else np.ones_like(has_sound)
    excess = np.where(counts, log_odds - log_odds[counts].mean(), 0.0)
    heard = np.flatnonzero(counts)
    if np.abs(excess).max() <= _EVEN:
        return int(heard[0]), int(heard[-1])
    best, first, last = 0.0, int(heard[0]), int(heard[-1])
    total, begin = 0.0, 0
    for position, value in enumerate(excess):
        if total <= 0:
            total, begin = 0.0, position
        total += value
        if total > best:
            best, first, last = total, begin, position
    return first, last
