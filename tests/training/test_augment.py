"""Each change to a clip against what it says it does, and the chances of the classic's rules against their distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from wordspot.config import AugmentConfig, FeatureConfig
from wordspot.training import augment
from wordspot.training.augment import Augmenter

RATE = 16_000


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch: int, n: int, level: float = 0.1, seed: int = 1) -> Tensor:
    return level * torch.randn(batch, n, generator=seeded(seed))


def sine(hertz: float, n: int = RATE, speed: float = 1.0) -> Tensor:
    """A tone, or the same played `speed` times as fast around its middle: float64 [samples]."""
    time = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * speed + (n - 1) / 2
    return 0.5 * torch.sin(2 * math.pi * hertz / RATE * time)


def rms(audio: Tensor) -> Tensor:
    return audio.double().square().mean(dim=-1).sqrt()


def decibels(ratio: Any) -> Tensor:
    return 20 * torch.log10(torch.as_tensor(ratio))


def augmenter(**changes: Any) -> Augmenter:
    """One that does nothing but what is asked of it."""
    nothing = {"time_shift_ms": 0, "background_frequency": 0, "background_volume": 0}
    return Augmenter(AugmentConfig(**{**nothing, **changes}), FeatureConfig())


# --- time shift --------------------------------------------------------------------------------------------------------


def test_shift_moves_exactly_and_zeros_fill_in() -> None:
    clip = [1.0, 2.0, 3.0, 4.0]
    shifted = augment.time_shift(torch.tensor([clip] * 6), torch.tensor([0, 1, 3, -1, -3, 2]))
    assert shifted.tolist() == [
        [1, 2, 3, 4],
        [0, 1, 2, 3],
        [0, 0, 0, 1],
        [2, 3, 4, 0],
        [4, 0, 0, 0],
        [0, 0, 1, 2],
    ]


def test_shift_beyond_the_clip_leaves_nothing() -> None:
    clips = torch.ones(3, 4)
    assert not augment.time_shift(clips, torch.tensor([4, -4, 10**12])).any()  # nor does it take 10**12 samples of memory


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-12, 12), min_size=1, max_size=5), st.integers(1, 9))
def test_shift_is_one_copy_of_each_sample(shifts: list[int], n: int) -> None:
    audio = torch.arange(1.0, len(shifts) * n + 1).reshape(len(shifts), n)
    got = augment.time_shift(audio, torch.tensor(shifts))
    for row, shift in enumerate(shifts):
        expected = [float(audio[row, i - shift]) if 0 <= i - shift < n else 0.0 for i in range(n)]
        assert got[row].tolist() == expected


# --- speed -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4001, 16_000])
def test_speed_of_one_changes_nothing(n: int) -> None:
    clips = noise(2, n)
    assert torch.equal(augment.change_speed(clips, torch.ones(2)), clips)


@pytest.mark.parametrize("factor", [0.9, 0.97, 1.1])
@pytest.mark.parametrize("hertz", [200.0, 1000.0])
def test_speed_moves_a_tone_and_keeps_its_level(factor: float, hertz: float) -> None:
    faster = augment.change_speed(sine(hertz).float()[None], torch.tensor([factor]))[0]
    inside = slice(1000, 15_000)
    spectrum = torch.fft.rfft(faster[inside].double() * torch.hann_window(14_000, dtype=torch.float64), 1 << 18).abs()
    assert float(spectrum.argmax()) * RATE / (1 << 18) == pytest.approx(hertz * factor, abs=0.1)
    assert float(rms(faster[inside]) / rms(sine(hertz)[inside])) == pytest.approx(1, abs=2e-3)
    error = decibels(rms(faster[inside] - sine(hertz, speed=factor)[inside]) / rms(sine(hertz)))
    # cubic interpolation errs by the third power of the frequency: -62 dB at 1 kHz
    assert error < (-95 if hertz == 200 else -58)


def test_speed_is_as_exact_in_a_long_clip() -> None:
    n = 20 * RATE  # in float32, positions here are no finer than a 32nd of a sample: they must not be rounded to that
    factor = torch.tensor([1.1])
    faster = augment.change_speed(sine(200, n).float()[None], factor)[0]
    inside = slice(n // 4, 3 * n // 4)
    assert decibels(rms(faster[inside] - sine(200, n, float(factor))[inside]) / rms(sine(200))) < -95


def test_speed_turns_around_the_middle() -> None:
    clips = noise(2, 1000)
    factors = torch.tensor([1.25, 0.8])
    changed = augment.change_speed(clips, factors)
    torch.testing.assert_close(augment.change_speed(clips.flip(1), factors).flip(1), changed, atol=1e-5, rtol=0)
    heard = changed[0].nonzero().squeeze(1)
    assert (int(heard[0]), int(heard[-1])) == (100, 899), "1000 samples at 1.25 times the speed last 800"
    assert not changed[0, :99].any()
    slow = torch.zeros(1, 1000)
    slow[0, :90] = slow[0, 910:] = 1  # the ends that a slower clip has no room for: 100 samples on each side
    assert not augment.change_speed(slow, torch.tensor([0.8])).any()


def test_bounds_of_speech_move_with_its_speed() -> None:
    clips, bounds = torch.zeros(3, 1000), torch.tensor([[300, 620]] * 3)
    clips[:, 300:620] = 1
    factors = torch.tensor([0.8, 1.0, 1.25])
    stretched = augment.stretch_bounds(bounds, factors, 1000)
    assert stretched.tolist() == [[250, 650], [300, 620], [340, 596]]
    for clip, (first, stop) in zip(augment.change_speed(clips, factors), stretched.tolist(), strict=True):
        heard = (clip.abs() > 0.5).nonzero()
        assert abs(int(heard[0]) - first) <= 1
        assert abs(int(heard[-1]) + 1 - stop) <= 1
    assert augment.stretch_bounds(torch.tensor([[0, 1000]]), torch.tensor([0.8]), 1000).tolist() == [[0, 1000]]


def test_speeds_are_drawn_from_the_range() -> None:
    clips = noise(400, 100)
    same, ones = augmenter(speed=0).change_speed(clips, seeded())
    assert same is clips
    assert bool((ones == 1).all())
    changed, factors = augmenter(speed=0.2).change_speed(clips, seeded())
    assert torch.equal(changed, augment.change_speed(clips, factors))
    assert scipy.stats.kstest((factors.numpy() - 0.8) / 0.4, "uniform").pvalue > 1e-3


def test_each_clip_has_its_own_speed() -> None:
    clips = noise(3, 500)
    factors = torch.tensor([0.9, 1.0, 1.1])
    together = augment.change_speed(clips, factors)
    for row in range(3):
        assert torch.equal(augment.change_speed(clips[row : row + 1], factors[row : row + 1])[0], together[row])


# --- rooms -------------------------------------------------------------------------------------------------------------


def test_a_room_of_direct_sound_only_changes_nothing() -> None:
    clips = noise(2, 3000)
    impulses = torch.zeros(2, 700)
    impulses[:, 0] = torch.tensor([1.0, 0.3])
    torch.testing.assert_close(augment.reverberate(clips, impulses), clips, atol=1e-6, rtol=1e-5)


def test_reverberation_is_a_convolution_at_the_clips_level() -> None:
    clips, impulses = noise(2, 1000), noise(2, 300, seed=2)
    wet = augment.reverberate(clips, impulses)
    for clip, impulse, got in zip(clips.double(), impulses.double(), wet.double(), strict=True):
        expected = torch.from_numpy(np.convolve(clip.numpy(), impulse.numpy())[:1000])
        expected *= rms(clip) / rms(expected)
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)
        assert float(rms(got)) == pytest.approx(float(rms(clip)), rel=1e-5)


def test_reverberation_leaves_silence_silent() -> None:
    assert not augment.reverberate(torch.zeros(1, 100), noise(1, 50)).any()


@pytest.mark.parametrize("rt60", [0.1, 0.3])
def test_impulse_responses_decay_by_60_db_in_their_reverberation_time(rt60: float) -> None:
    impulses = augment.room_impulses(torch.full((16,), rt60), torch.ones(16), RATE, seeded())
    assert impulses.shape == (16, int(rt60 * RATE))
    energy = impulses[:, 1:].double().square().mean(dim=0)
    remaining = energy.flip(0).cumsum(0).flip(0)  # Schroeder 1965: the energy still to come
    level = 10 * torch.log10(remaining / remaining[0]).numpy()
    inside = (level < -5) & (level > -25)
    slope = np.polyfit(np.flatnonzero(inside) / RATE, level[inside], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.05)


def test_impulse_responses_have_the_requested_reflections() -> None:
    rt60, level = torch.tensor([0.3, 0.05, 0.2]), torch.tensor([0.1, 1.0, 4.0])
    impulses = augment.room_impulses(rt60, level, RATE, seeded())
    assert impulses[:, 0].eq(1).all()
    assert not impulses[:, 1:32].any(), "2 ms until the first reflection"
    assert impulses[:, 32:40].all()
    torch.testing.assert_close(impulses[:, 1:].square().sum(dim=1), level, rtol=1e-4, atol=0)
    assert decibels(rms(impulses[1, 800:1600]) / rms(impulses[1, 32:800])) < -40, "a short room is still at 50 ms"


def test_the_shortest_room_is_direct_sound() -> None:
    impulses = augment.room_impulses(torch.tensor([1e-5]), torch.ones(1), RATE, seeded())
    assert impulses.tolist() == [[1, 0]]


# --- noise -------------------------------------------------------------------------------------------------------------


def test_noise_is_added_at_its_volume_and_clipped() -> None:
    audio = torch.tensor([[0.5, -0.5, 0.9], [0.5, -0.5, 0.9]])
    hiss = torch.tensor([[0.4, 0.4, 0.8], [1.0, -1.0, -1.0]])
    mixed = augment.mix_noise(audio, hiss, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(mixed, torch.tensor([[0.7, -0.3, 1.0], [1.0, -1.0, -0.1]]))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_reaches_the_asked_ratio(snr_db: float) -> None:
    audio, hiss = noise(2, 8000, 0.01), noise(2, 8000, 0.3, seed=2) * torch.tensor([[1.0], [0.1]])
    volume = augment.volume_for_snr(audio, hiss, torch.full((2,), snr_db))
    added = augment.mix_noise(audio, hiss, volume) - audio
    torch.testing.assert_close(decibels(rms(audio) / rms(added)), torch.full((2,), snr_db).double(), atol=1e-3, rtol=0)


def test_silent_noise_adds_nothing() -> None:
    audio = noise(1, 100)
    volume = augment.volume_for_snr(audio, torch.zeros(1, 100), torch.zeros(1))
    assert torch.equal(augment.mix_noise(audio, torch.zeros(1, 100), volume), audio)


# --- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "size"), [(1, 30), (2, 20)])
def test_one_mask_blanks_one_stretch_with_the_mean(axis: int, size: int) -> None:
    features = torch.randn(2000, 30, 20, generator=seeded(1))
    masked = augment.mask_features(features, 1, 7, axis, seeded())
    changed = masked != features
    blank = changed.any(dim=3 - axis)  # [batch, size]
    assert torch.equal(blank, changed.all(dim=3 - axis)), "whole frames or whole bands"
    means = features.mean(dim=(1, 2), keepdim=True).expand_as(features)
    assert torch.equal(masked[changed], means[changed])
    widths = blank.sum(dim=1)
    assert widths.unique().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    first = blank.int().argmax(dim=1)
    expected = (torch.arange(size) >= first[:, None]) & (torch.arange(size) < (first + widths)[:, None])
    assert torch.equal(blank, expected), "in one piece"
    assert blank.any(dim=0).all(), "anywhere, to the very ends"


def test_several_masks_may_meet() -> None:
    features = torch.randn(500, 40, 10, generator=seeded(1))
    blank = (augment.mask_features(features, 3, 5, 1, seeded()) != features).all(dim=2)
    assert int(blank.sum(dim=1).max()) <= 15
    starts = (blank.int().diff(dim=1, prepend=torch.zeros(500, 1)) == 1).sum(dim=1)
    assert int(starts.max()) == 3
    assert int(blank.sum(dim=1).max()) > 5


def test_a_mask_may_be_wider_than_the_features() -> None:
    features = torch.randn(300, 4, 3, generator=seeded(1))
    widths = (augment.mask_features(features, 1, 100, 1, seeded()) != features).all(dim=2).sum(dim=1)
    assert widths.unique().tolist() == [0, 1, 2, 3, 4]


def test_masks_go_where_the_configuration_says() -> None:
    features = torch.randn(200, 98, 40, generator=seeded(1))
    assert augmenter().mask(features, seeded()) is features
    assert augmenter(time_masks=2, time_mask_frames=0).mask(features, seeded()) is features
    in_time = augmenter(time_masks=1, time_mask_frames=9).mask(features, seeded()) != features
    assert torch.equal(in_time.any(dim=2), in_time.all(dim=2))
    assert int(in_time.all(dim=2).sum(dim=1).max()) == 9
    in_bands = augmenter(frequency_masks=1, frequency_mask_bands=3).mask(features, seeded()) != features
    assert torch.equal(in_bands.any(dim=1), in_bands.all(dim=1))
    assert int(in_bands.all(dim=1).sum(dim=1).max()) == 3
    both = augmenter(time_masks=1, time_mask_frames=9, frequency_masks=1, frequency_mask_bands=3)
    assert (both.mask(features, seeded()) != features).float().mean() > in_time.float().mean()


# --- the chances, put together -----------------------------------------------------------------------------------------


def volumes_of(config: AugmentConfig, silent: bool, n_clips: int = 20_000) -> np.ndarray:
    """The background's volume in each of many silent recordings, augmented by `config`."""
    hiss = torch.full((n_clips, 4), 0.5)
    is_silence = torch.full((n_clips,), silent)
    mixed = Augmenter(config, FeatureConfig()).augment(torch.zeros(n_clips, 4), is_silence, hiss, seeded())
    assert torch.equal(mixed, mixed[:, :1].expand(-1, 4))
    return mixed[:, 0].double().numpy() / 0.5


