"""The C engine in WebAssembly: the files that `tools/build_wasm.py` makes and wheels contain, and the data of a model for it."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable

import numpy as np

from wordspot.errors import NotFoundError
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.blob import make_blob, rounded
from wordspot.runtime.modelfile.engine.opening import recognised
from wordspot.runtime.modelfile.engine.reference import check_understood, self_test_rows
from wordspot.runtime.modelfile.graph import walk

ENGINE, MODULE = "engine.wasm", "wordspot.js"
"""The engine, and the JavaScript module that runs it."""

_MOST_LOSS = 0.05


def wasm_folder() -> Traversable:
    """Where the files are in this installation."""
    return importlib.resources.files("wordspot") / "engine" / "wasm"


def has_wasm() -> bool:
    """Whether this installation has the engine in WebAssembly."""
    return (wasm_folder() / ENGINE).is_file()


def check_wasm() -> None:
    """Raises NotFoundError if this installation has no engine in WebAssembly."""
    if not has_wasm():
        raise NotFoundError(
            f"{ENGINE}: the engine in WebAssembly is missing from this installation; wheels have it. In a checkout run "
            "`python tools/build_wasm.py`, which needs clang and lld, and install again"
        )


def blob_of_file(data: bytes, card: Card, weights: str) -> tuple[bytes, str]:
    """An exported file as the data that the engine reads.

    Args:
        data: the file's content.
        card: of the file.
        weights: ``"float32"``; or ``"int8"``, a quarter of the size, with scores that differ a little.

    Returns:
        The data, and their weights: not ``"int8"`` if that would change a posterior of the self-test by more than 0.05.

    Raises:
        ExportError: the engine does not support the file; the message says what it supports.
    """
    model = recognised(walk(data), card)
    check_understood(model, card)
    rows = np.exp(np.array(card.self_test.log_posteriors))
    if weights == "int8":
        in_8_bits = self_test_rows(model.with_weights(rounded), card, small=True)
        if np.abs(in_8_bits - rows).max() <= _MOST_LOSS:
            return make_blob(model, card, weights, rows=in_8_bits), weights
    return make_blob(model, card, "float32", rows=rows), "float32"
