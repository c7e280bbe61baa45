"""BC-ResNet: the paper's counts, a second computation, and that a stream gives what whole clips give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wordspot.config import ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.models import find_recipe, make_model
from wordspot.models.layers import FrequencyConv, PointConv, SubSpectralNorm, ValidConv2d
from wordspot.overrides import override

# of the paper, for 40 mel channels and 12 labels
N_PARAMETERS = {1: 9_232, 1.5: 17_154, 2: 27_284, 3: 54_168, 6: 187_812, 8: 321_068}


def make(n_frames: int = 98, n_features: int = 40, **options: object) -> Any:
    return make_model(ModelConfig("bcresnet", dict(options)), n_frames, n_features, 12)


def with_random_norms(model: nn.Module) -> Any:
    """In evaluation, with norms that change what they normalise."""
    generator = torch.Generator().manual_seed(4)
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, mean=1, std=0.2, generator=generator)
            nn.init.normal_(layer.bias, std=0.3, generator=generator)
            nn.init.normal_(layer.running_mean, std=0.2, generator=generator)
            nn.init.uniform_(layer.running_var, 0.2, 0.5, generator=generator)
    return model.eval().requires_grad_(False)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("size", N_PARAMETERS)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_parameter_counts_are_the_papers(size: float, padding: str) -> None:
    model = make(size=size, padding=padding)
    assert sum(weights.numel() for weights in model.parameters()) == N_PARAMETERS[size]


# --- a second computation: each layer from its weights by torch's functions, padding and bands written out ---------------


def normed(x: Tensor, norm: Any) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def block_again(block: Any, x: Tensor, stride: int, dilation: int, valid: bool) -> Tensor:
    maps = x
    if not block.is_residual:
        maps = normed(torch.einsum("oi,bift->boft", block.change[0].weight[:, :, 0, 0], x), block.change[1]).relu()
    conv, norm = block.over_frequency
    above_below = F.pad(maps, (0, 0, 1, 1))
    taps = [above_below[:, :, n : n + x.shape[2]] * conv.weight[:, :, n] for n in range(3)]
    maps = sum(taps)[:, :, ::stride]  # type: ignore[index]
    bands = maps.chunk(5, dim=2)
    of_band = [[getattr(norm, name)[n::5] for name in ("running_mean", "running_var", "weight", "bias")] for n in range(5)]
    maps = torch.cat([F.batch_norm(band, *settings) for band, settings in zip(bands, of_band, strict=True)], dim=2)
    means = F.conv1d(
        maps.mean(dim=2),
        block.over_time.weight[:, :, 0],
        padding=0 if valid else dilation,
        dilation=dilation,
        groups=maps.shape[1],
    )
    means = torch.einsum("oi,bit->bot", block.mix[2].weight[:, :, 0, 0], F.silu(normed(means, block.mix[0])))
    kept = slice(2 * dilation, None) if valid else slice(None)
    total = maps[..., kept] + means.unsqueeze(2)
    return (total + x[..., kept] if block.is_residual else total).relu()


def network_again(model: Any, clip: Tensor, dilations: tuple[int, ...], valid: bool) -> Tensor:
    """clip: [batch, frames, features] → logits."""
    time = 0 if valid else 2
    x = F.conv2d(clip.transpose(1, 2)[:, None], model.stem.weight, stride=(2, 1), padding=(2, time))
    x, blocks = normed(x, model.stem_norm[0]).relu(), iter(model.blocks)
    for n_blocks, stride, dilation in zip((2, 2, 4, 4), (1, 2, 2, 1), dilations, strict=True):
        for number in range(n_blocks):
            x = block_again(next(blocks), x, 1 if number else stride, dilation, valid)
    assert x.shape[2] == 5
    x = F.conv2d(x, model.last.weight, padding=(0, time), groups=x.shape[1])[:, :, 0]
    x = normed(F.conv1d(x, model.widen[0].weight), model.widen[1]).relu().mean(dim=2)
    return x @ model.output.weight[:, :, 0].T + model.output.bias


@pytest.mark.parametrize(("padding", "dilations"), [("same", (1, 2, 4, 8)), ("valid", (1, 2, 4, 4))], ids=["same", "valid"])
def test_the_entire_network_computed_again(padding: str, dilations: tuple[int, ...]) -> None:
    model = with_random_norms(make(size=1.5, padding=padding))
    clip = random(3, 98, 40)
    logits = model(clip)
    assert logits.std() > 0.1
    torch.testing.assert_close(logits, network_again(model, clip, dilations, padding == "valid"), rtol=1e-4, atol=1e-5)


# --- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "chunk"),
    [
        *(({}, chunk) for chunk in (1, 2, 7, 100)),
        ({"size": 1.5}, 7),
        *(({"stride": 2}, chunk) for chunk in (2, 14, 100)),
        ({"stride": 3, "dilations": "1,1,1,1"}, 9),
    ],
)
@pytest.mark.slow
def test_streamed_equals_whole(options: dict[str, Any], chunk: int) -> None:
    model, stream = with_random_norms(make(**options)), random(2, 180, 40)
    state, answers = model.initial_state(2), []
    for start in range(0, 180, chunk):
        answer, state = model.step(stream[:, start : start + chunk], state)
        answers.append(answer)
    streamed, hop = torch.cat(answers, dim=1), model.hop_frames
    assert streamed.shape == (2, 180 // hop, 12)
    ends = [end for end in range(98, 181) if end % hop == 0]
    whole = torch.stack([model(stream[:, end - 98 : end]) for end in ends], dim=1)
    assert whole.std() > 0.1
    # sums of some hundred float32 products in another order
    torch.testing.assert_close(streamed[:, [end // hop - 1 for end in ends]], whole, rtol=1e-5, atol=1e-5)


def test_step_leaves_its_state_as_it_was() -> None:
    model = with_random_norms(make())
    before = model.initial_state(1)
    _, after = model.step(random(1, 4, 40), before)
    assert len(after) == len(before) == 1 + 12 + 1 + 1
    assert [kept.shape for kept in after] == [kept.shape for kept in before]
    assert not any(kept.any() for kept in before)


@pytest.mark.parametrize(
    ("options", "n_frames", "n_averaged"),
    [
        ({}, 98, 14),
        ({"stride": 2}, 98, 3),
        ({}, 85, 1),
        ({"dilations": "1,2,4,8"}, 117, 1),
        ({"padding": "same"}, 98, 98),
    ],
)
def test_it_sees_the_entire_clip(options: dict[str, Any], n_frames: int, n_averaged: int) -> None:
    """85 frames in all, of which the mean over 14 makes 98. With a stride of 2, 47 frames of the first convolution are
    left, of which 40 + 4 are context; the odd frame that is unheard is the first."""
    model = with_random_norms(make(n_frames, **options))
    clip = random(1, n_frames, 40).requires_grad_()
    model(clip).sum().backward()
    assert clip.grad is not None
    heard = clip.grad.abs().sum(dim=2)[0] > 0
    assert heard.tolist() == [n >= (n_frames - 5) % model.hop_frames for n in range(n_frames)]
    assert model.pool.n_frames == n_averaged


def test_only_the_valid_form_streams() -> None:
    assert hasattr(make(), "step")
    assert not hasattr(make(padding="same"), "step")


# --- layers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [FrequencyConv(6), FrequencyConv(6, stride=2), PointConv(6, 4)], ids=["all", "stride", "point"])
@pytest.mark.parametrize("n_frequencies", [10, 5])
def test_training_computes_the_same_in_another_way(layer: nn.Conv2d, n_frequencies: int) -> None:
    results = []
    for training in (True, False):
        x = random(3, 6, n_frequencies, 7).requires_grad_()
        y = layer.train(training)(x)
        expected = F.conv2d(x, layer.weight, None, layer.stride, layer.padding, groups=layer.groups)
        torch.testing.assert_close(y, expected)
        gradients = torch.autograd.grad((y * random(*y.shape)).sum(), (x, layer.weight))
        results.append(gradients)
    torch.testing.assert_close(results[0], results[1])


def test_a_norm_for_each_band() -> None:
    norm = SubSpectralNorm(2, 5)
    x = random(8, 2, 10, 30) * torch.arange(1, 11)[:, None] + torch.arange(10)[:, None]
    with torch.no_grad():
        norm.weight[3] = 2  # channel 0, band 3: frequencies 6 and 7
    bands = norm(x).unflatten(2, (5, 2)).transpose(0, 2).flatten(2)  # [5, 2, the rest]
    torch.testing.assert_close(bands.mean(dim=2), torch.zeros(5, 2), rtol=0, atol=1e-5)
    expected = torch.ones(5, 2)
    expected[3, 0] = 2
    torch.testing.assert_close(bands.std(dim=2, correction=0), expected, rtol=1e-4, atol=0)


def test_a_valid_convolution_over_frequency_and_time() -> None:
    layer = ValidConv2d(1, 1, (3, 2), padding=(1, 0), dilation=(1, 2), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 10.0], [0.0, 100.0], [0.0, 0.0]]))
        assert layer.context == 2
        x = torch.arange(8.0).reshape(1, 1, 2, 4)  # 0 1 2 3 | 4 5 6 7
        expected = [[200.0, 300.0], [0 + 20 + 600, 1 + 30 + 700]]
        assert layer(x)[0, 0].tolist() == expected
        first, state = layer.step(x[..., :3], layer.initial_state(1, 2))
        second, _ = layer.step(x[..., 3:], state)
        assert torch.cat([first[..., 2:], second], dim=3)[0, 0].tolist() == expected


# --- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_features", "options", "message"),
    [
        (40, {"size": 4}, "size must be one of 1, 1.5, 2, 3, 6, 8, got 4"),
        (40, {"padding": "zero"}, "padding must be 'valid' or 'same', got 'zero'"),
        (40, {"dilations": "1,2,4,8"}, "see 117 frames, a clip has 98; take smaller ones"),
        (40, {"stride": 2, "dilations": "1,2,2,2"}, "see 101 frames, a clip has 98"),
        (40, {"dilations": "1,2"}, "dilations must be 4 numbers of at least 1, one for each stage, got 1,2"),
        (40, {"dilations": "1,2,0,4"}, "dilations must be 4 numbers of at least 1"),
        (40, {"dilations": "one"}, "bcresnet"),
        (40, {"stride": 6}, "stride must be 1 to 5, got 6"),
        (26, {}, "40 features or a multiple, got 26"),
    ],
)
def test_refusals(n_features: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(98, n_features, **options)


def test_more_features() -> None:
    assert make(n_features=80).eval()(random(2, 98, 80)).shape == (2, 12)


def test_its_recipe_is_one() -> None:
    recipe = find_recipe("bcresnet", "default")
    assert override(RunConfig(("yes",)), recipe).training.total_steps == sum(recipe["training.steps"])
    with pytest.raises(ConfigError, match="no classic recipe"):
        find_recipe("bcresnet", "classic")
