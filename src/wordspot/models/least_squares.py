"""Fit a linear layer on normalised inputs in closed form: ridge regression of the labels, then a scale for its posteriors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_CALIBRATION_STEPS = 50


@dataclass(frozen=True)
class LinearFit:
    """A linear layer on normalised inputs.

    Attributes:
        mean, variance: of the inputs, float32 [inputs].
        weight: float32 [labels, inputs].
        bias: float32 [labels].
    """

    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor


def fit_linear(values: Tensor, labels: Tensor, n_labels: int, *, ridge: float, eps: float, most: float) -> LinearFit:
    """Fit a linear layer whose logits separate the labels, each label with the same weight whatever its number of rows.

    Ridge regression of 1 for a row's label and -1 for the others, with a penalty of `ridge` on the squared weights of inputs of
    unit variance. Then one factor for all logits, and a bias for each, that minimise the cross-entropy of each half of the rows
    by the regression of the other half: of rows that it was fitted on, a regression is too sure.

    Args:
        values: float32 [rows, inputs].
        labels: int64 [rows], each of `n_labels` occurring at least twice.
        n_labels: number of labels.
        ridge: the penalty.
        eps: added to the variances before their root.
        most: normalised inputs are cut off at plus and minus this.
    """
    variance, mean = torch.var_mean(values.double(), dim=0, correction=0)
    scaled = ((values.double() - mean) / (variance + eps).sqrt()).clamp(-most, most)
    share = 1 / (n_labels * torch.bincount(labels, minlength=n_labels).double())
    weights = share[labels][:, None]
    targets = 2 * nn.functional.one_hot(labels, n_labels).double() - 1
    weight, bias = _regress(scaled, targets, weights, ridge)
    halves = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    for label in range(n_labels):
        halves[torch.nonzero(labels == label)[::2, 0]] = True
    scores = torch.empty_like(targets)
    for half in (halves, ~halves):
        of_half, bias_of_half = _regress(scaled[~half], targets[~half], weights[~half], ridge)
        scores[half] = scaled[half] @ of_half.T + bias_of_half
    factor, offset = _calibrate(scores, labels, weights[:, 0])
    fitted = (mean, variance, factor * weight, factor * bias + offset)
    return LinearFit(*(one.float() for one in fitted))


def _regress(scaled: Tensor, targets: Tensor, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Weighted ridge regression of targets [rows, labels]: weights [labels, inputs] and intercepts [labels]."""
    weights = weights / weights.sum()
    centre, middle = (weights * scaled).sum(dim=0), (weights * targets).sum(dim=0)
    centred = scaled - centre
    penalty = ridge * torch.eye(scaled.shape[1], dtype=scaled.dtype, device=scaled.device)
    weight = torch.linalg.solve(centred.T @ (weights * centred) + penalty, centred.T @ (weights * (targets - middle))).T
    return weight, middle - weight @ centre


def _calibrate(scores: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The factor [] and the offset [labels] of scores [rows, labels] with the least weighted cross-entropy."""
    factor = torch.zeros(
        (), dtype=scores.dtype, device=scores.device, requires_grad=True
    )  # its logarithm, so that it stays positive
    offset = torch.zeros(scores.shape[1], dtype=scores.dtype, device=scores.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([factor, offset], max_iter=_CALIBRATION_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        likelihood = (factor.exp() * scores + offset).log_softmax(dim=1).gather(1, labels[:, None])[:, 0]
        value = -(weights * likelihood).sum() + 1e-4 * factor**2  # separable rows would need an infinite factor
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return factor.detach().exp(), offset.detach() - offset.detach().mean()
