"""A `residual_1d` or `trigger_1d` as plain arrays with folded batch norms, and its computation in floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from wordspot.errors import ExportError
from wordspot.models.residual import Residual1d
from wordspot.models.trigger import Trigger1d
from wordspot.runtime.modelfile.engine.model import Array, Block, Product
from wordspot.runtime.modelfile.engine.reference import earlier


@dataclass(frozen=True)
class Network:
    """The layers of a streaming network.

    Attributes:
        stem: over all features of three frames, the oldest first.
        blocks: residual blocks.
        pool: frames of the mean over time.
        output: from the mean to logits.
        n_features: values of a frame.
    """

    stem: Product
    blocks: tuple[Block, ...]
    pool: int
    output: Product
    n_features: int

    @property
    def kernel(self) -> int:
        """Frames that the stem sees."""
        return len(self.stem.weights) // self.n_features

    @property
    def multiply_adds(self) -> int:
        """For each frame."""
        products = [self.stem, self.output, *(part for block in self.blocks for part in (block.wider, block.narrower))]
        return sum(part.weights.size for part in products) + sum(block.taps.size for block in self.blocks)


def read_network(module: nn.Module, name: str) -> Network:
    """The arrays of a trained network.

    Args:
        module: the network, with its weights.
        name: of the network, for messages.

    Raises:
        ExportError: it is not a `residual_1d` or `trigger_1d`, or has local patterns.
    """
    if type(module) not in (Residual1d, Trigger1d):
        raise ExportError(f"only the networks residual_1d and trigger_1d can be TensorFlow Lite files, this one is {name}")
    assert isinstance(module, Residual1d)
    if module.local is not None:
        raise ExportError(
            "local patterns (model.n_local) cannot be written as TensorFlow Lite; train a network without them, such as with "
            "--preset esphome"
        )
    blocks = []
    for block in module.blocks:
        wider, first, _, narrower, second = (cast(Any, part) for part in block.mix)
        taps = _array(block.over_time.weight)  # [channels, 1, 1, kernel]
        blocks.append(
            Block(
                dilation=int(block.over_time.dilation[1]),
                taps=taps.reshape(len(taps), -1).T,
                wider=_folded(_array(wider.weight)[:, :, 0, 0].T, first),
                narrower=_folded(_array(narrower.weight)[:, :, 0, 0].T, second),
            )
        )
    stem = _array(module.stem.weight)[:, :, 0].transpose(2, 1, 0)  # [kernel, features, channels]
    output = Product(_array(module.output.weight)[:, :, 0].T, _array(cast(Tensor, module.output.bias)))
    return Network(
        stem=_folded(stem.reshape(-1, stem.shape[2]), module.stem_norm),
        blocks=tuple(blocks),
        pool=module.pool.n_frames,
        output=output,
        n_features=int(stem.shape[1]),
    )


def float_activations(network: Network, features: Array) -> dict[str, Array]:
    """All activations of a stream from its start: features [frames, n] → arrays [frames, channels] by name.

    ``stem``, for each block ``0.time``, ``0.wider``, ``0.narrower`` and ``0.sum``, then ``mean`` and ``logits``.
    """
    stacked = np.concatenate([earlier(features, step) for step in range(network.kernel)][::-1], axis=1)
    x = np.maximum(_apply(network.stem, stacked), 0)
    found = {"stem": x}
    for number, block in enumerate(network.blocks):
        over_time = np.zeros_like(x)
        for step, tap in enumerate(block.taps[::-1]):
            over_time += tap * earlier(x, step * block.dilation)
        wider = np.maximum(_apply(block.wider, over_time), 0)
        narrower = _apply(block.narrower, wider)
        x = np.maximum(narrower + x, 0)
        found |= {f"{number}.time": over_time, f"{number}.wider": wider, f"{number}.narrower": narrower, f"{number}.sum": x}
    mean = sum(earlier(x, step) for step in range(network.pool)) / network.pool
    found["mean"] = mean
    found["logits"] = _apply(network.output, mean)
    return found


def _apply(part: Product, x: Array) -> Array:
    result: Array = x @ part.weights + part.bias
    return result


def _folded(weights: Array, norm: Any) -> Product:
    """Weights [inputs, outputs] with the batch norm after them."""
    factors = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return Product(weights * factors, _array(norm.bias) - _array(norm.running_mean) * factors)


def _array(tensor: Tensor) -> Array:
    result: Array = tensor.detach().cpu().numpy().astype(np.float64)
    return result
