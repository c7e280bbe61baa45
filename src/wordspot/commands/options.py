"""From the command line to a configuration: defaults, front end, recipe, flags, ``--set``, each over the one before.

Every flag here is a field of `wordspot.config` under its own name; its help and its default come from there.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordspot.commands.recordings_flags import recordings_settings
from wordspot.commands.trigger_flags import FOLDERS, trigger_config
from wordspot.config import DECODERS, DecoderConfig, FeatureConfig, ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.labels import word_of
from wordspot.models import MODELS, find_recipe
from wordspot.overrides import override, parse_settings, with_free_settings
from wordspot.presets import FEATURES, TIME_TOLERANCE_MS

#: Fields that have a flag of their own; all others are reached by ``--set``.
FLAGS = (
    "training.steps", "training.learning_rates", "training.batch_size", "training.optimizer", "training.schedule",
    "training.evaluate_every", "training.save_every", "training.precision", "training.check_nans", "training.seed",
    "features.sample_rate", "features.clip_ms", "features.window_ms", "features.hop_ms",
    "data.silence_percent", "data.unknown_percent", "data.validation_percent", "data.testing_percent", "data.split",
    "augment.time_shift_ms", "augment.background_volume", "augment.background_frequency",
)  # fmt: skip

#: What nearly every model's recipe sets, so that the field's own default says little.
_OF_THE_RECIPE = (
    "training.steps",
    "training.learning_rates",
    "training.optimizer",
    "training.schedule",
    "training.precision",
)


#: Flags that say nothing to a task.
_OF_OTHER_TASKS = {"words": FOLDERS, "trigger": (), "recordings": ("positives", "negatives")}

#: The network of a task where none is named.
DEFAULT_MODELS = {"words": ModelConfig().name, "trigger": "trigger_1d", "recordings": "statistics"}

#: From so many recordings on, the network of the task recordings is one that learns its own filters.
MANY_RECORDINGS = 1000
_FOR_MANY = "pooled_conv"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--words``, ``--model``, ``--features``, ``--recipe``, the flags of `FLAGS` and ``--set``."""
    parser.add_argument(
        "--words", metavar="A,B,C", help="the words to tell apart: names of folders; recordings: the classes"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"the network: {', '.join(MODELS)}, or my_package:make (default: {DEFAULT_MODELS['words']}; "
        f"trigger: {DEFAULT_MODELS['trigger']}; recordings: {DEFAULT_MODELS['recordings']}, from {MANY_RECORDINGS} of them on {_FOR_MANY})",
    )
    parser.add_argument(
        "--features", metavar="NAME", choices=tuple(FEATURES),
        help=f"the front end: {', '.join(FEATURES)} (default: the recipe's, else {next(iter(FEATURES))})",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", choices=("default", "classic"), default="default",
        help="the model's own settings: our best, or the classic tutorial's (default: default)",
    )  # fmt: skip
    group = parser.add_argument_group("settings", "flags override the model's recipe")
    for setting in FLAGS:
        section, name = setting.split(".")
        field = _field(section, name)
        flag = "--" + name.replace("_", "-")
        if field.type == "bool":
            group.add_argument(flag, dest=setting, action="store_const", const="true", help=field.metadata["help"])
        else:
            default = "the recipe's" if setting in _OF_THE_RECIPE else field.default
            text = f"{field.metadata['help']} (default: {default})"
            group.add_argument(flag, dest=setting, metavar="X", help=text.replace("%", "%%"))
    group.add_argument(
        "--set", dest="settings", metavar="SECTION.FIELD=VALUE", action="append", default=[],
        help="any other setting, or an option of the model: --set model.rank=4",
    )  # fmt: skip


def recipe_config(
    words: Sequence[str], model: str, recipe: str = "default", features: str | None = None, task: str = "words"
) -> RunConfig:
    """The configuration of a model's recipe: ``default`` or ``classic``; `features` names another front end than its own.

    Raises:
        ConfigError: no such model, or a recipe that it does not have.
    """
    settings = find_recipe(model, recipe)
    own_features = settings.pop("features", next(iter(FEATURES)))
    config = RunConfig(
        words=tuple(words), task=task, features=FEATURES[features or own_features], model=ModelConfig(name=model)
    )
    return override(config, settings)


