"""The wake words that a Wyoming server offers, and what clients call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from wyoming.event import Event
from wyoming.info import Attribution, Info, WakeModel, WakeProgram

from wordspot import __version__
from wordspot.errors import ConfigError
from wordspot.formats import shown
from wordspot.server.served import ServedModel

_MAX_NAMES = 1000

Word = tuple[ServedModel, str]


class WakeWords:
    """The words of some models.

    Attributes:
        info: the answer to ``describe``.

    Raises:
        ConfigError: no model detects words.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._words = words_of(models)
        if not self._words:
            raise ConfigError("Home Assistant needs a model that detects words, but none of these models does")
        self.info: Final = _info(self._words)
        self._names = {(model.name, label): name for name, (model, label) in self._words.items()}
        self._alike: dict[str, list[str]] = {}
        for name in self._words:
            self._alike.setdefault(_folded(name), []).append(name)

    def name_of(self, model: ServedModel, label: str) -> str:
        """The wake word of that label; empty if it is not offered."""
        return self._names.get((model.name, label), "")

    def model_of(self, name: str) -> str:
        """The name of the model that detects a wake word."""
        return self._words[name][0].name

    def chosen(self, names: Any) -> dict[str, str]:
        """The words that a client waits for.

        Args:
            names: what the client sent: a list of names, or nothing for all words.

        Returns:
            Our name of each word → the client's name for it.

        Raises:
            ConfigError: not a list of names, or an unknown one.
        """
        if not names:
            return {name: name for name in self._words}
        if not isinstance(names, list) or len(names) > _MAX_NAMES or not all(isinstance(name, str) for name in names):
            raise ConfigError("the names of wake words must be a list of strings")
        asked: dict[str, str] = {}
        for name in names:
            found = [name] if name in self._words else self._alike.get(_folded(name), [])
            if not found:
                raise ConfigError(f"unknown wake word {shown(name)}; this server has {', '.join(self._words)}")
            asked |= dict.fromkeys(found, name)
        return asked


def words_of(models: Sequence[ServedModel]) -> dict[str, Word]:
    """The wake words by name: the label, or ``model/label`` if several models have that label."""
    pairs = [
        (model, label)
        for model in models
        if not model.card.task.predicts_recordings
        for label in model.card.labels
        if not label.startswith("_")
    ]
    labels = [label for _, label in pairs]
    return {label if labels.count(label) == 1 else f"{model.name}/{label}": (model, label) for model, label in pairs}


def _folded(name: str) -> str:
    """What names have in common that differ in case, and in ``_`` for a blank."""
    return " ".join(name.replace("_", " ").split()).casefold()


def _info(words: dict[str, Word]) -> Event:
    """The answer to ``describe``: one program, since Home Assistant offers the words of the first only."""
    several = len({model.name for model, _ in words.values()}) > 1
    models = [
        WakeModel(
            name=name,
            attribution=_attribution(model),
            installed=True,
            description=f"{label} ({model.name})" if several else label,
            version=__version__,
            languages=[],
            phrase=label.replace("_", " "),
        )
        for name, (model, label) in words.items()
    ]
    program = WakeProgram(
        name="wordspot",
        attribution=Attribution("wordspot", ""),
        installed=True,
        description="Your own wake words, detected on your own machine",
        version=__version__,
        models=models,
    )
    return Info(wake=[program]).event()


def _attribution(model: ServedModel) -> Attribution:
    return Attribution(str(model.card.data.get("attribution") or "wordspot"), "")
