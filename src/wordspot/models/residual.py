"""A residual network over time whose channels are the front end's coefficients: few layers, cheap on a stream.

Of the kind of TC-ResNet (Choi et al. 2019, arXiv 1904.03814) and TENet (Li et al. 2020, arXiv 2010.09960), with two
differences: time is convolved without padding, with dilation instead of stride, and averaged over the last frames. So the
network streams: its answer at a frame is its answer for the clip that ends there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.layers import MeanOverTime, ValidConv1d

_KERNEL = 9
State = tuple[Tensor, ...]


class Residual1d(nn.Module):
    """A convolution over all coefficients, inverted bottlenecks with dilation, the mean over time, a linear layer.

    Args:
        n_channels: width between the blocks.
        expansion: width inside a block, as a multiple.
        dilations: one block each, "1,1,2,2,4"; the kernel spans 9 frames.
        dropout: before the last layer.
    """

    recipe: ClassVar[dict[str, Any]] = {
        "training.steps": (6_000,),
        "training.learning_rates": (0.005,),
        "training.optimizer": "adamw",
        "training.weight_decay": 0.02,
        "training.schedule": "cosine",
        "training.warmup_steps": 300,
        "augment.frequency_masks": 1,
        "augment.time_masks": 1,
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_channels: int = 48,
        expansion: int = 2,
        dilations: str = "1,1,2,2,4",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = ValidConv1d(n_features, n_channels, 3, bias=False)
        self.stem_norm = nn.BatchNorm1d(n_channels)
        steps = [int(text) for text in str(dilations).split(",")]
        self.blocks = nn.ModuleList(_Bottleneck(n_channels, n_channels * expansion, step) for step in steps)
        context = self.stem.context + sum(block.depthwise.context for block in self.blocks)  # type: ignore[union-attr, misc]
        if context >= n_frames:
            raise ValueError(
                f"dilations {dilations} see {context + 1} frames, a clip has {n_frames}; take smaller ones"
            )
        self.pool = MeanOverTime(n_channels, n_frames - int(context))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Conv1d(n_channels, n_labels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        x = self.stem_norm(self.stem(features.transpose(1, 2))).relu()
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.output(self.dropout(self.pool(x))).squeeze(2)
        return logits

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins: of the stem, each block and the mean, zeros."""
        blocks = (block.depthwise.initial_state(batch) for block in self.blocks)  # type: ignore[union-attr, operator]
        return (self.stem.initial_state(batch), *blocks, self.pool.initial_state(batch, self.output.weight))

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """features: [batch, k, n_features] → logits [batch, k, n_labels] of the clips that end at each frame, state.

        The first n_frames - 1 answers see zeros from before the stream began and mean nothing.
        """
        x, stem_state = self.stem.step(features.transpose(1, 2), state[0])
        x = self.stem_norm(x).relu()
        after = [stem_state]
        for block, before in zip(self.blocks, state[1:-1], strict=True):
            x, kept = block.step(x, before)  # type: ignore[operator]
            after.append(kept)
        x, kept = self.pool.step(x, state[-1])
        return self.output(self.dropout(x)).transpose(1, 2), (*after, kept)


class _Bottleneck(nn.Module):
    """1 × 1 wider, depthwise over time, 1 × 1 back, added to what went in."""

    def __init__(self, n_channels: int, n_inside: int, dilation: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv1d(n_channels, n_inside, 1, bias=False), nn.BatchNorm1d(n_inside), nn.ReLU())
        self.depthwise = ValidConv1d(n_inside, n_inside, _KERNEL, dilation=dilation, groups=n_inside, bias=False)
        self.narrow = nn.Sequential(
            nn.BatchNorm1d(n_inside), nn.ReLU(),
            nn.Conv1d(n_inside, n_channels, 1, bias=False), nn.BatchNorm1d(n_channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, channels, frames] → [batch, channels, frames - context]."""
        inside = self.depthwise(self.widen(x))
        return torch.relu(self.narrow(inside) + x[:, :, self.depthwise.context :])

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels, k] → [batch, channels, k], state."""
        inside, state = self.depthwise.step(self.widen(x), state)
        return torch.relu(self.narrow(inside) + x), state
