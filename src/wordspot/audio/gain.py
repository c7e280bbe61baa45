"""Raise the level of a live stream: by a fixed gain, or by an automatic one that is slow and bounded."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32
from wordspot.errors import ConfigError
from wordspot.progress import OnNote

#: A gain in dB, or ``"auto"``; None leaves the samples as they are.
Gain = float | str | None

AUTO = "auto"
MOST_DB = 60.0
_FRAME_MS = 20.0
_TARGET_DB = -10.0  # peaks of speech, dBFS
_NOISE_DB = -45.0  # what the background may be raised to, peaks, dBFS
_MOST_AUTO_DB = 30.0
_RISE_DB = 10.0  # in a second
_KEPT_SECONDS = 30
_FAINTEST = 1e-6

_SOFT, _DEAD = 1e-2, 1e-4  # peaks: -40 dBFS, -80 dBFS
_WATCH_SECONDS = 60.0


def check_gain(gain: Gain) -> None:
    """Raises ConfigError for a gain that is neither ``auto`` nor from -60 to 60 dB."""
    if gain is None or gain == AUTO:
        return
    if isinstance(gain, (str, bool)) or not -MOST_DB <= gain <= MOST_DB:
        raise ConfigError(f"`gain` must be auto, or lie between {-MOST_DB:g} and {MOST_DB:g} dB, got {gain!r}")


def make_gain(gain: Gain, sample_rate: int) -> FixedGain | AutoGain | None:
    """What raises the level of a stream of `sample_rate` Hz; None for no gain.

    Raises:
        ConfigError: as `check_gain`.
    """
    check_gain(gain)
    if gain is None or gain == 0:
        return None
    return AutoGain(sample_rate) if gain == AUTO else FixedGain(float(gain))


class FixedGain:
    """Multiplies samples; what exceeds [-1, 1] is clipped."""

    def __init__(self, gain_db: float) -> None:
        self._factor = np.float32(10 ** (gain_db / 20))

    def feed(self, audio: NDArray[Any]) -> Samples:
        """float32, float64 or int16 [n] → float32 [n]."""
        raised: Samples = np.clip(to_float32(audio) * self._factor, -1, 1)
        return raised

    def reset(self) -> None:
        """Forget the stream; there is nothing to forget."""


class AutoGain:
    """Raises a quiet stream until its peaks are near -10 dBFS, by 30 dB at most.

    The gain rises by 10 dB in a second and falls at once if a sound would be too loud, but stays where it is between words:
    the loudest sound of the last 30 s decides. It does not raise the background above -45 dBFS. The result does not
    depend on how the stream is cut into blocks.

    Args:
        sample_rate: in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame = max(round(sample_rate * _FRAME_MS / 1000), 1)
        self._n_frames_second = round(1000 / _FRAME_MS)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.gain_db = self._wanted_db = 0.0
        self._n_samples, self._peak, self._n_frames = 0, 0.0, 0
        self._high, self._low = 0.0, math.inf
        self._seconds: deque[tuple[float, float]] = deque(maxlen=_KEPT_SECONDS)  # the loudest and the softest frame

    def feed(self, audio: NDArray[Any]) -> Samples:
        """float32, float64 or int16 [n] → float32 [n]."""
        floats = to_float32(audio)
        raised, start = np.empty_like(floats), 0
        while start < len(floats):
            stop = min(start + self._frame - self._n_samples, len(floats))
            part = floats[start:stop]
            raised[start:stop] = part * np.float32(10 ** (self.gain_db / 20))
            self._peak = max(self._peak, float(part.max()), -float(part.min()))
            self._n_samples += len(part)
            if self._n_samples == self._frame:
                self._end_frame()
            start = stop
        np.clip(raised, -1, 1, out=raised)
        return raised

    def _end_frame(self) -> None:
        peak = self._peak
        self._high, self._low = max(self._high, peak), min(self._low, peak)
        self._n_samples, self._peak, self._n_frames = 0, 0.0, self._n_frames + 1
        if self._n_frames % self._n_frames_second == 0:
            self._seconds.append((self._high, self._low))
            self._high, self._low = 0.0, math.inf
            level, floor = max(high for high, _ in self._seconds), float(np.median([low for _, low in self._seconds]))
            self._wanted_db = min(_TARGET_DB - _in_db(level), _NOISE_DB - _in_db(floor), _MOST_AUTO_DB)
        step = _RISE_DB / self._n_frames_second
        change = min(max(self._wanted_db - self.gain_db, -step), step)
        self.gain_db = max(min(self.gain_db + change, _TARGET_DB - _in_db(peak)), 0.0)


class LevelWatch:
    """Notices, once, that a stream has been too quiet for a minute.

    Args:
        sample_rate: in Hz.
        note: called with what was noticed.
        gain: that is applied to the stream.
    """

    def __init__(self, sample_rate: int, note: OnNote, gain: Gain = None) -> None:
        self._note, self._n_left = note, 0 if gain == AUTO else math.ceil(_WATCH_SECONDS * sample_rate)
        self._gain_db, self._peak = 0.0 if gain is None or isinstance(gain, str) else float(gain), 0.0

    def feed(self, samples: NDArray[Any]) -> None:
        """The next samples, before the gain: float or int16 [n]."""
        if self._n_left <= 0 or not len(samples):
            return
        scale = 32768 if samples.dtype.kind == "i" else 1
        self._peak = max(self._peak, float(samples.max()) / scale, -float(samples.min()) / scale)
        raised_db = _in_db(self._peak) + self._gain_db
        if raised_db >= _in_db(_SOFT):
            self._n_left = 0
            return
        self._n_left -= len(samples)
        if self._n_left <= 0:
            self._note(self._text(raised_db))

    def _text(self, raised_db: float) -> str:
        if self._peak < _DEAD:
            return "the audio has been silent for a minute; the microphone may be muted"
        wanted = min(round((_TARGET_DB - raised_db + self._gain_db) / 5) * 5, int(MOST_DB))
        return (
            f"the audio is very quiet, its loudest sound in a minute was {raised_db:.0f} dBFS; raise the level of the "
            f"microphone, or use `gain` {wanted} or `gain` {AUTO}"
        )


def _in_db(peak: float) -> float:
    return 20 * math.log10(max(peak, _FAINTEST))
