"""The fixed matrices against published values, other tools, and their definitions written out as loops."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from python_speech_features import base as psf

from support.mel_loops import mel, mel_channels_by_loops
from wordspot.features import filterbanks

# The 20 channels TensorFlow publishes for 513 bins valued 1..513 at 22,050 Hz, from 20 to 4000 Hz.
GOLDEN_MEL = [
    7.38894574, 10.30330648, 13.72703292, 17.24158686, 21.35253118, 25.77781089, 31.30624108, 37.05877236, 43.9436536,
    51.80306637, 60.79867148, 71.14363376, 82.90910141, 96.50069158, 112.08428368, 129.96721968, 150.4277597,
    173.74997634, 200.86037462, 231.59802942,
]  # fmt: skip


def test_hann_is_the_periodic_window() -> None:
    r = math.sqrt(0.125)
    np.testing.assert_allclose(filterbanks.hann(8), [0, 0.5 - r, 0.5, 0.5 + r, 1, 0.5 + r, 0.5, 0.5 - r], atol=1e-15)
    np.testing.assert_allclose(filterbanks.hann(481), scipy.signal.get_window("hann", 481, fftbins=True), atol=1e-14)


@pytest.mark.parametrize(("window", "n_fft"), [(8, 8), (480, 512), (551, 2048), (4096, 4096)])
def test_windowed_dft_is_the_dft_of_the_windowed_frame(window: int, n_fft: int) -> None:
    frame = np.random.default_rng(0).standard_normal(window)
    weights = filterbanks.hann(window)
    bins = np.array([0, 1, n_fft // 5, n_fft // 2])
    expected = np.fft.rfft(frame * weights, n_fft)[bins]
    got = frame @ filterbanks.windowed_dft(weights, n_fft, bins)
    np.testing.assert_allclose(got, np.concatenate([expected.real, expected.imag]), atol=1e-10)


def test_tensorflow_mel_reaches_the_published_channels() -> None:
    magnitudes = np.sqrt(np.arange(1, 514))
    channels = magnitudes @ filterbanks.tensorflow_mel(513, 22_050, 20, 20, 4000)
    np.testing.assert_allclose(channels, GOLDEN_MEL, atol=1e-8)


@pytest.mark.parametrize(
    ("n_bins", "rate", "n_mels", "low", "high"),
    [
        (257, 16_000, 40, 20, 4000),
        (513, 22_050, 40, 20, 4000),
        (129, 8000, 13, 0, 4000),  # both edges at the spectrum's own
        (257, 16_000, 120, 125, 7500),  # more channels than low bins: some stay empty
        (65, 16_000, 3, 1000, 1400),  # hardly a bin inside
        (257, 16_000, 1, 20, 8000),
    ],
)
def test_tensorflow_mel_is_the_loop_over_bins(n_bins: int, rate: int, n_mels: int, low: float, high: float) -> None:
    power = np.random.default_rng(n_bins).uniform(0.1, 10, n_bins)
    channels = np.sqrt(power) @ filterbanks.tensorflow_mel(n_bins, rate, n_mels, low, high)
    np.testing.assert_allclose(channels, mel_channels_by_loops(power, rate, n_mels, low, high), rtol=1e-9, atol=1e-12)


def test_tensorflow_mel_shares_out_each_bin_once() -> None:
    weights = filterbanks.tensorflow_mel(257, 16_000, 40, 20, 4000)
    assert (weights >= 0).all()
    assert not weights[:2].any(), "bin 0 is never used, and 31.25 Hz lies below the first bin in use"
    assert not weights[129:].any(), "nothing above 4000 Hz"
    spacing = (mel(4000) - mel(20)) / 41
    mels = np.array([mel(31.25 * position) for position in range(257)])
    inner = (mels > mel(20) + spacing) & (mels < mel(4000) - spacing)
    assert inner.sum() > 100
    np.testing.assert_allclose(weights[inner].sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("low", [0.0, 20.0])
def test_tensorflow_mel_ignores_dc(low: float) -> None:
    for n_bins in (5, 129, 257, 1025):
        assert not filterbanks.tensorflow_mel(n_bins, 16_000, 10, low, 8000)[0].any()


@pytest.mark.parametrize(
    ("n_fft", "rate", "n_mels", "low", "high"),
    [(512, 16_000, 40, 60, 7600), (2048, 22_050, 64, 0, 11_025), (512, 8000, 20, 100, 3800)],
)
@pytest.mark.slow
def test_htk_mel_is_librosas(n_fft: int, rate: int, n_mels: int, low: float, high: float) -> None:
    expected = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=low, fmax=high, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(filterbanks.htk_mel(n_fft // 2 + 1, rate, n_mels, low, high), expected.T, atol=1e-9)


@pytest.mark.parametrize(
    ("n_fft", "rate", "n_mels", "low", "high"),
    [(2048, 22_050, 26, 0, 11_025), (512, 16_000, 26, 0, 8000), (512, 16_000, 40, 133, 6855), (256, 8000, 80, 0, 4000)],
)
def test_psf_mel_is_python_speech_features(n_fft: int, rate: int, n_mels: int, low: float, high: float) -> None:
    expected = psf.get_filterbanks(n_mels, n_fft, rate, low, high)
    np.testing.assert_array_equal(filterbanks.psf_mel(n_fft // 2 + 1, rate, n_mels, low, high), expected.T)


@pytest.mark.parametrize(("n_mels", "n_coefficients"), [(40, 40), (26, 13), (3, 1)])
def test_cosine_transform_is_scipys(n_mels: int, n_coefficients: int) -> None:
    values = np.random.default_rng(1).standard_normal(n_mels)
    expected = scipy.fft.dct(values, type=2, norm="ortho")[:n_coefficients]
    got = values @ filterbanks.cosine_transform(n_mels, n_coefficients, orthonormal=True)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    classic = values @ filterbanks.cosine_transform(n_mels, n_coefficients, orthonormal=False)
    assert classic[0] == pytest.approx(expected[0] * math.sqrt(2))
    np.testing.assert_allclose(classic[1:], expected[1:], atol=1e-12)


def test_sine_lifter_is_python_speech_features() -> None:
    np.testing.assert_allclose(filterbanks.sine_lifter(13, 22), psf.lifter(np.ones((1, 13)), 22)[0], rtol=1e-14)
    assert filterbanks.sine_lifter(13, 22)[11] == pytest.approx(12), "1 + L/2 where the sine peaks"
