"""A network in 8 bits: scales of its activations that recordings give, and its computation in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import ExportError
from wordspot.export.tflite import fixed
from wordspot.export.tflite.fixed import Ints, Scale
from wordspot.export.tflite.heads import ALL, RIVALS
from wordspot.export.tflite.network import Network, float_activations
from wordspot.runtime.modelfile.engine.model import Array, Product
from wordspot.runtime.modelfile.engine.reference import earlier, softmax

_QUANTILE, _MARGIN = 0.9999, 1.15  # of an activation's range: rare peaks are clipped, the rest has some headroom
_LARGEST = 127
_MOST_SUM = 1 << 30  # of a bias
#: Logits from -8 to 8; beyond these a sigmoid in 8 bits is 0 or 1.
LOGITS = Scale(1 / 16, 0)
SCORES = Scale(1 / 256, -128)


@dataclass(frozen=True)
class Layer:
    """A layer in 8 bits.

    Attributes:
        weights: int64 from -127 to 127, [inputs, outputs]; of a depthwise convolution [taps, channels].
        steps: size of one unit of the weights: one step for each output, or a single one.
        bias: 32-bit integers, in units of the step of input times weights.
        before: scale of its input.
        after: scale of its output.
        relu: whether a ReLU follows.
    """

    weights: Ints
    steps: Array
    bias: Ints
    before: Scale
    after: Scale
    relu: bool

    @property
    def factors(self) -> Array:
        """From sums to the output's integers, for each output."""
        result: Array = self.before.step * self.steps / self.after.step
        return result


@dataclass(frozen=True)
class QuantizedBlock:
    """A residual block. Taps of a dilated convolution have zeros between them, because optimised kernels have no dilation."""

    over_time: Layer
    wider: Layer
    narrower: Layer
    after: Scale


@dataclass(frozen=True)
class Quantized:
    """A network in 8 bits.

    Attributes:
        features: scale of the input.
        kernel: frames that the stem sees.
        head: one of `heads`.
    """

    features: Scale
    n_features: int
    kernel: int
    stem: Layer
    blocks: tuple[QuantizedBlock, ...]
    pool: int
    output: Layer
    head: str


def quantize(network: Network, features: Scale, streams: Sequence[Array], head: str) -> Quantized:
    """Choose the scale of each activation and round the weights.

    Args:
        network: with the last layer of `head`.
        features: scale of the input.
        streams: features [frames, n] of recordings, as the file will get them.
        head: of `heads.with_head`.

    Raises:
        ExportError: the network gives no finite numbers.
    """
    ranges = _ranges(network, streams)
    kernel, before = network.kernel, ranges["stem"]
    stem = _product(network.stem, features, before, relu=True)
    blocks = []
    for number, block in enumerate(network.blocks):
        over_time, wider, narrower, total = (ranges[f"{number}.{name}"] for name in ("time", "wider", "narrower", "sum"))
        taps = np.zeros(((len(block.taps) - 1) * block.dilation + 1, block.taps.shape[1]))
        taps[:: block.dilation] = block.taps
        blocks.append(
            QuantizedBlock(
                over_time=_product(Product(taps, np.zeros(taps.shape[1])), before, over_time),
                wider=_product(block.wider, over_time, wider, relu=True),
                narrower=_product(block.narrower, wider, narrower),
                after=total,
            )
        )
        before = total
    after = ranges["logits"] if head == ALL else LOGITS
    output = _product(network.output, before, after, one_step=True)
    return Quantized(features, network.n_features, kernel, stem, tuple(blocks), network.pool, output, head)


def quantized_scores(model: Quantized, features: Ints, stride: int) -> Ints:
    """Scores of a stream from its start as a device computes them.

    Args:
        model: the network.
        features: integers [frames, n_features].
        stride: frames of a call.

    Returns:
        scores: from 0 to 255, [calls, 1], or [calls, labels] of a head that has all.
    """
    centred = features - model.features.zero
    stacked = np.concatenate([earlier(centred, step) for step in range(model.kernel)][::-1], axis=1)
    x, scale = _apply(model.stem, stacked), model.stem.after
    for block in model.blocks:
        sums, taps = np.zeros_like(x), block.over_time.weights
        for step in np.flatnonzero(taps.any(axis=1)):
            sums += taps[step] * earlier(x - scale.zero, len(taps) - 1 - int(step))
        y = fixed.bounded(fixed.rescale(sums, block.over_time.factors), block.over_time.after, relu=False)
        y = _apply(block.wider, y - block.over_time.after.zero)
        y = _apply(block.narrower, y - block.wider.after.zero)
        x = fixed.add(y, block.narrower.after, x, scale, block.after)
        scale = block.after
    total = sum(earlier(x - scale.zero, step)[stride - 1 :: stride] for step in range(model.pool))
    averaged = fixed.mean(total + scale.zero * model.pool, model.pool)
    logits = _apply(model.output, averaged - scale.zero)
    return _scores(logits, model)


def _scores(logits: Ints, model: Quantized) -> Ints:
    numbers = model.output.after.numbers(logits)
    if model.head == ALL:
        scores = softmax(numbers)
    else:
        if model.head == RIVALS:
            numbers = LOGITS.numbers(LOGITS.ints(-numbers.max(axis=1, keepdims=True)))
        scores = 1 / (1 + np.exp(-numbers))
    result: Ints = SCORES.ints(scores) - SCORES.zero
    return result


def _apply(layer: Layer, centred: Ints) -> Ints:
    sums = (centred.astype(np.float64) @ layer.weights.astype(np.float64)).astype(np.int64) + layer.bias  # exact below 2**53
    return fixed.bounded(fixed.rescale(sums, layer.factors), layer.after, layer.relu)


def _product(part: Product, before: Scale, after: Scale, *, relu: bool = False, one_step: bool = False) -> Layer:
    peaks = np.abs(part.weights).max(axis=0)
    if one_step:
        peaks = peaks.max(keepdims=True)
    steps = np.where(peaks > 0, peaks / _LARGEST, 1).astype(np.float32).astype(np.float64)
    weights = np.rint(part.weights / steps).clip(-_LARGEST, _LARGEST).astype(np.int64)
    bias = np.rint(part.bias / (before.step * steps)).clip(-_MOST_SUM, _MOST_SUM).astype(np.int64)
    return Layer(weights, steps, bias, before, after, relu)


def _ranges(network: Network, streams: Sequence[Array]) -> dict[str, Scale]:
    """The scale of each activation: the widest quantiles of all streams, with a margin."""
    peaks: dict[str, list[NDArray[np.float64]]] = {}
    for features in streams:
        for name, values in float_activations(network, features).items():
            if not np.isfinite(values).all():
                raise ExportError("the network's activations are not finite numbers; train it again")
            bounds = np.quantile(values, [1 - _QUANTILE, _QUANTILE])
            peaks.setdefault(name, []).append(bounds)
    scales = {}
    for name, each in peaks.items():
        lows, highs = np.array(each).T
        scales[name] = fixed.scale_of(_MARGIN * float(lows.min()), _MARGIN * float(highs.max()))
    return scales
