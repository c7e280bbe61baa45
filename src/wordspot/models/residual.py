"""A residual network over time whose channels are the front end's coefficients: few layers, cheap on a stream.

Similar to TC-ResNet (Choi et al. 2019, arXiv 1904.03814), TENet (Li et al. 2020, arXiv 2010.09960) and MDTC (Wang et
al. 2021, arXiv 2102.13552), with blocks as in ConvNeXt (Liu et al. 2022, arXiv 2201.03545): the convolution over time precedes
the wide part, which halves its cost. Time is convolved without padding and averaged over the last frames, so the network
streams: its logits at a frame are those for the clip that ends there.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from wordspot.models.layers import ImageConv, Layers, MeanOverTime, TimeConv, ValidConv2d, last_frames
from wordspot.models.recipes import SCENES

_KERNEL = 9
_AUTO = "auto"
_WIDEST_FIRST = ("1,1,2,4,8", "1,1,2,2,4", "1,1,2,2", "1,1,1", "1,1", "1")
State = tuple[Tensor, ...]


class Residual1d(nn.Module):
    """A convolution over all coefficients, residual blocks, the mean over time, a linear layer.

    Inside, arrays are [batch, channels, 1, frames]; torch's convolutions are fastest on images one pixel high.

    Args:
        n_channels: width between the blocks.
        expansion: width inside a block, as a multiple.
        dilations: one block each, "1,1,2,2,4"; the kernel spans 9 frames. "auto": "1,1,2,4,8", which sees 131 frames, or fewer
            in shorter clips.
        dropout: before the last layer.
        n_local: channels of `LocalPatterns` beside the first convolution; 0 for none.
    """

    recipe: ClassVar[dict[str, Any]] = {
        **SCENES,
        "model.n_channels": 96,
        "model.n_local": 32,
        "model.dilations": _AUTO,
        "training.steps": (6_000,),
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
        n_local: int = 0,
    ) -> None:
        super().__init__()
        self.stem = ValidConv2d(n_features, n_channels, (1, 3), bias=False)
        self.stem_norm = nn.BatchNorm2d(n_channels)
        self.local = LocalPatterns(n_features, n_channels, n_local) if n_local else None
        if dilations == _AUTO:
            dilations = next((one for one in _WIDEST_FIRST if _n_seen(one) < n_frames), _WIDEST_FIRST[-1])
        steps = _parse(dilations)
        if min(steps) < 1:
            raise ValueError(f"dilations must be at least 1, got {dilations}")
        self.blocks: Layers[_Block] = Layers(_Block(n_channels, n_channels * expansion, step) for step in steps)
        context = self.stem.context + sum(block.over_time.context for block in self.blocks)
        if context >= n_frames:
            raise ValueError(f"dilations {dilations} see {context + 1} frames, a clip has {n_frames}; take smaller ones")
        self.pool = MeanOverTime(n_channels, n_frames - context)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Conv1d(n_channels, n_labels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        return self.windows(features, 1).squeeze(1)

    def windows(self, features: Tensor, stride: int) -> Tensor:
        """The logits of every window of a scene, `stride` frames apart: see `streaming.SceneNetwork`."""
        logits: Tensor = self.output(self.dropout(self.pool(self.frames(features), stride))).transpose(1, 2)
        return logits

    def frames(self, features: Tensor) -> Tensor:
        """What is averaged over time: [batch, n_frames, n_features] → [batch, channels, n_frames - context]."""
        x = self._first(features_as_image(features))
        for block in self.blocks:
            x = block(x)
        return x.squeeze(2)

    def _first(self, x: Tensor) -> Tensor:
        """The first layer: [batch, n_features, 1, frames] → [batch, channels, 1, frames - context of the stem]."""
        y = self.stem_norm(self.stem(x))
        return cast(Tensor, (y if self.local is None else y + self.local(x)).relu())

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins: of the stem, each block and the mean, zeros."""
        blocks = (block.over_time.initial_state(batch, 1) for block in self.blocks)
        return (self.stem.initial_state(batch, 1), *blocks, self.pool.initial_state(batch, self.output.weight))

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """features: [batch, k, n_features] → logits [batch, k, n_labels] of the clips that end at each frame, state.

        The first n_frames - 1 logits see zeros from before the stream and are meaningless.
        """
        return self.through(features_as_image(features), state)

    def through(self, x: Tensor, state: State, counts: Tensor | None = None) -> tuple[Tensor, State]:
        """`step` from features as an image: [batch, n_features, 1, k].

        Args:
            counts: [batch, 1, 1, k], 0 for frames that must not change the state, else 1.
        """
        joined = torch.cat([state[0], _counted(x, counts)], dim=3)
        x, after = _counted(self._first(joined), counts), [last_frames(joined, self.stem.context)]
        for block, before in zip(self.blocks, state[1:-1], strict=True):
            x, kept = block.step(x, before)
            x = _counted(x, counts)
            after.append(kept)
        x, kept = self.pool.step(x.squeeze(2), state[-1])
        return self.output(self.dropout(x)).transpose(1, 2), (*after, kept)