def build_config(args: argparse.Namespace) -> RunConfig:
    """The configuration that a command line asks for.

    Raises:
        ConfigError: no words, or settings that make no sense.
    """
    task = args.task or "words"
    if task != "recordings" and recordings_settings(args, task):
        raise ConfigError(f"--hold-out-generator and --speaker-folds are for --task recordings, this is {task}")
    _refuse_foreign(args, task)
    asked = _asked(args)
    model = str(asked.pop("model.name", None) or args.model or _default_model(task, args))
    if "," in str(asked.get("training.steps", "")):
        asked.setdefault("training.schedule", "constant")  # rates given for each phase mean just these rates
    if task == "trigger":
        config = recipe_config(("trigger",), model, args.recipe, args.features, task)
        config = override(dataclasses.replace(config, trigger=trigger_config(args, config.trigger)), asked)
        return dataclasses.replace(config, words=(word_of(config.trigger, args.words),))
    if task == "recordings":
        from wordspot.data.manifest.load import labels_in
        from wordspot.labels import normalize_word

        words = tuple(map(normalize_word, _words(args.words))) if args.words else labels_in(args.data)
        config = recipe_config(words, model, args.recipe, args.features, task)
        return _fit_rate(override(config, recordings_settings(args, task) | asked))
    if not args.words:
        raise ConfigError("expected the words to tell apart; name them with --words yes,no")
    config = recipe_config(_words(args.words), model, args.recipe, args.features)
    return _fit_rate(override(config, asked))


def _default_model(task: str, args: argparse.Namespace) -> str:
    """The network where none is named; many recordings of the classes wanted get another than few."""
    if task == "recordings":
        from wordspot.data.manifest.rows import list_rows
        from wordspot.labels import normalize_word

        words = set(map(normalize_word, _words(args.words or "")))
        if sum(row.label in words or not args.words for row in list_rows(args.data).rows) >= MANY_RECORDINGS:
            return _FOR_MANY
    return DEFAULT_MODELS[task]


def _refuse_foreign(args: argparse.Namespace, task: str) -> None:
    if foreign := [name for name in _OF_OTHER_TASKS[task] if getattr(args, name, None) is not None]:
        others = [name for name, flags in _OF_OTHER_TASKS.items() if foreign[0] not in flags]
        raise ConfigError(
            f"--{foreign[0]} is for --task {' and '.join(others)}, this is {task}; add --task, or leave it out"
        )


def _fit_rate(config: RunConfig) -> RunConfig:
    """Tell ``statistics``, which takes spectra of its own, of another sample rate than the usual one.

    Raises:
        ConfigError: the user tells it another rate than the front end's.
    """
    rate = config.features.sample_rate
    if config.model.name != "statistics" or rate == config.model.options.get("sample_rate", FeatureConfig.sample_rate):
        return config
    if "sample_rate" in config.model.options:
        told = config.model.options["sample_rate"]
        raise ConfigError(f"model.sample_rate={told}, but features.sample_rate is {rate}; leave the former out")
    model = dataclasses.replace(config.model, options={"sample_rate": rate, **config.model.options})
    return dataclasses.replace(config, model=model)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def check_resumed(config: RunConfig, args: argparse.Namespace) -> RunConfig:
    """The configuration of a run to resume, with what the command line may change of it.

    Raises:
        ConfigError: the command line asks for something else than the run was begun with.
    """
    asked = recordings_settings(args, config.task) | _asked(args)
    if args.task not in (None, config.task):
        raise ConfigError(f"--task {args.task}: the run was begun for the task {config.task}; leave it out")
    _refuse_foreign(args, config.task)
    if config.task == "trigger" and trigger_config(args, config.trigger) != config.trigger:
        raise ConfigError("--positives, --negatives and --backgrounds: the run was begun with others; leave them out")
    if args.model:
        asked["model.name"] = args.model
    if args.words and _words(args.words) != config.words:
        raise ConfigError(
            f"--words {args.words}: the run was begun with {','.join(config.words)}; leave out --words, or begin a new run"
        )
    changed = override(config, asked)
    allowed = with_free_settings(config, changed)
    if changed != allowed:
        wrong = next(key for key in asked if _value(changed, key) != _value(allowed, key))
        raise ConfigError(
            f"{wrong}: the run was begun with {_value(config, wrong)}, the command line says {_value(changed, wrong)}; "
            "leave the flag out, or begin a new run with another --out"
        )
    if args.features and config.features.kind != args.features:
        raise ConfigError(f"--features {args.features}: the run was begun with {config.features.kind}; leave it out")
    return allowed


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    flags = {setting: value for setting in FLAGS if (value := getattr(args, setting, None)) is not None}
    return flags | parse_settings(args.settings)


