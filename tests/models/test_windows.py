"""Networks that classify every window of a scene in one pass: the same logits as a pass for each window."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wordspot.config import ModelConfig
from wordspot.models import cpu_kernels, make_model
from wordspot.models.streaming import SceneNetwork

N_FRAMES, N_FEATURES, N_LABELS = 98, 40, 5
NETWORKS: dict[str, dict[str, Any]] = {
    "residual_1d": {"n_channels": 16, "dilations": "1,2,4"},
    "bcresnet": {"dilations": "1,2,4,4"},
    "low_latency_svdf": {"n_units": 40},
}


def make(name: str, **options: Any) -> Any:
    """A network whose norms have seen data, in evaluation."""
    torch.manual_seed(1)
    model = make_model(ModelConfig(name, {**NETWORKS[name], **options}), N_FRAMES, N_FEATURES, N_LABELS)
    with torch.no_grad():
        model(torch.randn(10, N_FRAMES, N_FEATURES) * 2 + 1)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options", "stride"),
    [
        ("residual_1d", {}, 1),
        ("residual_1d", {}, 4),
        ("bcresnet", {}, 3),
        ("bcresnet", {"stride": 2, "dilations": ""}, 4),
        ("low_latency_svdf", {}, 4),
    ],
)
@torch.no_grad()
def test_they_equal_a_pass_for_each_window(name: str, options: dict[str, Any], stride: int) -> None:
    model, scene = make(name, **options), torch.randn(2, 140, N_FEATURES)
    ends = range(N_FRAMES, 141, stride)
    one_by_one = torch.stack([model(scene[:, end - N_FRAMES : end]) for end in ends], dim=1)
    # sums of some hundred float32 products in another order
    torch.testing.assert_close(model.windows(scene, stride), one_by_one, rtol=1e-4, atol=1e-5)


def test_the_stride_is_a_multiple_of_the_hop() -> None:
    with pytest.raises(ValueError, match="multiple of 2 frames, got 3"):
        make("bcresnet", stride=2, dilations="").windows(torch.zeros(1, 140, N_FEATURES), 3)


@pytest.mark.parametrize("name", ["residual_1d", "bcresnet", "low_latency_svdf", "gru", "conv", "tiny_conv", "lstm"])
def test_which_networks_have_windows(name: str) -> None:
    model = make_model(ModelConfig(name), N_FRAMES, N_FEATURES, 2)
    assert isinstance(model, SceneNetwork) == (name in NETWORKS)


@pytest.mark.parametrize("n_local", [0, 8])
def test_the_functions_for_a_cpu_give_the_gradients_of_torch(monkeypatch: pytest.MonkeyPatch, n_local: int) -> None:
    scene, gradients = torch.randn(2, 140, N_FEATURES), []
    for enabled in (False, True):
        monkeypatch.setattr(cpu_kernels, "enabled", enabled)
        model: Any = make("residual_1d", dropout=0.0, n_local=n_local).train()
        if n_local:
            torch.nn.init.ones_(model.local.last_norm.weight)  # at zero, nothing before it has a gradient
        model.windows(scene, 4).square().sum().backward()
        gradients.append({name: value.grad for name, value in model.named_parameters()})
    for name, gradient in gradients[0].items():
        # float32 sums in another order, over some hundred frames
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-3, msg=name)


def test_automatic_dilations_fit_the_clip() -> None:
    """The stem and 8 frames for each dilation: 131 for 1,1,2,4,8, 83 for 1,1,2,2,4, 27 for 1,1,1."""
    for n_frames, expected in ((148, [1, 1, 2, 4, 8]), (131, [1, 1, 2, 2, 4]), (98, [1, 1, 2, 2, 4]), (30, [1, 1, 1])):
        model: Any = make_model(ModelConfig("residual_1d", {"dilations": "auto"}), n_frames, N_FEATURES, 2)
        assert [block.over_time.dilation[1] for block in model.blocks] == expected