def test_classic_silence_is_background_at_any_volume() -> None:
    volumes = volumes_of(AugmentConfig(), silent=True)
    assert scipy.stats.kstest(volumes, "uniform").pvalue > 1e-3
    assert volumes.min() < 1e-3
    assert volumes.max() > 1 - 1e-3


def test_classic_words_have_some_background_often() -> None:
    volumes = volumes_of(AugmentConfig(), silent=False)
    heard = volumes[volumes > 0]
    assert len(heard) / len(volumes) == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / len(volumes)))
    assert scipy.stats.kstest(heard / 0.1, "uniform").pvalue > 1e-3


def test_background_follows_its_settings() -> None:
    assert not volumes_of(AugmentConfig(background_frequency=0), silent=False).any()
    heard = volumes_of(AugmentConfig(background_frequency=1, background_volume=0.5), silent=False)
    assert (heard > 0).mean() > 0.999
    assert heard.max() == pytest.approx(0.5, abs=1e-3)
    silence = volumes_of(AugmentConfig(background_frequency=0, background_volume=0), silent=True)
    assert scipy.stats.kstest(silence, "uniform").pvalue > 1e-3, "silence has its background all the same"


def test_classic_shift_is_uniform_and_never_reaches_its_upper_end() -> None:
    audio = torch.zeros(16_000, 64)
    audio[:, 32] = 1
    is_silence = torch.zeros(16_000, dtype=torch.bool)
    shifted = augmenter(time_shift_ms=1).augment(audio, is_silence, None, seeded())  # 16 samples
    assert shifted.sum(dim=1).eq(1).all()
    counts = torch.bincount(shifted.argmax(dim=1) - 16, minlength=32)
    assert len(counts) == 32
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_classic_silence_stays_speech_times_zero() -> None:
    everything = augmenter(time_shift_ms=100, background_frequency=1, background_volume=0.1, gain_db=20, room_frequency=1)
    is_silence = torch.tensor([True, False, True])
    audio = noise(3, 4000) * ~is_silence[:, None]
    hiss = noise(3, 4000, 0.2, seed=2)
    mixed = everything.augment(audio, is_silence, hiss, seeded())
    for row in (0, 2):
        volume = mixed[row] / hiss[row]
        assert 0 < float(volume[0]) < 1
        torch.testing.assert_close(volume, volume[:1].expand_as(volume), rtol=1e-5, atol=0)
    assert not everything.augment(audio, is_silence, None, seeded())[is_silence].any()
    by_ratio = augmenter(snr_db=(0, 10), background_frequency=1).augment(audio, is_silence, hiss, seeded())
    assert by_ratio[0].any(), "a ratio to silent speech would be silent too: silence takes U(0, 1)"


