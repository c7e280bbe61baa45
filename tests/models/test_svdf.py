"""The layers torch does not have, against their definitions as loops, and streams against whole clips."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray

from wordspot.models.layers import Dropout, SamePad2d, Svdf


def random_svdf(n_frames: int, n_features: int, n_units: int, rank: int) -> Svdf:
    layer = Svdf(n_frames, n_features, n_units, rank)
    generator = torch.Generator().manual_seed(n_frames)
    for weights in layer.parameters():
        torch.nn.init.normal_(weights, generator=generator)
    return layer.requires_grad_(False)


def svdf_by_loops(layer: Svdf, clip: NDArray) -> list[float]:
    """Filter each frame, weigh each filter's outputs over time, add neighbouring filters to units, add the bias."""
    frequency, time, bias = (weights.double().numpy() for weights in (layer.frequency, layer.time, layer.bias))
    units = list(bias)
    for number in range(frequency.shape[1]):
        outputs = [sum(frame * frequency[:, number]) for frame in clip]
        units[number // layer.rank] += sum(output * time[number, t] for t, output in enumerate(outputs))
    return units


@pytest.mark.parametrize(("n_frames", "n_features", "n_units", "rank"), [(9, 5, 4, 2), (6, 3, 5, 1), (4, 7, 3, 3), (1, 2, 2, 2)])
def test_svdf_is_its_definition(n_frames: int, n_features: int, n_units: int, rank: int) -> None:
    layer = random_svdf(n_frames, n_features, n_units, rank)
    clips = np.random.default_rng(0).standard_normal((2, n_frames, n_features))
    expected = [svdf_by_loops(layer, clip) for clip in clips]
    np.testing.assert_allclose(layer(torch.from_numpy(clips).float()).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_svdf_stream_is_the_clip_that_ends_at_each_frame(chunk: int) -> None:
    layer = random_svdf(20, 5, 6, 2)
    stream = torch.randn(3, 230, 5, generator=torch.Generator().manual_seed(1))
    heard_before = torch.nn.functional.pad(stream, (0, 0, 19, 0))
    whole = torch.stack([layer(heard_before[:, end : end + 20]) for end in range(230)], dim=1)
    state, parts = layer.initial_state(3), []
    for frames in stream.split(chunk, dim=1):
        units, state = layer.step(frames, state)
        assert units.shape == (3, frames.shape[1], 6)
        assert state.shape == (3, 12, 19)
        parts.append(units)
    # sums of 100 float32 products of size 1, taken in another order
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-4)


def test_svdf_step_leaves_its_state_as_it_was() -> None:
    layer = random_svdf(4, 3, 2, 2)
    state = layer.initial_state(1)
    _, later = layer.step(torch.ones(1, 2, 3), state)
    assert not state.any()
    first, _ = layer.step(torch.ones(1, 1, 3), later)
    again, _ = layer.step(torch.ones(1, 1, 3), later)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_svdf_of_one_frame_remembers_nothing() -> None:
    layer = random_svdf(1, 3, 2, 2)
    frames = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    units, state = layer.step(frames, layer.initial_state(1))
    assert state.numel() == 0
    torch.testing.assert_close(units[0], layer(frames[0].unsqueeze(1)))


@pytest.mark.parametrize(("n_units", "rank"), [(0, 2), (3, 0)])
def test_svdf_without_filters_is_rejected(n_units: int, rank: int) -> None:
    with pytest.raises(ValueError, match=f"at least one unit of rank 1, got {n_units} of rank {rank}"):
        Svdf(98, 40, n_units, rank)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        # the amounts that TensorFlow adds: before/after in time, before/after in frequency
        ((98, 40), (20, 8), 1, (9, 10, 3, 4)),
        ((49, 20), (10, 4), 1, (4, 5, 1, 2)),
        ((49, 40), (10, 8), 2, (4, 5, 3, 3)),
        ((98, 40), (10, 8), 2, (4, 4, 3, 3)),
        ((25, 20), (10, 8), 8, (4, 5, 2, 2)),
        ((16, 17), (3, 1), 4, (0, 0, 0, 0)),  # the kernel ends before the clip does: nothing is missing
    ],
)
def test_same_padding(size: tuple[int, int], kernel: tuple[int, int], stride: int, pads: tuple[int, int, int, int]) -> None:
    padded = SamePad2d(kernel, stride)(torch.ones(2, 3, *size))
    before_time, after_time, before_frequency, after_frequency = pads
    assert padded.shape == (2, 3, size[0] + before_time + after_time, size[1] + before_frequency + after_frequency)
    inside = padded[:, :, before_time : before_time + size[0], before_frequency : before_frequency + size[1]]
    assert inside.eq(1).all()
    assert padded.sum() == inside.sum(), "zeros around it"
    assert torch.nn.Conv2d(3, 1, kernel, stride)(padded).shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize(("p", "rate"), [(0.5, 0.5), (0.25, 0.25), (0.3, 77 / 256), (0.001, 0.001)])
def test_dropout_keeps_the_rest_and_the_mean(p: float, rate: float) -> None:
    torch.manual_seed(0)
    x = torch.full((100, 1003), 3.0)
    y = Dropout(p)(x)
    heard = y[y != 0]
    torch.testing.assert_close(heard, torch.full_like(heard, 3 / (1 - rate)))
    share = 1 - heard.numel() / x.numel()
    assert share == pytest.approx(rate, abs=4 * (rate * (1 - rate) / x.numel()) ** 0.5)


def test_dropout_is_random_for_each_element() -> None:
    """Eight elements share a random number: each of them is dropped as often, and none with its neighbours."""
    torch.manual_seed(0)
    kept = Dropout(0.5)(torch.ones(40_000, 8)) != 0
    patterns = (kept * 2 ** torch.arange(8)).sum(dim=1)
    assert scipy.stats.chisquare(torch.bincount(patterns, minlength=256).numpy()).pvalue > 1e-3


def test_dropout_follows_the_seed() -> None:
    def drop(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return Dropout(0.5)(torch.ones(64, 64))

    assert torch.equal(drop(1), drop(1))
    assert not torch.equal(drop(1), drop(2))


def test_dropout_takes_any_memory_order() -> None:
    x = torch.randn(4, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    layer = Dropout(0.5)
    for same in (
        x,
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(1, 3),
        x[:, ::2, 1:],
        x[:0],
        x[:1].expand(9, -1, -1, -1),
    ):
        y = layer(same)
        assert y.shape == same.shape
        kept = y != 0
        torch.testing.assert_close(y[kept], 2 * same[kept])
        if same.numel():
            assert 0.3 < float(kept.float().mean()) < 0.7


def test_dropout_lets_gradients_through_where_it_keeps() -> None:
    x = torch.ones(50, 50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_dropout_rests() -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.5)(x.bfloat16()).dtype == torch.bfloat16
