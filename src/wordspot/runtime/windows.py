"""Cut recordings into windows, and combine the posteriors of the windows: shared by training, evaluation and inference.

A window is as long as a clip of the model. Windows overlap, and the last one ends with the recording. A recording shorter
than a window is repeated until it fills one. A model with the setting `whole` has one window: the beginning of the
recording, padded with zeros. The posteriors of a recording are the softmax of the mean log-posteriors of the windows that
contain sound.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32
from wordspot.errors import AudioError

SILENT_DB = 40.0
"""A window this far below the loudest one of its recording contains no sound."""

_LEAST = 1e-7  # lower bound of posteriors before the logarithm: float32 resolves no smaller distance from 1


def cut_windows(audio: NDArray[np.int16] | Samples, clip_samples: int, stride_samples: int, whole: bool = False) -> Samples:
    """Cut a recording into windows: int16 or float32 [n] → float32 [k, clip_samples], k at least 1.

    Args:
        audio: the recording.
        clip_samples: length of a window.
        stride_samples: distance between the starts of two windows, at most `clip_samples`.
        whole: return one window, the beginning, padded with zeros if the recording is shorter.

    Raises:
        AudioError: no samples.
    """
    if not len(audio):
        raise AudioError("the recording holds no samples; leave it out")
    floats = to_float32(audio)
    if whole:
        window = np.zeros((1, clip_samples), np.float32)
        window[0, : min(len(floats), clip_samples)] = floats[:clip_samples]
        return window
    if len(floats) < clip_samples:
        return np.resize(floats, clip_samples)[None]
    return sliding_window_view(floats, clip_samples)[window_starts(len(floats), clip_samples, stride_samples)]


def find_sound(windows: Samples) -> NDArray[np.bool_]:
    """Which windows [k, samples] are less than `SILENT_DB` below the loudest: bool [k]; none if all are digital silence."""
    return with_sound(power_of(windows))


def combine(window_posteriors: NDArray[np.floating], has_sound: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Combine windows into the posteriors of a recording: the softmax of their mean log-posteriors.

    Args:
        window_posteriors: float [k, labels], k at least 1.
        has_sound: bool [k], the windows that count; if none does, all do.

    Returns:
        float64 [labels], of sum 1.
    """
    used = window_posteriors[has_sound] if has_sound.any() else window_posteriors
    logits = log_posteriors(used).mean(axis=0)
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)


class WindowCutter:
    """Cuts a recording that comes in blocks into windows, `at_once` of them at a time, however long the blocks are."""

    def __init__(self, clip_samples: int, stride: int, at_once: int) -> None:
        self._clip, self._stride, self._at_once = clip_samples, stride, at_once
        self._pieces: list[Samples] = []
        self._begin, self._next, self._n_samples = (
            0,
            0,
            0,
        )  # start of what is kept, start of the next window, samples so far

    def feed(self, audio: Samples) -> Iterator[Samples]:
        """Feed the next float32 [samples]; yield windows float32 [at_once, clip_samples]."""
        self._pieces.append(audio)
        self._n_samples += len(audio)
        span = self._clip + (self._at_once - 1) * self._stride
        if self._next + span > self._n_samples:
            return
        kept = np.concatenate(self._pieces)
        while self._next + span <= self._n_samples:
            yield self._take(kept, span)
        keep_from = max(self._next - self._stride, 0)  # the last window starts after the last one that was yielded
        self._pieces, self._begin = [kept[keep_from - self._begin :].copy()], keep_from

    def finish(self) -> Iterator[Samples]:
        """Yield the remaining windows: float32 [at most at_once, clip_samples]."""
        kept = np.concatenate([np.zeros(0, np.float32), *self._pieces])
        if self._n_samples < self._clip:
            yield np.resize(kept, self._clip)[None]
            return
        starts = window_starts(self._n_samples, self._clip, self._stride)
        left = starts[starts > self._next - self._stride] - self._begin  # the last may lie before the grid's next
        for begin in range(0, len(left), self._at_once):
            yield sliding_window_view(kept, self._clip)[left[begin : begin + self._at_once]]

    def _take(self, kept: Samples, span: int) -> Samples:
        begin = self._next - self._begin
        self._next += self._at_once * self._stride
        return sliding_window_view(kept[begin : begin + span], self._clip)[:: self._stride]


class WholeCutter:
    """Cuts the one window of a recording that comes in blocks: its beginning, padded with zeros."""

    def __init__(self, clip_samples: int) -> None:
        self._window, self._n_filled = np.zeros((1, clip_samples), np.float32), 0

    def feed(self, audio: Samples) -> Iterator[Samples]:
        """Keep what fits; yield nothing yet."""
        fits = audio[: self._window.shape[1] - self._n_filled]
        self._window[0, self._n_filled : self._n_filled + len(fits)] = fits
        self._n_filled += len(fits)
        return iter(())

    def finish(self) -> Iterator[Samples]:
        """Yield the window: float32 [1, clip_samples]."""
        yield self._window


def stride_of(stride_ms: float, sample_rate: int, clip_samples: int) -> int:
    """Distance between two windows in samples: rounded, at least 1, and at most a window, so that nothing is skipped."""
    return min(max(round(stride_ms * sample_rate / 1000), 1), clip_samples)


def window_starts(n_samples: int, clip_samples: int, stride: int) -> NDArray[np.int64]:
    """Where windows start: every `stride` samples, and one that ends with the recording.

    >>> window_starts(11, 4, 3)
    array([0, 3, 6, 7])
    """
    last = max(n_samples - clip_samples, 0)
    starts = np.arange(0, last + 1, max(min(stride, clip_samples), 1), dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


def power_of(windows: Samples) -> NDArray[np.float64]:
    """The mean square of each window [k, samples]: float64 [k]."""
    squares = [float(np.dot(window, window)) for window in windows]
    return np.array(squares, np.float64) / np.float64(windows.shape[1])


def with_sound(power: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`find_sound` for the mean squares of windows: float64 [k] → bool [k]."""
    return np.asarray((power >= power.max() * 10 ** (-SILENT_DB / 10)) & (power > 0))


def log_posteriors(posteriors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Finite logarithms of posteriors of any shape."""
    return np.log(np.maximum(posteriors.astype(np.float64), _LEAST))
