"""BC-ResNet (Kim, Chang, Lee, Sung 2021, arXiv 2106.04140): two-dimensional over frequency, one-dimensional over time.

Each block averages its maps over frequency, convolves that mean over time, and adds it back to every frequency. The paper
pads time with zeros: `BcResNet`. `StreamingBcResNet` has the same layers and as many parameters, but never pads time: its
logits at a frame are those for the clip that ends there.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from wordspot.models.layers import FrequencyConv, Layers, MeanOverTime, PointConv, SubSpectralNorm, ValidConv2d
from wordspot.models.recipes import STREAMING

SIZES = (1, 1.5, 2, 3, 6, 8)
_N_BLOCKS = (2, 2, 4, 4)  # of each stage
_STRIDES = (1, 2, 2, 1)  # over frequency, in the first block of each stage
_N_BANDS = 5
_KERNEL = 5  # over time, of the first convolution and the last
State = tuple[Tensor, ...]


def bcresnet(
    n_frames: int,
    n_features: int,
    n_labels: int,
    size: float = 1,
    padding: str = "valid",
    dilations: str = "",
    stride: int = 1,
    dropout: float = 0.1,
) -> BcResNet:
    """A BC-ResNet by its size and padding.

    Args:
        n_frames: of a clip.
        n_features: of a frame; halved three times, they must divide into 5 bands: 40, 80, ...
        n_labels: outputs.
        size: the paper's τ, one of `SIZES`: a multiple of the width of 8 channels.
        padding: of time. "valid": none, the streaming form; "same": zeros, as in the paper.
        dilations: one for each of the four stages. Empty: the paper's "1,2,4,8" with "same" padding. It sees 117 frames,
            more than the 98 of a clip, so the streaming form has "1,2,4,4", which sees 85, and "1,1,2,2" with a stride.
        stride: of the first convolution over time; 1 in the paper. 2 halves the training time.
        dropout: of entire channels, after each convolution over time.

    Raises:
        ValueError: another size or padding, features that do not divide, or dilations that see more than a clip.
    """
    if padding not in ("valid", "same"):
        raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
    if not 1 <= stride <= _KERNEL:
        raise ValueError(f"stride must be 1 to {_KERNEL}, got {stride}")
    if padding == "same":
        return BcResNet(n_frames, n_features, n_labels, size, dilations or "1,2,4,8", stride, dropout)
    usual = "1,2,4,4" if stride == 1 else "1,1,2,2"
    return StreamingBcResNet(n_frames, n_features, n_labels, size, dilations or usual, stride, dropout)


bcresnet.recipe = {**STREAMING, "training.steps": (4_000,)}  # type: ignore[attr-defined]


class BcResNet(nn.Module):
    """The paper's network: time is padded with zeros, so it works on clips only. See `bcresnet` for the arguments."""

    valid = False
    stem: nn.Conv2d
    last: nn.Conv2d

    def __init__(
        self, n_frames: int, n_features: int, n_labels: int, size: float, dilations: str, stride: int, dropout: float
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(map(str, SIZES))}, got {size}")
        base = int(8 * size)
        width, n_last, n_frequencies = base * 2, base * 4, math.ceil(n_features / 2)
        self.n_frames, self.n_features, self.hop_frames = n_frames, n_features, stride
        self.stem = _conv(1, width, (5, _KERNEL), self.valid, stride=(2, stride), pad=2)
        self.stem_norm = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.blocks: Layers[_Block] = Layers()
        widths = (base, int(base * 1.5), base * 2, int(base * 2.5))
        for n_blocks, step, n_channels, dilation in zip(_N_BLOCKS, _STRIDES, widths, _parse(dilations), strict=True):
            n_frequencies = math.ceil(n_frequencies / step)
            if n_frequencies % _N_BANDS:
                raise ValueError(f"its {_N_BANDS} bands need 40 features or a multiple, got {n_features}")
            for number in range(n_blocks):
                self.blocks.append(_Block(width, n_channels, 1 if number else step, dilation, dropout, self.valid))
                width = n_channels
        self.last = _conv(width, width, (n_frequencies, _KERNEL), self.valid, groups=width)
        self.widen = nn.Sequential(nn.Conv1d(width, n_last, 1, bias=False), nn.BatchNorm1d(n_last), nn.ReLU())
        self.pool = MeanOverTime(n_last, self._n_left(n_frames))
        self.output = nn.Conv1d(n_last, n_labels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        return self._logits(features).squeeze(1)

    def _logits(self, features: Tensor, stride: int = 1) -> Tensor:
        """Logits [batch, k, n_labels] of the means over time, `stride` frames of the blocks apart."""
        x = self.stem_norm(self.stem(_image(features)))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.output(self.pool(self.widen(self.last(x).squeeze(2)), stride)).transpose(1, 2)
        return logits

    def _n_left(self, n_frames: int) -> int:
        """Frames that are left for the mean, of a clip's."""
        return math.ceil(n_frames / self.hop_frames)


class StreamingBcResNet(BcResNet):
    """The streaming form: time is not padded, and `step` continues a stream."""

    valid = True
    stem: ValidConv2d
    last: ValidConv2d

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]. A rest at the beginning is left out."""
        return super().forward(features[:, (features.shape[1] - _KERNEL) % self.hop_frames :])

    def windows(self, features: Tensor, stride: int) -> Tensor:
        """The logits of every window of a scene, `stride` frames apart: see `streaming.SceneNetwork`."""
        if stride % self.hop_frames:
            raise ValueError(f"the stride must be a multiple of {self.hop_frames} frames, got {stride}")
        return self._logits(features[:, (self.n_frames - _KERNEL) % self.hop_frames :], stride // self.hop_frames)

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins: of the stem, each block, the last convolution and the mean, zeros."""
        blocks = (block.streaming.initial_state(batch, 1) for block in self.blocks)
        last = self.last.initial_state(batch, self.last.kernel_size[0])
        pooled = self.pool.initial_state(batch, self.output.weight)
        return (self.stem.initial_state(batch, self.n_features), *blocks, last, pooled)

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on by k frames, a multiple of `hop_frames`: features [batch, k, n_features].

        Returns:
            logits [batch, k / hop_frames, n_labels] of the clips that end at every `hop_frames`-th frame, and the state. Logits
            of clips that began before the stream see zeros there and are meaningless.
        """
        x, kept = self.stem.step(_image(features), state[0])
        x, after = self.stem_norm(x), [kept]
        for block, before in zip(self.blocks, state[1:-2], strict=True):
            x, kept = block.step(x, before)
            after.append(kept)
        x, last = self.last.step(x, state[-2])
        x, pooled = self.pool.step(self.widen(x.squeeze(2)), state[-1])
        return self.output(x).transpose(1, 2), (*after, last, pooled)

    def _n_left(self, n_frames: int) -> int:
        context = sum(block.streaming.context for block in self.blocks) + self.last.context
        n_left = (n_frames - _KERNEL) // self.hop_frames + 1 - context
        if n_left < 1:
            n_seen = _KERNEL + context * self.hop_frames
            raise ValueError(f"its dilations see {n_seen} frames, a clip has {n_frames}; take smaller ones")
        return n_left


class _Block(nn.Module):
    """Over frequency in each map, then over time in their mean over frequency, added to every frequency.

    If the width stays, the input is added as well; if it changes, a 1 × 1 convolution changes it first.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, dilation: int, dropout: float, valid: bool) -> None:
        super().__init__()
        self.is_residual = n_in == n_out
        if not self.is_residual:
            self.change = nn.Sequential(PointConv(n_in, n_out), nn.BatchNorm2d(n_out), nn.ReLU())
        self.over_frequency = nn.Sequential(FrequencyConv(n_out, stride), SubSpectralNorm(n_out, _N_BANDS))
        self.over_time = _conv(n_out, n_out, (1, 3), valid, dilation=dilation, groups=n_out)
        self.mix = nn.Sequential(nn.BatchNorm2d(n_out), nn.SiLU(), PointConv(n_out, n_out), nn.Dropout2d(dropout))

    @property
    def streaming(self) -> ValidConv2d:
        """The convolution over time of the streaming form."""
        assert isinstance(self.over_time, ValidConv2d)
        return self.over_time

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, channels in, frequencies, frames] → [batch, channels, frequencies out, frames - context]."""
        maps = self._maps(x)
        means = self.over_time(maps.mean(dim=2, keepdim=True))
        return self._add(x, maps, means)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [batch, channels in, frequencies, k] → [batch, channels, frequencies out, k], state."""
        maps = self._maps(x)
        means, state = self.streaming.step(maps.mean(dim=2, keepdim=True), state)
        return self._add(x, maps, means), state

    def _maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.over_frequency(x if self.is_residual else self.change(x))
        return maps

    def _add(self, x: Tensor, maps: Tensor, means: Tensor) -> Tensor:
        """Add the three; `means` may be shorter: the first frames of the others are dropped."""
        if self.is_residual:
            maps = maps + x
        result: Tensor = (maps[..., maps.shape[3] - means.shape[3] :] + self.mix(means)).relu_()
        return result


