"""How ESPHome's `micro_wake_word` decides, for one word: from means and newest scores to detections."""

from __future__ import annotations

import math

import numpy as np

from wordspot.runtime.moving_mean import Rows

#: The first frame of features ends 30 ms after the start, and the first score that much less a frame, plus those of a call.
FIRST_MS = 20.0
_FRAME_MS = 10.0


class DeviceRule:
    """A word's cut-off, and for how long the device is still deaf to it.

    The word is detected when the mean of its last scores exceeds the cut-off. At the start, and after each detection, the
    device is deaf for some time, of which only frames of 10 ms count at which the newest score is below the cut-off; a
    detection sets the newest score to 0.

    Args:
        threshold: rounded down to whole 255ths, which are compared with scores in 256ths.
        deaf_ms: 1 s on a device.
    """

    def __init__(self, threshold: float, deaf_ms: float) -> None:
        self.cutoff = math.floor(255 * threshold) / 256
        self._deaf_ms = self._hears_ms = deaf_ms
        self._low_ms = 0.0  # all time so far with a low newest score
        self._was_low = True

    def hits(self, means: Rows, newest: Rows, passed: Rows) -> list[int]:
        """The rows that detect the word.

        Args:
            means: float64 [n], of its last scores.
            newest: float64 [n], its scores.
            passed: float64 [n], milliseconds since the row before. Of these frames, all but the last see that row's score.
        """
        is_low, older = newest < self.cutoff, np.maximum(passed - _FRAME_MS, 0)
        was_low = np.append(self._was_low, is_low)
        low = np.cumsum(np.append(self._low_ms, np.where(was_low[:-1], older, 0) + np.where(is_low, passed - older, 0)))[1:]
        found, more = [], 0.0
        for at in np.flatnonzero(means > self.cutoff).tolist():
            if low[at] + more < self._hears_ms:
                continue
            found.append(at)
            self._hears_ms = low[at] + more + self._deaf_ms
            if not is_low[at]:
                was_low[at + 1] = True
                more += older[at + 1] if at + 1 < len(older) else 0.0
        self._low_ms, self._was_low = float(low[-1]) + more, bool(was_low[-1])
        return found
