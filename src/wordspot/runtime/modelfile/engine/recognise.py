"""Read a network for the C engine back from an exported file: log-mel features and a `residual_1d` or `trigger_1d`.

The file does not name its layers. They are recognised by the order of the operators, constants are folded as in ONNX Runtime,
and `reference` checks the result on the self-test of the card. Neither torch nor onnx is needed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from wordspot.errors import ExportError
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.constants import find_constants
from wordspot.runtime.modelfile.engine.model import Array, Block, EngineModel, LocalPatterns, Product, round_up
from wordspot.runtime.modelfile.graph import Node, Walked

SUPPORTED = (
    "the C engine runs streaming files of the networks residual_1d and trigger_1d with the front end logmel and a Fourier "
    "transform of 128 to 16384 samples, a power of two"
)
_MOST_FFT = 1 << 20  # far above the engine's limit; bounds what an odd file allocates
#: Operators that move values but compute nothing.
_MOVES = {"Concat", "Reshape", "Slice", "Squeeze", "Unsqueeze", "Transpose"}
_FRONT = "Conv Mul Conv Log Sub Mul"
_LOCAL = "Conv Relu Conv Relu Conv Add"
_WORDS = re.compile(rf"{_FRONT} Conv( {_LOCAL})? Relu( Conv Conv Relu Conv Add Relu)+ AveragePool Conv Softmax")
_TRIGGER = re.compile(
    rf"{_FRONT} Mul Add Mul Conv( {_LOCAL})? Relu Mul( Conv Conv Relu Conv Add Relu Mul)+ AveragePool Conv Softmax"
)


def recognise(walked: Walked, card: Card) -> EngineModel:
    """Read a network and its front end from the graph of an exported file.

    Raises:
        ExportError: the engine cannot run it; the message says what it supports.
    """
    if card.kind != "stream":
        raise _unsupported("scores clips and does not stream")
    constants, nodes = find_constants(walked)
    kept = [node for node in nodes if node.op_type not in _MOVES]
    order = " ".join(node.op_type for node in kept)
    is_trigger = bool(_TRIGGER.fullmatch(order))
    if not is_trigger and not _WORDS.fullmatch(order):
        name = card.config.get("model", {}).get("name", "")
        front = card.config.get("features", {}).get("kind", "")
        raise _unsupported(f"has another graph (network {name or 'unknown'}, front end {front or 'unknown'})")
    try:
        model = _read(kept, constants, card, card.states[-1].shape[-1] if is_trigger else 0)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise _unsupported(f"has other parts ({' '.join(str(error).split())})") from error
    _check_sizes(model, card)
    return model


def _unsupported(what: str) -> ExportError:
    return ExportError(f"this file {what}; {SUPPORTED}")


def _read(nodes: list[Node], constants: dict[str, Any], card: Card, early_frames: int) -> EngineModel:
    """Raises ValueError and the like if a constant has another shape."""
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    front, mel_node, stem, *middle, output = convolutions
    has_local = nodes[nodes.index(stem) + 1].op_type == "Conv"
    local, middle = (middle[:3], middle[3:]) if has_local else ([], middle)
    logarithm = next(index for index, node in enumerate(nodes) if node.op_type == "Log")
    mean, scale = (_only(constants[nodes[logarithm + step].inputs[1]]) for step in (1, 2))
    window, n_fft, first_bin = _window(_array(constants[front.inputs[1]]))
    mel = _mel(_array(constants[mel_node.inputs[1]]), n_fft, first_bin)
    pool = next(node for node in nodes if node.op_type == "AveragePool")
    blocks = tuple(_block(middle[at : at + 3], constants) for at in range(0, len(middle), 3))
    return EngineModel(
        hop=int(front.attributes["strides"][-1]),
        window=window,
        n_fft=n_fft,
        mel=mel,
        floor=_only(constants[mel_node.inputs[2]]),
        mean=mean,
        scale=scale,
        stem=_stem(stem, constants),
        blocks=blocks,
        pool=int(pool.attributes["kernel_shape"][-1]),
        output=_product(output, constants),
        early_frames=int(early_frames),
        local=_local(local, constants, mel.shape[1]) if has_local else None,
    )


def _block(nodes: list[Node], constants: dict[str, Any]) -> Block:
    over_time, wider, narrower = nodes
    taps = _array(constants[over_time.inputs[1]])  # [channels, 1, 1, kernel]
    if len(over_time.inputs) > 2 or over_time.attributes.get("group") != len(taps) or taps[..., 0].size != len(taps):
        raise ValueError(f"a convolution over time of shape {list(taps.shape)}")
    dilation = int(over_time.attributes.get("dilations", [1])[-1])
    return Block(dilation, taps.reshape(len(taps), -1).T, _product(wider, constants), _product(narrower, constants))


def _stem(node: Node, constants: dict[str, Any]) -> Product:
    weights = _array(constants[node.inputs[1]])  # [channels, mels, 1, kernel]
    n_channels, _, height, _ = weights.shape
    if height != 1 or "dilations" in node.attributes or "strides" in node.attributes:
        raise ValueError(f"a first convolution of shape {list(weights.shape)}")
    return Product(weights[:, :, 0].transpose(2, 1, 0).reshape(-1, n_channels), _bias(node, constants, n_channels))


def _local(nodes: list[Node], constants: dict[str, Any], n_features: int) -> LocalPatterns:
    first, second = (_over_frequency(node, constants) for node in nodes[:2])
    join = _product(nodes[2], constants)
    local = LocalPatterns(first, second, join, n_features)
    weights = join.weights.reshape(-1, local.heights[1], join.weights.shape[1]).transpose(1, 0, 2)  # from [channel][row]
    return replace(local, join=replace(join, weights=weights.reshape(join.weights.shape)))


def _over_frequency(node: Node, constants: dict[str, Any]) -> Product:
    """A convolution over coefficients, inputs [5 coefficients][channels or frames]."""
    weights = _array(constants[node.inputs[1]])  # [channels, channels before, 5, frames]
    n_channels, n_before, height, n_frames = weights.shape
    attributes = node.attributes
    moves = list(attributes.get("strides", [])), list(attributes.get("pads", []))
    if height != 5 or min(n_before, n_frames) != 1 or moves != ([2, 1], [2, 0, 2, 0]) or {"dilations", "group"} & {*attributes}:
        raise ValueError(f"a convolution over coefficients of shape {list(weights.shape)}")
    return Product(weights.transpose(2, 1, 3, 0).reshape(-1, n_channels), _bias(node, constants, n_channels))


def _product(node: Node, constants: dict[str, Any]) -> Product:
    weights = _array(constants[node.inputs[1]])
    if weights.size != weights.shape[0] * weights.shape[1] or "group" in node.attributes:
        raise ValueError(f"a convolution of shape {list(weights.shape)}")
    return Product(weights.reshape(weights.shape[:2]).T, _bias(node, constants, len(weights)))


def _bias(node: Node, constants: dict[str, Any], n: int) -> Array:
    return _array(constants[node.inputs[2]]).reshape(n) if len(node.inputs) > 2 else np.zeros(n)


def _window(kernel: Array) -> tuple[Array, int, int]:
    """The window, the length and the first bin of a windowed Fourier transform, kernel [2 * bins, 1, 1, samples].

    Bin b turns by 2 pi b / n_fft from sample 0 to sample 1. The sign of its sines does not matter, as they are squared.
    """
    cosines, sines = kernel.reshape(2, len(kernel) // 2, -1)
    window = np.hypot(cosines[0], sines[0])
    turns = np.arctan2(np.abs(sines[:, 1]), cosines[:, 1]) / (2 * np.pi)
    n_fft = round((len(turns) - 1) / (turns[-1] - turns[0]))
    first = round(turns[0] * n_fft)
    if not (0 < n_fft <= _MOST_FFT and first + len(turns) <= n_fft // 2 + 1):
        raise ValueError("a first convolution that is no Fourier transform")
    angles = np.arange(n_fft) * (2 * np.pi / n_fft)
    circle = np.cos(angles), np.abs(np.sin(angles))
    samples = np.arange(len(window))
    for bin_cosines, bin_sines, number in zip(cosines, sines, range(first, first + len(turns)), strict=True):
        turned = number * samples % n_fft
        parts = (bin_cosines, circle[0][turned]), (np.abs(bin_sines), circle[1][turned])
        if not max(_apart(found, expected * window) for found, expected in parts) <= 1e-4:
            raise ValueError("a first convolution that is no Fourier transform")
    return window, n_fft, first


def _mel(weights: Array, n_fft: int, first_bin: int) -> Array:
    """[n_fft / 2 + 1, mels] from [mels, 2 * bins, 1, 1], of the squares of real, then of imaginary parts."""
    real, imaginary = weights.reshape(len(weights), 2, -1).transpose(1, 0, 2)
    if not (real == imaginary).all():
        raise ValueError("mel channels that weigh real and imaginary parts differently")
    mel = np.zeros((n_fft // 2 + 1, len(weights)))
    mel[first_bin : first_bin + real.shape[1]] = real.T
    return mel


def _check_sizes(model: EngineModel, card: Card) -> None:
    """Check the limits of the engine's reader, and that the card fits the graph."""
    n_fft, hop = model.n_fft, model.hop
    limits = {
        "samples of a Fourier transform": (n_fft, 128, 1 << 14),
        "samples of a window": (len(model.window), hop + 1, n_fft),
        "coefficients in a first convolution": (len(model.stem.weights), 2 * model.n_mels, min(16 * model.n_mels, 512)),
        "channels": (model.stem.weights.shape[1], 1, 512),
        "channels inside a block": (model.blocks[0].wider.weights.shape[1], 1, 512),
        "blocks": (len(model.blocks), 1, 16),
        "frames in a mean": (model.pool, 1, 4096),
        "early frames": (model.early_frames, 0, 1000),
        "frames between two taps": (max(block.dilation for block in model.blocks), 1, 256),
        "rows in the decoder's mean": (int(card.decoder.average_ms * card.sample_rate / 1000 / hop), 0, (1 << 16) - 1),
        **(_local_limits(model.local, model) if model.local else {}),
    }
    for what, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise _unsupported(f"has {value} {what} (expected {low} to {high})")
    if n_fft & (n_fft - 1):
        raise _unsupported(f"has a Fourier transform of {n_fft} samples")
    if hop != card.step_samples or card.states[0].shape != (1, model.kept):
        raise _unsupported(f"moves by {hop} samples and keeps {card.states[0].shape[-1]}")


def _local_limits(local: LocalPatterns, model: EngineModel) -> dict[str, tuple[int, int, int]]:
    n_first, n_local = (round_up(part.weights.shape[1], 16) for part in (local.first, local.second))  # as the engine pads them
    n_inputs = 5 * len(model.stem.weights) // model.n_mels
    return {
        "inputs of the first local pattern": (len(local.first.weights), n_inputs, n_inputs),
        "inputs of the second local pattern": (5 * n_first, 1, 512),
        "local patterns of a frame": (n_local * local.heights[1], 1, 512),
    }


def _array(values: Any) -> Array:
    return np.asarray(values, np.float64)


def _only(values: Any) -> float:
    """The one number that all values have."""
    numbers = _array(values)
    least, most = float(numbers.min()), float(numbers.max())
    if least != most:
        raise ValueError(f"numbers from {least:g} to {most:g} where one was expected")
    return least


def _apart(left: Array, right: Array) -> float:
    return float(np.abs(left - right).max())
