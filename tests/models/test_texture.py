"""The texture of a log spectrum, compared with loops in numpy; what changes it and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.texture import TextureStatistics

N_BANDS, N_BINS, N_FRAMES = 3, 40, 60  # bands of 13 bins; the last bin is in none


def powers(n: int = 3) -> Tensor:
    """Power of noise whose level wanders by 30 dB: [n, frames, bins]."""
    rng = torch.Generator().manual_seed(3)
    level = 10 ** (3 * torch.rand(n, N_FRAMES, 1, generator=rng) - 4)
    return level * torch.empty(n, N_FRAMES, N_BINS).exponential_(generator=rng)


def texture(power: Tensor) -> Tensor:
    values: Tensor = TextureStatistics(N_BANDS, N_BINS)(power)
    return values


def by_numpy(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """power [frames, bins] of one window → its statistics, by loops over distances, changes and bands."""
    power = power[:, :39]
    level = power.mean()
    weight = 1 / (1 + np.exp(-2 * (np.log(power.mean(axis=1) / level + 1e-6) + 2)))
    logs = np.log(power / level + 1e-5)
    found = []
    for step in (1, 2, 4):
        time, frequency = logs[step:] - logs[:-step], logs[:, step:] - logs[:, :-step]
        second_time = logs[2 * step :] - 2 * logs[step:-step] + logs[: -2 * step]
        second_frequency = logs[:, 2 * step :] - 2 * logs[:, step:-step] + logs[:, : -2 * step]
        for change in (time, frequency, time[:, step:] - time[:, :-step], second_time, second_frequency):
            used = weight[: len(change)] / weight[: len(change)].sum()
            parts = [change[:, start : start + 13] for start in (0, 13, 26)]
            moments = [[(used @ abs(part) ** power).sum() / 13 for part in parts] for power in (2, 1)]
            square, size = (np.array(one) for one in moments)
            cube = np.array([(used @ part**3).sum() / 13 for part in parts])
            found += [np.log(square + 1e-4), size**2 / (square + 1e-6), cube / (square + 1e-4) ** 1.5]
    return np.concatenate(found)


def test_each_statistic_by_numpy() -> None:
    given = texture(powers())
    assert given.shape == (3, 3 * 5 * 3 * N_BANDS)
    for one, power in zip(given, powers().double().numpy(), strict=True):
        np.testing.assert_allclose(one.numpy(), by_numpy(power), rtol=1e-3, atol=1e-3)


def test_gaussian_changes_have_a_mean_magnitude_of_two_over_pi_squared_and_no_skewness() -> None:
    rng = torch.Generator().manual_seed(1)
    power = (0.5 * torch.randn(2, 2000, 360, generator=rng)).exp()
    found = TextureStatistics(4, 360)(power).reshape(2, 3, 5, 3, 4)  # distances, changes, statistics, bands
    along_time = found[:, 0, 0]
    torch.testing.assert_close(along_time[:, 0].exp(), torch.full((2, 4), 0.5), rtol=0.03, atol=0)  # twice 0.5²
    torch.testing.assert_close(along_time[:, 1], torch.full((2, 4), 2 / torch.pi), rtol=0.01, atol=0)
    assert along_time[:, 2].abs().max() < 0.05


@pytest.mark.parametrize("factor", [1e-4, 100.0])
def test_gain_changes_nothing(factor: float) -> None:
    torch.testing.assert_close(texture(factor * powers()), texture(powers()), rtol=1e-3, atol=1e-3)


def test_a_tone_that_switches_on_and_off_changes_its_band_only() -> None:
    power = torch.empty(3, N_FRAMES, N_BINS).exponential_(generator=torch.Generator().manual_seed(3))
    louder = power.clone()
    louder[:, ::8, 19] += 10
    changed = (texture(louder) - texture(power)).reshape(3, 3, 5, 3, N_BANDS).abs()
    along_time = changed[:, 0, 0, 0]
    assert along_time[:, 1].min() > 2 * along_time[:, [0, 2]].max()


def test_silence_is_finite() -> None:
    assert torch.isfinite(texture(torch.zeros(1, N_FRAMES, N_BINS))).all()


def test_bands_too_narrow_for_the_differences_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"at least 9 bins, got 5 bands of 8; .*model.texture=false"):
        TextureStatistics(5, N_BINS)
