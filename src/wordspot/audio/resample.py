"""Another sample rate, block by block: what comes out is what resampling the whole recording gives, without seams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import AudioError

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1000, 1_000_000


class StreamResampler:
    """The SoX resampler on a stream, with the filter that `audio.resample` uses.

    Time is kept: output sample n belongs to input time ``n / to_rate``. The filter looks ahead, so the output lags
    behind what was fed: 37 ms from 48 kHz to 16 kHz, 115 ms from 8 kHz. `flush` gives the rest.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        """Raises AudioError where a rate is none that sound has (1 kHz to 1 MHz)."""
        for rate in (from_rate, to_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {rate}")
        import soxr  # a device whose microphone has the model's rate never loads it

        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def feed(self, audio: Samples) -> Samples:
        """audio: float32 [samples] at the first rate → float32 [as many as are sure now] at the second."""
        return np.asarray(self._stream.resample_chunk(audio), np.float32)

    def flush(self) -> Samples:
        """What the filter still held, at the end of a stream. The next `feed` begins a new one."""
        rest = np.asarray(self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
        self._stream.clear()
        return rest

    def reset(self) -> None:
        """Forget the stream."""
        self._stream.clear()
