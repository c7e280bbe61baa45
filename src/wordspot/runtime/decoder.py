"""Decode scores into detections: one per spoken word, or by the rules of TensorFlow's recogniser or of ESPHome's devices.

Rows of posteriors come in, each with the time at which its audio ends, in chunks of any size; detections come out. The
same rows give the same detections, bit by bit, for any chunk sizes: posteriors are rounded to multiples of 2**-30, so that
their sums are exact in any order and nothing drifts.

A detection that competes with another, or whose score may still rise, waits: `Detection.emitted_ms` says how long.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wordspot.config import DEVICE_DECODER, DecoderConfig
from wordspot.errors import ConfigError
from wordspot.runtime.device_rule import FIRST_MS, DeviceRule
from wordspot.runtime.moving_mean import UNIT, Means, MovingMean, Rows, ScoreError, in_units

_LOWEST = -sys.float_info.max
_NO_WORDS = ("_silence_", "_unknown_")
_BLOCK = 1 << 16  # rows; far fewer than the 2**23 whose sums are exact
_MARGIN = 0.02  # a rise smaller than this no longer postpones the detection
_RISE = 2.0  # a word whose score did not fall to its threshold is detected again when its score rises by this factor


@dataclass(frozen=True)
class Detection:
    """A word that was detected in a stream.

    Attributes:
        label: the word.
        time_ms: the end of the audio that supports it best, in milliseconds from the start of the stream.
        score: the smoothed posterior at that time, 0 to 1.
        emitted_ms: how much audio had been fed when the detection was made.
    """

    label: str
    time_ms: float
    score: float
    emitted_ms: float

    def __str__(self) -> str:
        return f"{self.time_ms / 1000:9.2f} s  {self.label} (score = {self.score:.2f})"

    def to_json(self) -> dict[str, Any]:
        """The detection as a JSON object, times rounded to microseconds."""
        return {
            "label": self.label,
            "time_ms": round(self.time_ms, 3),
            "score": round(self.score, 6),
            "emitted_ms": round(self.emitted_ms, 3),
        }


class Decoder(ABC):
    """Decodes rows of scores into detections. `make_decoder` makes the one that a configuration names."""

    def __init__(self, config: DecoderConfig, labels: Sequence[str]) -> None:
        self.config = config
        self.labels = _check_labels(labels)
        if missing := sorted(set(config.thresholds) - set(labels)):
            raise ConfigError(
                f"there are thresholds for {', '.join(missing)}, which are not labels of the model; "
                f"its labels are {', '.join(labels)}"
            )
        self._thresholds = np.array([config.threshold_of(label) for label in labels])
        self.reset()

    def reset(self) -> None:
        """Discard everything that was fed."""
        self._mean = MovingMean(len(self.labels), self.config.average_ms)
        self._last_ms = -math.inf
        self._first_ms = math.nan
        self._stride = -1.0

    def feed(self, scores: ArrayLike, end_ms: ArrayLike) -> list[Detection]:
        """Decode the next rows of scores.

        Args:
            scores: float [n, labels], posteriors; n may be 0.
            end_ms: float [n], the time in milliseconds at which the audio of each row ends; never falling.

        Raises:
            ScoreError: another shape, scores that are not finite or outside 0..1, times that are not finite or fall.
                Nothing of the chunk has been processed then.
        """
        rows, times = np.asarray(scores), np.asarray(end_ms, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.labels) or times.shape != rows.shape[:1]:
            raise ScoreError(
                f"scores and times have the shapes {list(rows.shape)} and {list(times.shape)}; "
                f"expected [n, {len(self.labels)}] and [n]"
            )
        if len(rows) == 0:
            return []
        _check_times(times, self._last_ms)
        rows = in_units(rows)
        self._last_ms = float(times[-1])
        found: list[Detection] = []
        if self.config.stride_ms > 0:
            rows, times = self._thin(rows, times)
        if len(rows) == 1:  # a live stream comes row by row, and should cost little
            time = float(times[0])
            self._one(self._mean.add(rows[0], time), time, found)
            return found
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            self._many(self._mean.extend(rows[block], times[block]), times[block], found)
        return found

    def flush(self) -> list[Detection]:
        """End the stream: return the detections that were still pending."""
        return []

    def _thin(self, rows: Rows, times: Rows) -> tuple[Rows, Rows]:
        """The first row in each stride, counted from the stream's first row."""
        if math.isnan(self._first_ms):
            self._first_ms = float(times[0])
        strides = np.floor((times - self._first_ms) / self.config.stride_ms + 1e-6)
        new = strides > self._stride if len(times) == 1 else np.diff(strides, prepend=self._stride) > 0
        self._stride = float(strides[-1])
        return rows[new], times[new]

    @abstractmethod
    def _one(self, mean: Rows, time: float, found: list[Detection]) -> None:
        """Process a row, whose mean float64 [labels] is the newest of `_mean`."""

    @abstractmethod
    def _many(self, means: Means, times: Rows, found: list[Detection]) -> None:
        """Process rows, with the same result as `_one` for each of them."""