def test_ratio_of_the_configuration_is_reached() -> None:
    audio, hiss = noise(400, 2000, 0.01), noise(400, 2000, 0.2, seed=2)
    is_silence = torch.zeros(400, dtype=torch.bool)
    mixed = augmenter(snr_db=(5, 15), background_frequency=1, background_volume=0).augment(audio, is_silence, hiss, seeded())
    ratios = decibels(rms(audio) / rms(mixed - audio)).numpy()
    assert scipy.stats.kstest((ratios - 5) / 10, "uniform").pvalue > 1e-3


def test_windows_of_scenes_stay_where_they_are() -> None:
    clips, is_silence = noise(100, 4000), torch.zeros(100, dtype=torch.bool)
    moved = augmenter(time_shift_ms=100).augment(clips, is_silence, None, seeded(), n_scenes=40)
    changed = (moved != clips).any(dim=1)
    assert not changed[:40].any()
    assert float(changed[40:].float().mean()) > 0.9  # a shift may be 0


def test_windows_of_scenes_have_noise_even_where_nothing_is_said() -> None:
    hiss, is_silence = noise(800, 500, 0.2, seed=2), torch.zeros(800, dtype=torch.bool)
    mixed = augmenter(background_volume=0.5, snr_db=(0, 40)).augment(
        torch.zeros(800, 500), is_silence, hiss, seeded(), n_scenes=400
    )
    volumes = (rms(mixed) / rms(hiss)).numpy()
    assert scipy.stats.kstest(volumes[:400] / 0.5, "uniform").pvalue > 1e-3
    assert not volumes[400:].any()


