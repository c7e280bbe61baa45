"""The models that a server offers. They are read once, at the start; a file that a client sends is never loaded."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wordspot.errors import CardError, ConfigError, NotFoundError
from wordspot.runtime.model import Model, open_model, read_model
from wordspot.runtime.modelfile.card import Card
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

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def classifier(self) -> RecordingClassifier:
        """The classifier of whole recordings, for the task `recordings`."""
        return RecordingClassifier(self.model)

    def summary(self) -> dict[str, Any]:
        """What a client needs to choose the model, as a JSON object."""
        return {
            "name": self.name,
            "labels": list(self.card.labels),
            "sample_rate": self.card.sample_rate,
            "kind": self.card.kind,
            "task": self.task,
            "bytes": len(self.data),
            "sha256": self.digest,
        }


def model_paths(models: Path | str | Sequence[Path | str] | None) -> list[Path | str | None]:
    """What a caller gives as models, one path or several, as a list for `load_models`; [None] for nothing."""
    if isinstance(models, (str, Path)):
        return [models]
    return [*models] if models else [None]


def load_models(paths: Iterable[Path | str | None]) -> list[ServedModel]:
    """Read, check and load exported files; None is the model that comes with wordspot.

    Raises:
        NotFoundError: no such file.
        CardError: not a file that wordspot wrote, a damaged one, or one that fails its self-test.
    """
    served: list[ServedModel] = []
    for path in paths:
        path = None if path is None else Path(path)
        shown_name, data = read_model(path)
        try:
            model = open_model(data)
        except CardError as error:
            raise CardError(f"{shown_name}: {error}") from error
        wanted = clean_name(path.stem if path else "default")
        served.append(ServedModel(_unique(wanted, {one.name for one in served}), data, model))
    return served


def find_model(models: Sequence[ServedModel], name: str | None) -> ServedModel:
    """The model of that name, or the first if `name` is None.

    Raises:
        ConfigError: there are no models.
        NotFoundError: none has that name.
    """
    if not models:
        raise ConfigError("this server has no models; start it with one")
    for model in models:
        if name in (None, model.name):
            return model
    known = ", ".join(model.name for model in models)
    raise NotFoundError(f"there is no model {clean_name(name or '')!r}; the models are {known}")


def clean_name(text: str) -> str:
    """`text` reduced to letters and digits of any script, ``-``, ``_``, and dots that are not at an end."""
    kept = "".join(one if one.isalnum() or one in "-_." else "-" for one in unicodedata.normalize("NFC", text))
    return kept[:_MAX_NAME].strip("-.") or "model"


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 2, name
    while candidate.casefold() in {one.casefold() for one in taken}:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
