"""Flags that several commands share, and what they mean as settings of a configuration.

Every flag of `FLAGS` is a field of `wordspot.config` under its own name; its help and its default come from there.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.audio.folder import is_audio_name, is_unreadable_kind
from wordspot.config import ALL_DECODERS, DecoderConfig, RunConfig, TriggerConfig
from wordspot.errors import ConfigError
from wordspot.models import MODELS
from wordspot.overrides import parse_settings
from wordspot.presets import FEATURES, PRESETS, TIME_TOLERANCE_MS
from wordspot.runtime.kept_files import SAVE_MB
from wordspot.tasks import TASKS, Task

if TYPE_CHECKING:
    from wordspot.export.esphome_model import EsphomeFile

#: Fields that have a flag of their own; all others are reached by ``--set``.
FLAGS = (
    "training.steps", "training.learning_rates", "training.batch_size", "training.optimizer", "training.schedule",
    "training.evaluate_every", "training.save_every", "training.precision", "training.check_nans", "training.seed",
    "features.sample_rate", "features.clip_ms", "features.window_ms", "features.hop_ms",
    "data.silence_percent", "data.unknown_percent", "data.validation_percent", "data.testing_percent", "data.split",
    "augment.time_shift_ms", "augment.background_volume", "augment.background_frequency",
)  # fmt: skip

#: Settings that nearly every model's recipe has, so that the field's default is seldom used.
_OF_THE_RECIPE = ("training.steps", "training.learning_rates", "training.optimizer", "training.schedule", "training.precision")

#: The folders of recordings of the task trigger: its flags and settings.
FOLDERS = TASKS["trigger"].folders


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--words``, ``--model``, ``--features``, ``--recipe``, the flags of `FLAGS` and ``--set``."""
    parser.add_argument("--words", metavar="A,B,C", help="the words to tell apart, each a folder; recordings: the classes")
    parser.add_argument(
        "--model", metavar="NAME", help=f"the network: {', '.join(MODELS)}, or my_package:make (default: {_default_models()})"
    )
    parser.add_argument(
        "--features",
        metavar="NAME",
        choices=tuple(FEATURES),
        help=f"the front end: {', '.join(FEATURES)} (default: the recipe's, else {next(iter(FEATURES))})",
    )
    parser.add_argument(
        "--recipe",
        choices=("default", "classic"),
        default="default",
        help="settings of the model: our best, or those of the classic tutorial (default: default)",
    )
    sizes = "; ".join(f"{name}: {preset.help}" for name, preset in PRESETS.items())
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), help=f"the size of the task's default network: {sizes} (default: default)"
    )
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
        "--set",
        dest="settings",
        metavar="SECTION.FIELD=VALUE",
        action="append",
        default=[],
        help="any other setting, or an option of the model: --set model.rank=4",
    )


def add_trigger_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--positives``, ``--negatives`` and ``--backgrounds``."""
    group = parser.add_argument_group(
        "trigger", "the recordings of the task trigger; the task recordings has --backgrounds alone"
    )
    for field in dataclasses.fields(TriggerConfig):
        if field.name in FOLDERS:
            group.add_argument(
                f"--{field.name}",
                metavar="A,B",
                help=f"{field.metadata['help']} (default: {','.join(getattr(TriggerConfig(), field.name))}"
                + ("; recordings: none)" if field.name == "backgrounds" else ")"),
            )


def add_recordings_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--hold-out-generator``, ``--speaker-folds`` and ``--leave-one-generator-out``."""
    group = parser.add_argument_group("recordings", "what the task recordings is tested on")
    group.add_argument("--hold-out-generator", metavar="A,B", help="generators that are in testing only, as a new one would be")
    group.add_argument(
        "--leave-one-generator-out",
        action="store_true",
        help="train once for each generator that is not of the first class, holding it out, and print a table",
    )
    group.add_argument(
        "--speaker-folds",
        metavar="N",
        type=int,
        help="split the speakers into N folds, the first of which is tested; with --leave-one-generator-out, each in turn",
    )


def trigger_config(args: argparse.Namespace, base: TriggerConfig) -> TriggerConfig:
    """`base` with the folders that the command line names.

    Raises:
        ConfigError: a flag with an empty name in it.
    """
    folders: dict[str, Any] = _folders(args)
    return dataclasses.replace(base, **folders)


