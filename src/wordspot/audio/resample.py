"""Resample an entire recording or a stream, block by block, with the SoX resampler. Both give the same samples."""

from __future__ import annotations

import numpy as np

from wordspot.audio.samples import Samples, check_rate

# soxr is imported inside functions: a device whose microphone has the model's rate never loads it.

_QUALITY = "HQ"


def resample(audio: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample an entire recording.

    Args:
        audio: float32 [samples] at `from_rate`.
        from_rate: in Hz.
        to_rate: in Hz.

    Returns:
        float32 [about samples · to_rate / from_rate]; `audio` itself if both rates are equal.
    """
    if from_rate == to_rate:
        return audio
    import soxr

    return np.asarray(soxr.resample(audio, from_rate, to_rate, quality=_QUALITY), dtype=np.float32)


class StreamResampler:
    """Resample a stream block by block, continuously across blocks.

    Time is kept: output sample n belongs to input time ``n / to_rate``. The filter looks ahead, so the output lags
    behind the input: 37 ms from 48 kHz to 16 kHz, 115 ms from 8 kHz. `flush` returns the rest.

    Raises:
        AudioError: a rate outside 1 kHz to 1 MHz.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        check_rate(from_rate)
        check_rate(to_rate)
        import soxr

        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=_QUALITY)

    def feed(self, audio: Samples) -> Samples:
        """Resample the next block: float32 [samples] → float32 [as many samples as are final by now]."""
        return np.asarray(self._stream.resample_chunk(audio), np.float32)

    def flush(self) -> Samples:
        """End the stream: return the remaining output of the filter. The next `feed` begins a new stream."""
        rest = np.asarray(self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
        self._stream.clear()
        return rest

    def reset(self) -> None:
        """Discard the stream."""
        self._stream.clear()
