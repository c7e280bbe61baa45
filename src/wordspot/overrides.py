"""Replace settings by name, and convert configurations to and from JSON.

A configuration is built in layers, each overriding the previous one: the defaults of `config.py`, the preset of the front
end (`presets.FEATURES`), the model's recipe, the flags, and ``--set section.field=value``. All go through `override`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from wordspot.config import DecoderConfig, ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.formats import shown
from wordspot.sections import Section

CONFIG_VERSION = 1
_Section = TypeVar("_Section", bound=Section)

#: The sections of a run's configuration by name: the fields of `RunConfig` that are sections.
SECTIONS: dict[str, type[Section]] = {
    name: kind for name, kind in typing.get_type_hints(RunConfig).items() if isinstance(kind, type) and issubclass(kind, Section)
}

#: Settings that may change when a run is resumed: they decide how training is monitored and stored, not what it computes.
FREE_ON_RESUME = (
    "training.steps",  # a run may be lengthened, see `recipes.resumed_config`
    "training.evaluate_every",
    "training.found_every",
    "training.save_every",
    "training.keep_checkpoints",
    "training.check_nans",
    "trigger.workers",
)


def with_free_settings(config: RunConfig, changed: RunConfig) -> RunConfig:
    """`config` with the settings of `FREE_ON_RESUME` as in `changed`."""
    free: dict[str, dict[str, Any]] = {}
    for setting in FREE_ON_RESUME:
        section, _, name = setting.partition(".")
        free.setdefault(section, {})[name] = getattr(getattr(changed, section), name)
    sections = {name: dataclasses.replace(getattr(config, name), **values) for name, values in free.items()}
    return dataclasses.replace(config, **sections)


def override(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """`config` with each ``section.field`` of `settings` replaced; values may be of the field's type or strings.

    ``model.X``, if X is no field of `ModelConfig`, becomes an option of the model's constructor.

    Raises:
        ConfigError: there is no such section or field (the message suggests similar names), or the value does not fit.
    """
    sections: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if section not in SECTIONS or not name:
            known = [f"{s}.{f.name}" for s, kind in SECTIONS.items() for f in dataclasses.fields(kind)]
            same = [one for one in known if name == "" and one.endswith(f".{section}")]
            hint = f"; did you mean {' or '.join(same)}?" if same else _nearest(key, known, [f"{s}.field" for s in SECTIONS])
            raise ConfigError(f"no setting {key!r}; expected section.field{hint}")
        sections.setdefault(section, {})[name] = value
    changed = {section: _override_section(getattr(config, section), section, values) for section, values in sections.items()}
    return dataclasses.replace(config, **changed)


def parse_settings(texts: list[str]) -> dict[str, str]:
    """``["model.rank=4"]`` → ``{"model.rank": "4"}``.

    Raises:
        ConfigError: a text without ``=``.
    """
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"a setting must be section.field=value, got {text!r}")
        settings[key.strip()] = value.strip()
    return settings


def to_json(config: RunConfig) -> dict[str, Any]:
    """A JSON-ready dict of `config`, with the version of its format."""
    return {"config_version": CONFIG_VERSION, **json.loads(json.dumps(dataclasses.asdict(config)))}


def from_json(value: Any) -> RunConfig:
    """The configuration that `to_json` wrote.

    Raises:
        ConfigError: `value` is no such dict, is from a newer version, or has values that do not fit.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"a configuration must be a JSON object, got {type(value).__name__}")
    version = value.get("config_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ConfigError(f"a configuration needs config_version {CONFIG_VERSION}, got {shown(version)}")
    if version > CONFIG_VERSION:
        raise ConfigError(
            f"this configuration has version {shown(version)}, this wordspot reads up to {CONFIG_VERSION}; "
            "install a newer wordspot"
        )
    _check_names(value, {"config_version"} | {f.name for f in dataclasses.fields(RunConfig)}, "the configuration")
    words = value.get("words")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"words must be a list of strings, got {shown(words)}")
    sections: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        given = value.get(name, {})
        if not isinstance(given, dict):
            raise ConfigError(f"{name} must be a JSON object, got {type(given).__name__}")
        _check_names(given, {f.name for f in dataclasses.fields(kind)}, name)
        sections[name] = _override_section(kind(), name, given)
    return RunConfig(words=tuple(words), task=value.get("task", "words"), **sections)


