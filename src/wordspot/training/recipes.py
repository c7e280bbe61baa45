"""The configuration of a run: defaults, front end, the model's recipe and settings, each overriding the one before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wordspot.config import FeatureConfig, ModelConfig, RunConfig
from wordspot.data.manifest.rows import read_manifest
from wordspot.errors import ConfigError
from wordspot.labels import as_words, normalize_word, word_of
from wordspot.models import find_recipe, make_model
from wordspot.overrides import override, with_free_settings
from wordspot.presets import FEATURES, PRESETS
from wordspot.tasks import TASKS, Task, find_task


def recipe_config(
    words: Sequence[str], model: str, recipe: str = "default", features: str | None = None, task: str = "words"
) -> RunConfig:
    """The configuration of a model's recipe.

    Args:
        words: the words, or the classes of recordings.
        model: a built-in network, or ``package.module:make``.
        recipe: ``default`` or ``classic``.
        features: the name of a front end; None: the recipe's.
        task: one of `wordspot.tasks.TASKS`.

    Raises:
        ConfigError: there is no such model or front end, or the model has no such recipe.
    """
    settings = find_recipe(model, recipe)
    own_features = settings.pop("features", next(iter(FEATURES)))
    if features and features not in FEATURES:
        raise ConfigError(f"`features` must be one of {', '.join(FEATURES)}, got {features!r}")
    config = RunConfig(words=tuple(words), task=task, features=FEATURES[features or own_features], model=ModelConfig(name=model))
    return override(config, settings)


def make_config(
    data: Path,
    words: str | Sequence[str] | None = None,
    *,
    task: str = "words",
    model: str | None = None,
    features: str | None = None,
    recipe: str = "default",
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of a new run.

    Args:
        data: the folder of recordings, or a manifest, which decides the model and the classes if they are not given.
        words: the words, or the classes of recordings; the one word of a trigger. None: all classes of a manifest, or the
            name of the folder of a trigger's positives.
        task: one of `wordspot.tasks.TASKS`.
        model: the network; None: the task's default.
        features: the front end; None: the recipe's.
        recipe: ``default`` or ``classic``.
        preset: a size of the task's default network, one of `presets.PRESETS`; None: ``default``.
        settings: ``section.field`` → value, over those of the recipe and of the preset.

    Raises:
        ConfigError: no words, an unknown name, or a setting that is not valid.
    """
    kind, settings = find_task(task), dict(settings or {})
    words = None if words is None else as_words(words)
    usual = kind.default_model if preset is not None else default_model(kind, data, words)
    name = str(settings.pop("model.name", None) or model or usual)
    if preset is not None:
        own = _preset_settings(preset, kind, name, recipe)
        if features not in (None, own.get("features.kind", features)):
            raise ConfigError(f"`features` is {features}, but the preset {preset} has {own['features.kind']}; leave it out")
        settings = {**own, **settings}
    if _n_phases(settings.get("training.steps")) > 1:
        settings.setdefault("training.schedule", "constant")  # learning rates of phases are meant as they are
    if kind.data == "trigger":
        config = override(recipe_config((task,), name, recipe, features, task), settings)
        return dataclasses.replace(config, words=(word_of(config.trigger, None if words is None else ",".join(words)),))
    if kind.data == "manifest":
        words = tuple(map(normalize_word, words)) if words else read_manifest(data).labels
    if not words:
        raise ConfigError("there are no words to train on; name them with `words`, such as yes,no")
    return _fit_rate(override(recipe_config(words, name, recipe, features, task), settings))


def _preset_settings(preset: str, task: Task, model: str, recipe: str) -> dict[str, Any]:
    if preset not in PRESETS:
        raise ConfigError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}")
    sized = TASKS[PRESETS[preset].task]
    if task != sized:
        raise ConfigError(
            f"`preset` {preset} is for `task` {sized.name}, but the task is {task.name}; leave it out or set `task`"
        )
    if model != sized.default_model or recipe != "default":
        raise ConfigError(f"`preset` {preset} is a size of {sized.default_model} with its default recipe; leave it out")
    return PRESETS[preset].settings


def is_same_network(config: RunConfig, other: RunConfig) -> bool:
    """Whether two configurations have the same front end and, except for the number of labels, the same network."""
    if (config.features, config.model.name) != (other.features, other.model.name):
        return False
    sizes = config.features.n_frames, config.features.n_features, 2
    one, two = (repr(make_model(each.model, *sizes)) for each in (config, other))  # it names all layers with their options
    return one == two


def default_model(task: Task, data: Path, words: Sequence[str] | None) -> str:
    """The default network, which depends on the task and on the number of recordings of the words."""
    if task.model_for_many is not None:
        least, name = task.model_for_many
        wanted = set(map(normalize_word, words or ()))
        if sum(row.label in wanted or not wanted for row in read_manifest(data).rows) >= least:
            return name
    return task.default_model


def resumed_config(
    config: RunConfig,
    *,
    task: str | None = None,
    words: str | Sequence[str] | None = None,
    features: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of a run to resume, with those settings changed that may change.

    Args:
        config: of the run.
        task: None, or the run's.
        words: None, or the run's.
        features: None, or the kind of the run's front end.
        settings: ``section.field`` → value. They must equal the run's, except for `wordspot.overrides.FREE_ON_RESUME`;
            ``training.steps`` may be more than the run's.

    Raises:
        ConfigError: something differs from the run that may not.
    """
    for name, value, own in (
        ("task", task, config.task),
        ("words", None if words is None else ",".join(as_words(words)), ",".join(config.words)),
        ("features", features, config.features.kind),
    ):
        if value is not None and value != own:
            raise ConfigError(
                f"`{name}` is {value}, but the run was begun with {own}; leave it out, or begin a new run with another `out`"
            )
    changed = override(config, settings or {})
    allowed = with_free_settings(config, changed)
    if changed != allowed:
        wrong = next(key for key in settings or {} if _value(changed, key) != _value(allowed, key))
        raise ConfigError(
            f"{wrong} is {_value(changed, wrong)}, but the run was begun with {_value(config, wrong)}; leave it out, or begin "
            "a new run with another `out` and this one as `init`"
        )
    if allowed.training.total_steps < config.training.total_steps:
        raise ConfigError(
            f"training.steps: the run was begun with {config.training.total_steps} and can be lengthened, not shortened to "
            f"{allowed.training.total_steps}; begin a new run with another `out`, or with this one as `init`"
        )
    return allowed


def _n_phases(steps: Any) -> int:
    """How many phases of training ``training.steps`` names: text with commas, or a sequence."""
    if isinstance(steps, str):
        return steps.count(",") + 1
    return len(steps) if isinstance(steps, Sequence) else 1


def _fit_rate(config: RunConfig) -> RunConfig:
    """Give ``statistics``, which computes spectra of its own, the sample rate if it is not the usual one.

    Raises:
        ConfigError: the settings give it another rate than the front end.
    """
    rate = config.features.sample_rate
    if config.model.name != "statistics" or rate == config.model.options.get("sample_rate", FeatureConfig.sample_rate):
        return config
    if "sample_rate" in config.model.options:
        given = config.model.options["sample_rate"]
        raise ConfigError(f"model.sample_rate={given}, but features.sample_rate is {rate}; leave the former out")
    model = dataclasses.replace(config.model, options={"sample_rate": rate, **config.model.options})
    return dataclasses.replace(config, model=model)


def _value(config: RunConfig, setting: str) -> Any:
    section, _, name = setting.partition(".")
    part = getattr(config, section)
    return part.options.get(name) if section == "model" and name not in ("name", "options") else getattr(part, name)
