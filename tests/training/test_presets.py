"""Sizes of the default network, as settings over its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.errors import ConfigError
from wordspot.labels import labels_of
from wordspot.models import make_model
from wordspot.presets import PRESETS
from wordspot.training.recipes import make_config

TEN = tuple("abcdefghij")


@pytest.mark.parametrize("name", list(PRESETS))
def test_it_has_as_many_parameters_as_its_help_says(name: str) -> None:
    config = make_config(Path("x"), TEN, preset=name)
    model = make_model(config.model, config.features.n_frames, config.features.n_features, len(labels_of(TEN)))
    assert PRESETS[name].help.startswith(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")


def test_the_default_preset_is_the_recipe_and_settings_override_presets() -> None:
    assert make_config(Path("x"), TEN, preset="default") == make_config(Path("x"), TEN)
    config = make_config(Path("x"), TEN, preset="best", settings={"model.n_channels": 12})
    assert config.model.options["n_channels"] == 12


def test_presets_are_for_the_default_network() -> None:
    with pytest.raises(ConfigError, match="`preset` must be one of default, best"):
        make_config(Path("x"), TEN, preset="tiny")
    with pytest.raises(ConfigError, match="`preset` is a size of residual_1d for the task words"):
        make_config(Path("x"), TEN, model="conv", preset="best")
