"""The micro front end against the C library it follows, to the bit: live through pymicro-features, and by its outputs.

pymicro-features is fixed at 16 kHz, windows of 30 ms every 10 ms, and 40 channels. For other settings the expected values
below were made with the C sources in its source distribution, 2.0.2 (`pip download --no-binary :all: --no-deps
pymicro-features`): `src/micro_features.cpp` with the sizes changed in `init_cfg`, and a loop that calls
`FrontendProcessSamples` until no sample is left, on x86-64 with glibc 2.36.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_float32, to_int16
from wordspot.config import FeatureConfig
from wordspot.errors import AudioError, ConfigError
from wordspot.features import fixed_point, micro
from wordspot.features.micro import FEATURE_SCALE, MicroFrontEnd
from wordspot.presets import FEATURES

Ints = NDArray[np.int64]
TEN_MS = FeatureConfig(kind="micro", hop_ms=10, low_hz=125, high_hz=7500)


def whole(config: FeatureConfig, samples: NDArray[np.int16]) -> Ints:
    """int16 [samples] → integer features [frames, n_mels]."""
    features = MicroFrontEnd(config)(torch.from_numpy(to_float32(samples))[None])[0].numpy()
    integers = features.astype(np.float64) / FEATURE_SCALE
    assert features.dtype == np.float32
    assert (integers == np.rint(integers)).all()
    return integers.astype(np.int64)


def reference(samples: NDArray[np.int16]) -> Ints:
    """The same by pymicro-features, which takes 10 ms at a time."""
    pymicro_features = pytest.importorskip("pymicro_features")
    front_end, rows = pymicro_features.MicroFrontend(), []
    position, data = 0, samples.astype("<i2").tobytes()
    while position + 320 <= len(data):
        output = front_end.process_samples(data[position : position + 320])
        position += 2 * output.samples_read
        if output.features:
            rows.append(output.features)
    return np.rint(np.array(rows) / FEATURE_SCALE).astype(np.int64)


@pytest.fixture
def same_log1p(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the channels with this machine's log1pf, as pymicro-features does: its last bit depends on the C library."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("pymicro-features is built with fused multiply-add here, which moves the last bit of some weights")
    name = ctypes.util.find_library("m")
    if name is None:
        pytest.skip("this machine's mathematical library was not found")
    log1pf = ctypes.CDLL(name).log1pf
    log1pf.restype, log1pf.argtypes = ctypes.c_float, [ctypes.c_float]
    monkeypatch.setattr(micro, "log1p", np.vectorize(log1pf, otypes=[np.float32]))


def noise(peak: int, seed: int = 0, seconds: float = 1.0) -> NDArray[np.int16]:
    generator = np.random.default_rng(seed)
    return generator.integers(-peak, peak, int(16_000 * seconds), dtype=np.int16, endpoint=True)


def tone(hz: float, amplitude: float) -> NDArray[np.int16]:
    return to_int16((amplitude * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)).astype(np.float32))


def chirp() -> NDArray[np.int16]:
    seconds = np.arange(16_000) / 16_000
    return to_int16(np.sin(2 * np.pi * (50 * seconds + 3900 * seconds**2)).astype(np.float32))


def impulses(value: int, every: int) -> NDArray[np.int16]:
    samples = np.zeros(16_000, np.int16)
    samples[240::every] = value
    return samples


def overflowing() -> NDArray[np.int16]:
    """Frames that are flat at full scale after the window, and beat against the transform at 45 degrees."""
    window = MicroFrontEnd(TEN_MS).window[:480, 0].numpy()
    frames = []
    for frame in range(20):
        angle = 2 * np.pi * (0.01 + (1 + 5 * frame) * np.arange(240) / 256)
        pattern = np.stack([np.sign(np.cos(angle)), np.sign(np.sin(angle))], axis=1).ravel()
        frames.append(np.where(window > 0, np.trunc(254 * 4096 / np.maximum(window, 1)), 0).clip(max=32767) * pattern)
    return np.concatenate(frames).astype(np.int16)


SIGNALS = {
    "silence": np.zeros(16_000, np.int16),
    "whisper": noise(1),
    "faint noise": noise(12),
    "noise": noise(700),
    "loud noise": noise(32767),
    "noise of more than one block": noise(3000, seed=1, seconds=5),
    "noise after silence": np.concatenate([np.zeros(5000, np.int16), noise(2000)]),
    "hum": tone(50, 0.3),
    "tone": tone(440, 0.01),
    "clipped tone": tone(1000, 3.0),
    "clipped high tone": tone(7000, 30.0),
    "chirp": chirp(),
    "constant": np.full(16_000, 9000, np.int16),
    "lowest value": np.full(16_000, -32768, np.int16),
    "square": np.where(tone(300, 0.5) > 0, np.int16(32767), np.int16(-32768)),
    "impulses that have no magnitude": impulses(-32768, 480),
    "impulses": impulses(-32768, 397),
    "overflow": overflowing(),
}


@pytest.mark.usefixtures("same_log1p")
@pytest.mark.parametrize("name", SIGNALS)
def test_equals_pymicro_features(name: str) -> None:
    expected = reference(SIGNALS[name])
    assert len(expected) == 1 + (len(SIGNALS[name]) - 480) // 160
    np.testing.assert_array_equal(whole(TEN_MS, SIGNALS[name]), expected)


@pytest.mark.usefixtures("same_log1p")
def test_equals_pymicro_features_on_recordings(shared_data: Path) -> None:
    words = shared_data / "speech_commands"
    paths = [sorted((words / word).iterdir())[7] for word in ("yes", "left", "happy", "stop")]
    paths += sorted((words / "_background_noise_").glob("*.flac"))[:2]
    for path in paths:
        samples = to_int16(read_audio(path, 16_000)[0])[:80_000]
        np.testing.assert_array_equal(whole(TEN_MS, samples), reference(samples), err_msg=str(path))


def test_overflow_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = whole(TEN_MS, overflowing())
    monkeypatch.setattr(fixed_point, "wrap_", lambda values: values)
    assert (whole(TEN_MS, overflowing()) != wrapped).any()


def synthetic(n_samples: int) -> NDArray[np.int16]:
    """Noise that grows, then a square wave on it, by whole numbers only."""
    value, samples = 1, []
    for i in range(n_samples):
        value = (value * 1_103_515_245 + 12_345) % 2**31
        growing = ((value >> 15) - 32_768) * (1 + 40 * i // n_samples) ** 2 // 1700
        samples.append(growing + (0 if 2 * i < n_samples else 8000 if i // 37 % 2 else -8000))
    return np.clip(samples, -32_768, 32_767).astype(np.int16)


GOLDEN = {
    # sample_rate, window_ms, hop_ms, n_mels, low_hz, high_hz: frames, CRC-32 of the uint16 output, little-endian
    (16000, 30, 20, 40, 125, 7500): (19, 0x6E481273),
    (16000, 30, 30, 40, 125, 7500): (13, 0x2FA8BAAE),
    (16000, 25, 10, 32, 60, 7600): (38, 0x2DE3EAEF),
    (16000, 8, 4, 20, 125, 7500): (99, 0xFA135D92),
    (16000, 2, 1, 8, 0, 7000): (399, 0x13630015),
    (8000, 64, 16, 23, 100, 3800): (22, 0x99E61CC1),
    (48000, 40, 20, 64, 20, 20000): (19, 0xB5F2E2FD),
    (22000, 50, 25, 128, 0, 10500): (15, 0x3FECCFE4),
    (16000, 128, 64, 1, 125, 7500): (5, 0x22F415C6),
}


@pytest.mark.parametrize("settings", GOLDEN)
def test_equals_the_c_library_at_other_settings(settings: tuple[float, ...]) -> None:
    rate, window_ms, hop_ms, n_mels, low_hz, high_hz = settings
    config = FeatureConfig(
        kind="micro",
        sample_rate=int(rate),
        window_ms=window_ms,
        hop_ms=hop_ms,
        n_mels=int(n_mels),
        low_hz=low_hz,
        high_hz=high_hz,
    )
    integers = whole(config, synthetic(int(rate) * 2 // 5))
    assert (len(integers), zlib.crc32(integers.astype("<u2").tobytes())) == GOLDEN[settings]


def test_values_of_the_preset() -> None:
    integers = whole(FEATURES["micro"], synthetic(6400))
    assert integers.shape == (19, 40)
    assert integers[0, ::8].tolist() == [503, 561, 564, 556, 592]
    assert integers[12, ::8].tolist() == [580, 588, 556, 585, 563]


def test_clips_of_a_batch_are_independent() -> None:
    front_end = MicroFrontEnd(FEATURES["micro"])
    clips = torch.from_numpy(to_float32(np.stack([noise(p, p) for p in (3, 30_000, 500, 0, 90, 9000, 1)])))
    for clip, features in zip(clips, front_end(clips), strict=True):
        assert torch.equal(front_end(clip[None])[0], features)


def test_samples_are_rounded_and_saturated_as_in_files() -> None:
    front_end = MicroFrontEnd(FEATURES["micro"])
    audio = (np.random.default_rng(2).normal(size=16_000) * np.linspace(0, 2, 16_000) ** 3).astype(np.float32)
    stored = to_float32(to_int16(audio))
    assert not np.array_equal(audio, stored)
    assert torch.equal(front_end(torch.from_numpy(audio)[None]), front_end(torch.from_numpy(stored)[None]))


def test_root_rounds_to_nearest_and_keeps_16_bits() -> None:
    roots = {0: 0, 1: 1, 2: 1, 3: 2, 6: 2, 7: 3, 65535**2 + 65535: 65535, 2**32 - 1: 65535, 2**32: 65536}
    big = 2**22 + 12_345
    roots |= {big**2 + big: big, big**2 + big + 1: big + 1}
    assert fixed_point.root(torch.tensor(list(roots), dtype=torch.float64)).tolist() == list(roots.values())


def test_subtract_leaves_a_twentieth() -> None:
    signal, noise = (
        torch.tensor([1000, 1000, 1000, 0]),
        torch.tensor([300 * 1024 + 1, 990 * 1024, 2000 * 1024, 5 * 1024]),
    )
    assert micro.subtract_noise(signal, noise).tolist() == [699, 49, 49, 0]


def test_log_equals_the_c_library() -> None:
    """The CRC-32 is of `LogScaleApply` at scale_shift 6 and correction_bits 3, made like the others."""
    logs = MicroFrontEnd(TEN_MS).log_scale(torch.arange(20_000)).numpy()
    assert logs[[0, 1, 2, 100, 19_999]].tolist() == [0, 133, 177, 428, 767]
    assert zlib.crc32(logs.astype("<u2").tobytes()) == 0x50553BB4


def int16(value: int) -> int:
    return (value + 32_768) % 65_536 - 32_768


def unpack(z: list[complex]) -> list[int]:
    """KISS FFT's way from a transform of n complex points to the energy of bins 1 to n - 1, a number at a time."""

    def halve(value: int) -> int:
        return (value * 16_383 + 16_384) >> 15

    n, energy = len(z), [0] * (len(z) + 1)
    for k in range(1, n // 2 + 1):
        angle = -np.pi * (k / n + 0.5)
        turn_r, turn_i = int(np.floor(0.5 + 32_767 * np.cos(angle))), int(np.floor(0.5 + 32_767 * np.sin(angle)))
        near_r, near_i = halve(int(z[k].real)), halve(int(z[k].imag))
        far_r, far_i = halve(int(z[n - k].real)), halve(int16(-int(z[n - k].imag)))
        odd_r, odd_i = near_r - far_r, near_i - far_i
        r = int16((odd_r * turn_r - odd_i * turn_i + 16_384) >> 15)
        i = int16((odd_r * turn_i + odd_i * turn_r + 16_384) >> 15)
        even_r, even_i = near_r + far_r, near_i + far_i
        energy[k] = ((even_r + r) >> 1) ** 2 + ((even_i + i) >> 1) ** 2
        energy[n - k] = ((even_r - r) >> 1) ** 2 + ((i - even_i) >> 1) ** 2
    return energy[1:n]


def test_unpacking_the_real_transform_at_the_ends_of_int16() -> None:
    generator = np.random.default_rng(7)
    z = generator.choice([-32_768, -32_767, -1, 0, 32_767, 20_000, -23_171], (2, 64, 50)).astype(np.int32)
    energy = fixed_point.FixedFft(128).energy(torch.from_numpy(z)).numpy()
    for frame in range(z.shape[2]):
        assert energy[:, frame].tolist() == unpack((z[0, :, frame] + 1j * z[1, :, frame]).tolist())


def test_log1p_is_near_the_logarithm() -> None:
    x = np.concatenate([np.linspace(0, 1, 5000), np.linspace(1, 140, 5000)]).astype(np.float32)
    exact = np.log1p(x.astype(np.float64))
    assert (np.abs(micro.log1p(x) - exact) <= np.spacing(exact.astype(np.float32))).all()


STREAMED = {
    "preset": FEATURES["micro"],
    "10 ms": TEN_MS,
    "25/10 ms": FeatureConfig(kind="micro", window_ms=25, n_mels=32, low_hz=125, high_hz=7500),
    "no overlap": FeatureConfig(kind="micro", hop_ms=30, low_hz=125, high_hz=7500),
}


@pytest.mark.parametrize("n_hops", [1, 3, 7])
@pytest.mark.parametrize("name", STREAMED)
def test_streamed_equals_whole(name: str, n_hops: int) -> None:
    front_end = MicroFrontEnd(STREAMED[name])
    hop, warmup = STREAMED[name].hop_samples, front_end.warmup_frames
    audio = torch.from_numpy(to_float32(np.stack([noise(20_000, 3), noise(40, 4), chirp()])))
    audio = audio[:, : audio.shape[1] // (n_hops * hop) * n_hops * hop]
    state, parts = front_end.initial_state(3), []
    for chunk in audio.split(n_hops * hop, dim=1):
        features, state = front_end.step(chunk, state)
        assert features.shape == (3, n_hops, STREAMED[name].n_mels)
        assert state[0].shape == (3, front_end.state_samples)
        parts.append(features)
    streamed = torch.cat(parts, dim=1)
    assert len(parts) > 3
    assert not streamed[:, :warmup].any()
    expected = front_end(audio)
    assert torch.equal(streamed[:, warmup:], expected[:, : streamed.shape[1] - warmup])
    assert expected.shape[1] == streamed.shape[1] - warmup


def test_state_carries_window_less_hop_in_entire_hops() -> None:
    sizes = {name: (MicroFrontEnd(c).state_samples, MicroFrontEnd(c).warmup_frames) for name, c in STREAMED.items()}
    assert sizes == {"preset": (320, 1), "10 ms": (320, 2), "25/10 ms": (320, 2), "no overlap": (0, 0)}


def test_streams_of_a_batch_may_begin_at_different_times() -> None:
    front_end = MicroFrontEnd(TEN_MS)
    first, second = (torch.from_numpy(to_float32(noise(8000, seed)))[None] for seed in (5, 6))
    _, running = front_end.step(first[:, :1600], front_end.initial_state(1))
    state = tuple(torch.cat(pair) for pair in zip(running, front_end.initial_state(1), strict=True))
    features, _ = front_end.step(torch.cat([first[:, 1600:8000], second[:, :6400]]), state)
    assert torch.equal(features[:1], front_end(first[:, :8000])[:, 8:])
    assert torch.equal(features[1:, 2:], front_end(second[:, :6400]))


def test_less_than_a_window_is_rejected() -> None:
    with pytest.raises(AudioError, match="has 479 samples; expected at least a window of 480"):
        MicroFrontEnd(TEN_MS)(torch.zeros(1, 479))


@pytest.mark.parametrize("n_samples", [0, 161])
def test_a_step_of_no_entire_hops_is_rejected(n_samples: int) -> None:
    front_end = MicroFrontEnd(TEN_MS)
    with pytest.raises(AudioError, match=f"has {n_samples} samples; expected a multiple of the hop of 160"):
        front_end.step(torch.zeros(1, n_samples), front_end.initial_state(1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hop_ms": 40}, "hop_ms is 40, but .* at most the window's 30 ms"),
        ({"fft_size": 1024}, "fft_size is 1024, but .* the next power of two"),
        ({"high_hz": 8000}, "below half the sample rate .* got high_hz 8000"),
    ],
)
def test_settings_it_cannot_take_are_rejected(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MicroFrontEnd(FeatureConfig(kind="micro", **settings))
