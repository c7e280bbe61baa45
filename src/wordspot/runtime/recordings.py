"""Which class a recording of any length is of, by an exported model: `recording_windows` says how.

Needs numpy and onnxruntime, and nothing of torch. Files are read block by block, so that an hour costs little memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordspot.audio.files import read_blocks
from wordspot.audio.resample import StreamResampler
from wordspot.audio.samples import Samples, check_samples, to_float32
from wordspot.config import RecordingsConfig
from wordspot.errors import AudioError, CardError, ConfigError
from wordspot.overrides import from_json
from wordspot.runtime.detector import Source
from wordspot.runtime.modelfile.card import Card, most_at_once
from wordspot.runtime.modelfile.session import judge_clips
from wordspot.runtime.streams import Model, open_model
from wordspot.runtime.windows import (
    WholeCutter,
    WindowCutter,
    combine,
    cut_windows,
    find_sound,
    log_posteriors,
    power_of,
    stride_of,
    window_starts,
    with_sound,
)

__all__ = ["RecordingClassifier", "RecordingResult", "combine", "cut_windows", "find_sound"]

DEFAULT_THRESHOLD = 0.5
_AT_ONCE = 8  # windows of one call: more are no faster on one core, and take memory
_EVEN = 1e-6  # log-odds that lie closer together point to no stretch


@dataclass(frozen=True)
class RecordingResult:
    """What a recording is taken for, and what that rests on."""

    label: str
    score: float
    """The posterior of `label`. With a threshold other than 0.5 it may be below 0.5."""
    posteriors: NDArray[np.float64]
    """[labels], of the whole recording."""
    start_s: float
    """Where the stretch begins that speaks most for `label`, compared with the rest of the recording."""
    stop_s: float
    times_s: NDArray[np.float64]
    """[n], the windows' middles."""
    window_posteriors: NDArray[np.float64]
    """[n, labels]."""
    has_sound: NDArray[np.bool_]
    """[n], the windows that count; where all is digital silence none has sound, and all count."""
    seconds: float


class RecordingClassifier:
    """Judges whole recordings by an exported model of the task `recordings`.

    Args:
        model: an exported file, its content, or what `open_model` gave.
        threads: that one call may use.
        threshold: with two labels, what the first one's posterior must reach; None: as the file says, else 0.5.
        self_test: refuse a file that does not give what it gave when it was exported.

    Raises:
        NotFoundError: no such file.
        CardError: a file that is damaged, or none that wordspot wrote.
        ConfigError: a model of another task; a threshold outside 0 to 1, or for a model of three or more labels.
    """

    def __init__(
        self, model: Source, threads: int = 1, *, threshold: float | None = None, self_test: bool = True
    ) -> None:
        opened = model if isinstance(model, Model) else open_model(model, threads=threads, self_test=self_test)
        self._model = opened
        self.card: Card = opened.card
        self.labels = self.card.labels
        self.settings = _settings(self.card)
        if threshold is not None:
            _check_threshold(threshold, self.labels)
        own = self.card.decoder.thresholds.get(self.labels[0], DEFAULT_THRESHOLD)
        self.threshold = own if threshold is None else threshold
        """Two labels: a recording whose posterior of the first one is at least this is taken for it. More: unused."""

    @property
    def stride_samples(self) -> int:
        """From one window to the next, at the model's rate."""
        return stride_of(self.settings.stride_ms, self.card.sample_rate, self.card.clip_samples)

    def classify_file(self, path: Path) -> RecordingResult:
        """Judge a sound file of any length and rate; of several channels the first, as in training.

        Raises:
            NotFoundError: no such file.
            AudioError: damaged, empty, truncated, or holding NaN or infinity.
        """
        rate, blocks = read_blocks(Path(path), channel=0)
        return self._classify(blocks, rate)

    def classify(self, samples: ArrayLike, sample_rate: int) -> RecordingResult:
        """Judge a recording: float32, float64 or int16 [n] at `sample_rate` Hz.

        Raises:
            AudioError: no samples, NaN or infinity, another type, shape or scale, or a rate that no sound has.
        """
        audio = check_samples(samples)
        if not audio.size:
            raise AudioError("expected a recording, got no samples; leave it out")
        size = max(sample_rate, 1)  # the blocks of a file
        return self._classify(
            (to_float32(audio[start : start + size]) for start in range(0, len(audio), size)), sample_rate
        )

    def judge(self, windows: Samples) -> NDArray[np.float64]:
        """Posteriors of windows, each for itself: float32 [k, clip_samples] → float64 [k, labels].

        Raises:
            CardError: onnxruntime cannot run the file, or it gives what is no posterior.
        """
        posteriors = judge_clips(self._model.session, self.card, windows).astype(np.float64)
        if not np.isfinite(posteriors).all():
            raise CardError("expected posteriors from the model, but it gives NaN or infinity; train it again")
        return posteriors

    def decide(self, posteriors: NDArray[np.float64]) -> int:
        """The label's position for a recording's posteriors [labels]."""
        if len(self.labels) == 2:
            return 0 if posteriors[0] >= self.threshold else 1
        return int(posteriors.argmax())

    def _classify(self, blocks: Iterable[Samples], rate: int) -> RecordingResult:
        whole = self.settings.whole
        cutter = WholeCutter(self.card.clip_samples) if whole else self._window_cutter()
        n_samples, rows, powers = 0, [], []
        for block in _resampled(blocks, rate, self.card.sample_rate):
            n_samples += len(block)
            for windows in cutter.feed(block):
                rows.append(self.judge(windows))
                powers.append(power_of(windows))
        for windows in cutter.finish():
            rows.append(self.judge(windows))
            powers.append(power_of(windows))
        return self._result(n_samples, np.concatenate(rows), np.concatenate(powers))

    def _window_cutter(self) -> WindowCutter:
        return WindowCutter(self.card.clip_samples, self.stride_samples, min(_AT_ONCE, most_at_once(self.card)))

    def _result(self, n_samples: int, rows: NDArray[np.float64], powers: NDArray[np.float64]) -> RecordingResult:
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
            posteriors=posteriors,
            start_s=float(starts[first] / card.sample_rate),
            stop_s=float(stops[last] / card.sample_rate),
            times_s=(starts + stops) / (2 * card.sample_rate),
            window_posteriors=rows,
            has_sound=has_sound,
            seconds=n_samples / card.sample_rate,
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
            f"expected a model of whole recordings (`wordspot train labels.csv --task recordings`), got one for "
            f"{', '.join(card.labels[:6])}; take `wordspot detect` for words in recordings, `wordspot label` for clips"
        )
    try:
        return from_json(card.config).recordings
    except ConfigError as error:
        raise CardError(f"expected the settings of a run in the model's card, but {error}; export it again") from error


def _check_threshold(threshold: float, labels: tuple[str, ...]) -> None:
    if not 0 <= threshold <= 1:
        raise ConfigError(f"a threshold must lie between 0 and 1, got {threshold:g}")
    if len(labels) != 2:
        raise ConfigError(f"a threshold decides between two labels, the model has {len(labels)}; leave it out")


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