def decoder_to_json(config: DecoderConfig) -> dict[str, Any]:
    """A JSON-ready dict of `config`."""
    return dataclasses.asdict(config)


def decoder_from_json(value: Any) -> DecoderConfig:
    """The settings that `decoder_to_json` wrote; missing ones have their defaults.

    Raises:
        ConfigError: `value` is no such dict, has an unknown entry, or a value that does not fit.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"decoder settings must be a JSON object, got {type(value).__name__}")
    _check_names(value, {f.name for f in dataclasses.fields(DecoderConfig)}, "the decoder's settings")
    return _override_section(DecoderConfig(), "decoder", value)


def override_decoder(config: DecoderConfig, settings: Mapping[str, Any]) -> DecoderConfig:
    """`config` with fields replaced; values may be strings, ``thresholds`` for example ``yes=0.5,no=0.7``.

    Raises:
        ConfigError: there is no such field, or the value does not fit.
    """
    settings = dict(settings)
    if isinstance(text := settings.get("thresholds"), str):
        pairs = parse_settings([pair for pair in text.split(",") if pair.strip()])
        numbers = {word: _coerce(value, float, f"the threshold of {word}") for word, value in pairs.items()}
        settings["thresholds"] = {**config.thresholds, **numbers}
    return _override_section(config, "decoder", settings)


def _override_section(section: _Section, prefix: str, values: Mapping[str, Any]) -> _Section:
    hints = typing.get_type_hints(type(section))
    fields = {f.name for f in dataclasses.fields(section)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(section, ModelConfig) and name not in fields:
            changed["options"] = {**changed.get("options", section.options), name: _literal(value)}
            continue
        if name not in fields:
            raise ConfigError(
                f"no setting {prefix}.{name}{_nearest(f'{prefix}.{name}', [f'{prefix}.{known}' for known in sorted(fields)])}"
            )
        changed[name] = _coerce(value, hints[name], f"{prefix}.{name}")
    return dataclasses.replace(section, **changed)


def _coerce(value: Any, kind: Any, name: str) -> Any:
    """`value` as `kind` (int, float, bool, str, dict or a tuple of one of them), from its own type or from a string."""
    if typing.get_origin(kind) is tuple:
        items = (value.split(",") if value.strip() else []) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise ConfigError(f"{name} must be a list, got {shown(value)}")
        return tuple(_coerce(item, typing.get_args(kind)[0], name) for item in items)
    origin = typing.get_origin(kind) or kind
    if origin is dict and isinstance(value, dict):
        return dict(value)
    if isinstance(value, str):
        value = _from_string(value, origin)
    if origin is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    if type(value) is not origin or (origin is float and not math.isfinite(value)):
        raise ConfigError(f"{name} must be {_kind_name(origin)}, got {shown(value)}")
    return value


def _from_string(text: str, kind: Any) -> Any:
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.strip().lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _kind_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a JSON object"}
    return names.get(kind, str(kind)) if not isinstance(kind, types.GenericAlias) else str(kind)


def _literal(value: Any) -> Any:
    """A model option typed on the command line: a JSON value if it parses as one, else text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # not JSON, or a number of thousands of digits
        return value


def _check_names(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{where} has an unknown entry {name!r}{_nearest(str(name), sorted(known))}")


def _nearest(name: str, known: list[str], otherwise: list[str] | None = None) -> str:
    """The names of `known` that are like `name`; if there are none, those of `otherwise`, or all."""
    import difflib  # here, since it takes a while

    close = difflib.get_close_matches(name[:100], known, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else f"; expected one of {', '.join(otherwise or known)}"
