"""The C engine's computation in numpy and double precision, which checks that a file was read correctly before it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import ExportError
from wordspot.runtime.modelfile.card import Card, self_test_signal
from wordspot.runtime.modelfile.engine.model import Array, EngineModel, Product
from wordspot.runtime.modelfile.engine.recognise import SUPPORTED
from wordspot.runtime.modelfile.self_test import difference

_SMALL = 32767  # the largest activation in 16 bits


def reference_scores(model: EngineModel, audio: NDArray[np.float32], *, small: bool = False) -> Array:
    """Scores of a stream from its start.

    Args:
        model: of the file.
        audio: float32 [samples] in [-1, 1].
        small: round activations to 16 bits, scaled for each vector, as the engine does with weights in 8 bits.

    Returns:
        posteriors: float64 [hops, labels].
    """
    x = _features(model, audio)
    held = np.arange(len(x)) < model.early_frames
    x[held] = 0
    x = np.maximum(_first(model, x, small), 0)
    x[held] = 0
    for block in model.blocks:
        y, kept = np.zeros_like(x), _in_16_bits(x) if small else x
        for step, tap in enumerate(block.taps[::-1]):
            y += tap * earlier(kept, step * block.dilation)
        inside = np.maximum(_product(block.wider, y, small), 0)
        x = np.maximum(_product(block.narrower, inside, small) + x, 0)
        x[held] = 0
    mean, kept = np.zeros_like(x), _in_16_bits(x) if small else x
    for step in range(model.pool):
        mean += earlier(kept, step) / model.pool
    return softmax(_product(model.output, mean, small))


def self_test_rows(model: EngineModel, card: Card, *, small: bool = False) -> Array:
    """The scores [rows, labels] that the self-test of the card compares."""
    scores = reference_scores(model, self_test_signal(card.self_test), small=small)
    return scores[[end // card.step_samples - 1 for end in card.self_test.ends]]


def check_understood(model: EngineModel, card: Card) -> None:
    """Check the model on the self-test of its card.

    Raises:
        ExportError: the scores differ, so the file holds another network that only looks like a supported one.
    """
    apart = difference(self_test_rows(model, card), np.exp(np.array(card.self_test.log_posteriors)))
    if not apart <= card.self_test.tolerance:
        raise ExportError(f"this file gives other scores than its operators suggest (by {apart:.2g}); {SUPPORTED}")


def _features(model: EngineModel, audio: NDArray[np.float32]) -> Array:
    hop, size = model.hop, len(model.window)
    n_hops = len(audio) // hop
    joined = np.concatenate([np.zeros(model.kept), audio[: n_hops * hop]])
    windows = np.lib.stride_tricks.sliding_window_view(joined, size)[::hop][:n_hops]
    power = np.abs(np.fft.rfft(windows * model.window, model.n_fft)) ** 2
    features: Array = (np.log(power @ model.mel + model.floor) - model.mean) * model.scale
    return features


def _first(model: EngineModel, x: Array, small: bool) -> Array:
    """The stem, and the local patterns beside it, before the ReLU: [frames, features] → [frames, channels]."""
    kernel = len(model.stem.weights) // model.n_mels
    seen = np.stack([earlier(x, step) for step in range(kernel)][::-1], axis=1)  # [frames, kernel, features]
    y = _product(model.stem, seen.reshape(len(x), -1), small)
    if model.local is None:
        return y
    first = np.maximum(_over_frequency(model.local.first, seen.transpose(0, 2, 1), small=False), 0)
    second = np.maximum(_over_frequency(model.local.second, first, small), 0)
    return y + _product(model.local.join, second.reshape(len(x), -1), small)


def _over_frequency(part: Product, x: Array, small: bool) -> Array:
    """A convolution, 5 high and moving by 2: [frames, rows, inputs] → [frames, rows / 2, outputs]."""
    n_frames, n_rows, _ = x.shape
    if small:
        x = _in_16_bits(x.reshape(n_frames, -1)).reshape(x.shape)
    padded = np.pad(x, ((0, 0), (2, 4), (0, 0)))
    patches = np.stack([padded[:, row : row + 5].reshape(n_frames, -1) for row in range(0, n_rows, 2)], axis=1)
    return _product(part, patches, small=False)


def earlier(x: Any, n_frames: int) -> Any:
    """Delay x [frames, channels] by some frames; zeros precede it."""
    return np.concatenate([np.zeros((min(n_frames, len(x)), x.shape[1]), x.dtype), x[: max(len(x) - n_frames, 0)]])


def softmax(logits: Array) -> Array:
    """Posteriors of logits, both [rows, labels]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    posteriors: Array = powers / powers.sum(axis=1, keepdims=True)
    return posteriors


def _product(part: Product, x: Array, small: bool) -> Array:
    if small:
        x = _in_16_bits(x)
    result: Array = x @ part.weights + part.bias
    return result


def _in_16_bits(x: Array) -> Array:
    """x [frames, inputs] rounded to 16 bits, scaled for each frame."""
    scale = np.abs(x).max(axis=1, keepdims=True) / _SMALL
    rounded: Array = np.rint(x / np.where(scale > 0, scale, 1)) * scale
    return rounded
