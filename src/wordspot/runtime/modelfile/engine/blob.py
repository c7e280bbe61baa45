"""A network as the block of data that the C engine reads: a header of 64 words, then arrays, each padded to 64 bytes.

`model.c` of the engine reads it: the order here is the order there. All tables that need sines are computed here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import ExportError
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.model import Array, EngineModel, LocalPatterns, Product, round_up
from wordspot.runtime.modelfile.engine.reference import self_test_rows

MAGIC = b"wordspot"
VERSION = 2
WEIGHTS = ("float32", "int8")
_HEADER_WORDS, _ALIGNMENT, _LANES = 64, 64, 16
_KINDS = ("peak", "classic", "micro")
_LARGEST = 127
_INT8_TOLERANCE = 2e-3  # of a log posterior: other processors round activations in 16 bits differently


def make_blob(model: EngineModel, card: Card, weights: str = "float32", *, rows: Array | None = None) -> bytes:
    """The blob of a model.

    Args:
        model: as `recognise` reads it.
        card: of the same file.
        weights: ``"float32"``, or ``"int8"``: in 8 bits, with a factor for each output.
        rows: scores that the self-test expects; None: they are computed with numpy, which is slow.
    """
    in_8_bits = weights == "int8"
    if rows is None:
        rows = self_test_rows(model.with_weights(rounded) if in_8_bits else model, card, small=in_8_bits)
    quads = [_quads(channel) for channel in model.mel.T]
    parts: list[NDArray[Any]] = [*_tables(model), *_mel_arrays(quads), *_product(model.stem, in_8_bits, inputs=4)]
    if model.local:
        parts += _local(model.local, in_8_bits)
    for block in model.blocks:
        parts += _taps(_padded(block.taps, axes=(1,)), in_8_bits)
        parts += [*_product(block.wider, in_8_bits), *_product(block.narrower, in_8_bits)]
    labels = b"".join(label.encode() + b"\0" for label in card.labels)
    parts += [
        *_product(model.output, in_8_bits),
        np.array([card.decoder.threshold_of(label) for label in card.labels], "<f8"),
        np.frombuffer(labels, np.uint8),
        np.array(card.self_test.ends, "<u4"),
        _f32(np.log(np.maximum(rows, 1e-30))),
    ]
    header = _header(model, card, in_8_bits, sum(len(weights) // 4 for _, weights in quads), len(labels))
    return header + b"".join(_aligned(part.tobytes()) for part in parts)


def quantized(weights: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [inputs, outputs] as integers from -127 to 127, and the factor of each output that gives them back."""
    peaks = np.abs(weights).max(axis=0)
    factors = np.where(peaks > 0, peaks / _LARGEST, 1).astype(np.float32)
    return np.rint(weights / factors).clip(-_LARGEST, _LARGEST).astype(np.int8), factors


def rounded(weights: Array) -> Array:
    """Weights after quantization to 8 bits and back."""
    numbers, factors = quantized(weights)
    result: Array = numbers.astype(np.float64) * factors
    return result


def _header(model: EngineModel, card: Card, in_8_bits: bool, n_quads: int, n_label_bytes: int) -> bytes:
    decoder, test = card.decoder, card.self_test
    if decoder.kind not in _KINDS:
        raise ExportError(f"the C engine has the decoders {', '.join(_KINDS)}, not {decoder.kind}")
    words = np.zeros(_HEADER_WORDS, "<u4")
    words[:2] = np.frombuffer(MAGIC, "<u4")
    words[2:4] = VERSION, in_8_bits
    n_channels, n_inside = (round_up(part.weights.shape[1], _LANES) for part in (model.stem, model.blocks[0].wider))
    words[4:20] = (
        card.sample_rate, model.hop, len(model.window), model.n_fft, model.n_mels, n_quads,
        len(model.stem.weights) // model.n_mels, n_channels, n_inside, len(model.blocks), len(model.blocks[0].taps),
        model.pool, len(card.labels), model.early_frames, card.clip_samples // card.step_samples, n_label_bytes,
    )  # fmt: skip
    words[20:22] = _KINDS.index(decoder.kind), decoder.minimum_count
    times = (decoder.average_ms, decoder.suppression_ms, decoder.refractory_ms, decoder.confirm_ms, decoder.stride_ms)
    words[22:32] = np.array(times, "<f8").view("<u4")
    words[32:35] = _f32(np.array([model.floor, model.mean, model.scale])).view("<u4")
    words[35:42] = (test.n_samples, test.seed, *test.tones[0], *test.tones[1], len(test.ends))
    words[42:43] = _f32(np.array([_INT8_TOLERANCE if in_8_bits else test.tolerance])).view("<u4")
    if model.local:
        words[43:45] = [round_up(part.weights.shape[1], _LANES) for part in (model.local.first, model.local.second)]
    words[48 : 48 + len(model.blocks)] = [block.dilation for block in model.blocks]
    return words.tobytes()


