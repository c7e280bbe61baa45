"""The fixed matrices of the front ends: mel channels by three definitions, the cosine transform, the windowed DFT.

All are float64 numpy arrays computed from formulas; `features` keeps them as float32 buffers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def hann(n: int) -> Matrix:
    """The periodic Hann window of `n` samples: 0.5 - 0.5 cos(2 pi i / n)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def symmetric_hann(n: int) -> Matrix:
    """The symmetric Hann window of `n` samples, as ``numpy.hanning``: 0.5 - 0.5 cos(2 pi i / (n - 1)), zero at both ends."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / (n - 1))


def windowed_dft(window: Matrix, n_fft: int, bins: NDArray[np.int64]) -> Matrix:
    """[window, 2 · bins]: a frame times this matrix gives the real, then the imaginary parts of those DFT bins.

    The phase i·k is reduced modulo `n_fft` as an integer, which keeps it exact however long the window.
    """
    phase = np.outer(np.arange(len(window)), bins) % n_fft * (2 * np.pi / n_fft)
    return np.concatenate([np.cos(phase), -np.sin(phase)], axis=1) * window[:, None]


def tensorflow_mel(n_bins: int, sample_rate: float, n_mels: int, low_hz: float, high_hz: float) -> Matrix:
    """[bins, mels] of TensorFlow's MFCC: triangles on the mel axis 1127 ln(1 + f / 700), bin 0 never used.

    They apply to magnitudes, not to power, and are not normalised by area. Each bin shares its magnitude between the
    channel below its mel and the one above.
    """
    low, high = _mel(low_hz), _mel(high_hz)
    spacing = (high - low) / (n_mels + 1)
    centres = low + spacing * np.arange(1, n_mels + 2)
    hz_per_bin = 0.5 * sample_rate / (n_bins - 1)
    weights = np.zeros((n_bins, n_mels))
    for position in range(int(1.5 + low_hz / hz_per_bin), min(int(high_hz / hz_per_bin), n_bins - 1) + 1):
        mel = _mel(position * hz_per_bin)
        channel = int(np.searchsorted(centres, mel, side="left")) - 1
        if channel + 1 >= len(centres):
            continue
        below = centres[channel] if channel >= 0 else low
        share = (centres[channel + 1] - mel) / (centres[channel + 1] - below)
        if channel >= 0:
            weights[position, channel] += share
        if channel + 1 < n_mels:
            weights[position, channel + 1] += 1 - share
    return weights


def htk_mel(n_bins: int, sample_rate: float, n_mels: int, low_hz: float, high_hz: float) -> Matrix:
    """[bins, mels]: triangles in Hz between points equally spaced in mel (HTK's formula), peak 1, for power spectra.

    The same as ``librosa.filters.mel(htk=True, norm=None)``.
    """
    points = 700 * (np.exp(np.linspace(_mel(low_hz), _mel(high_hz), n_mels + 2) / 1127) - 1)
    hz = np.linspace(0, sample_rate / 2, n_bins)[:, None]
    rising = (hz - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - hz) / (points[2:] - points[1:-1])
    result: Matrix = np.maximum(0, np.minimum(rising, falling))
    return result


def psf_mel(n_bins: int, sample_rate: float, n_mels: int, low_hz: float, high_hz: float) -> Matrix:
    """[bins, mels] of python_speech_features: triangles between corners rounded down to bins."""
    mels = np.linspace(2595 * np.log10(1 + low_hz / 700), 2595 * np.log10(1 + high_hz / 700), n_mels + 2)
    n_fft = 2 * (n_bins - 1)
    corners = np.floor((n_fft + 1) * 700 * (10 ** (mels / 2595) - 1) / sample_rate).astype(int)
    weights = np.zeros((n_bins, n_mels))
    for channel, (left, peak, right) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        weights[left:peak, channel] = (np.arange(left, peak) - left) / max(peak - left, 1)
        weights[peak:right, channel] = (right - np.arange(peak, right)) / max(right - peak, 1)
    return weights


def cosine_transform(n_mels: int, n_coefficients: int, *, orthonormal: bool) -> Matrix:
    """[mels, coefficients] of the DCT-II, scaled by sqrt(2 / mels).

    With `orthonormal`, coefficient 0 is divided by sqrt(2) as well, which TensorFlow's MFCC does not do.
    """
    j, i = np.arange(n_mels)[:, None], np.arange(n_coefficients)
    matrix: Matrix = np.sqrt(2 / n_mels) * np.cos(i * np.pi / n_mels * (j + 0.5))
    if orthonormal:
        matrix[:, 0] /= np.sqrt(2)
    return matrix


def sine_lifter(n_coefficients: int, lifter: int) -> Matrix:
    """The gain 1 + L/2 sin(pi n / L) that raises the higher cepstral coefficients."""
    return 1 + lifter / 2 * np.sin(np.pi * np.arange(n_coefficients) / lifter)


def _mel(hz: float) -> float:
    return float(1127 * np.log1p(hz / 700))
