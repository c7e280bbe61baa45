"""Sizes of the default network, as settings over its recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wordspot.commands import train
from wordspot.errors import ConfigError
from wordspot.export.esphome import FEATURES as DEVICE
from wordspot.models import make_model
from wordspot.presets import PRESETS
from wordspot.run import Run
from wordspot.tasks import TASKS, labels_of_run
from wordspot.training.recipes import make_config

TEN = tuple("abcdefghij")


@pytest.mark.parametrize("name", list(PRESETS))
def test_it_has_as_many_parameters_as_its_help_says(name: str) -> None:
    task = PRESETS[name].task
    words = {"words": TEN, "trigger": ("lamp",), "recordings": ("person", "machine")}[task]
    config = make_config(Path("x"), words, task=task, preset=name)
    model = make_model(config.model, config.features.n_frames, config.features.n_features, len(labels_of_run(config)))
    assert PRESETS[name].help.startswith(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")


def test_the_default_preset_is_the_recipe_and_settings_override_presets() -> None:
    assert make_config(Path("x"), TEN, preset="default") == make_config(Path("x"), TEN)
    config = make_config(Path("x"), TEN, preset="best", settings={"model.n_channels": 12})
    assert config.model.options["n_channels"] == 12


def test_presets_are_for_the_default_network() -> None:
    with pytest.raises(ConfigError, match="`preset` must be one of default, best"):
        make_config(Path("x"), TEN, preset="tiny")
    with pytest.raises(ConfigError, match=r"`preset` best is a size of residual_1d with its default recipe; leave it out"):
        make_config(Path("x"), TEN, model="conv", preset="best")
    with pytest.raises(ConfigError, match=r"`preset` esphome is for `task` trigger, but the task is words; .* set `task`"):
        make_config(Path("x"), TEN, preset="esphome")
    with pytest.raises(ConfigError, match="`features` is logmel, but the preset esphome has micro; leave it out"):
        make_config(Path("x"), "lamp", task="trigger", preset="esphome", features="logmel")


def test_a_preset_of_recordings_replaces_the_network_for_many(tmp_path: Path) -> None:
    """A thousand recordings get another network, but not with a preset, which is of `statistics`."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    for number in range(1000):
        (tmp_path / f"{number}.wav").hardlink_to(tmp_path / "a.wav")
    lines = [f"{number}.wav,{('person', 'machine')[number % 2]}" for number in range(1000)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    given = {"data": tmp_path / "labels.csv", "words": ("person", "machine"), "task": "recordings"}
    assert make_config(**given).model.name == "pooled_conv"
    config = make_config(**given, preset="many_recordings")
    assert (config.model.name, config.model.options["texture"]) == ("statistics", True)
    assert (config.training.steps, config.recordings.fit_windows) == ((1,), 8000)


def test_the_preset_for_esphome_has_the_features_of_its_devices() -> None:
    assert make_config(Path("x"), "lamp", task="trigger", preset="esphome").features == replace(DEVICE, clip_ms=10_000.0)


def test_what_comes_after_a_run_for_esphome_is_its_export() -> None:
    def told(**settings: Any) -> str:
        config = make_config(Path("data"), "lamp", task="trigger", **settings)
        finished = cast(Run, SimpleNamespace(config=config))
        return train._next(TASKS["trigger"], finished, argparse.Namespace(out=Path("runs/lamp"), data=Path("my data")))

    assert told(preset="esphome") == (
        "wordspot export runs/lamp --target esphome --data 'my data' --out " + str(Path("runs/lamp/esphome"))
    )
    for other in ({}, {"features": "micro"}):
        assert told(**other) == f"wordspot export runs/lamp --out {Path('runs/lamp/trigger.onnx')}"
