"""The moving average of weights, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wordspot.training.average import Average


def make(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    set_to(model, value)
    return model


def set_to(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def test_it_follows_the_first_steps_and_then_keeps_its_share() -> None:
    """Kept: 2/11 after step 1, 3/12 after step 2, and 0.3 from step 3 on, when 4/13 exceeds it."""
    model = make(0.0)
    average = Average(model, 0.3)
    expected = 0.0
    for step, kept, value in ((1, 2 / 11, 11.0), (2, 3 / 12, 4.0), (3, 0.3, -1.0), (4, 0.3, 2.0)):
        set_to(model, value)
        average.update(step)
        expected = kept * expected + (1 - kept) * value
        assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert average.network().weight.item() == pytest.approx(expected, rel=1e-6)  # type: ignore[union-attr, operator]
    assert model.weight.item() == 2.0


def test_statistics_of_norms_are_averaged_and_counters_are_not() -> None:
    model = nn.BatchNorm1d(2)
    average = Average(model, 0.5)
    model(torch.tensor([[1.0, 10.0], [3.0, 10.0]]))  # the running mean moves a tenth of the way to (2, 10)
    average.update(100)
    torch.testing.assert_close(average.weights["running_mean"], torch.tensor([0.1, 0.5]))
    assert "num_batches_tracked" not in average.weights
    assert average.network().num_batches_tracked == 1


def test_it_restarts_with_the_weights_of_the_network() -> None:
    model = make(1.0)
    average = Average(model, 0.9)
    set_to(model, 5.0)
    average.restart()
    assert average.weights["weight"].item() == 5.0
