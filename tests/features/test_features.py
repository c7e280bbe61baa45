"""The front ends against published values, other tools, their definitions, and what sound itself demands."""

from __future__ import annotations

import math
from typing import Any

import librosa
import matplotlib.mlab
import numpy as np
import pytest
import python_speech_features
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.mel_loops import mel_channels_by_loops
from wordspot.config import FeatureConfig
from wordspot.features import make_front_end
from wordspot.presets import FEATURES

CLASSIC = FEATURES["mfcc"]
SPECTRAL = ("logmel", "mfcc", "average", "spectrogram", "specgram")
KINDS = (*SPECTRAL, "psf_mfcc")  # micro has a file of its own
SILENT_C0 = -247.139


def features(config: FeatureConfig, audio: Any) -> NDArray:
    """[frames, features] of one signal."""
    batch = torch.as_tensor(np.asarray(audio, dtype=np.float32))[None]
    return make_front_end(config)(batch)[0].numpy()


def noise(n: int, level: float = 0.1, seed: int = 0) -> NDArray:
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def tone(hertz: float, n: int = 16_000, rate: int = 16_000, level: float = 0.5) -> NDArray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(n) / rate)).astype(np.float32)


def of_kind(kind: str, **changes: Any) -> FeatureConfig:
    """A small configuration of any kind: 16 kHz, windows of 30 ms every 10 ms."""
    return FeatureConfig(kind=kind, **{"n_coefficients": 13, "n_mels": 26, **changes})


# --- golden values -----------------------------------------------------------------------------------------------------


def test_spectrogram_golden_values() -> None:
    config = FeatureConfig(kind="spectrogram", sample_rate=1000, clip_ms=8, window_ms=8, hop_ms=8, high_hz=500)
    spectrum = features(config, [-1, 0, 1, 0, -1, 0, 1, 0])
    np.testing.assert_allclose(spectrum, [[0, 1, 4, 1, 0]], atol=1e-6)


def test_mfcc_golden_values() -> None:
    config = FeatureConfig(kind="mfcc", sample_rate=22_050, fft_size=1024, low_hz=20, high_hz=4000, n_coefficients=13)
    head = make_front_end(config).head
    power = torch.arange(1.0, 514.0)[head.bins]  # of 513 bins, those it takes
    expected = [
        29.13970072, -6.41568601, -0.61903012, -0.96778652, -0.26819878, -0.40907028, -0.15614748, -0.23203119,
        -0.10481487, -0.1543029, -0.0769791, -0.10806114, -0.06047613,
    ]  # fmt: skip
    # float32 sums of 40 logarithms up to 6: about 1e-6 each
    np.testing.assert_allclose(head(power).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("hop_ms", "n_frames"), [(10, 98), (20, 49)])
def test_digital_silence_is_one_coefficient(hop_ms: float, n_frames: int) -> None:
    config = FeatureConfig(kind="mfcc", low_hz=20, high_hz=4000, hop_ms=hop_ms)
    silence = features(config, np.zeros(16_000))
    assert silence.shape == (n_frames, 40)
    np.testing.assert_allclose(silence[:, 0], SILENT_C0, atol=5e-4)
    np.testing.assert_allclose(silence[:, 1:], 0, atol=1e-4)  # forty times 27.6 cancel, to float32's rounding


def test_average_has_43_columns_and_the_last_takes_five_bins() -> None:
    config = FEATURES["average"]
    assert (config.n_bins, config.average_width, config.n_features) == (257, 6, 43)
    power = np.random.default_rng(0).uniform(size=257)
    averages = make_front_end(config).head(torch.tensor(power, dtype=torch.float32)).numpy()
    expected = [power[start : start + 6].mean() for start in range(0, 252, 6)] + [power[252:257].mean()]
    np.testing.assert_allclose(averages, expected, rtol=1e-5)


