"""Muon, against singular values and against torch's own for matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wordspot.config import TrainingConfig
from wordspot.training.muon import ORTHOGONAL, Muon, orthogonalize
from wordspot.training.optimizer import make_optimizer, set_rate


def made(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_only_the_singular_values_change(shape: tuple[int, int]) -> None:
    """Each becomes what the published polynomial makes of it in five rounds."""
    matrix = made(*shape)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / matrix.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    torch.testing.assert_close(orthogonalize(matrix), left @ torch.diag(values) @ right)
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_zero_stays_zero() -> None:
    assert (orthogonalize(torch.zeros(3, 4)) == 0).all()


def test_steps_are_those_of_torch() -> None:
    """Several steps on a matrix; torch rounds to bfloat16 while it makes the singular values equal."""
    ours, theirs = (nn.Parameter(made(12, 20).float()) for _ in range(2))
    one = Muon([{"params": [ours], ORTHOGONAL: True}], lr=0.01, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    begin = ours.detach().clone()
    for number in range(4):
        ours.grad, theirs.grad = (made(12, 20, seed=number).float() for _ in range(2))
        one.step()
        other.step()
    assert (ours - begin).abs().max() > 0.02
    torch.testing.assert_close(ours.detach(), theirs.detach(), atol=1e-3, rtol=0)


def make_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Module()
    network.wide = nn.Conv1d(3, 4, 5)
    network.depthwise = nn.Conv1d(4, 4, 3, groups=4)
    network.output = nn.Linear(4, 2)
    return network


@pytest.mark.parametrize("body_rate", [1.0, 0.5])
def test_kernels_of_the_body_move_by_muon_and_the_rest_by_adamw(body_rate: float) -> None:
    """The kernel's step has the same size for any gradient, the rest is moved as AdamW alone would."""
    network, plain = make_network(), make_network()
    optimizer = make_optimizer(network, TrainingConfig(optimizer="muon", body_rate=body_rate))
    adamw = make_optimizer(plain, TrainingConfig(optimizer="adamw", body_rate=body_rate))
    begin = network.wide.weight.detach().clone()
    for one, other in zip(network.parameters(), plain.parameters(), strict=True):
        one.grad = 1000 * torch.randn_like(one)
        other.grad = one.grad.clone()
    for one_of_them in (optimizer, adamw):
        set_rate(one_of_them, 0.01)
        one_of_them.step()
    moved = (network.wide.weight - begin).flatten(1)
    values = torch.linalg.svdvals(moved) / (0.01 * body_rate * 0.2 * 15**0.5)
    assert values.min() > 0.6
    assert values.max() < 1.25
    for (name, one), other in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other) == (name != "wide.weight"), name
        assert one.grad is not None
