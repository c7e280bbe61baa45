"""What a page downloads if the model's weights have fewer bits, and files with such weights, for `hearing.py`.

    python benchmarks/coarse_weights.py OUT [MODEL.onnx] [--bits 8 7 6 5]
    python benchmarks/hearing.py DATA OUT/weights-6.onnx --split validation

The engine's data hold weights in 8 bits whatever their number of levels, so that gzip gains from fewer levels and no reader
changes. The bound is the entropy of the weights of each layer: no coder of single weights is below it.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import lzma
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from wordspot.files import atomic_path
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import Card, read_card, with_card
from wordspot.runtime.modelfile.engine.blob import make_blob
from wordspot.runtime.modelfile.engine.opening import recognised
from wordspot.runtime.modelfile.graph import walk
from wordspot.runtime.modelfile.self_test import self_test_scores
from wordspot.runtime.modelfile.session import open_session

SMALLEST = 256  # weights: smaller layers keep theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("model", type=Path, nargs="?", help="default: the model that comes with wordspot")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 7, 6, 5], help="default: 8 7 6 5")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = read_model(args.model)[1]
    card = read_card(data)
    for bits in args.bits:
        coarse, bound = with_coarse_weights(data, card, bits)
        with atomic_path(args.out / f"weights-{bits}.onnx") as path:
            path.write_bytes(coarse)
        after = read_card(coarse)
        blob = make_blob(recognised(walk(coarse), after), after, "int8", rows=posteriors(after))
        moved = np.abs(posteriors(after) - posteriors(card)).max()
        sizes = f"gzip {len(gzip.compress(blob, 9)) / 1000:.1f} kB, xz {len(lzma.compress(blob, preset=9)) / 1000:.1f} kB"
        print(
            f"{bits} bits: {sizes}, weights alone at least {bound / 1000:.1f} kB; posteriors of the self-test move by {moved:.3f}"
        )


def with_coarse_weights(data: bytes, card: Card, bits: int) -> tuple[bytes, float]:
    """The file with the weights of its convolutions rounded, and the bytes that these weights need at least."""
    model, bound = onnx.load_model_from_string(data), 0.0
    read = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input[1:2]}
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if tensor.name not in read or weights.size < SMALLEST:
            continue
        numbers, factors = coarse_numbers(weights, 2 ** (bits - 1) - 1)
        bound += entropy(numbers) * numbers.size / 8
        tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float32) * factors, tensor.name))
    rounded = model.SerializeToString()
    logs = np.log(np.maximum(self_test_scores(open_session(rounded), card).astype(np.float64), 1e-30)).round(6)
    answers = dataclasses.replace(card.self_test, log_posteriors=tuple(map(tuple, logs.tolist())))
    return with_card(rounded, dataclasses.replace(card, self_test=answers)), bound


def coarse_numbers(weights: NDArray[np.float32], largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as integers up to `largest`, and the factor of each output, axis 0, that gives them back."""
    peaks = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    factors = np.where(peaks > 0, peaks / largest, 1).astype(np.float32)
    return np.rint(weights / factors).clip(-largest, largest).astype(np.int8), factors


def entropy(numbers: NDArray[np.int8]) -> float:
    """Bits a number, if each is coded on its own by how often it occurs."""
    shares = np.unique(numbers, return_counts=True)[1] / numbers.size
    return float(-(shares * np.log2(shares)).sum())


def posteriors(card: Card) -> NDArray[np.float64]:
    """Of the self-test."""
    return np.exp(np.array(card.self_test.log_posteriors))


if __name__ == "__main__":
    main()
