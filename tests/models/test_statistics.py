"""The statistics of bands and of lines: each compared with a second computation in numpy, their invariances, and the network."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.config import FeatureConfig, ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.export.run import export_network
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.least_squares import fit_linear
from wordspot.models.statistics import BandStatistics, LineStatistics, StatisticsNet, relative_power
from wordspot.models.texture import TextureStatistics
from wordspot.presets import FEATURES
from wordspot.training.recipes import recipe_config

Array = NDArray[np.float64]
RATES = {"3 to 6 Hz": (1, 2), "9 to 12": (3, 4), "16 to 22": (5, 7), "25 to 38": (8, 12), "41 to 50": (13, 16)}
FRONT = dataclasses.replace(FEATURES["spectrogram"], clip_ms=1000, window_ms=25, hop_ms=5)
SOUND = dataclasses.replace(FEATURES["samples"], clip_ms=1000)
RATE = FRONT.sample_rate


def sounds(n: int = 3, seconds: float = 1.0) -> Tensor:
    """Noise whose level and colour wander, with pauses: float32 [n, samples]."""
    rng = np.random.default_rng(4)
    time = np.arange(round(seconds * RATE)) / RATE
    made = []
    for _ in range(n):
        rough = rng.standard_normal(len(time))
        smooth = np.convolve(rough, np.ones(8) / 8, "same")
        wander = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 6) * time + rng.uniform(0, 6))
        audio = wander * smooth + (1 - wander) * 0.2 * rough
        audio[int(0.4 * len(time)) : int(0.5 * len(time))] *= 0.01
        made.append(0.1 * audio)
    return torch.from_numpy(np.stack(made)).float()


def power_of(audio: Tensor, config: FeatureConfig = FRONT) -> Tensor:
    power: Tensor = make_front_end(config)(audio)
    return power


def by_numpy(power: Array, n_bands: int, first: int, stop: int, hop_ms: float) -> dict[str, Array]:
    """power [frames, bins] of one window → the statistics by name, in order; sums and loops as their meaning has them."""
    power = power[:, first:stop]
    level = power.mean()
    frame_db = np.log(power.mean(axis=1) / level + 1e-6)
    weight = 1 / (1 + np.exp(-2 * (frame_db + 2)))  # a half at 8.7 dB below the mean
    weight /= weight.sum()
    logs = np.log(power / level + 1e-5)
    shape = logs - logs.mean(axis=1, keepdims=True)  # without the frame's level
    shape = shape - np.average(shape, axis=0, weights=weight)  # and without the window's colour
    width = (stop - first) // n_bands
    bands = [slice(band * width, (band + 1) * width) for band in range(n_bands)]
    track = np.stack([shape[:, band].mean(axis=1) for band in bands], axis=1)
    peak = np.stack([shape[:, band].std(axis=1) for band in bands], axis=1)
    flat = np.stack([np.log((power / level)[:, band].mean(axis=1) + 1e-5) - logs[:, band].mean(axis=1) for band in bands], axis=1)

    def moments(values: Array) -> tuple[Array, Array]:
        mean = np.average(values, axis=0, weights=weight)
        return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight) + 1e-6)

    mean, spread = moments(track)
    together = [
        np.average((track[:, i] - mean[i]) * (track[:, j] - mean[j]), weights=weight) / (spread[i] * spread[j])
        for i in range(n_bands)
        for j in range(i + 1, n_bands)
    ]
    found = {"spread": np.log(spread)}
    found["peak"], found["peak's spread"] = moments(peak)
    found["flatness"], found["flatness's spread"] = moments(flat)
    found["together"] = np.array(together)
    return found | {name: moved(track, rates, hop_ms) for name, rates in RATES.items()}


def moved(track: Array, rates: tuple[int, int], hop_ms: float) -> Array:
    """The mean log power of each band's movement at rates first to last, in cycles a window of 320 ms."""
    n = round(320 / hop_ms)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    starts = range(0, len(track) - n + 1, n // 4)
    spectra = np.stack([np.fft.rfft(hann[:, None] * track[start : start + n], axis=0) for start in starts])
    chosen = spectra[:, rates[0] : rates[1] + 1]
    parts = [np.log((part**2).mean(axis=0) + 0.01).mean(axis=0) for part in (chosen.real, chosen.imag)]
    return np.asarray((parts[0] + parts[1]) / 2)


SIZES = {"n_bands": 7, "first_bin": 4, "stop_bin": 230, "hop_ms": 5.0}  # the last two bins fill no band


def by_name(values: Tensor, n_bands: int) -> dict[str, Array]:
    """One window's statistics, cut apart."""
    sizes = dict.fromkeys(["spread", "peak", "peak's spread", "flatness", "flatness's spread"], n_bands)
    sizes |= {"together": n_bands * (n_bands - 1) // 2} | dict.fromkeys(RATES, n_bands)
    ends = np.cumsum([0, *sizes.values()])
    assert ends[-1] == len(values)
    array = values.double().numpy()
    return {name: array[ends[i] : ends[i + 1]] for i, name in enumerate(sizes)}


@pytest.mark.parametrize("name", ["spread", "peak", "peak's spread", "flatness", "flatness's spread", "together", *RATES])
def test_each_statistic_by_numpy(name: str) -> None:
    power = power_of(sounds())
    given = BandStatistics(**SIZES)(power)
    for i in range(len(power)):
        expected = by_numpy(power[i].double().numpy(), 7, 4, 230, 5.0)[name]
        assert expected.std() > 1e-3  # it says something of these sounds
        # float32; a difference of squares stands in the peaks
        np.testing.assert_allclose(by_name(given[i], 7)[name], expected, rtol=1e-3, atol=1e-4)


def test_texture_by_numpy() -> None:
    power = power_of(sounds())[:, :, 4:230]
    relative, weights = relative_power(power)
    given = TextureStatistics(7, 226)((relative + 1e-5).log(), weights)
    assert given.shape == (3, 45 * 7)
    for i in range(len(power)):
        expected = texture_by_numpy(power[i].double().numpy(), 7)
        assert expected.reshape(-1, 7).std(axis=1).min() > 1e-3  # each says something of these sounds
        np.testing.assert_allclose(given[i].double().numpy(), expected, rtol=1e-3, atol=1e-3)  # cubes in float32


def test_a_fit_is_ridge_regression() -> None:
    """With two labels of unequal number: the minimum of the weighted squared error and penalty, by numpy's least squares."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((90, 5)) * [1, 2, 3, 4, 5] + 7
    labels = (values[:, 0] + 0.5 * rng.standard_normal(90) > 7.5).astype(np.int64)
    fitted = fit_linear(torch.from_numpy(values).float(), torch.from_numpy(labels), 2, ridge=0.3, eps=0.0, most=math.inf)
    np.testing.assert_allclose(fitted.mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(fitted.variance, values.var(axis=0), rtol=1e-4)
    scaled = np.concatenate([(values - values.mean(axis=0)) / values.std(axis=0), np.ones((90, 1))], axis=1)
    root = np.sqrt(np.where(labels, 0.5 / labels.sum(), 0.5 / (1 - labels).sum()))[:, None]
    rows = np.concatenate([root * scaled, np.sqrt(0.3) * np.eye(6)[:5]])  # the intercept has no penalty
    expected = np.linalg.lstsq(rows, np.concatenate([root[:, 0] * (2 * labels - 1), np.zeros(5)]), rcond=None)[0]
    difference = (fitted.weight[1] - fitted.weight[0]).double().numpy()
    np.testing.assert_allclose(difference / np.abs(difference).sum(), expected[:5] / np.abs(expected[:5]).sum(), atol=1e-5)


def test_a_fit_is_not_surer_than_it_can_be() -> None:
    """A regression on 100 inputs that say nothing separates its own 400 rows; its posteriors must not show that."""
    generator = torch.Generator().manual_seed(0)
    values, labels = torch.randn(400, 100, generator=generator), torch.arange(400) % 2
    fitted = fit_linear(values, labels, 2, ridge=0.01, eps=0.0, most=math.inf)
    fresh = (torch.randn(1000, 100, generator=generator) - fitted.mean) / fitted.variance.sqrt()
    log_odds = (fresh @ (fitted.weight[1] - fitted.weight[0]) + fitted.bias[1] - fitted.bias[0]).double().numpy()
    assert np.abs(log_odds).mean() < 0.5
    assert cross_entropy(log_odds, np.arange(1000) % 2) < 1.1 * np.log(2)


def test_the_posteriors_of_a_fit_are_those_of_the_data() -> None:
    """Two labels whose one input is normal, of unit spread, two apart: the log-odds are 2 x."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20_000) % 2
    values = torch.randn(20_000, 1, generator=generator) + 2 * labels[:, None] - 1
    fitted = fit_linear(values, labels, 2, ridge=1e-3, eps=0.0, most=math.inf)
    slope = float((fitted.weight[1] - fitted.weight[0]) / fitted.variance.sqrt())
    assert slope == pytest.approx(2, rel=0.05)
    shift = float(fitted.bias[1] - fitted.bias[0]) - slope * float(fitted.mean)
    assert shift == pytest.approx(0, abs=0.05)


def cross_entropy(log_odds: Array, labels: NDArray[np.int64]) -> float:
    """The mean of both labels' own."""
    losses = np.log1p(np.exp(np.where(labels, -log_odds, log_odds)))
    return float((losses[labels == 1].mean() + losses[labels == 0].mean()) / 2)


def test_a_fitted_network_gives_its_posteriors() -> None:
    """Loud and quiet halves of the sounds' bands: what is fitted on is recognised, and outliers do not count more than 4."""
    model = make(texture=True)
    assert isinstance(model, StatisticsNet)
    hops = torch.cat([hops_of(sounds(6)), hops_of(0.1 * torch.randn(6, RATE, generator=torch.Generator().manual_seed(0)))])
    labels = torch.arange(2).repeat_interleave(6)
    described = model.describe(hops)
    assert described.shape == (12, 243 + 45 * 14)
    model.fit(described, labels, 0.1)
    assert (model(hops).argmax(dim=1) == labels).all()
    assert model.scale.running_mean is not None
    np.testing.assert_allclose(model.scale.running_mean, described.mean(dim=0), rtol=1e-4, atol=1e-4)
    scaled = (described - described.mean(dim=0)) / (described.var(dim=0, correction=0) + model.scale.eps).sqrt()
    expected = scaled.clamp(-4, 4) @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(hops), expected, rtol=1e-3, atol=1e-3)


def test_sizes() -> None:
    """Five statistics and five rates a band, and one a pair of bands: by default 14 · 10 + 91."""
    assert BandStatistics(14, 4, 228, 5.0).n_statistics == 231
    assert BandStatistics(7, 4, 230, 5.0)(power_of(sounds(1))).shape == (1, 7 * 10 + 21)
    assert LineStatistics(6, RATE / 1024, 513, 800, 7050).n_statistics == 12
    model = make(n_labels=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == (231 + 12) * 3 + 3
    assert model(hops_of(sounds(2))).shape == (2, 3)
    assert sum(parameter.numel() for parameter in make(lines=False).parameters()) == 231 * 2 + 2


def texture_by_numpy(power: Array, n_bands: int) -> Array:
    """power [frames, bins] of one window → the texture, with shifted copies and loops."""
    level = power.mean()
    weight = 1 / (1 + np.exp(-2 * (np.log(power.mean(axis=1) / level + 1e-6) + 2)))
    logs = np.log(power / level + 1e-5)
    logs = logs - logs.mean(axis=0)
    found = []
    for lag in (1, 2, 4):
        time, frequency = np.roll(logs, -lag, 0) - logs, np.roll(logs, -lag, 1) - logs
        kinds = [
            (time, lag, 0), (frequency, 0, lag), (np.roll(frequency, -lag, 0) - frequency, lag, lag),
            (np.roll(time, -lag, 0) - time, 2 * lag, 0), (np.roll(frequency, -lag, 1) - frequency, 0, 2 * lag),
        ]  # fmt: skip
        for values, frames, bins in kinds:
            kept = values[: len(values) - frames, : values.shape[1] - bins]
            width = kept.shape[1] // n_bands
            cut = [kept[:, band * width : (band + 1) * width] for band in range(n_bands)]
            square, size, cube = (
                np.array([np.average(change(band).mean(axis=1), weights=weight[: len(kept)]) for band in cut])
                for change in (lambda v: v**2, np.abs, lambda v: v**3)
            )
            found += [np.log(square + 1e-4), size**2 / (square + 1e-6), cube / (square + 1e-4) ** 1.5]
    return np.concatenate(found)


# --- what they do not hear ---------------------------------------------------------------------------------------------


def statistics(audio: Tensor) -> Tensor:
    values: Tensor = BandStatistics(14, 4, 228, 5.0)(power_of(audio))
    return values


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference, beside how far statistics of different sounds lie apart."""
    apart = (statistics(sounds(3))[0] - statistics(sounds(3))[1]).abs().mean()
    return float((one - other).abs().max() / apart)


@pytest.mark.parametrize("gain_db", [-50, -20, 6])
def test_gain_changes_nothing(gain_db: float) -> None:
    audio = sounds()
    assert distance(statistics(audio * 10 ** (gain_db / 20)), statistics(audio)) < 0.01  # rounding in float32


def test_a_steady_colour_changes_little() -> None:
    """6 dB up and down over the bands moves a statistic by a quarter of how far two sounds lie apart, and by a third of
    what the same colour in half of the window does: frames are weighed by their level, and a bin has a floor.
    """
    power = power_of(sounds())
    hertz = torch.linspace(0, RATE / 2, power.shape[2])
    colour = 10 ** (0.6 * torch.sin(2 * math.pi * hertz / 4000))
    front = BandStatistics(14, 4, 228, 5.0)
    given = front(power)
    apart = (given[0] - given[1]).abs().mean()
    steady = (front(power * colour) - given).abs().mean() / apart
    moving = power.clone()
    moving[:, : power.shape[1] // 2] *= colour
    assert steady < 0.25
    assert (front(moving) - given).abs().mean() / apart > 3 * steady


@pytest.mark.parametrize("hertz", [40.0, 7900.0])
def test_energy_outside_the_bins_in_use_changes_nothing(hertz: float) -> None:
    """A hum of 40 Hz, a whistle of 7900 Hz: in the power spectrum's bins that are not in use, whatever their energy."""
    power = power_of(sounds())
    place = round(hertz / (RATE / 2) * (power.shape[2] - 1))
    louder = power.clone()
    louder[:, :, place] += 1000 * power.mean()
    front = BandStatistics(14, 4, 228, 5.0)
    assert torch.equal(front(louder), front(power))
    louder[:, :, 100] += power.mean()
    assert not torch.allclose(front(louder), front(power))


def test_silence_and_a_click_are_finite() -> None:
    audio = torch.zeros(2, RATE)
    audio[1, 8000] = 1
    assert torch.isfinite(statistics(audio)).all()


# --- lines -------------------------------------------------------------------------------------------------------------

FINE = dataclasses.replace(FEATURES["spectrogram"], clip_ms=1000, window_ms=64, hop_ms=30)


def lines_of(audio: Tensor) -> tuple[Tensor, Tensor]:
    """Of windows: what tells how skewed the ripple of each of six bands is, and how peaked; float32 [batch, 6] each."""
    lines = LineStatistics(6, RATE / FINE.n_fft, FINE.n_bins, 800, 7050)
    found: Tensor = lines(power_of(audio, FINE)[:, :, lines.used])
    skewed, peaked = found.chunk(2, dim=1)
    return skewed, peaked


def test_lines_by_scipy() -> None:
    """A running mean over 33 bins of 15.6 Hz, and the skewness and kurtosis of what is left, in six bands of 66 bins."""
    from scipy.ndimage import uniform_filter1d

    audio = sounds()
    skewed, peaked = lines_of(audio)
    for i, power in enumerate(power_of(audio, FINE).double().numpy()):
        power = power[:, 35 : 51 + 6 * 66 + 16]  # 547 to 7234 Hz; the bands are 797 to 6984 Hz
        logs = np.log(power / power.mean() + 1e-6).mean(axis=0)
        ripple = (logs - uniform_filter1d(logs, 33))[16:-16].reshape(6, 66)
        variance = (ripple**2).mean(axis=1) + 1e-4
        skewness = (ripple**3).mean(axis=1) / variance**1.5
        np.testing.assert_allclose(skewed[i].numpy(), skewness / (1 + abs(skewness)), atol=1e-3)
        np.testing.assert_allclose(peaked[i].numpy(), np.log((ripple**4).mean(axis=1) / variance**2 + 1e-4), atol=1e-3)


@pytest.mark.parametrize(("hertz", "band"), [(1500.0, 0), (3445.3, 2), (6750.0, 5)])
def test_a_faint_steady_tone_is_a_line_in_its_band(hertz: float, band: int) -> None:
    """17 dB below noise, on average over sixteen windows; a tone that glides over 400 Hz is none."""
    rng = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(16, RATE, generator=rng)
    time = torch.arange(RATE) / RATE
    steady = noise + 0.02 * torch.sin(2 * math.pi * hertz * time)
    gliding = noise + 0.02 * torch.sin(2 * math.pi * (hertz - 200 + 200 * time) * time)
    (plain, plain_peaked), (toned, toned_peaked), (glided, _) = (
        [values.mean(dim=0) for values in lines_of(audio)] for audio in (noise, steady, gliding)
    )
    assert toned[band] - plain[band] > 0.3
    assert toned_peaked[band] - plain_peaked[band] > 0.3
    assert abs(glided[band] - plain[band]) < 0.1
    others = [other for other in range(6) if other != band]
    assert (toned - plain)[others].abs().max() < 0.01


@pytest.mark.parametrize("gain_db", [-50, 6])
def test_lines_do_not_depend_on_gain(gain_db: float) -> None:
    for given, expected in zip(lines_of(sounds() * 10 ** (gain_db / 20)), lines_of(sounds()), strict=True):
        torch.testing.assert_close(given, expected, rtol=0, atol=2e-3)  # float32; a power beside a floor


def test_lines_of_silence_and_a_click_are_finite() -> None:
    audio = torch.zeros(2, RATE)
    audio[1, 8000] = 1
    for values in lines_of(audio):
        assert torch.isfinite(values).all()


# --- the network -------------------------------------------------------------------------------------------------------


def hops_of(audio: Tensor, config: FeatureConfig = SOUND) -> Tensor:
    hops: Tensor = make_front_end(config)(audio)
    return hops


def make(n_labels: int = 2, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    model = make_model(ModelConfig("statistics", options), SOUND.n_frames, SOUND.n_features, n_labels)
    with torch.no_grad():
        hops = hops_of(sounds(8))
        for _ in range(10):
            model(hops)
    return model.eval().requires_grad_(False)


def test_logits_are_linear_in_scaled_statistics() -> None:
    model = make()
    assert isinstance(model, StatisticsNet)
    audio = sounds()
    spectrum = dataclasses.replace(FRONT, hop_ms=10)
    bands = BandStatistics(14, 4, 228, 10.0)(power_of(audio, spectrum))
    values = torch.cat([bands, *lines_of(audio)], dim=1).double()
    mean, variance = model.scale.running_mean, model.scale.running_var
    assert mean is not None
    assert variance is not None
    scaled = (values - mean) / (variance.double() + model.scale.eps).sqrt()
    expected = scaled @ model.output.weight.double().T + model.output.bias.double()
    torch.testing.assert_close(model(hops_of(audio)).double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"low_hz": -100.0}, "0 <= low_hz < high_hz <= 8000 .* got -100, 7125 and 14"),
        ({"high_hz": 9000.0}, "high_hz <= 8000 .* got 125, 9000 and 14"),
        ({"lines": "no"}, "lines must be true or false, got 'no'"),
        ({"texture": 1}, "texture must be true or false, got 1"),
        ({"sample_rate": 2000}, "lines need 6 bands of at least 8 bins of 15.625 Hz, got 0 bins; .*model.lines=false"),
        ({"low_hz": 7125.0}, "0 <= low_hz < high_hz"),
        ({"n_bands": 1}, "at least 2 bands of 31.25 Hz each"),
        ({"n_bands": 225}, "225 bands"),
        ({"n_bands": 217, "texture": True}, r"texture allows at most 216 bands \(n_bands\) on 224 bins, got 217"),
        ({"bands": 3}, "has no option 'bands'"),
    ],
)
def test_refusals(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_model(ModelConfig("statistics", options), SOUND.n_frames, SOUND.n_features, 2)


def test_too_short_a_window_is_rejected() -> None:
    """32 frames of 10 ms that a window of 25 ms ends: 335 ms, in whole hops 340."""
    with pytest.raises(ConfigError, match="a window must be at least 340 ms long, got 330"):
        make_model(ModelConfig("statistics"), 33, SOUND.n_features, 2)
    make_model(ModelConfig("statistics"), 34, SOUND.n_features, 2)


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 48_000])
def test_another_rate_uses_the_same_frequencies(sample_rate: int) -> None:
    """A faint tone of 1500 Hz is a line in the first band at any rate; what the rate does not hold is left out."""
    config = dataclasses.replace(SOUND, sample_rate=sample_rate, high_hz=sample_rate / 2)
    model = make_model(ModelConfig("statistics", {"sample_rate": sample_rate}), config.n_frames, config.n_features, 2)
    assert isinstance(model, StatisticsNet)
    rng = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(4, sample_rate, generator=rng)
    tone = 0.02 * torch.sin(2 * math.pi * 1500 * torch.arange(sample_rate) / sample_rate)
    more = (model.describe(hops_of(noise + tone, config)) - model.describe(hops_of(noise, config)))[:, 231:237].mean(dim=0)
    assert int(more.argmax()) == (1 if sample_rate == 8000 else 0)
    assert more.max() > 0.2


def test_the_recipe_builds_it() -> None:
    config = recipe_config(("a", "b"), "statistics", task="recordings")
    model = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    assert isinstance(model, StatisticsNet)
    assert model.statistics.waves.shape[2] * config.features.hop_ms == 320  # the front end's hop is the network's


@pytest.mark.slow
@pytest.mark.parametrize("texture", [False, True])
def test_export_gives_the_same(texture: bool) -> None:
    """What the file gives is compared with the network while it is exported, and by its own self-test when it is opened."""
    from wordspot.runtime.detector import Classifier

    model = make(texture=texture)
    config = RunConfig(("a", "b"), task="recordings", features=SOUND, model=ModelConfig("statistics", {"texture": texture}))
    exported = export_network(model, config)
    assert exported.difference < 1e-4
    assert exported.card.kind == "clip"
    assert len(exported.model) < 120_000  # both transforms stand in the file as formulas
    audio = sounds()
    given = Classifier(exported.model).classify(audio.numpy())
    np.testing.assert_allclose(given, model(hops_of(audio)).softmax(dim=1).numpy(), atol=1e-4)
