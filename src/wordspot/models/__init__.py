"""The networks by name. A network maps features to logits, and is independent of losses, devices and files.

A constructor is called as ``make(n_frames, n_features, n_labels, **options)`` and returns a module that maps features
[batch, n_frames, n_features] to logits [batch, n_labels]. A module whose attribute ``per_step`` is true (the task trigger) is a
`streaming.StepNetwork` and gives logits [batch, n_steps, n_labels]. A constructor may have three more attributes:
``front_end``, if the network works with one front end only, and two dicts of settings for `overrides.override`, ``recipe``
(how it trains best) and ``classic`` (how the original was trained). In them, the key ``features`` names a front end of
`presets.FEATURES`. Your own models are named ``package.module:make``, like those below.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wordspot.config import ModelConfig
from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

MODELS = {
    "residual_1d": "wordspot.models.residual:Residual1d",
    "bcresnet": "wordspot.models.bcresnet:bcresnet",
    "gru": "wordspot.models.gru:Gru",
    "single_fc": "wordspot.models.classic:SingleFc",
    "conv": "wordspot.models.classic:Conv",
    "low_latency_conv": "wordspot.models.classic:LowLatencyConv",
    "low_latency_svdf": "wordspot.models.classic:LowLatencySvdf",
    "tiny_conv": "wordspot.models.classic:TinyConv",
    "tiny_embedding_conv": "wordspot.models.classic:TinyEmbeddingConv",
    "trigger_1d": "wordspot.models.trigger:Trigger1d",
    "trigger_gru": "wordspot.models.trigger:TriggerGru",
    "pooled_conv": "wordspot.models.pooled:PooledConv",
    "statistics": "wordspot.models.statistics:StatisticsNet",
    "lstm": "wordspot.models.lstm:Lstm",
}


def find_constructor(name: str) -> Callable[..., nn.Module]:
    """The constructor of a built-in model, or of your own by import path.

    Raises:
        ConfigError: there is no such name, module or attribute.
    """
    path = MODELS.get(name, name)
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or module_name.startswith("."):
        raise ConfigError(f"there is no model {name!r}; expected one of {', '.join(MODELS)}, or my_package:make for your own")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if name in MODELS or error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"model {name!r}: no module {module_name!r}; is it installed, or on PYTHONPATH?") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"model {name!r}: the module {module_name!r} has no {attribute!r}")
    make: Callable[..., nn.Module] = getattr(module, attribute)
    if not callable(make):
        raise ConfigError(f"model {name!r}: expected a class or function, got {type(make).__name__}")
    return make


def find_recipe(name: str, recipe: str) -> dict[str, Any]:
    """The settings of the ``default`` or ``classic`` recipe of a model.

    Raises:
        ConfigError: `recipe` is neither, or the model has no classic recipe.
    """
    if recipe not in ("default", "classic"):
        raise ConfigError(f"`recipe` must be 'default' or 'classic', got {recipe!r}")
    settings = getattr(find_constructor(name), "classic" if recipe == "classic" else "recipe", None)
    if settings is None and recipe == "classic":
        raise ConfigError(
            f"model {name!r} has no classic recipe, as it is not part of the tutorial; leave out `recipe`, or set `model` to one "
            "that has it: conv for words, trigger_gru for a trigger, lstm for recordings"
        )
    return dict(settings or {})


def make_model(config: ModelConfig, n_frames: int, n_features: int, n_labels: int) -> nn.Module:
    """Build the network that `config` names.

    Raises:
        ConfigError: there is no such model, or its constructor rejects an option or its value.
    """
    make = find_constructor(config.name)
    known = inspect.signature(make).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        options = [name for name in known if name not in ("n_frames", "n_features", "n_labels")]
        for name in config.options:
            if name not in options:
                has = f"it has {', '.join(options)}" if options else "it has none"
                raise ConfigError(f"model {config.name!r} has no option {name!r}; {has}")
    try:
        return make(n_frames, n_features, n_labels, **config.options)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        if config.name in MODELS:
            raise ConfigError(
                f"model {config.name!r} cannot be built for {n_frames} frames of {n_features} features with "
                f"{config.options or 'its own options'}: {error}"
            ) from error
        raise
