"""Find where speech is in a recording, by four criteria for four purposes.

- `speech_bounds`: the first and the last loud frame of a clip, by energy. For clips of a second with one word.
- `find_word`: the longest sound that stands out from its background in many bands. For recordings started and stopped by
  hand, in which a click may be as loud as the word.
- `loudest_window`: the window with the most energy. For cutting clips of a fixed length.
- `trim`: everything within 50 dB of the loudest frame. For synthesised speech, which has no background.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.effects import soften_ends
from wordspot.audio.noise import from_db
from wordspot.audio.samples import Samples

_BOUNDS_FRAME_MS = 10
_RANGE_DB = 30.0  # speech is at most this far below its loudest frame
_ABOVE_FLOOR = 0.3  # of the way, in dB, from the softest tenth of the frames to the loudest
_MIN_FRAMES = 4  # a shorter sound is a click
_LOW_GAIN = 0.03  # what the emphasis of high frequencies leaves of the lowest

_FRAME_MS, _HOP_MS = 20, 10
_LOW_HZ, _HIGH_HZ, _N_BANDS = 150.0, 6000.0, 18
_FLOOR_PERCENTILE = 10
_NOT_NOISE_DB = 6.0  # a band this far above its floor still counts as noise
_CLICK_FRAMES = 7  # a sound shorter than half of them is a click
_LOUD = 0.18  # of the salience of the most salient frame
_SALIENT_DB = 3.0  # the least salience of a word, the mean over all bands
_GAP_MS = 250  # a pause within a word, before a plosive or between two words of a phrase
_WEAK = 0.05  # a part of the word beyond such a pause has at least this fraction of the main sound's salience
_NEAR_MS = 120  # sounds this near belong to the word, even if weak
_SILENCE = 10 ** (-75 / 20)  # peak of digital silence with its dither
_SOFT = 10 ** (-40 / 20)  # a softer recording in which nothing stands out is background only
_CUTS_AT_ONCE = 4096

_TRIM_DB = -50.0  # below the loudest 5 ms, so far that no consonant is lost
_TRIM_FRAME_S = 0.005
_TRIM_PAD_FRAMES = 2


def speech_bounds(audio: Samples, sample_rate: int) -> tuple[int, int]:
    """Where speech begins and ends in a clip: the first and the last loud frame of 10 ms.

    The signal is differentiated first, so that hum, rumble and an offset do not mask the ends of words. A frame is loud if
    it is 30 % of the way, in dB, from the softest tenth of the frames to the loudest, and at most 30 dB below the loudest.
    Sounds shorter than 40 ms are clicks, unless there is nothing else.

    Args:
        audio: float32 [samples] with one word.
        sample_rate: in Hz.

    Returns:
        The first sample of speech and the one after the last; the entire clip if nothing stands out.
    """
    frame = max(sample_rate * _BOUNDS_FRAME_MS // 1000, 1)
    n_frames = len(audio) // frame
    if n_frames < 3:
        return 0, len(audio)
    samples = np.asarray(audio, dtype=np.float64)
    emphasised = np.diff(samples, prepend=samples[:1]) + _LOW_GAIN * (samples - samples.mean())
    power = np.square(emphasised[: n_frames * frame]).reshape(n_frames, frame).mean(axis=1)
    level = 10 * np.log10(np.convolve(power, np.full(3, 1 / 3), "same") + 1e-12)
    floor, top = float(np.percentile(level, 10)), float(level.max())
    loud = level > max(top - _RANGE_DB, floor + _ABOVE_FLOOR * (top - floor))
    runs = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]))).reshape(-1, 2)
    if not len(runs):
        return 0, len(audio)
    long = runs[runs[:, 1] - runs[:, 0] >= _MIN_FRAMES]
    chosen = long if len(long) else runs
    return int(chosen[0, 0]) * frame, int(chosen[-1, 1]) * frame


def find_word(audio: Samples, sample_rate: int) -> tuple[int, int, int, int]:
    """Find the word in a recording of one word: the sound that stands out most and longest, with its parts.

    Args:
        audio: float32 [samples].
        sample_rate: in Hz.

    Returns:
        begin, first, stop, end: the word is audio[first:stop], and nothing else in audio[begin:end] stands out. The
        entire recording if nothing does.
    """
    hop = max(sample_rate * _HOP_MS // 1000, 1)
    salience = _salience(audio, sample_rate, hop)
    if len(salience) < _CLICK_FRAMES:
        return 0, 0, len(audio), len(audio)
    lasting = _median(salience)
    top = float(lasting.max())
    if top < _SALIENT_DB:
        return 0, 0, len(audio), len(audio)
    loud = max(_LOUD * top, _SALIENT_DB / 2)
    first, stop = _main_sound(lasting > loud, lasting)
    begin, end = _quiet_around(salience > loud, first, stop)
    first, stop = first * hop + hop // 2, stop * hop + hop // 2
    end = len(audio) if end == len(salience) else end * hop
    return min(begin * hop, first), first, stop, max(end, stop)


def is_silent(audio: Samples, sample_rate: int) -> bool:
    """Whether float32 [samples] contain no sound: zeros and dither, or quiet background from which nothing stands out."""
    peak = float(np.abs(audio - audio.mean()).max(initial=0)) if len(audio) else 0.0
    if peak < _SILENCE:
        return True
    if peak >= _SOFT:
        return False
    salience = _salience(audio, sample_rate, max(sample_rate * _HOP_MS // 1000, 1))
    return len(salience) < _CLICK_FRAMES or float(_median(salience).max()) < _SALIENT_DB


def _salience(audio: Samples, sample_rate: int, hop: int) -> NDArray[np.float64]:
    """How far each frame is above the recording's own background, in dB, averaged over bands: float64 [frames]."""
    frame = 2 * hop
    if len(audio) < frame:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(audio, frame)[::hop]
    bands = _bands(frame, sample_rate)
    level = np.empty((len(frames), bands.shape[1]))
    window = np.hanning(frame).astype(np.float32)
    for start in range(0, len(frames), _CUTS_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + _CUTS_AT_ONCE] * window, axis=1)
        level[start : start + _CUTS_AT_ONCE] = (spectrum.real**2 + spectrum.imag**2) @ bands
    level = 10 * np.log10(level + 1e-9)
    floor = np.percentile(level, _FLOOR_PERCENTILE, axis=0)
    result: NDArray[np.float64] = np.maximum(level - floor - _NOT_NOISE_DB, 0).mean(axis=1)
    return result


