"""The examples in the docstrings of pure functions give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("data.sound_alikes", "data.split", "formats", "intervals", "labels", "metrics", "runtime.windows")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"wordspot.{name}"))
    assert result.attempted >= 1
    assert result.failed == 0