def _value(config: RunConfig, setting: str) -> Any:
    section, _, name = setting.partition(".")
    part = getattr(config, section)
    return part.options.get(name) if section == "model" and name not in ("name", "options") else getattr(part, name)


def _field(section: str, name: str) -> dataclasses.Field[Any]:
    kinds = {field.name: field.default_factory for field in dataclasses.fields(RunConfig)}
    return next(field for field in dataclasses.fields(kinds[section]) if field.name == name)  # type: ignore[arg-type]


MODEL_HELP = "if the first name ends in .onnx, it is the model; else the model that comes with wordspot is used"


def split_model(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """Split positional arguments into the model (None: the one that comes with wordspot) and the paths after it.

    Raises:
        ConfigError: a model and nothing else.
    """
    if paths and paths[0].suffix.lower() == ".onnx":
        if len(paths) == 1:
            raise ConfigError(f"got the model {paths[0]} and no recordings; name files or folders after it")
        return paths[0], paths[1:]
    return None, paths


#: Settings of the decoder that have a flag, each a field of `config.DecoderConfig`.
DECODER_FLAGS = (
    "threshold", "thresholds", "average_ms", "suppression_ms", "minimum_count", "stride_ms", "refractory_ms",
    "confirm_ms",
)  # fmt: skip


def add_stream_flags(parser: argparse.ArgumentParser) -> None:
    """Add the streams, their annotations and the decoder's settings."""
    parser.add_argument(
        "paths", metavar="STREAM", nargs="+", type=Path,
        help=f"recordings in which the spoken words are known; {MODEL_HELP}",
    )  # fmt: skip
    parser.add_argument(
        "--truth", metavar="F", type=Path, action="append",
        help="annotations of what is spoken: CSV, Audacity labels or the classic text; once per stream, in the same order "
        "(default: the CSV file beside each stream, as make-stream and make-scenes write it)",
    )  # fmt: skip
    parser.add_argument(
        "--no-words",
        action="store_true",
        help="none of the model's words is spoken, so every detection is a false accept",
    )
    parser.add_argument(
        "--time-tolerance-ms", metavar="X", type=float, default=TIME_TOLERANCE_MS,
        help="how long after a word's end its detection counts; classic: how far from its start (default: %(default)g)",
    )  # fmt: skip
    group = parser.add_argument_group("decoder", "the model's own settings, unless set here")
    group.add_argument(
        "--decoder", choices=DECODERS, help="the rule; classic has the settings of the classic streaming test"
    )
    fields = {field.name: field for field in dataclasses.fields(DecoderConfig)}
    for name in DECODER_FLAGS:
        kind = "A=X,B=Y" if name == "thresholds" else "X"
        group.add_argument("--" + name.replace("_", "-"), metavar=kind, help=fields[name].metadata["help"])


def decoder_settings(args: argparse.Namespace) -> dict[str, str]:
    """The settings of the decoder that were given as flags."""
    return {name: value for name in DECODER_FLAGS if (value := getattr(args, name)) is not None}
