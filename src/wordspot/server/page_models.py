"""Models as the page runs them: in wordspot's own engine in WebAssembly, or, if it does not know a file, in onnxruntime-web."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wordspot.errors import ExportError
from wordspot.runtime.modelfile.card import to_json
from wordspot.runtime.modelfile.engine.wasm import ENGINE, MODULE, blob_of_file, has_wasm, wasm_folder
from wordspot.server.config import PAGE_WEIGHTS
from wordspot.server.served import ServedModel

RUNTIME = "vendor/ort"
"""onnxruntime-web, below the folder of the page."""


@dataclass(frozen=True)
class PageModel:
    """A model of the page.

    Attributes:
        model: the exported file.
        blob: the model's data for the engine in WebAssembly; None: onnxruntime-web runs the exported file.
        weights: of `blob`, ``"int8"`` or ``"float32"``.
    """

    model: ServedModel
    blob: bytes | None = None
    weights: str = ""

    @property
    def onnx_path(self) -> str:
        """Where the page finds the exported file."""
        return f"models/{self.model.name}.onnx"

    @property
    def blob_path(self) -> str:
        """Where the page finds `blob`."""
        return f"models/{self.model.name}.bin"

    def description(self) -> dict[str, Any]:
        """What the page needs to run the model: a summary, the URLs of its files, and the whole card."""
        engine = None
        if self.blob is not None:
            engine = {"file": quote(self.blob_path), "weights": self.weights, "bytes": len(self.blob)}
        return {**self.model.summary(), "file": quote(self.onnx_path), "engine": engine, "card": to_json(self.model.card)}


def make_page_models(models: Sequence[ServedModel], weights: str = PAGE_WEIGHTS) -> list[PageModel]:
    """Prepare models for the page, with the `weights` that the user wants, unless ``"int8"`` would change scores too much."""
    return [_prepared(model, weights) if has_wasm() else PageModel(model) for model in models]


def made_files(models: Sequence[PageModel], facts: dict[str, Any]) -> dict[str, bytes]:
    """The files of the page that are not in its folder: the engine, the models, and ``models.json``, which lists them.

    Args:
        models: of the page; the first is chosen at start.
        facts: about the server, added to ``models.json``.

    Returns:
        The content of each file, by its path.
    """
    listing = {"models": [model.description() for model in models], **facts}
    files = {"models.json": json.dumps(listing, ensure_ascii=False, allow_nan=False).encode()}
    files[f"engine/{MODULE}"] = (wasm_folder() / MODULE).read_bytes()
    if has_wasm():
        files[f"engine/{ENGINE}"] = (wasm_folder() / ENGINE).read_bytes()
    for model in models:
        files[model.onnx_path] = model.model.data
        if model.blob is not None:
            files[model.blob_path] = model.blob
    return files


def not_runnable(models: Sequence[PageModel], page: Path) -> list[str]:
    """Names of the models that the page cannot run, because `page`, its folder, lacks onnxruntime-web."""
    if any((page / RUNTIME).glob("*.wasm")):
        return []
    return [model.model.name for model in models if model.blob is None]


def _prepared(model: ServedModel, weights: str) -> PageModel:
    try:
        return PageModel(model, *blob_of_file(model.data, model.card, weights))
    except ExportError:
        return PageModel(model)
