"""The C engine in WebAssembly: the files that `tools/build_wasm.py` makes and wheels contain, and the data of a model for it."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable

import numpy as np

from wordspot.errors import NotFoundError
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.blob import make_blob
from wordspot.runtime.modelfile.engine.opening import recognised
from wordspot.runtime.modelfile.engine.reference import check_understood
from wordspot.runtime.modelfile.graph import walk

ENGINE, MODULE = "engine.wasm", "wordspot.js"
"""The engine, and the JavaScript module that runs it."""


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


def blob_of_file(data: bytes, card: Card, weights: str) -> bytes:
    """An exported file as the data that the engine reads.

    Args:
        data: the file's content.
        card: of the file.
        weights: ``"float32"``; or ``"int8"``, a quarter of the size, with scores that differ a little.

    Raises:
        ExportError: the engine does not support the file; the message says what it supports.
    """
    model = recognised(walk(data), card)
    check_understood(model, card)
    rows = np.exp(np.array(card.self_test.log_posteriors)) if weights == "float32" else None
    return make_blob(model, card, weights, rows=rows)
