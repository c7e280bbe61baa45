"""A network and its front end as plain arrays, as the C engine runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def round_up(n: int, multiple: int) -> int:
    """The smallest multiple that is not below n."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True)
class Product:
    """A matrix product: weights [inputs, outputs] and bias [outputs]."""

    weights: Array
    bias: Array


@dataclass(frozen=True)
class Block:
    """A residual block: depthwise over time with taps [kernel, channels], then two products."""

    dilation: int
    taps: Array
    wider: Product
    narrower: Product


@dataclass(frozen=True)
class LocalPatterns:
    """Two convolutions over neighbouring coefficients, 5 high and moving by 2, and a product that joins their result.

    Attributes:
        first: inputs are 5 coefficients of the stem's frames, [coefficient][frame].
        second: inputs are 5 rows of the first, [row][channel].
        join: inputs are all rows of the second, [row][channel]; its result is added to the stem's before the ReLU.
        n_features: coefficients of a frame.
    """

    first: Product
    second: Product
    join: Product
    n_features: int

    @property
    def heights(self) -> tuple[int, int]:
        """Rows after the first and the second convolution."""
        return (self.n_features + 1) // 2, (self.n_features + 3) // 4

    @property
    def multiply_adds(self) -> int:
        first, second = self.heights
        return first * self.first.weights.size + second * self.second.weights.size + self.join.weights.size


@dataclass(frozen=True)
class EngineModel:
    """A network and its front end, as the C engine runs them.

    Attributes:
        hop: samples from one window to the next.
        window: of the Fourier transform, [samples].
        n_fft: its length.
        mel: weights of the power spectrum, [n_fft / 2 + 1, mel channels].
        floor, mean, scale: a feature is (log(sum + floor) - mean) * scale.
        stem: inputs are frames of features, the oldest first.
        pool: frames of the mean over time.
        early_frames: frames at the start of a stream that leave no trace in its states.
        local: beside the stem, or None.
    """

    hop: int
    window: Array
    n_fft: int
    mel: Array
    floor: float
    mean: float
    scale: float
    stem: Product
    blocks: tuple[Block, ...]
    pool: int
    output: Product
    early_frames: int
    local: LocalPatterns | None = None

    @property
    def n_mels(self) -> int:
        return int(self.mel.shape[1])

    @property
    def kept(self) -> int:
        """Samples before the newest hop that are kept: whole hops, as many as a window needs."""
        return round_up(len(self.window) - self.hop, self.hop)

    @property
    def multiply_adds(self) -> int:
        """Of the network, for each hop."""
        blocks = sum(block.taps.size + block.wider.weights.size + block.narrower.weights.size for block in self.blocks)
        local = self.local.multiply_adds if self.local else 0
        return self.stem.weights.size + local + blocks + self.output.weights.size

    def with_weights(self, change: Callable[[Array], Array]) -> EngineModel:
        """The model with all weights changed except those of the first local patterns, which stay float32."""

        def changed(part: Product) -> Product:
            return Product(change(part.weights), part.bias)

        blocks = tuple(
            replace(block, taps=change(block.taps), wider=changed(block.wider), narrower=changed(block.narrower))
            for block in self.blocks
        )
        local = self.local and replace(self.local, second=changed(self.local.second), join=changed(self.local.join))
        return replace(self, stem=changed(self.stem), blocks=blocks, local=local, output=changed(self.output))
