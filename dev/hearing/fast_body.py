"""The body of `Residual1d` for training on a CPU: the same parameters, arrays [batch, time, channels], products in bfloat16 where
the processor has them.

Compiled, a step takes less than half of the time that the convolutions take.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wordspot.models.residual import LocalPatterns, Residual1d
from wordspot.training.device import resolve_precision

Statistics = list[tuple[Tensor, Tensor]]
_LOW = torch.bfloat16 if resolve_precision("auto", torch.device("cpu")) == "bf16" else torch.float32


def body_frames(model: Residual1d, features: Tensor) -> tuple[Tensor, Statistics]:
    """The frames before pooling, and the mean and variance of each norm's input.

    features: float32 [batch, frames, n_features] → bfloat16 or float32 [batch, frames - context, channels].
    """
    statistics: Statistics = []
    n = features.shape[1]
    weight = model.stem.weight[:, :, 0]  # [channels, n_features, 3]
    taps = torch.cat([features[:, tap : n - 2 + tap] for tap in range(3)], dim=2).to(_LOW)
    y = taps @ weight.permute(2, 1, 0).reshape(-1, weight.shape[0]).to(_LOW)
    y = _norm(y, model.stem_norm, statistics)
    if model.local is not None:
        y = y + _local_patterns(model.local, features, statistics)
    y = y.relu().to(_LOW)
    for block in model.blocks:
        dilation, kernel = block.over_time.dilation[1], block.over_time.weight[:, 0, 0]  # [channels, 9]
        n = y.shape[1] - 8 * dilation
        over_time = sum(y[:, tap * dilation : tap * dilation + n].float() * kernel[:, tap] for tap in range(9)).to(_LOW)
        wider = over_time @ block.mix[0].weight[:, :, 0, 0].T.to(_LOW)
        wider = _norm(wider, block.mix[1], statistics).relu().to(_LOW)
        back = wider @ block.mix[3].weight[:, :, 0, 0].T.to(_LOW)
        y = (_norm(back, block.mix[4], statistics) + y[:, 8 * dilation :].float()).relu().to(_LOW)
    return y, statistics


def _local_patterns(local: LocalPatterns, features: Tensor, statistics: Statistics) -> Tensor:
    """`LocalPatterns` as products of patches: [batch, frames, n_features] → [batch, frames - 2, channels]."""
    n = features.shape[1] - 2
    padded = nn.functional.pad(features, (2, 2)).to(_LOW)
    height = (features.shape[2] + 1) // 2
    rows = [padded[:, :, row : row + 2 * height - 1 : 2] for row in range(5)]  # each [batch, frames, height]
    patches = torch.stack([row[:, tap : tap + n] for row in rows for tap in range(3)], dim=3)
    y = patches @ local.over_both.weight.flatten(1).T.to(_LOW)  # [batch, frames, height, n_first]
    y = _norm(y, local.first_norm, statistics).relu().to(_LOW)
    height = (height + 1) // 2
    padded = nn.functional.pad(y, (0, 0, 2, 2))
    patches = torch.cat([padded[:, :, row : row + 2 * height - 1 : 2] for row in range(5)], dim=3)
    weight = local.over_frequency.weight[..., 0].transpose(1, 2).flatten(1)  # [n_local, 5 * n_first]
    y = _norm(patches @ weight.T.to(_LOW), local.second_norm, statistics).relu().to(_LOW)
    y = y.transpose(2, 3).flatten(2)  # channels, then height, as in an image
    return _norm(y @ local.join.weight[:, :, 0, 0].T.to(_LOW), local.last_norm, statistics)


def _norm(x: Tensor, norm: nn.BatchNorm2d, statistics: Statistics) -> Tensor:
    """x [..., channels], normalised with the batch's statistics in float32."""
    x = x.float()
    flat = x.reshape(-1, x.shape[-1])
    mean = flat.mean(dim=0)
    variance = (flat.square().mean(dim=0) - mean.square()).clamp(min=0)
    statistics.append((mean.detach(), variance.detach()))
    return (x - mean) * (torch.rsqrt(variance + norm.eps) * norm.weight) + norm.bias


@torch.no_grad()
def update_norms(model: Residual1d, statistics: Statistics, momentum: float = 0.1) -> None:
    """Move the running statistics of every norm towards those of a batch."""
    first = [model.stem_norm]
    if model.local is not None:
        first += [model.local.first_norm, model.local.second_norm, model.local.last_norm]
    norms = [*first, *(block.mix[place] for block in model.blocks for place in (1, 4))]
    for norm, (mean, variance) in zip(norms, statistics, strict=True):
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance, momentum)


def context_of(model: Residual1d) -> int:
    """Frames that the body drops at the beginning of a scene."""
    return int(model.stem.context + sum(block.over_time.context for block in model.blocks))