def test_gain_is_uniform_in_decibels() -> None:
    audio = noise(1000, 50, 0.001)
    louder = augmenter(gain_db=12).augment(audio, torch.zeros(1000, dtype=torch.bool), None, seeded())
    gains = decibels(rms(louder) / rms(audio)).numpy()
    assert scipy.stats.kstest((gains + 12) / 24, "uniform").pvalue > 1e-3


def test_gain_is_clipped() -> None:
    loud = augmenter(gain_db=60).augment(noise(50, 100), torch.zeros(50, dtype=torch.bool), None, seeded())
    assert float(loud.abs().max()) == 1


def test_speeds_stay_within_their_limits() -> None:
    clips = sine(1000, 4000).float().expand(300, -1)
    changed, _ = augmenter(speed=0.1).change_speed(clips, seeded())
    window = torch.hann_window(3000)
    peaks = torch.fft.rfft(changed[:, 500:3500] * window, 1 << 15).abs().argmax(dim=1).double() * RATE / (1 << 15)
    assert scipy.stats.kstest((peaks.numpy() - 900) / 200, "uniform").pvalue > 1e-3


def test_reverberation_is_as_frequent_as_requested() -> None:
    clips = noise(600, 400)
    wet = augmenter(room_frequency=0.3, room_ms=20).augment(clips, torch.zeros(600, dtype=torch.bool), None, seeded())
    changed = (wet != clips).any(dim=1)
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 600))
    torch.testing.assert_close(rms(wet), rms(clips), rtol=1e-4, atol=0)
    none = augmenter(room_frequency=1e-9).augment(clips, torch.zeros(600, dtype=torch.bool), None, seeded())
    assert torch.equal(none, clips)