def test_average_fills_up_both_sides_where_more_is_missing() -> None:
    config = FeatureConfig(kind="average", n_mels=25)  # 257 bins in tens: 26 columns, 3 missing, 1 of them in front
    power = np.random.default_rng(0).uniform(size=257)
    averages = make_front_end(config).head(torch.tensor(power, dtype=torch.float32)).numpy()
    expected = [
        power[:9].mean(),
        *(power[start : start + 10].mean() for start in range(9, 249, 10)),
        power[249:].mean(),
    ]
    assert len(averages) == config.n_features == 26
    np.testing.assert_allclose(averages, expected, rtol=1e-5)


# --- against other tools and definitions -------------------------------------------------------------------------------


def mfcc_by_loops(audio: NDArray, config: FeatureConfig) -> NDArray:
    """TensorFlow's MFCC as the specification words it, in float64."""
    n, hop = config.window_samples, config.hop_samples
    frames = []
    for start in range(0, len(audio) - n + 1, hop):
        windowed = [audio[start + i] * (0.5 - 0.5 * math.cos(2 * math.pi * i / n)) for i in range(n)]
        power = np.abs(np.fft.rfft(windowed, config.n_fft)) ** 2
        channels = mel_channels_by_loops(power, config.sample_rate, config.n_mels, config.low_hz, config.high_hz)
        logs = [math.log(max(value, 1e-12)) for value in channels]
        scale = math.sqrt(2 / config.n_mels)
        frames.append(
            [
                scale * sum(value * math.cos(i * math.pi / config.n_mels * (j + 0.5)) for j, value in enumerate(logs))
                for i in range(config.n_coefficients)
            ]
        )
    return np.array(frames)


@pytest.mark.parametrize(
    "config",
    [
        CLASSIC,
        FeatureConfig(kind="mfcc", sample_rate=22_050, window_ms=25, hop_ms=12, low_hz=0, high_hz=9000, n_coefficients=13),
        FeatureConfig(kind="mfcc", sample_rate=8000, n_mels=23, n_coefficients=20, low_hz=100, high_hz=4000, fft_size=1000),
    ],
    ids=["classic", "22050", "8000"],
)
def test_mfcc_is_its_definition(config: FeatureConfig) -> None:
    n = config.window_samples + 3 * config.hop_samples + 7  # the seven fill no window
    audio = noise(n) + tone(440, n, config.sample_rate)
    expected = mfcc_by_loops(audio, config)
    assert expected.shape == (4, config.n_coefficients)
    # the quietest channels lie 40 dB below the loudest: 1e-4 of float32's 1e-7 leaves some 1e-5 in each logarithm
    np.testing.assert_allclose(features(config, audio), expected, atol=2e-4)


