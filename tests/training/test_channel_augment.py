"""What lines and codecs do: tones kept or killed, gains where they were asked for, and the mu-law by a second computation."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from wordspot.config import AugmentConfig, FeatureConfig
from wordspot.training.augment import BANDS, Augmenter, compand, equalise

RATE = 16_000
NO_LOW, NO_HIGH = torch.tensor([-float(RATE)]), torch.tensor([float(RATE)])
FLAT = torch.zeros(1, BANDS)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch: int = 1, n: int = RATE, level: float = 0.1, seed: int = 1) -> Tensor:
    return level * torch.randn(batch, n, generator=seeded(seed))


def tone(hertz: float, n: int = RATE) -> Tensor:
    """[1, samples]"""
    return 0.3 * torch.sin(2 * math.pi * hertz / RATE * torch.arange(n, dtype=torch.float64)).float()[None]


def gain_db(after: Tensor, before: Tensor) -> float:
    """Of the middle half, where a clip's sudden beginning and end are not heard."""
    quarter = before.shape[1] // 4
    powers = [audio[:, quarter:-quarter].double().square().mean() for audio in (after, before)]
    return float(10 * torch.log10(powers[0] / powers[1] + 1e-20))


def augmenter(**changes: Any) -> Augmenter:
    """One that does nothing but what is asked of it."""
    nothing = {"time_shift_ms": 0, "background_frequency": 0, "background_volume": 0}
    return Augmenter(AugmentConfig(**{**nothing, **changes}), FeatureConfig(sample_rate=RATE))


# --- the equaliser and the band ----------------------------------------------------------------------------------------


def test_flat_gains_and_no_edges_change_nothing() -> None:
    audio = noise(3)
    filtered = equalise(audio, FLAT.expand(3, -1), NO_LOW.expand(3), NO_HIGH.expand(3), RATE)
    torch.testing.assert_close(filtered, audio, rtol=0, atol=1e-6)  # there and back in float32


@pytest.mark.parametrize(
    ("hertz", "expected"),
    [
        (100, None),
        (250, None),
        (400, -6.02),
        (600, 0.0),
        (1500, 0.0),
        (2800, 0.0),
        (3000, -6.02),
        (3200, None),
        (7000, None),
    ],
)
def test_a_band_keeps_what_is_within_and_halves_its_edges(hertz: float, expected: float | None) -> None:
    before = tone(hertz)
    after = equalise(before, FLAT, torch.tensor([400.0]), torch.tensor([3000.0]), RATE)
    if expected is None:
        assert gain_db(after, before) < -45  # 150 Hz outside: 1 / (1 + exp(6)) is -52 dB
    else:
        assert gain_db(after, before) == pytest.approx(expected, abs=0.05)


def test_gains_stand_where_they_are_drawn_and_lie_on_lines_between() -> None:
    gains = torch.tensor([[3.0, -6.0, 6.0, 0.0, -3.0, 12.0, 2.0, -2.0, 5.0, -5.0, 1.0, -4.0]])
    apart = RATE / 2 / (BANDS - 1)
    for place in (1, 2, 5, 10):
        before = tone(place * apart)
        after = equalise(before, gains, NO_LOW, NO_HIGH, RATE)
        # at a corner of the response, where a tone of a second's half has some width
        assert gain_db(after, before) == pytest.approx(float(gains[0, place]), abs=0.1)
    for left, share in ((1, 0.5), (4, 0.25), (8, 0.9)):
        before = tone((left + share) * apart)
        expected = (1 - share) * float(gains[0, left]) + share * float(gains[0, left + 1])
        assert gain_db(equalise(before, gains, NO_LOW, NO_HIGH, RATE), before) == pytest.approx(expected, abs=0.05)