class RecognizeCommands(Decoder):
    """The recogniser of TensorFlow's speech_commands example, kinds ``classic`` and ``micro``.

    A label is new if its mean score exceeds its threshold, it differs from the previous label, and the previous label is
    longer than `suppression_ms` ago. ``micro`` needs only one of the last two, so that a repeated word is detected again.
    Every new label is a detection, ``_unknown_`` too, except ``_silence_``.
    """

    def reset(self) -> None:
        super().reset()
        self._previous = _NO_WORDS[0]
        self._previous_ms = -math.inf

    def process(self, scores: ArrayLike, time_ms: float) -> tuple[str, float, bool]:
        """Process one row, float [labels]; return the top label, its mean score, and whether it is new.

        Before the mean has enough rows: the previous label, 0 and False. The stride is not applied here.

        Raises:
            ScoreError: not one score a label, or a time before the oldest row that is still remembered.
        """
        row = np.asarray(scores)
        if row.shape != (len(self.labels),):
            raise ScoreError(f"the scores have the shape {list(row.shape)}; expected {len(self.labels)}, one for each label")
        time = float(time_ms)
        if not self._mean.oldest_ms <= time < math.inf:
            raise ScoreError(f"the time {time:g} ms is before the oldest that is kept, {self._mean.oldest_ms:g} ms")
        mean = self._mean.add(in_units(row), time)
        self._last_ms = max(self._last_ms, time)
        return self._judge(mean, time)

    def _judge(self, mean: Rows, time: float) -> tuple[str, float, bool]:
        if len(self._mean) < self.config.minimum_count or time - self._mean.oldest_ms < self.config.average_ms / 4:
            return self._previous, 0.0, False
        top = int(mean.argmax())
        label, score = self.labels[top], float(mean[top])
        return label, score, score > self._thresholds[top] and self._is_new(label, time)

    def _one(self, mean: Rows, time: float, found: list[Detection]) -> None:
        label, score, new = self._judge(mean, time)
        if new and label != _NO_WORDS[0]:
            found.append(Detection(label, time, score, time))

    def _many(self, means: Means, times: Rows, found: list[Detection]) -> None:
        tops = means.rows.argmax(axis=1)
        scores = means.rows[np.arange(len(tops)), tops]
        enough = (means.counts >= self.config.minimum_count) & (times - means.oldest >= self.config.average_ms / 4)
        for at in np.flatnonzero(enough & (scores > self._thresholds[tops])).tolist():
            label, time = self.labels[tops[at]], float(times[at])
            if self._is_new(label, time) and label != _NO_WORDS[0]:
                found.append(Detection(label, time, float(scores[at]), time))

    def _is_new(self, label: str, time: float) -> bool:
        """Whether a label above its threshold is new; if so, it is remembered."""
        changed = label != self._previous
        since = math.inf if self._previous == _NO_WORDS[0] else time - self._previous_ms
        late = since > self.config.suppression_ms
        if not ((changed or late) if self.config.kind == "micro" else (changed and late)):
            return False
        self._previous, self._previous_ms = label, time
        return True


