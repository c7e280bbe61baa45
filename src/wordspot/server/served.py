"""The models that a server offers: read once when it starts. None is ever loaded that a client sends."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wordspot.errors import CardError, ConfigError, NotFoundError
from wordspot.runtime.model import Model, open_model, read_model
from wordspot.runtime.modelfile.card import Card, to_json
from wordspot.runtime.recordings import RecordingClassifier

_MAX_NAME = 64


@dataclass(frozen=True)
class ServedModel:
    """An exported file under a name that is safe in a URL and on a disk."""

    name: str
    data: bytes
    model: Model

    @property
    def card(self) -> Card:
        return self.model.card

    @property
    def task(self) -> str:
        """``words``, ``trigger`` or ``recordings``."""
        return self.card.task.name

    @property
    def file(self) -> str:
        """Where the file lies below the page, quoted for a URL."""
        return f"models/{quote(self.name)}.onnx"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def classifier(self) -> RecordingClassifier:
        """What judges whole recordings, for the task `recordings`."""
        return RecordingClassifier(self.model)

    def summary(self) -> dict[str, Any]:
        """What a client needs to choose it: JSON."""
        return {
            "name": self.name, "labels": list(self.card.labels), "sample_rate": self.card.sample_rate,
            "kind": self.card.kind, "task": self.task, "bytes": len(self.data), "sha256": self.digest,
        }  # fmt: skip

    def description(self) -> dict[str, Any]:
        """What the page needs to run it: the summary, where the file lies, and the whole card."""
        return {**self.summary(), "file": self.file, "card": to_json(self.card)}


def load_models(paths: Iterable[Path | None]) -> list[ServedModel]:
    """Read, check and load exported files; None stands for the one that comes with wordspot.

    Raises:
        NotFoundError: no such file.
        CardError: no file that wordspot wrote, a damaged one, or one that fails its self-test.
    """
    served: list[ServedModel] = []
    for path in paths:
        shown_name, data = read_model(path)
        try:
            model = open_model(data)
        except CardError as error:
            raise CardError(f"{shown_name}: {error}") from error
        wanted = clean_name(path.stem if path else "default")
        served.append(ServedModel(_unique(wanted, {one.name for one in served}), data, model))
    return served


def find_model(models: Sequence[ServedModel], name: str | None) -> ServedModel:
    """The model of that name; None: the first.

    Raises:
        ConfigError: there are no models.
        NotFoundError: none has that name.
    """
    if not models:
        raise ConfigError("expected a model, but this server has none; start it with one")
    for model in models:
        if name in (None, model.name):
            return model
    known = ", ".join(model.name for model in models)
    raise NotFoundError(f"expected one of the models {known}, got {clean_name(name or '')!r}")


def clean_name(text: str) -> str:
    """`text` with nothing but letters and digits of any script, ``-``, ``_`` and dots within."""
    kept = "".join(one if one.isalnum() or one in "-_." else "-" for one in unicodedata.normalize("NFC", text))
    return kept[:_MAX_NAME].strip("-.") or "model"


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 2, name
    while candidate.casefold() in {one.casefold() for one in taken}:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