@pytest.mark.parametrize(
    ("rate", "window_ms", "fft_size"), [(16_000, 30, 0), (16_000, 32, 0), (22_050, 25, 1024), (8000, 30, 256)]
)
@pytest.mark.slow
def test_logmel_is_librosas(rate: int, window_ms: float, fft_size: int) -> None:
    config = FeatureConfig(sample_rate=rate, window_ms=window_ms, fft_size=fft_size, n_mels=32, high_hz=rate * 0.47)
    audio = noise(rate // 2) + tone(1000, rate // 2, rate)
    window, n_fft = config.window_samples, config.n_fft
    # librosa puts the window in the middle of the transform, ours stands at its beginning
    before = (n_fft - window) // 2
    expected = librosa.feature.melspectrogram(
        y=np.pad(audio.astype(np.float64), (before, n_fft - window - before)), sr=rate, n_fft=n_fft,
        hop_length=config.hop_samples, win_length=window, window="hann", center=False, power=2.0, n_mels=config.n_mels,
        fmin=config.low_hz, fmax=config.high_hz, htk=True, norm=None,
    )  # fmt: skip
    energies = np.exp(features(config, audio).astype(np.float64) / 0.25 - 4.0) - 1e-6
    # a float32 logarithm near 1, over the scale of 0.25: 1e-6 of the energy; the transform adds as much
    np.testing.assert_allclose(energies, expected.T, rtol=2e-5)


def psf_reference(samples: NDArray, config: FeatureConfig) -> NDArray:
    return python_speech_features.mfcc(
        samples,
        config.sample_rate,
        winlen=config.window_ms / 1000,
        winstep=config.hop_ms / 1000,
        numcep=config.n_coefficients,
        nfilt=config.n_mels,
        nfft=config.n_fft,
        lowfreq=config.low_hz,
        highfreq=config.high_hz,
    )


PSF_16K = FeatureConfig(kind="psf_mfcc", window_ms=25, fft_size=512, n_mels=40, n_coefficients=20, low_hz=100, high_hz=8000)


@pytest.mark.parametrize("config", [FEATURES["psf_mfcc"], PSF_16K], ids=["22050", "16000"])
@pytest.mark.parametrize("n", [1, 100, 400, 401, 551, 552, 772, 5000, 11_025])
def test_psf_mfcc_is_python_speech_features(config: FeatureConfig, n: int) -> None:
    speech = noise(n, 2000, seed=n) + tone(700, n, config.sample_rate, 8000)
    samples = np.rint(speech).astype(np.int16)
    expected = psf_reference(samples, config)
    got = features(config, samples / 32768)
    assert got.shape == expected.shape
    # 40 float32 logarithms of up to 25, each to some 1e-5 where a channel is 60 dB below the tone, lifted up to twelvefold
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("config", [FEATURES["psf_mfcc"], PSF_16K], ids=["22050", "16000"])
def test_psf_mfcc_of_silence_is_python_speech_features(config: FeatureConfig) -> None:
    samples = np.zeros(5000, np.int16)
    samples[2000:2600] = 1  # the faintest sound there is, between silences
    expected = psf_reference(samples, config)
    np.testing.assert_allclose(features(config, samples / 32768), expected, atol=2e-3)
    assert features(config, np.zeros(3000))[0, 0] == pytest.approx(math.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize(
    "config", [FEATURES["specgram"], FeatureConfig(kind="specgram", fft_size=600)], ids=["classic", "padded"]
)
def test_specgram_is_matplotlibs(config: FeatureConfig) -> None:
    n = config.sample_rate // 4 + 17
    samples = np.rint(noise(n, 2000) + tone(3000, n, config.sample_rate, 8000) + 500).astype(np.int16)
    window, hop = config.window_samples, config.hop_samples
    expected, _, _ = matplotlib.mlab.specgram(
        samples.astype(float), NFFT=window, Fs=config.sample_rate, window=np.hanning(window), noverlap=window - hop,
        pad_to=config.n_fft, detrend="none", scale_by_freq=True, mode="psd",
    )  # fmt: skip
    got = features(config, samples / 32768)
    assert got.shape == expected.T.shape
    # float32 rounding of a frame's loudest amplitude, 1e-6 of it: in a power below the peak twice its root
    scale = np.sqrt(expected.T * expected.T.max(axis=1, keepdims=True))
    assert (np.abs(got - expected.T) <= 1e-5 * scale + 1e-10 * expected.max()).all()


def test_specgram_has_the_classic_sizes() -> None:
    config = FEATURES["specgram"]
    assert (config.clip_samples, config.window_samples, config.hop_samples) == (441_000, 200, 80)
    assert features(config, noise(441_000)).shape == (config.n_frames, config.n_features) == (5511, 101)


def test_specgram_of_a_tone_is_its_power() -> None:
    """By Parseval: over all bins, times their width, the power of int16-scaled samples; so it is a density."""
    config = FEATURES["specgram"]
    spectrum = features(config, tone(5000, 4410, 44_100, 0.5)).astype(np.float64)
    np.testing.assert_allclose(spectrum.sum(axis=1) * 44_100 / 200, (0.5 * 32768) ** 2 / 2, rtol=1e-3)


# --- one definition, whole and streamed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hop_ms", [10, 15, 30])
def test_stream_is_the_entire_recording(kind: str, hop_ms: float) -> None:
    config = of_kind(kind, hop_ms=hop_ms)
    front_end = make_front_end(config)
    hop, n_hops = config.hop_samples, 42
    first_whole = config.window_samples // hop - 1
    audio = torch.from_numpy(np.stack([noise(n_hops * hop, seed=seed) for seed in (1, 2)]))
    whole = front_end(audio)
    assert whole.shape == (2, n_hops - first_whole, config.n_features)
    for chunk in (1, 2, 7):
        state, parts = front_end.initial_state(2), []
        for piece in audio.split(chunk * hop, dim=1):
            frames, state = front_end.step(piece, state)
            assert frames.shape == (2, chunk, config.n_features)
            parts.append(frames)
        streamed = torch.cat(parts, dim=1)[:, first_whole:]
        # the same frames: only the order of float32 sums may differ with the number of frames a call
        torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", SPECTRAL)
@pytest.mark.parametrize(("window_ms", "hop_ms", "n_early"), [(25, 10, 2), (30, 20, 1), (20, 20, 0), (10, 16, 0)])
def test_stream_of_a_window_that_is_no_multiple_of_the_hop(kind: str, window_ms: float, hop_ms: float, n_early: int) -> None:
    """The state holds whole hops, so frames begin where a recording's do."""
    config = of_kind(kind, window_ms=window_ms, hop_ms=hop_ms)
    front_end, hop = make_front_end(config), config.hop_samples
    audio = torch.from_numpy(noise(21 * hop))[None]
    state = front_end.initial_state(1)
    assert state.shape == (1, n_early * hop)
    parts = []
    for piece in audio.split([hop, 2 * hop, 18 * hop], dim=1):
        frames, state = front_end.step(piece, state)
        parts.append(frames)
    torch.testing.assert_close(torch.cat(parts, dim=1)[:, n_early:], front_end(audio), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_stream_begins_as_if_after_silence(kind: str) -> None:
    config = of_kind(kind)
    front_end = make_front_end(config)
    audio = torch.from_numpy(noise(10 * 160))[None]
    streamed, _ = front_end.step(audio, front_end.initial_state(1))
    after_silence = front_end(torch.cat([torch.zeros(1, 320), audio], dim=1))
    torch.testing.assert_close(streamed, after_silence, rtol=1e-5, atol=1e-4)


def test_samples_are_the_sound_itself_in_hops() -> None:
    """A window of its own it has none, whatever the settings say, and a rest that fills no hop is dropped; a stream gives the
    same."""
    config = FeatureConfig(kind="samples", clip_ms=1005, window_ms=30, hop_ms=10)
    audio = noise(config.clip_samples)
    assert (config.n_frames, config.n_features) == (100, 160)
    np.testing.assert_array_equal(features(config, audio), audio[:16_000].reshape(100, 160))
    front_end = make_front_end(config)
    state, frames = front_end.initial_state(1), []
    for piece in torch.from_numpy(audio[None, :16_000]).split([160, 15 * 160, 84 * 160], dim=1):
        part, state = front_end.step(piece, state)
        frames.append(part)
    np.testing.assert_array_equal(torch.cat(frames, dim=1)[0].numpy(), audio[:16_000].reshape(100, 160))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_clips(kind: str) -> None:
    config = of_kind(kind)
    clips = np.stack([noise(4000, seed=1), tone(800, 4000), np.zeros(4000, np.float32)])
    together = make_front_end(config)(torch.from_numpy(clips)).numpy()
    alone = np.stack([features(config, clip) for clip in clips])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_front_end_has_nothing_to_save_or_learn(kind: str) -> None:
    front_end = make_front_end(of_kind(kind))
    assert not front_end.state_dict()
    assert not list(front_end.parameters())


# --- what sound demands ------------------------------------------------------------------------------------------------


def test_tones_land_in_their_bins() -> None:
    config = FEATURES["spectrogram"]
    for position in (3, 32, 100, 200, 253):
        spectrum = features(config, tone(position * 31.25)).mean(axis=0)
        assert spectrum.argmax() == position
        assert features(FEATURES["average"], tone(position * 31.25)).mean(axis=0).argmax() == position // 6
        # a sine's Hann-windowed line: (amplitude / 2 · sum of the window)²
        assert spectrum[position] == pytest.approx((0.25 * 240) ** 2, rel=1e-3)


@pytest.mark.parametrize("kind", ["logmel", "mfcc"])
def test_tones_land_in_their_mel_channels(kind: str) -> None:
    config = FeatureConfig(kind=kind, n_mels=20, n_coefficients=20, low_hz=60, high_hz=4000)
    edges = np.linspace(1127 * np.log(1 + 60 / 700), 1127 * np.log(1 + 4000 / 700), 22)
    for channel in range(20):
        heard = features(config, tone(700 * (math.exp(edges[channel + 1] / 1127) - 1))).mean(axis=0)
        if kind == "mfcc":
            heard[0] /= math.sqrt(2)  # this transform's coefficient 0 is not orthonormal
            heard = scipy.fft.idct(heard, norm="ortho")
        assert heard.argmax() == channel


def test_dc_never_reaches_mfcc() -> None:
    # a window as long as the transform: Hann's leaks DC into one bin beside it, and the first channel begins above
    config = FeatureConfig(kind="mfcc", window_ms=32, low_hz=60, high_hz=8000)
    audio = noise(8000)
    np.testing.assert_allclose(features(config, audio + 0.25), features(config, audio), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 1e-20, 1.0], ids=["silence", "denormal", "full scale"])
def test_every_level_is_finite(kind: str, level: float) -> None:
    for audio in (np.full(8000, level), noise(8000).clip(-1, 1) * level):
        assert np.isfinite(features(of_kind(kind), audio)).all()


def test_gain_shifts_logmel_by_a_constant() -> None:
    audio = noise(16_000)  # energies near 1: the floor of 1e-6 is far below
    shift = features(FeatureConfig(), 4 * audio) - features(FeatureConfig(), audio)
    np.testing.assert_allclose(shift, 0.25 * 2 * math.log(4), atol=1e-4)


def test_gain_shifts_only_the_first_cepstral_coefficient() -> None:
    audio = noise(16_000)
    shift = features(CLASSIC, 4 * audio) - features(CLASSIC, audio)
    np.testing.assert_allclose(shift[:, 0], math.sqrt(2 / 40) * 40 * math.log(4), atol=1e-4)
    np.testing.assert_allclose(shift[:, 1:], 0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_by_hops_shifts_frames(kind: str) -> None:
    config = of_kind(kind)
    audio = noise(16_000)
    late = features(config, audio[5 * 160 :])
    # pre-emphasis makes the first sample of a recording, and so its first frame, its own
    first = 1 if kind == "psf_mfcc" else 0
    np.testing.assert_allclose(late[first:], features(config, audio)[5 + first :], rtol=1e-5, atol=1e-4)


# --- sizes -------------------------------------------------------------------------------------------------------------


@st.composite
def configs(draw: st.DrawFn) -> FeatureConfig:
    rate = draw(st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100]))
    clip_ms = draw(st.floats(20, 200))
    window_ms = draw(st.floats(1, clip_ms - 1))  # psf_mfcc rounds it up to a sample
    n_mels = draw(st.integers(1, 80))
    return FeatureConfig(
        kind=draw(st.sampled_from(KINDS)),
        sample_rate=rate,
        clip_ms=clip_ms,
        window_ms=window_ms,
        hop_ms=draw(st.floats(0.5, 2 * clip_ms)),
        n_mels=n_mels,
        n_coefficients=draw(st.integers(1, n_mels)),
        low_hz=draw(st.floats(0, 500)),
        high_hz=draw(st.floats(1000, rate / 2)),
        fft_size=draw(st.sampled_from([0, 16_384])),
    )


@settings(max_examples=60, deadline=None)
@given(configs())
def test_the_configuration_knows_the_sizes(config: FeatureConfig) -> None:
    got = features(config, noise(config.clip_samples))
    assert got.shape == (config.n_frames, config.n_features)
    assert np.isfinite(got).all()