def test_without_noise_or_settings_nothing_changes() -> None:
    clips = noise(3, 200)
    is_silence = torch.zeros(3, dtype=torch.bool)
    assert torch.equal(augmenter().augment(clips, is_silence, None, seeded()), clips)
    assert torch.equal(augmenter().augment(clips, is_silence, noise(3, 200, seed=4), seeded()), clips)


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(),
        AugmentConfig(speed=0.1, gain_db=6, room_frequency=0.5, snr_db=(0.0, 20.0), time_masks=2, frequency_masks=2),
    ],
    ids=["classic", "everything"],
)
def test_all_randomness_comes_from_the_generator(config: AugmentConfig) -> None:
    change = Augmenter(config, FeatureConfig())
    audio, hiss = noise(8, 4000), noise(8, 4000, seed=2)
    is_silence = torch.arange(8) == 3
    audio[3] = 0
    kept = audio.clone(), hiss.clone()
    features = torch.randn(8, 98, 40, generator=seeded(9))

    def run(seed: int, global_seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(global_seed)
        state, generator = torch.get_rng_state(), seeded(seed)
        result = change.augment(audio, is_silence, hiss, generator), change.mask(features, generator)
        assert torch.equal(torch.get_rng_state(), state), "torch's own generator was used"
        return result

    first, again, other = run(1, 1), run(1, 2), run(2, 1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert (first[0] != other[0]).any(dim=1).all()
    assert torch.equal(audio, kept[0])
    assert torch.equal(hiss, kept[1])
    assert first[0].shape == audio.shape
    assert float(first[0].abs().max()) <= 1
