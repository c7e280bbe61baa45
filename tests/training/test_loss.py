"""The loss of windows that may be silence or unknown."""

from __future__ import annotations

import math

import pytest
import torch

from wordspot.config import TrainingConfig
from wordspot.training.loss import IGNORED, SILENCE_OR_UNKNOWN, training_loss


def test_a_window_that_is_either_costs_the_sum_of_both_posteriors() -> None:
    """Posteriors 0.5, 0.25, 0.25 of three labels: label 2 costs -log 0.25, either of the first two -log 0.75, IGNORED nothing."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]])).repeat(3, 1) + torch.tensor([[0.0], [3.0], [-1.0]])
    labels = torch.tensor([2, SILENCE_OR_UNKNOWN, IGNORED])
    expected = (math.log(4) + math.log(4 / 3)) / 2
    assert training_loss(logits, labels, TrainingConfig()).item() == pytest.approx(expected, rel=1e-6)


def test_either_draws_both_posteriors_up_and_the_words_down() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    training_loss(logits, torch.tensor([SILENCE_OR_UNKNOWN]), TrainingConfig()).backward()
    # d/dz of log(sum of all exp) - log(exp z0 + exp z1): 1/4 - 1/2 for the two, 1/4 for the others
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, -0.25, 0.25, 0.25]]))
