"""From raw speech to a clip: trimmed, then laid at a random place and level over a faint noise floor."""

from __future__ import annotations

import numpy as np

from wordspot.audio.samples import Samples
from wordspot.data.voices.noise import PINK, WHITE, coloured_noise, from_db, to_unit

_LEVEL_DB = (-34.0, -14.0)  # root mean square of the word against full scale: what recordings by many people have
_FLOOR_DB = (-70.0, -50.0)
_PEAK = 0.95
_SILENCE_DB = -50.0  # below the loudest 5 ms, and so quiet that no consonant is lost
_FRAME_S = 0.005
_PAD_FRAMES = 2
_FADE_S = 0.003
_MARGIN = 0.1  # room before and after the word, as a part of the clip: what the usual time shift moves


def trim(speech: Samples, sample_rate: int) -> Samples:
    """`speech` float32 [samples] from its first to its last sound, 10 ms of room on either side, with soft ends.

    Sound is any 5 ms within 50 dB of the loudest 5 ms. Silence gives no samples.
    """
    frame = max(round(_FRAME_S * sample_rate), 1)
    whole = np.zeros(-(-len(speech) // frame) * frame, np.float32)
    whole[: len(speech)] = speech
    power = np.square(whole.reshape(-1, frame)).mean(axis=1)
    if not power.size or power.max() < from_db(-80) ** 2:
        return np.zeros(0, np.float32)
    loud = np.flatnonzero(power > power.max() * from_db(_SILENCE_DB) ** 2)
    start, end = max(loud[0] - _PAD_FRAMES, 0) * frame, (loud[-1] + 1 + _PAD_FRAMES) * frame
    return _fade(whole[start:end].copy(), sample_rate)


def place(speech: Samples, n_samples: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Trimmed `speech` float32 [samples] somewhere in a clip: float32 [n_samples], at a random level over faint noise.

    Where there is room, a tenth of the clip stays free on either side. Of speech longer than the clip, the loudest part
    is kept.
    """
    if len(speech) > n_samples:
        energy = np.concatenate([[0.0], np.cumsum(np.square(speech, dtype=np.float64))])
        start = int(np.argmax(energy[n_samples:] - energy[:-n_samples]))
        speech = _fade(speech[start : start + n_samples].copy(), sample_rate)
    free = n_samples - len(speech)
    margin = min(int(_MARGIN * n_samples), free // 2)
    start = int(rng.integers(margin, free - margin + 1))
    white = rng.uniform()
    floor = np.sqrt(white) * coloured_noise(rng, n_samples, WHITE, sample_rate)
    floor += np.sqrt(1 - white) * coloured_noise(rng, n_samples, PINK, sample_rate)
    clip = to_unit(floor) * np.float32(from_db(rng.uniform(*_FLOOR_DB)))
    word = to_unit(speech)
    loudest = float(np.abs(word).max(initial=0))
    gain = from_db(rng.uniform(*_LEVEL_DB))
    clip[start : start + len(speech)] += word * np.float32(min(gain, _PEAK / loudest if loudest else gain))
    return clip


def _fade(audio: Samples, sample_rate: int) -> Samples:
    n = min(round(_FADE_S * sample_rate), len(audio) // 2)
    ramp = np.linspace(0, 1, n, endpoint=False, dtype=np.float32)
    audio[:n] *= ramp
    audio[len(audio) - n :] *= ramp[::-1]
    return audio