class PeakDecoder(Decoder):
    """One detection per spoken word, at the peak of its score.

    - The score is the mean of the posteriors of the last `average_ms`, by the rows' times.
    - The highest score of all words above their thresholds is a peak. It becomes a detection when it has not been exceeded
      for `confirm_ms` (by more than 0.02, so that no plateau delays it), or at once if it cannot be exceeded.
    - Then the word is blocked for `refractory_ms` from its peak, and all others for half of it.
    - After that a word is detected again only when its score has fallen to the threshold, or has doubled from its lowest
      value since: a long plateau is one word. The same holds for words that lost against the peak.

    ``_silence_`` and ``_unknown_`` are never detected.
    """

    def reset(self) -> None:
        super().reset()
        words = ~np.isin(self.labels, _NO_WORDS)
        self._levels: list[float] = np.where(words, self._thresholds, math.inf).tolist()
        self._free_ms = [-math.inf] * len(self.labels)
        self._lowest: dict[int, float] = {}
        self._rivals: set[int] = set()
        self._peak: tuple[float, int, float] | None = None  # score, word, time
        self._since_ms = 0.0
        self._since_score = 0.0

    def flush(self) -> list[Detection]:
        return [self._give(self._last_ms)] if self._peak else []

    def _one(self, mean: Rows, time: float, found: list[Detection]) -> None:
        self._step(mean.tolist(), time, found)

    def _many(self, means: Means, times: Rows, found: list[Detection]) -> None:
        rows = means.rows
        high = (rows > self._levels).any(axis=1)
        above = [*np.flatnonzero(high).tolist(), len(rows)]
        position = at = 0
        while at < len(rows):
            if self._peak is None and not self._lowest:  # nothing happens until a word exceeds its threshold
                while above[position] < at:
                    position += 1
                at = above[position]
                if at == len(rows):
                    return
            self._step(rows[at].tolist(), float(times[at]), found)
            at += 1

    def _step(self, scores: list[float], time: float, found: list[Detection]) -> None:
        if self._peak and time - self._since_ms > self.config.confirm_ms:  # the rows have a gap
            found.append(self._give(time))
        for word, score in enumerate(scores):
            above = score > self._levels[word]
            if word in self._lowest:
                self._lowest[word] = lowest = min(self._lowest[word], score)
                if above and score < _RISE * lowest:
                    continue
                del self._lowest[word]
            if above and time > self._free_ms[word]:
                self._rivals.add(word)
                if self._peak is None or score > self._peak[0]:
                    self._climb(score, word, time)
        if self._peak and (time - self._since_ms >= self.config.confirm_ms or self._since_score > 1 - _MARGIN):
            found.append(self._give(time))

    def _climb(self, score: float, word: int, time: float) -> None:
        if self._peak is None or score > self._since_score + _MARGIN:
            self._since_ms, self._since_score = time, score
        self._peak = (score, word, time)

    def _give(self, now: float) -> Detection:
        assert self._peak is not None
        score, word, time = self._peak
        rest = self.config.refractory_ms
        self._free_ms = [max(free, time + rest / 2) for free in self._free_ms]
        self._free_ms[word] = time + rest
        self._lowest.update(dict.fromkeys(self._rivals, math.inf))
        self._rivals.clear()
        self._peak = None
        return Detection(self.labels[word], time, score, now)


class DeviceDecoder(Decoder):
    """The rule of ESPHome's `micro_wake_word`, `DeviceRule`, for each word by itself."""

    def reset(self) -> None:
        super().reset()
        words = [(at, label) for at, label in enumerate(self.labels) if label not in _NO_WORDS]
        self._rules = {at: DeviceRule(self.config.threshold_of(label), self.config.refractory_ms) for at, label in words}
        self._before_ms = FIRST_MS

    def _one(self, mean: Rows, time: float, found: list[Detection]) -> None:
        self._rows(mean[None], self._mean.newest[None], np.array([time]), found)

    def _many(self, means: Means, times: Rows, found: list[Detection]) -> None:
        self._rows(means.rows, means.newest, times, found)

    def _rows(self, means: Rows, newest: Rows, times: Rows, found: list[Detection]) -> None:
        passed = np.diff(times, prepend=min(self._before_ms, times[0]))
        self._before_ms = float(times[-1])
        rules = self._rules.items()
        hits = [(at, word) for word, rule in rules for at in rule.hits(means[:, word], newest[:, word] / UNIT, passed)]
        for at, word in sorted(hits):
            found.append(Detection(self.labels[word], float(times[at]), float(means[at, word]), float(times[at])))


_DECODERS: dict[str, type[Decoder]] = {
    "peak": PeakDecoder,
    "classic": RecognizeCommands,
    "micro": RecognizeCommands,
    DEVICE_DECODER: DeviceDecoder,
}


def make_decoder(config: DecoderConfig, labels: Sequence[str]) -> Decoder:
    """Make the decoder that `config` names, for a model with these `labels`.

    Raises:
        ConfigError: no labels, one twice, or a threshold for a label that is not among them.
    """
    return _DECODERS[config.kind](config, labels)


def _check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    if not labels or len(set(labels)) < len(labels):
        raise ConfigError(f"the labels must be at least one, without repetition, got {', '.join(labels) or 'none'}")
    return tuple(labels)


def _check_times(times: Rows, last_ms: float) -> None:
    if max(last_ms, _LOWEST) <= times[0] and times[-1] < math.inf and (len(times) == 1 or bool((times[1:] >= times[:-1]).all())):
        return
    if not np.isfinite(times).all():
        raise ScoreError(f"the times must be finite, got {times[~np.isfinite(times)][0]}")
    before = np.concatenate([[last_ms], times[:-1]])
    at = int(np.argmax(times < before))
    raise ScoreError(f"the times must never decrease, got {times[at]:g} ms after {before[at]:g} ms; reset() starts a new stream")
