"""Copies of a recording through vocoders without learned weights, each with a fault that synthetic voices have.

The words, the tune and the speaker stay, so that only the way the sound is made differs from the original. All take and
return float32 [samples] at `RATE`, and draw what they vary from `rng`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.ndimage import gaussian_filter1d
from scipy.signal import get_window, istft, lfilter, resample_poly, stft

from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples

RATE = 16_000
_Real = NDArray[np.float64]
_ORDER, _FRAME = 18, 320  # of the linear prediction: 20 ms
_SAMPLED_ORDER, _STEP = 16, 160  # of `sampled`: 10 ms, as in LPCNet
_MU = 255.0


def griffin_lim(audio: Samples, rng: np.random.Generator) -> Samples:
    """From 80 mel bands back, with phases found by Griffin and Lim's iterations (with momentum: Perraudin et al. 2013)."""
    rate, hop = (22_050, 256) if rng.random() < 0.5 else (RATE, 200)
    sound = resample(audio, RATE, rate).astype(np.float64)
    target = _through_mel(np.abs(_spectrum(sound, hop)), rate)
    phase = np.exp(2j * np.pi * rng.random(target.shape))
    before = np.zeros_like(phase)
    for _ in range(int(rng.integers(4, 25))):
        found = _spectrum(_sound(target * phase, hop, len(sound)), hop)
        faster = found + 0.99 * (found - before) if before.any() else found
        phase, before = faster / np.maximum(np.abs(faster), 1e-9), found
    return resample(_sound(target * phase, hop, len(sound)).astype(np.float32), rate, RATE)


def scrambled_phase(audio: Samples, rng: np.random.Generator) -> Samples:
    """The magnitudes of a short-time spectrum with phases that are wrong by a random part."""
    hop = int(rng.choice([128, 200, 256]))
    found = _spectrum(audio.astype(np.float64), hop)
    wrong = rng.uniform(0.3, 1.0) * np.pi * rng.uniform(-1, 1, found.shape)
    return _sound(found * np.exp(1j * wrong), hop, len(audio)).astype(np.float32)


def excited_mel(audio: Samples, rng: np.random.Generator) -> Samples:
    """The envelope of 80 mel bands on pulses and noise: a source and a filter."""
    sound, hop = audio.astype(np.float64), 160
    source = _excitation(sound, rng)
    envelope = _through_mel(np.abs(_spectrum(sound, hop)), RATE)
    found = _spectrum(source, hop)
    flat = _through_mel(np.abs(found), RATE)
    return _sound(found * envelope / np.maximum(flat, 1e-6), hop, len(sound)).astype(np.float32)