def _tables(model: EngineModel) -> list[NDArray[Any]]:
    """The window, and the turns of the transform: of n = rows * columns complex numbers, and of the real one of 2 n."""
    n = model.n_fft // 2
    rows = 8
    while rows * rows < n:
        rows *= 2
    columns = n // rows
    window = np.zeros(round_up(len(model.window), 2))
    window[: len(model.window)] = model.window / 32768
    grid = np.outer(np.arange(rows), np.arange(columns)).ravel()
    turns = [(np.arange(rows), rows), (np.arange(columns), columns), (grid, n), (np.arange(n // 2 + 1), 2 * n)]
    return [_f32(window), *(_turns(steps, whole) for steps, whole in turns)]


def _turns(steps: NDArray[np.int64], whole: int) -> NDArray[np.float32]:
    """Cosines, then sines, of exp(-2 pi i steps / whole)."""
    angles = -2 * np.pi * (steps % whole) / whole
    return _f32(np.concatenate([np.cos(angles), np.sin(angles)]))


def _quads(channel: Array) -> tuple[int, Array]:
    """The first bin of a mel channel and its weights, padded with zeros to a multiple of four."""
    used = np.flatnonzero(channel)
    if not len(used):
        return 0, np.zeros(0)
    weights = np.zeros(round_up(int(used[-1] - used[0]) + 1, 4))
    part = channel[used[0] : used[-1] + 1]
    weights[: len(part)] = part
    return int(used[0]), weights


def _mel_arrays(quads: list[tuple[int, Array]]) -> list[NDArray[Any]]:
    starts, counts = [start for start, _ in quads], [len(weights) // 4 for _, weights in quads]
    return [np.array(starts, "<u4"), np.array(counts, "<u4"), _f32(np.concatenate([weights for _, weights in quads]))]


def _local(local: LocalPatterns, in_8_bits: bool) -> list[NDArray[Any]]:
    """Three products; the first stays float32. The channels of their inputs are padded as the outputs before them."""
    arrays = _product(local.first, in_8_bits=False, inputs=1)
    for part, before in ((local.second, local.first), (local.join, local.second)):
        n_before, n_out = before.weights.shape[1], part.weights.shape[1]
        weights = _padded(part.weights.reshape(-1, n_before, n_out), (1,)).reshape(-1, n_out)
        arrays += _product(replace(part, weights=weights), in_8_bits)
    return arrays


def _taps(taps: Array, in_8_bits: bool) -> list[NDArray[Any]]:
    if not in_8_bits:
        return [_f32(taps)]
    numbers, factors = quantized(taps)
    return [numbers, factors.astype("<f4")]


def _product(part: Product, in_8_bits: bool, inputs: int = _LANES) -> list[NDArray[Any]]:
    """Weights and bias; inputs and outputs padded with zeros."""
    weights = _padded(part.weights, (1,))
    weights = np.pad(weights, ((0, round_up(len(weights), inputs) - len(weights)), (0, 0)))
    bias = _f32(_padded(part.bias, (0,)))
    if not in_8_bits:
        return [_f32(weights), bias]
    numbers, factors = quantized(weights)
    fours = numbers.reshape(len(numbers) // 4, 4, -1)[:, [0, 2, 1, 3]].transpose(0, 2, 1)  # [inputs / 4, outputs, 4]
    return [np.ascontiguousarray(fours), factors.astype("<f4"), bias]


def _padded(values: Array, axes: tuple[int, ...]) -> Array:
    """Pad some axes with zeros to a multiple of 16."""
    return np.pad(values, [(0, round_up(size, _LANES) - size if axis in axes else 0) for axis, size in enumerate(values.shape)])


def _f32(values: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, "<f4")


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