class LocalPatterns(nn.Module):
    """Two convolutions over neighbouring coefficients, which find a pattern at any frequency, and a 1 × 1 convolution.

    The result is added to that of the first convolution of `Residual1d`, which sees the same frames. The last norm starts at
    zero, so that at first the branch changes nothing in a trained network. The idea is from BC-ResNet (Kim et al. 2021, arXiv
    2106.04140).

    Args:
        n_features: coefficients of a frame.
        n_out: channels of the result.
        n_local: channels after the second convolution; half as many after the first.
    """

    def __init__(self, n_features: int, n_out: int, n_local: int) -> None:
        super().__init__()
        n_first, height = max(n_local // 2, 1), math.ceil(math.ceil(n_features / 2) / 2)
        self.over_both = ImageConv(n_first, 5, 3, stride=2)
        self.first_norm = nn.BatchNorm2d(n_first)
        self.over_frequency = nn.Conv2d(n_first, n_local, (5, 1), stride=(2, 1), padding=(2, 0), bias=False)
        self.second_norm = nn.BatchNorm2d(n_local)
        self.join = nn.Conv2d(n_local * height, n_out, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(n_out)
        nn.init.zeros_(self.last_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, n_features, 1, frames] → [batch, n_out, 1, frames - 2]."""
        y = self.first_norm(self.over_both(x.transpose(1, 2))).relu()
        y = self.second_norm(self.over_frequency(y)).relu()
        return cast(Tensor, self.last_norm(self.join(y.flatten(1, 2).unsqueeze(2))))


class _Block(nn.Module):
    """Depthwise over time, 1 × 1 wider, 1 × 1 back, added to the input."""

    def __init__(self, n_channels: int, n_inside: int, dilation: int) -> None:
        super().__init__()
        self.over_time = TimeConv(n_channels, _KERNEL, dilation)
        self.mix = nn.Sequential(
            nn.Conv2d(n_channels, n_inside, 1, bias=False),
            nn.BatchNorm2d(n_inside),
            nn.ReLU(),
            nn.Conv2d(n_inside, n_channels, 1, bias=False),
            nn.BatchNorm2d(n_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, channels, 1, frames] → [batch, channels, 1, frames - context]."""
        return torch.relu(self.mix(self.over_time(x)) + x[..., self.over_time.context :])

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels, 1, k] → [batch, channels, 1, k], state."""
        y, state = self.over_time.step(x, state)
        return torch.relu(self.mix(y) + x), state


def _parse(dilations: str) -> list[int]:
    return [int(text) for text in str(dilations).split(",")]


def _n_seen(dilations: str) -> int:
    """The receptive field of the stem and the blocks, in frames."""
    return 3 + (_KERNEL - 1) * sum(_parse(dilations))


def _counted(x: Tensor, counts: Tensor | None) -> Tensor:
    return x if counts is None else x * counts


def features_as_image(features: Tensor) -> Tensor:
    """[batch, frames, features] → [batch, features, 1, frames], without a copy."""
    return features.transpose(1, 2).unsqueeze(2)