def linear_prediction(audio: Samples, rng: np.random.Generator) -> Samples:
    """Pulses and noise through an all-pole filter for each 20 ms, as in telephones of the 1980s."""
    sound = audio.astype(np.float64)
    source, out = _excitation(sound, rng), np.zeros(len(sound))
    state = np.zeros(_ORDER)
    for start in range(0, len(sound) - _FRAME + 1, _FRAME):
        around = sound[max(start - _FRAME // 2, 0) : start + 3 * _FRAME // 2]
        filter_, gain = _all_pole(around)
        part = source[start : start + _FRAME]
        power = np.sqrt(np.mean(part**2) + 1e-12)
        out[start : start + _FRAME], state = lfilter([1.0], filter_, gain / power * part, zi=state)
    return out.astype(np.float32)


def quantised(audio: Samples, rng: np.random.Generator) -> Samples:
    """Noise of samples drawn one by one from 256 mu-law levels, behind pre-emphasis, as WaveNet and LPCNet have it."""
    emphasis = rng.uniform(0.5, 0.9)
    bright = lfilter([1, -emphasis], [1], audio)
    peak = np.abs(bright).max() + 1e-6
    code = np.sign(bright) * np.log1p(_MU * np.abs(bright) / peak) / np.log1p(_MU)
    code = np.round(127 * (code + rng.uniform(0.002, 0.012) * rng.standard_normal(len(code)))) / 127
    sound = np.sign(code) * peak * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU
    return lfilter([1], [1, -emphasis], sound).astype(np.float32)


def upsampled(audio: Samples, rng: np.random.Generator) -> Samples:
    """Upper frequencies made of images of the lower ones, and a pattern that repeats.

    Transposed convolutions, with which neural vocoders upsample, leave both (Pons et al. 2021, arXiv 2010.14356).
    """
    factor = int(rng.choice([2, 3, 4]))
    low = resample_poly(audio, 1, factor)
    high = audio - resample_poly(low, factor, 1)[: len(audio)]
    held = np.zeros(len(low) * factor)
    held[::factor] = low
    kernel = 1 + rng.uniform(0.1, 0.5) * rng.standard_normal(2 * factor)
    images = np.convolve(held, kernel * get_window("triang", 2 * factor), "same")[: len(audio)]
    images -= resample_poly(resample_poly(images, 1, factor), factor, 1)[: len(audio)]
    level = _smooth(np.abs(high)) / (_smooth(np.abs(images)) + 1e-6)
    sound = audio - high + images * level
    pattern = np.resize(rng.standard_normal(int(rng.choice([8, 16, 64]))), len(sound))
    return (sound + rng.uniform(0.01, 0.06) * pattern * _smooth(np.abs(sound))).astype(np.float32)


def diffused(audio: Samples, rng: np.random.Generator) -> Samples:
    """Noise in place of a part of each bin, more of it in the upper bins, as vocoders by diffusion leave in few steps."""
    hop = 256
    found = _spectrum(audio.astype(np.float64), hop)
    envelope = _through_mel(np.abs(found), RATE)
    noise = rng.standard_normal(found.shape) + 1j * rng.standard_normal(found.shape)
    height = np.linspace(0, 1, len(found))[:, None] ** rng.uniform(0.5, 2)
    share = rng.uniform(0.1, 0.35) + rng.uniform(0, 0.6) * height
    sound = _sound(found * (1 - share / 2) + 0.7 * share * envelope * noise, hop, len(audio))
    return (sound + 10 ** (rng.uniform(-70, -48) / 20) * rng.standard_normal(len(sound))).astype(np.float32)


def sampled(audio: Samples, rng: np.random.Generator) -> Samples:
    """An excitation drawn sample by sample from 256 levels, through a filter of a smoothed envelope, as LPCNet has it."""
    sound = np.append(audio.astype(np.float64), np.zeros(_STEP))
    out, state, spread = np.zeros(len(sound)), np.zeros(_SAMPLED_ORDER), rng.uniform(0.1, 0.4)
    for start in range(0, len(sound) - _STEP + 1, _STEP):
        frame = sound[max(start - _STEP // 2, 0) : start + 3 * _STEP // 2]
        filter_ = _smoothed_filter(frame, rng.uniform(2, 5))
        before = sound[max(start - _SAMPLED_ORDER, 0) : start]
        before = np.pad(before, (_SAMPLED_ORDER - len(before), 0))
        left = lfilter(filter_, [1.0], np.append(before, sound[start : start + _STEP]))[_SAMPLED_ORDER:]
        least = np.sqrt(np.mean(left**2) + 1e-14)
        left = _to_levels(left + 0.8 * spread * np.maximum(np.abs(left), least) * rng.standard_normal(_STEP))
        out[start : start + _STEP], state = lfilter([1.0], filter_, left, zi=state)
    return out[: len(audio)].astype(np.float32)


def world(audio: Samples, rng: np.random.Generator) -> Samples:
    """The vocoder WORLD (Morise et al. 2016), half of the time with an envelope as coarse and smooth as a model predicts it.

    It needs the package pyworld.
    """
    import pyworld

    sound = audio.astype(np.float64)
    f0, time = pyworld.dio(sound, RATE)
    f0 = pyworld.stonemask(sound, f0, time, RATE)
    envelope = pyworld.cheaptrick(sound, f0, time, RATE)
    aperiodic = pyworld.d4c(sound, f0, time, RATE)
    if rng.random() < 0.5:
        size = 2 * (envelope.shape[1] - 1)
        coded = pyworld.code_spectral_envelope(envelope, RATE, int(rng.choice([24, 40, 60])))
        envelope = pyworld.decode_spectral_envelope(gaussian_filter1d(coded, rng.uniform(0.1, 2.5), axis=0), RATE, size)
        aperiodic = pyworld.decode_aperiodicity(pyworld.code_aperiodicity(aperiodic, RATE), RATE, size)
    return pyworld.synthesize(f0 * rng.uniform(0.8, 1.25), envelope, aperiodic, RATE)[: len(sound)].astype(np.float32)


Vocoder = Callable[[Samples, np.random.Generator], Samples]

VOCODERS: dict[str, Vocoder] = {
    "griffin-lim": griffin_lim,
    "scrambled-phase": scrambled_phase,
    "excited-mel": excited_mel,
    "linear-prediction": linear_prediction,
    "quantised": quantised,
    "upsampled": upsampled,
    "world": world,
    "diffused": diffused,
    "sampled": sampled,
}


def _spectrum(sound: _Real, hop: int) -> NDArray[np.complex128]:
    return stft(sound, window="hann", nperseg=1024, noverlap=1024 - hop)[2]


def _sound(spectrum: NDArray[np.complex128], hop: int, n_samples: int) -> _Real:
    found = istft(spectrum, window="hann", nperseg=1024, noverlap=1024 - hop)[1]
    return np.pad(found, (0, max(n_samples - len(found), 0)))[:n_samples]


def _through_mel(magnitude: _Real, rate: int, n_mels: int = 80) -> _Real:
    """Magnitudes [bins, frames], smoothed by triangles on the mel scale and spread back."""
    n_bins = len(magnitude)
    top = 2595 * np.log10(1 + min(rate / 2, 8000) / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1) / (rate / 2) * (n_bins - 1)
    bins = np.arange(n_bins)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(np.minimum(rise, fall), 0)
    mean = filters / np.maximum(filters.sum(axis=1, keepdims=True), 1e-9)
    back = filters / np.maximum(filters.sum(axis=0, keepdims=True), 1e-9)
    return back.T @ (mean @ magnitude)


def _all_pole(frame: _Real) -> tuple[_Real, float]:
    """The filter [order + 1] of a frame by autocorrelation, and the root mean square of what it does not predict."""
    shaped = frame * np.hanning(len(frame))
    lags = np.correlate(shaped, shaped, "full")[len(shaped) - 1 :][: _ORDER + 1] / len(shaped)
    lags[0] = lags[0] * 1.001 + 1e-9
    weights = solve_toeplitz(lags[:-1], lags[1:])
    left = max(lags[0] - weights @ lags[1:], 1e-12)
    return np.concatenate([[1.0], -weights]), float(np.sqrt(left / 0.375))


def _smoothed_filter(frame: _Real, width: float) -> _Real:
    """The all-pole filter [_SAMPLED_ORDER + 1] of a frame's power spectrum, smoothed over `width` bins of 31 Hz."""
    power = np.abs(np.fft.rfft(frame * np.hanning(len(frame)), 512)) ** 2
    power = gaussian_filter1d(power, width) + 1e-9 * power.max() + 1e-12
    lags = np.fft.irfft(power)[: _SAMPLED_ORDER + 1]
    lags[0] *= 1.0001
    return np.concatenate([[1.0], -solve_toeplitz(lags[:-1], lags[1:])])


def _to_levels(values: _Real) -> _Real:
    """Values rounded to 256 mu-law levels of their own range."""
    peak = np.abs(values).max() + 1e-9
    code = np.round(127 * np.sign(values) * np.log1p(_MU * np.abs(values) / peak) / np.log1p(_MU)) / 127
    return np.sign(code) * peak * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU


def _excitation(sound: _Real, rng: np.random.Generator) -> _Real:
    """Pulses at the pitch where a frame is voiced, noise elsewhere; both of unit power."""
    out, phase = np.zeros(len(sound)), 0.0
    jitter, breath = rng.uniform(0, 0.02), rng.uniform(0.05, 0.4)
    for start in range(0, len(sound), _FRAME):
        frame = sound[max(start - _FRAME, 0) : start + 2 * _FRAME]
        period, voiced = _pitch(frame)
        n = min(_FRAME, len(sound) - start)
        part = rng.standard_normal(n) * (breath if voiced else 1.0)
        while voiced and phase < n:
            part[int(phase)] += np.sqrt(period)
            phase += period * (1 + jitter * rng.standard_normal())
        phase = max(phase - n, 0.0) if voiced else 0.0
        out[start : start + n] = part
    return out


def _pitch(frame: _Real) -> tuple[float, bool]:
    """The period in samples, of 60 to 400 Hz, and whether the frame is voiced."""
    shaped = (frame - frame.mean()) * np.hanning(len(frame))
    lags = np.fft.irfft(np.abs(np.fft.rfft(shaped, 2048)) ** 2)
    least, most = RATE // 400, RATE // 60
    place = least + int(np.argmax(lags[least:most]))
    return float(place), bool(lags[place] > 0.35 * lags[0] + 1e-9)


def _smooth(values: _Real) -> _Real:
    """The mean over 10 ms."""
    return np.convolve(values, np.full(RATE // 100, 100 / RATE), "same")