def words_of(args: argparse.Namespace) -> tuple[str, ...] | None:
    """The words that ``--words`` names; None if it is not given."""
    return None if args.words is None else tuple(word.strip() for word in args.words.split(","))


def settings_of(args: argparse.Namespace, task: Task) -> dict[str, Any]:
    """The settings that flags and ``--set`` ask for, by ``section.field``.

    Raises:
        ConfigError: a flag of another task, or one with an empty name in it.
    """
    folders = _folders(args)
    if foreign := [name for name in folders if name not in task.folders]:
        others = [other.name for other in TASKS.values() if foreign[0] in other.folders]
        raise ConfigError(
            f"--{foreign[0]} is for --task {' and '.join(others)}, this is {task.name}; add --task, or leave it out"
        )
    settings: dict[str, Any] = {f"{task.name}.{name}": names for name, names in folders.items()}
    settings |= _recordings_settings(args, task)
    flags = {setting: value for setting in FLAGS if (value := getattr(args, setting, None)) is not None}
    return settings | flags | parse_settings(args.settings)


def config_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What `wordspot.train` takes to make the configuration of a new run."""
    task = TASKS[args.task or "words"]
    return {
        "words": words_of(args),
        "task": task.name,
        "model": args.model,
        "features": args.features,
        "recipe": args.recipe,
        "preset": args.preset,
        "settings": settings_of(args, task),
    }


def _recordings_settings(args: argparse.Namespace, task: Task) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if (text := getattr(args, "hold_out_generator", None)) is not None:
        given["recordings.hold_out"] = _names("hold-out-generator", text)
    if (n_folds := getattr(args, "speaker_folds", None)) is not None:
        given["recordings.n_folds"] = n_folds
    if given and not task.predicts_recordings:
        raise ConfigError(f"--hold-out-generator and --speaker-folds are for --task recordings, this is {task.name}")
    return given


def _folders(args: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    texts = {name: getattr(args, name, None) for name in FOLDERS}
    return {name: _names(name, text) for name, text in texts.items() if text is not None}


def _names(flag: str, text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise ConfigError(f"--{flag} expects names with commas between them, got {text!r}")
    return names


def _default_models() -> str:
    told = []
    for task in TASKS.values():
        many = f", from {task.model_for_many[0]} recordings on {task.model_for_many[1]}" if task.model_for_many else ""
        told.append(f"{task.name}: {task.default_model}{many}")
    return "; ".join(told)


def _field(section: str, name: str) -> dataclasses.Field[Any]:
    kinds = {field.name: field.default_factory for field in dataclasses.fields(RunConfig)}
    return next(field for field in dataclasses.fields(kinds[section]) if field.name == name)  # type: ignore[arg-type]


MODEL_HELP = "if the first name ends in .onnx, it is the model; else the model that comes with wordspot is used"
ANY_MODEL_HELP = MODEL_HELP.replace(".onnx", ".onnx, or .json for ESPHome")
_MODELS = (".onnx", ".json")


def split_model(paths: list[Path], suffixes: tuple[str, ...] = (".onnx",)) -> tuple[Path | None, list[Path]]:
    """Split positional arguments into the model (None: the one that comes with wordspot) and the paths after it.

    Args:
        paths: the arguments.
        suffixes: of models.

    Raises:
        ConfigError: a model and nothing else, a model that is not the first name, or a first name that is neither a model
            nor a recording.
    """
    first, others = paths[0], paths[1:]
    if misplaced := [path for path in others if path.suffix.lower() in suffixes]:
        raise ConfigError(f"{misplaced[0]} is a model; name a single model, before the recordings")
    if first.suffix.lower() in suffixes:
        if not others:
            raise ConfigError(f"got the model {first} and no recordings; name files or folders after it")
        return first, others
    if others and _is_unknown(first):
        meant = first.with_name(first.name + ".onnx")
        hint = f"did you mean {meant}?" if meant.exists() else "the name of a model ends in .onnx"
        raise ConfigError(f"{first}: neither a model nor a recording, and there is no such file; {hint}")
    return None, paths


def split_any_model(paths: list[Path]) -> tuple[EsphomeFile | Path | None, list[Path]]:
    """`split_model`, but the model may also be the manifest of one for ESPHome, which is opened.

    Raises:
        ConfigError: as `split_model`.
        NotFoundError, CardError: no such manifest, or not one that wordspot wrote.
    """
    model, others = split_model(paths, _MODELS)
    return model and open_manifest(model), others


def open_manifest(path: Path, *, others: bool = False) -> EsphomeFile | Path:
    """The model of a manifest for ESPHome, which takes torch; the path itself of any other file.

    Args:
        path: of an exported file or a manifest.
        others: manifests that wordspot did not write are opened too.

    Raises:
        NotFoundError, CardError: no such manifest, or not one that can be run.
    """
    if path.suffix.lower() != ".json":
        return path
    from wordspot.export.esphome_model import open_esphome

    return open_esphome(path, others=others)


def _is_unknown(path: Path) -> bool:
    """Whether this cannot be a recording: there is no such file, and its name is not that of a sound file."""
    return str(path) != "-" and not path.exists() and not is_audio_name(path.name) and not is_unreadable_kind(path.name)


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add ``--threshold``."""
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="what a score must exceed, 0 to 1, for every word (default: as the model says)",
    )