def _parse(text: str) -> tuple[int, ...]:
    dilations = tuple(int(number) for number in str(text).split(","))
    if len(dilations) != len(_N_BLOCKS) or min(dilations) < 1:
        raise ValueError(f"dilations must be {len(_N_BLOCKS)} numbers of at least 1, one for each stage, got {text}")
    return dilations


def _conv(
    n_in: int, n_out: int, kernel: tuple[int, int], valid: bool,
    *, stride: tuple[int, int] = (1, 1), pad: int = 0, dilation: int = 1, groups: int = 1,
) -> nn.Conv2d:  # fmt: skip
    """Over [frequency, time] without bias. `pad` is of frequency, `dilation` of time.

    Time is not padded if `valid`, else so that, without a stride, as many frames come out as go in.
    """
    make = ValidConv2d if valid else nn.Conv2d
    beyond = 0 if valid else dilation * (kernel[1] // 2)
    return make(n_in, n_out, kernel, stride, (pad, beyond), (1, dilation), groups, bias=False)


def _image(features: Tensor) -> Tensor:
    """[batch, frames, features] → [batch, 1, features, frames].

    Copied, since torch would treat the transposed view as channels-last memory, which slows the training of the network.
    """
    return features.transpose(1, 2).contiguous().unsqueeze(1)
