"""The learning rates of a run's optimiser."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import pytest
import torch
from torch import nn

from wordspot.config import TrainingConfig
from wordspot.errors import ConfigError
from wordspot.training.optimizer import load_optimizer, make_optimizer, optimizer_tensors, set_rate


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(first=nn.Linear(3, 4), output=nn.Linear(4, 2)))


def step(network: nn.Module, optimizer: torch.optim.Optimizer, rate: float) -> None:
    set_rate(optimizer, rate)
    optimizer.zero_grad()
    network(torch.ones(5, 3)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("body_rate", [0.0, 0.25, 1.0])
def test_the_body_learns_at_its_share_of_the_rate(body_rate: float) -> None:
    """Plain gradient descent moves each weight by rate and share times its gradient."""
    network = make_network()
    optimizer = make_optimizer(network, TrainingConfig(optimizer="sgd", body_rate=body_rate))
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    step(network, optimizer, 0.1)
    for name, weight in network.named_parameters():
        share = 1.0 if name.startswith("output.") else body_rate
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach(), before[name] - 0.1 * share * weight.grad)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_resumed_optimiser_steps_as_one_that_went_on(name: str) -> None:
    settings = TrainingConfig(optimizer=name, body_rate=0.25)
    unbroken, resumed = make_network(), make_network()
    optimizer = make_optimizer(unbroken, settings)
    for _ in range(3):
        step(unbroken, optimizer, 0.1)
    resumed.load_state_dict(unbroken.state_dict())
    again = make_optimizer(resumed, settings)
    load_optimizer(again, {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()})
    step(unbroken, optimizer, 0.05)
    step(resumed, again, 0.05)
    assert all(torch.equal(one, two) for one, two in zip(unbroken.parameters(), resumed.parameters(), strict=True))


def test_a_network_without_a_last_layer_has_one_rate() -> None:
    network = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ConfigError, match=r"training\.body_rate needs a last layer named output, and this network has none"):
        make_optimizer(network, dataclasses.replace(TrainingConfig(), body_rate=0.5))
    assert len(make_optimizer(network, TrainingConfig()).param_groups) == 1
