"""The residual network: its size, what it sees, and that a stream gives what whole clips give."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from wordspot.config import ModelConfig
from wordspot.errors import ConfigError
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.layers import MeanOverTime, ValidConv2d
from wordspot.models.residual import LocalPatterns, Residual1d
from wordspot.presets import FEATURES


def make(**options: object) -> Residual1d:
    """A network whose norms have seen data, in evaluation."""
    torch.manual_seed(1)
    model = cast(Residual1d, make_model(ModelConfig("residual_1d", dict(options)), 98, 40, 12))
    if model.local is not None:
        torch.nn.init.normal_(model.local.last_norm.weight)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(20, 98, 40) * 2 + 1)
    return model.eval()


def test_size() -> None:
    """Counted by hand: stem 40·48·3 + 2·48; a block 9·48 + 48·96 + 2·96 + 96·48 + 2·48; the last 48·12 + 12."""
    block = 9 * 48 + 48 * 96 + 2 * 96 + 96 * 48 + 2 * 48
    expected = 40 * 48 * 3 + 2 * 48 + 5 * block + 48 * 12 + 12
    assert sum(parameter.numel() for parameter in make().parameters()) == expected == 56_124


def test_size_with_local_patterns() -> None:
    """By hand: 15·4 + 2·4 over both, 5·4·8 + 2·8 over frequency, 8·10 rows joined to 48 channels, 2·48."""
    local = 15 * 4 + 2 * 4 + 5 * 4 * 8 + 2 * 8 + 8 * 10 * 48 + 2 * 48
    assert sum(parameter.numel() for parameter in make(n_local=8).parameters()) == 56_124 + local


@torch.no_grad()
def test_local_patterns_know_a_pattern_at_any_height() -> None:
    """A spectrum four coefficients higher gives rows before `join` that are one higher, but for the edges."""
    torch.manual_seed(3)
    local = LocalPatterns(40, 6, 8).eval()
    rows: list[torch.Tensor] = []
    local.join.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].reshape(8, 10, -1)))
    spectrum = torch.zeros(1, 40, 1, 9)
    spectrum[:, 12:20] = torch.randn(1, 8, 1, 9)
    assert local(spectrum).abs().max() == 0  # fresh patterns add nothing
    assert local(spectrum.roll(4, dims=1)).shape == (1, 6, 1, 7)
    assert rows[0].abs().max() > 0
    torch.testing.assert_close(rows[1][:, 1:], rows[0][:, :-1])


def test_it_sees_the_entire_clip_and_no_more() -> None:
    """3 frames of the stem, 8 more for each dilation of 1, 1, 2, 2 and 4: 83. The mean over 16 makes them 98."""
    model = make()
    clip = torch.randn(1, 98, 40, requires_grad=True)
    model(clip).sum().backward()
    assert clip.grad is not None
    assert (clip.grad.abs().sum(dim=2) > 0).all()
    assert model.pool.n_frames == 16


@pytest.mark.parametrize("n_local", [0, 8])
@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
@torch.no_grad()
@pytest.mark.slow
def test_streamed_equals_whole(chunk: int, n_local: int) -> None:
    model = make(n_local=n_local)
    stream = torch.randn(2, 300, 40)
    state, answers = model.initial_state(2), []
    for start in range(0, 300, chunk):
        answer, state = model.step(stream[:, start : start + chunk], state)
        answers.append(answer)
    whole = torch.stack([model(stream[:, end - 98 : end]) for end in range(98, 301)], dim=1)
    # sums of some hundred float32 products in another order
    torch.testing.assert_close(torch.cat(answers, dim=1)[:, 97:], whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_hops", [1, 2, 7])
@torch.no_grad()
def test_from_sound_to_scores_streamed_equals_whole(n_hops: int) -> None:
    """Front end and network together, hop by hop: at each hop the answer for the second of sound that ends there."""
    model, front_end = make(), make_front_end(FEATURES["logmel"])
    audio = 0.1 * torch.randn(1, 160 * 140)
    sound, state, answers = front_end.initial_state(1), model.initial_state(1), []
    for start in range(0, audio.shape[1], 160 * n_hops):
        features, sound = front_end.step(audio[:, start : start + 160 * n_hops], sound)
        answer, state = model.step(features, state)
        answers.append(answer)
    streamed = torch.cat(answers, dim=1)
    for hop in (100, 120, 139):  # a second is 100 hops
        end = 160 * (hop + 1)
        whole = model(front_end(audio[:, end - 16_000 : end]))
        torch.testing.assert_close(streamed[:, hop], whole, rtol=1e-5, atol=1e-5)


def test_a_valid_convolution_is_a_sum_over_the_past() -> None:
    layer = ValidConv2d(1, 1, (1, 3), dilation=(1, 2), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0, 10.0, 100.0]]]]))
        assert layer.context == 4
        assert layer(torch.arange(6.0).reshape(1, 1, 1, 6)).flatten().tolist() == [420.0, 531.0]


def test_the_mean_over_time() -> None:
    pool = MeanOverTime(1, 3)
    x = torch.tensor([[[3.0, 0.0, 6.0, 9.0]]])
    assert pool(x).flatten().tolist() == [3.0, 5.0]
    first, state = pool.step(x[:, :, :1], pool.initial_state(1, x))
    second, _ = pool.step(x[:, :, 1:], state)
    assert torch.cat([first, second], dim=2).flatten().tolist() == [1.0, 1.0, 3.0, 5.0]


def test_dilations_that_see_more_than_a_clip_are_rejected() -> None:
    with pytest.raises(ConfigError, match="see 123 frames, a clip has 98; take smaller ones"):
        make(dilations="1,2,4,8")
    with pytest.raises(ConfigError, match="residual_1d"):
        make(dilations="one")
    with pytest.raises(ConfigError, match="dilations must be at least 1, got 1,0,2"):
        make(dilations="1,0,2")