def add_channel(parser: argparse.ArgumentParser) -> None:
    """Add ``--channel``."""
    parser.add_argument(
        "--channel",
        type=int,
        metavar="N",
        help="which channel to use, counted from 0 (default: the first, or the loudest if the first is silent)",
    )


def add_gain(parser: argparse.ArgumentParser) -> None:
    """Add ``--gain``."""
    parser.add_argument(
        "--gain",
        type=_gain,
        metavar="DB",
        help="raise quiet audio by so many decibels, or `auto`: follow the level slowly, by 30 dB at most (default: as it is)",
    )


def add_save(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--save`` and ``--save-mb``. `what` is kept."""
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help=f"keep {what}, as WAV, two seconds before and half a second after"
    )
    parser.add_argument(
        "--save-mb",
        type=float,
        default=SAVE_MB,
        metavar="MB",
        help=f"the most that these files may take; the oldest are removed (default: {SAVE_MB:g})",
    )


def add_studio(parser: argparse.ArgumentParser) -> None:
    """Add ``--dir`` and ``--speech``, the folders of the studio."""
    parser.add_argument(
        "--dir",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="where the studio's projects are, each a folder (default: ./studio)",
    )
    parser.add_argument(
        "--speech", type=Path, metavar="DIR",
        help="recordings of speech without the words, for every training; without it expect more false accepts",
    )  # fmt: skip


def _gain(text: str) -> float | str:
    return text if text == "auto" else float(text)


_gain.__name__ = "gain in dB"  # argparse shows it


#: Settings of the decoder that have a flag, each a field of `config.DecoderConfig`.
DECODER_FLAGS = (
    "threshold",
    "thresholds",
    "average_ms",
    "suppression_ms",
    "minimum_count",
    "stride_ms",
    "refractory_ms",
    "confirm_ms",
)


def add_stream_flags(parser: argparse.ArgumentParser) -> None:
    """Add the streams, their annotations and the decoder's settings."""
    parser.add_argument(
        "paths", metavar="STREAM", nargs="+", type=Path, help=f"recordings in which the spoken words are known; {ANY_MODEL_HELP}"
    )
    parser.add_argument(
        "--truth",
        metavar="F",
        type=Path,
        action="append",
        help="annotations of what is spoken: CSV, Audacity labels or the classic text; once per stream, in the same order "
        "(default: the CSV file beside each stream, as make-stream and make-scenes write it)",
    )
    parser.add_argument(
        "--no-words", action="store_true", help="none of the model's words is spoken, so every detection is a false accept"
    )
    parser.add_argument(
        "--time-tolerance-ms",
        metavar="X",
        type=float,
        default=TIME_TOLERANCE_MS,
        help="how long after a word's end its detection counts; classic: how far from its start (default: %(default)g)",
    )
    group = parser.add_argument_group("decoder", "the model's own settings, unless set here")
    group.add_argument("--decoder", choices=ALL_DECODERS, help="the rule; classic has the settings of the classic streaming test")
    fields = {field.name: field for field in dataclasses.fields(DecoderConfig)}
    for name in DECODER_FLAGS:
        kind = "A=X,B=Y" if name == "thresholds" else "X"
        group.add_argument("--" + name.replace("_", "-"), metavar=kind, help=fields[name].metadata["help"])


def decoder_settings(args: argparse.Namespace) -> dict[str, str]:
    """The settings of the decoder that were given as flags."""
    return {name: value for name in DECODER_FLAGS if (value := getattr(args, name)) is not None}