@lru_cache(maxsize=4)
def _bands(frame: int, sample_rate: int) -> NDArray[np.float64]:
    """The bins of each band: [bins, bands]. Bands have equal width on a logarithmic scale, except for narrow low ones."""
    hertz = np.fft.rfftfreq(frame, 1 / sample_rate)
    edges = np.geomspace(_LOW_HZ, min(_HIGH_HZ, 0.45 * sample_rate), _N_BANDS + 1)
    which = np.searchsorted(edges, hertz, side="right") - 1
    used = np.unique(which[(which >= 0) & (which < _N_BANDS)])
    result: NDArray[np.float64] = (which[:, None] == used).astype(np.float64)
    return result


def _median(salience: NDArray[np.float64]) -> NDArray[np.float64]:
    """A running median, which removes clicks and keeps the edges of longer sounds where they are."""
    padded = np.pad(salience, _CLICK_FRAMES // 2)
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _CLICK_FRAMES), axis=1)


def _main_sound(loud: NDArray[np.bool_], salience: NDArray[np.float64]) -> tuple[int, int]:
    """First and last frame (exclusive) of the run with the largest sum, and of its neighbours that belong to it."""
    runs = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]]))).reshape(-1, 2)
    sums = np.array([salience[start:stop].sum() for start, stop in runs])
    low = high = int(sums.argmax())
    reach = np.where(sums >= _WEAK * sums[low], _GAP_MS, _NEAR_MS) // _HOP_MS
    while low > 0 and runs[low, 0] - runs[low - 1, 1] <= reach[low - 1]:
        low -= 1
    while high + 1 < len(runs) and runs[high + 1, 0] - runs[high, 1] <= reach[high + 1]:
        high += 1
    return int(runs[low, 0]), int(runs[high, 1])


def _quiet_around(loud: NDArray[np.bool_], first: int, stop: int) -> tuple[int, int]:
    """Extend the word on both sides up to the next other sound, even a click."""
    others = np.flatnonzero(loud)
    before, after = others[others < first - 1], others[others > stop]
    return (int(before[-1]) + 2 if len(before) else 0), (int(after[0]) - 1 if len(after) else len(loud))


def trim(speech: Samples, sample_rate: int) -> Samples:
    """Cut float32 [samples] to the part from its first to its last sound, with 10 ms on either side and soft ends.

    Sound is any 5 ms within 50 dB of the loudest 5 ms. Silence gives no samples.
    """
    frame = max(round(_TRIM_FRAME_S * sample_rate), 1)
    whole = np.zeros(-(-len(speech) // frame) * frame, np.float32)
    whole[: len(speech)] = speech
    power = np.square(whole.reshape(-1, frame)).mean(axis=1)
    if not power.size or power.max() < from_db(-80) ** 2:
        return np.zeros(0, np.float32)
    loud = np.flatnonzero(power > power.max() * from_db(_TRIM_DB) ** 2)
    start, end = max(loud[0] - _TRIM_PAD_FRAMES, 0) * frame, (loud[-1] + 1 + _TRIM_PAD_FRAMES) * frame
    return soften_ends(whole[start:end].copy(), sample_rate)


def loudest_window(audio: Samples, size: int) -> int:
    """The start of the `size` samples with the most energy in float32 [samples]; 0 for a shorter recording.

    A constant offset does not count. Of several windows of the same energy (a word amid digital silence) the middle
    one is chosen, so that the word is centred.
    """
    if len(audio) <= size:
        return 0
    centred = audio.astype(np.float64) - audio.mean(dtype=np.float64)
    energy = np.concatenate([[0.0], np.cumsum(centred * centred)])
    windows = energy[size:] - energy[:-size]
    best = np.flatnonzero(windows >= windows.max() - 1e-9 * energy[-1])  # beyond the rounding of the sum
    return int(best[len(best) // 2])


def start_of_word(audio: Samples, size: int, sample_rate: int) -> int:
    """Where to cut `size` samples of float32 [samples] with the word in their middle; if it is longer, the loudest ones."""
    if len(audio) <= size:
        return 0
    _, first, stop, _ = find_word(audio, sample_rate)
    if stop - first > size:
        return loudest_window(audio, size)
    return min(max((first + stop - size) // 2, 0), len(audio) - size)


def is_loud_part_cut(audio: Samples, size: int) -> bool:
    """Whether the first `size` samples have less than half the energy of the loudest `size` samples of float32 [samples]."""
    if len(audio) <= size:
        return False
    start = loudest_window(audio, size)
    centred = audio.astype(np.float64) - audio.mean(dtype=np.float64)
    return bool(np.square(centred[:size]).sum() < 0.5 * np.square(centred[start : start + size]).sum())