def test_each_clip_has_its_own_gains_and_the_filter_is_linear() -> None:
    audio, gains = noise(2), torch.linspace(-6, 6, 2 * BANDS).reshape(2, BANDS)
    edges = torch.tensor([100.0, -RATE]), torch.tensor([3000.0, 5000.0])
    both = equalise(audio, gains, *edges, RATE)
    for i in range(2):
        alone = equalise(audio[i : i + 1], gains[i : i + 1], edges[0][i : i + 1], edges[1][i : i + 1], RATE)
        torch.testing.assert_close(both[i : i + 1], alone)
    torch.testing.assert_close(equalise(3 * audio, gains, *edges, RATE), 3 * both, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("place", [0, -1])
def test_nothing_comes_around(place: int) -> None:
    """A click at one end rings there, and not at the other one."""
    audio = torch.zeros(1, 4000)
    audio[0, place] = 1
    after = equalise(audio, FLAT, torch.tensor([200.0]), torch.tensor([2000.0]), RATE)[0]
    near, far = (after[:500], after[-500:]) if place == 0 else (after[-500:], after[:500])
    assert near.abs().max() > 0.1
    assert far.abs().max() < 1e-4


# --- the telephone's 8 bits --------------------------------------------------------------------------------------------

#: The 128 magnitudes that seven bits hold, and half-way between their codes the magnitudes where one becomes the next.
_HELD = (256 ** (np.arange(128) / 127) - 1) / 255
_BOUNDS = (256 ** ((np.arange(127) + 0.5) / 127) - 1) / 255


def by_table(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each sample's magnitude, beside the peak's, becomes that of the 128 whose range holds it."""
    peak = np.abs(audio).max()
    return np.sign(audio) * peak * _HELD[np.searchsorted(_BOUNDS, np.abs(audio) / peak)]


def test_companding_is_a_table_of_128_magnitudes() -> None:
    audio = np.random.default_rng(2).laplace(0, 0.05, 20_000).clip(-1, 1)
    clear = np.abs(np.abs(audio[:, None]) / np.abs(audio).max() - _BOUNDS).min(axis=1) > 1e-6  # float32 decides as well
    given = compand(torch.from_numpy(audio).float()[None])[0].numpy()
    assert clear.mean() > 0.98
    np.testing.assert_allclose(given[clear], by_table(audio)[clear], rtol=2e-5, atol=1e-7)
    assert len(np.unique(np.abs(given).round(6))) <= 128


def test_companding_errs_as_a_telephone_does() -> None:
    """G.711 as libsndfile has it, whose eight straight segments stand for the logarithm: as much noise, within 3 dB."""
    audio = 0.1 * np.random.default_rng(3).standard_normal(RATE)
    audio[0] = 0.99  # so that both have the same full scale
    file = io.BytesIO()
    soundfile.write(file, audio, RATE, subtype="ULAW", format="WAV")
    file.seek(0)
    telephone = soundfile.read(file)[0] - audio
    ours = compand(torch.from_numpy(audio).float()[None])[0].double().numpy() - audio
    assert 10 * np.log10((ours**2).mean() / (telephone**2).mean()) == pytest.approx(0, abs=3)
    assert 10 * np.log10((audio**2).mean() / (ours**2).mean()) > 30


def test_companding_follows_each_clips_level_and_leaves_silence() -> None:
    audio = noise(2)
    torch.testing.assert_close(compand(audio * torch.tensor([[1.0], [1 / 128]]))[1], compand(audio)[1] / 128)
    assert not compand(torch.zeros(1, 100)).any()
    assert compand(audio).abs().amax(dim=1).tolist() == pytest.approx(audio.abs().amax(dim=1).tolist())


# --- what is drawn -----------------------------------------------------------------------------------------------------


def test_nothing_changes_and_nothing_is_drawn_at_the_defaults() -> None:
    defaults = AugmentConfig()
    assert (defaults.equaliser_db, defaults.band_frequency, defaults.codec_frequency) == (0, 0, 0)
    audio, generator = noise(4), seeded()
    before = generator.get_state()
    assert Augmenter(defaults, FeatureConfig()).through_channel(audio, generator) is audio
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("changes", [{"equaliser_db": 6}, {"band_frequency": 0.5}, {"codec_frequency": 0.5}])
def test_the_generator_decides(changes: dict[str, float]) -> None:
    audio, made = noise(8), augmenter(**changes)
    silence = torch.zeros(8, dtype=torch.bool)
    torch.manual_seed(1)
    first = made.augment(audio, silence, None, seeded(3))
    torch.manual_seed(2)  # the global generator has no say
    assert torch.equal(made.augment(audio, silence, None, seeded(3)), first)
    assert not torch.equal(made.augment(audio, silence, None, seeded(4)), first)
    assert not torch.equal(first, audio)


def response_db(after: Tensor, before: Tensor) -> NDArray[np.float64]:
    """How each octave-tenth of noise changed: [clips, bins of 50 Hz]."""
    powers = [torch.fft.rfft(audio.double(), dim=1).abs().square()[:, :8000] for audio in (after, before)]
    merged = [power.reshape(len(power), -1, 50).mean(dim=2) for power in powers]
    return np.asarray(10 * torch.log10(merged[0] / merged[1] + 1e-12))


def test_colours_stay_within_what_is_allowed_and_use_it() -> None:
    audio = noise(50)
    changed = response_db(augmenter(equaliser_db=6).through_channel(audio, seeded()), audio)
    assert np.abs(changed).max() < 6.2  # the clip's ends add what a filter rings
    assert (changed.min() < -5, changed.max() > 5) == (True, True)
    assert np.abs(changed.mean()) < 0.5


def test_some_clips_lose_a_band() -> None:
    """The lower edge is at most 300 Hz, the upper one between 0.4 and all of half the rate, each with its share."""
    audio = noise(400, 4000)
    powers = torch.fft.rfft(augmenter(band_frequency=0.25).through_channel(audio, seeded()).double(), dim=1).abs() ** 2
    hertz = np.arange(2001) * RATE / 4000
    before = torch.fft.rfft(audio.double(), dim=1).abs() ** 2
    kept = np.asarray(powers / before)
    narrow = (kept[:, 1:] < 0.5).mean(axis=1) > 0.005
    assert 0.19 < narrow.mean() < 0.31  # a quarter of 400, within 2.8 deviations
    upper = np.array([hertz[1:][row[1:] > 0.5].max() for row in kept[narrow]])
    assert 0.4 * 8000 - 200 < upper.min() < 4500 < 7000 < upper.max()
    within = (hertz > 500) & (hertz < 2900)
    assert np.abs(10 * np.log10(kept[:, within].mean(axis=1))).max() < 0.5
    assert np.abs(kept[~narrow][:, 1:] - 1).max() < 1e-3


def test_a_share_of_the_clips_is_companded() -> None:
    audio = noise(400, 500)
    after = augmenter(codec_frequency=0.25).through_channel(audio, seeded())
    is_same = (after == audio).all(dim=1)
    assert 0.69 < is_same.float().mean() < 0.81
    torch.testing.assert_close(after[~is_same], compand(audio)[~is_same])
    assert torch.equal(augmenter(codec_frequency=1).through_channel(audio, seeded()), compand(audio))
