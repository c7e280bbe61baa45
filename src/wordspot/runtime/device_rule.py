"""The decision rule of ESPHome's `micro_wake_word` for one word: from mean and newest scores to detections."""

from __future__ import annotations

import math

import numpy as np

from wordspot.runtime.moving_mean import Rows

#: The first frame of features ends 30 ms after the start, so the first score comes 20 ms plus the frames of a call after it.
FIRST_MS = 20.0
_FRAME_MS = 10.0


class DeviceRule:
    """The cut-off of a word, and how long the device still ignores it.

    The word is detected if the mean of its last scores exceeds the cut-off. At the start, and after each detection, the device
    ignores the word for the refractory time, towards which only frames of 10 ms count whose newest score is below the cut-off.
    A detection sets the newest score to 0.

    Args:
        threshold: rounded down to whole 255ths, which are compared with scores in 256ths.
        refractory_ms: 1 s on a device.
    """

    def __init__(self, threshold: float, refractory_ms: float) -> None:
        self.cutoff = math.floor(255 * threshold) / 256
        self._refractory_ms = self._ready_ms = refractory_ms
        self._low_ms = 0.0  # total time so far with a low newest score; at `_ready_ms` of it the word is detected again
        self._was_low = True

    def hits(self, means: Rows, newest: Rows, passed: Rows) -> list[int]:
        """Return the rows at which the word is detected.

        Args:
            means: float64 [n], means of the last scores.
            newest: float64 [n], the scores themselves.
            passed: float64 [n], milliseconds since the row before, whose score holds for all of these frames but the last.
        """
        is_low, older = newest < self.cutoff, np.maximum(passed - _FRAME_MS, 0)
        was_low = np.append(self._was_low, is_low)
        low = np.cumsum(np.append(self._low_ms, np.where(was_low[:-1], older, 0) + np.where(is_low, passed - older, 0)))[1:]
        found, more = [], 0.0
        for at in np.flatnonzero(means > self.cutoff).tolist():
            if low[at] + more < self._ready_ms:
                continue
            found.append(at)
            self._ready_ms = low[at] + more + self._refractory_ms
            if not is_low[at]:
                was_low[at + 1] = True
                more += older[at + 1] if at + 1 < len(older) else 0.0
        self._low_ms, self._was_low = float(low[-1]) + more, bool(was_low[-1])
        return found
