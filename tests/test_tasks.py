"""The registry of tasks: what is asked of each in one place."""

from __future__ import annotations

import dataclasses

import pytest

from wordspot.config import DecoderConfig, RunConfig, TriggerConfig
from wordspot.errors import ConfigError
from wordspot.models import MODELS
from wordspot.presets import TRIGGER_DECODER
from wordspot.tasks import TASKS, find_task, labels_of_run


def test_labels() -> None:
    assert labels_of_run(RunConfig(("yes", "no"))) == ("_silence_", "_unknown_", "yes", "no")
    assert labels_of_run(RunConfig(("alexa",), task="trigger")) == ("_silence_", "alexa")
    assert labels_of_run(RunConfig(("real", "made"), task="recordings")) == ("real", "made")


def test_each_task_predicts_one_kind_of_thing() -> None:
    for task in TASKS.values():
        assert task.predicts_clips + task.predicts_steps + task.predicts_recordings == 1


def test_what_a_task_names_exists() -> None:
    folders = {field.name for field in dataclasses.fields(TriggerConfig)}
    for name, task in TASKS.items():
        assert task.name == name
        assert task.default_model in MODELS
        assert task.model_for_many is None or task.model_for_many[1] in MODELS
        assert set(task.folders) <= folders
        DecoderConfig(**task.decoder)
    assert DecoderConfig(average_ms=80, threshold=0.5, refractory_ms=1000, confirm_ms=60) == TRIGGER_DECODER


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("words", (), "words: the task words needs at least 1, got none"),
        ("trigger", ("a", "b"), r"words: the task trigger needs exactly 1, got 2 \(a,b\)"),
        ("recordings", ("real",), r"words: the task recordings needs at least 2, got 1 \(real\)"),
    ],
)
def test_how_many_words(task: str, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_task(task).check_words(words)


def test_an_unknown_task() -> None:
    with pytest.raises(ConfigError, match="there is no task 'word'; the tasks are words, trigger, recordings"):
        find_task("word")
