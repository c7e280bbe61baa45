"""Measure the condition of a recording: how loud, how long, how noisy and how wide its sound is, whatever is said in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from wordspot.audio.samples import Samples

SOUND_BELOW_TOP_DB, SPECTRUM_BELOW_TOP_DB = 40.0, 70.0
FRAME_MS = 20
_BINS_HZ = 25.0
_FRAMES_AT_ONCE = 256


@dataclass(frozen=True)
class Condition:
    """The condition of a recording.

    Attributes:
        level_db: level of the frames that contain sound, dBFS.
        floor_db: level below which the quietest tenth of the frames stay, dBFS.
        lead_ms: time before the first sound.
        tail_ms: time after the last one.
        sound_s: how much of the recording is sound.
        bandwidth_hz: highest frequency with sound.
        is_silent: whether it is digital silence: all samples are 0.
    """

    level_db: float
    floor_db: float
    lead_ms: float
    tail_ms: float
    sound_s: float
    bandwidth_hz: float
    is_silent: bool = field(default=False, kw_only=True)

    @property
    def snr_db(self) -> float:
        """How far the sound lies above the noise floor. Without pauses, the quietest speech is taken for the floor."""
        return max(self.level_db - self.floor_db, 0.0)


class ConditionMeter:
    """Measures a recording that comes in blocks. A frame has sound if it is within `SOUND_BELOW_TOP_DB` of the loudest.

    The bandwidth reaches to the highest frequency whose mean power lies within `SPECTRUM_BELOW_TOP_DB` of the strongest one's.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = max(sample_rate * FRAME_MS // 1000, 1)
        self._window = np.blackman(2 * max(round(sample_rate / (2 * _BINS_HZ)), 1))
        self._levels: list[Samples] = []
        self._power = np.zeros(len(self._window) // 2 + 1)
        self._to_frame = self._to_window = np.zeros(0, np.float32)  # what is left of the blocks so far
        self._n_windows = 0
        self._is_silent = True

    def feed(self, audio: Samples) -> None:
        """Feed the next float32 [samples]."""
        self._is_silent = self._is_silent and not audio.any()
        kept = np.concatenate([self._to_frame, audio])
        n_used = len(kept) // self._frame * self._frame
        if n_used:
            self._levels.append(level_db(kept[:n_used].reshape(-1, self._frame)))
        self._to_frame = kept[n_used:]
        self._feed_spectrum(np.concatenate([self._to_window, audio]))

    def _feed_spectrum(self, kept: Samples) -> None:
        """Add the spectra of windows that overlap by half."""
        size = len(self._window)
        n_windows = max((len(kept) - size) // (size // 2) + 1, 0)
        for first in range(0, n_windows, _FRAMES_AT_ONCE):
            n = min(_FRAMES_AT_ONCE, n_windows - first)
            part = kept[first * size // 2 : (first + n + 1) * size // 2]
            frames = np.lib.stride_tricks.sliding_window_view(part, size)[:: size // 2]
            self._power += np.sum(np.abs(np.fft.rfft(frames * self._window)) ** 2, axis=0)
        self._n_windows += n_windows
        self._to_window = kept[n_windows * (size // 2) :]

    def finish(self) -> Condition:
        """The condition of all that was fed, at least one sample."""
        if not self._levels:
            self._levels = [level_db(np.resize(self._to_frame, self._frame)[None])]
        if not self._n_windows:
            self._feed_spectrum(np.pad(self._to_window, (0, len(self._window) - len(self._to_window))))
        levels = np.concatenate(self._levels)
        sounding = levels >= levels.max() - SOUND_BELOW_TOP_DB
        present = np.flatnonzero(self._power >= self._power.max() * 10 ** (-SPECTRUM_BELOW_TOP_DB / 10))
        return Condition(
            level_db=10 * math.log10(float(np.mean(10 ** (levels[sounding].astype(np.float64) / 10)))),
            floor_db=float(np.percentile(levels, 10)),
            lead_ms=float(np.argmax(sounding) * FRAME_MS),
            tail_ms=float(np.argmax(sounding[::-1]) * FRAME_MS),
            sound_s=float(sounding.sum() * self._frame / self._rate),
            bandwidth_hz=float(present[-1] * self._rate / len(self._window)),
            is_silent=self._is_silent,
        )


def measure_condition(audio: Samples, sample_rate: int) -> Condition:
    """The condition of float32 [samples], at least one."""
    meter = ConditionMeter(sample_rate)
    meter.feed(audio)
    return meter.finish()


def level_db(frames: Samples) -> Samples:
    """float32 [frames, samples] → mean power of each in dB, at least -120."""
    return np.asarray(10 * np.log10(np.maximum(np.mean(frames * frames, axis=1), 1e-12)), np.float32)
