"""How fast training is, from a few steps and a part of a search, what is planned for it, and what is announced."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from wordspot.config import RunConfig
from wordspot.errors import ConfigError, TrainingError
from wordspot.progress import SEARCHING, TRAINING, Progress
from wordspot.wakeword import training
from wordspot.wakeword.project import Project, Request


class Clock:
    """Says how late it is, and moves on when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(training, "time", made)
    return made


def test_steps_and_searches_are_timed_and_announced(clock: Clock) -> None:
    """The first steps are slow, then one takes 2 s; 8 pieces take 3 s, and all 80 thirty."""
    shown: list[Progress] = []
    probe = training._Probe(shown.append)
    probe.on_progress(Progress("decoding", 5, 9))
    probe.on_progress(Progress(TRAINING, 0, 8))
    for step in range(1, 8):
        clock.now += 2 if step > 3 else 30
        probe.on_progress(Progress(TRAINING, step, 8))
    clock.now += 5
    for done in (8, 16):
        probe.on_progress(Progress(SEARCHING, done, 80))
        clock.now += 3
    with pytest.raises(training._KnownError):
        probe.on_progress(Progress(SEARCHING, 24, 80))
    speed = probe.speed()
    assert speed == training.Speed(seconds_a_step=2, seconds_a_search=30)
    once = "training: 600 steps and 3 searches of the speech and noise"
    assert speed.announce(training.Plan(1, 600)) == f"{once}, about 22 minutes"
    assert speed.announce(training.Plan(2, 600)) == f"{once}, 2 times with different seeds and then averaged, about 43 minutes"
    assert {one.stage for one in shown} == {"decoding", training.PROBING}


def test_steps_that_are_reported_after_the_search_are_timed_together(clock: Clock) -> None:
    """As on a GPU."""
    probe = training._Probe(lambda _: None)
    probe.on_progress(Progress(TRAINING, 0, 8))
    clock.now += 16
    with pytest.raises(training._KnownError):
        probe.on_progress(Progress(SEARCHING, 2, 2))
    assert probe.speed() == training.Speed(seconds_a_step=2, seconds_a_search=0)


def test_a_probe_that_saw_nothing() -> None:
    with pytest.raises(TrainingError, match="training ended before its speed was known; run the same command with --resume"):
        training._Probe(lambda _: None).speed()


@pytest.mark.parametrize(
    ("seconds", "most_useful", "plan"),
    [
        (100, 600, (1, 50)),
        (1200, 600, (1, 600)),  # enough for the steps of one run, without its searches
        (2 * 1290 - 1, 600, (1, 600)),
        (2 * 1290, 600, (2, 600)),
        (100_000, 600, (3, 600)),
        (100_000, 1100, (3, 1100)),
        (100_000, None, (1, 50_000)),
        (0.1, 600, (1, 20)),
    ],
)
def test_more_minutes_are_more_steps_and_then_more_runs(seconds: float, most_useful: int | None, plan: tuple[int, int]) -> None:
    """A run of 600 steps of 2 s and three searches of 30 s takes 1290 s."""
    speed = training.Speed(seconds_a_step=2, seconds_a_search=30)
    assert training.choose_plan(speed, seconds, most_useful) == training.Plan(*plan)


def test_steps_of_a_run_are_shown_as_part_of_all() -> None:
    shown: list[Progress] = []
    show = training._of_all(shown.append, 600, 1800)
    show(Progress(TRAINING, 10, 600, "5 steps/s"))
    show(Progress(SEARCHING, 3, 80))
    assert shown == [Progress(TRAINING, 610, 1800, "5 steps/s"), Progress(SEARCHING, 3, 80)]


def test_a_damaged_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"n_runs": 3}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"plan.json is damaged \(KeyError: 'n_steps'\); begin anew with `force`"):
        training._read_plan(path)


def test_killed_while_the_average_is_written_it_is_written_again(tmp_path: Path) -> None:
    """The runs themselves are finished, so nothing is trained."""
    import torch

    from wordspot.training.checkpoint import Checkpoint, save_checkpoint
    from wordspot.training.run_folder import RunFolder

    project, request = Project(tmp_path / "lamp"), Request(("hey lamp",))
    config = RunConfig(words=("hey lamp",))
    for number, value in ((1, 1.0), (2, 4.0)):
        member = RunFolder(project.members / str(number))
        member.checkpoints.mkdir(parents=True)
        member.write_config(config)
        save_checkpoint(member.checkpoint_path(5), Checkpoint(config, 5, 0, 0.0, {"layer": torch.tensor(value)}, {}))
        for name in ("data.csv", "versions.json"):
            (member.path / name).write_text("", encoding="utf-8")
    project.plan.write_text('{"n_runs": 2, "n_steps": 5}', encoding="utf-8")
    half_written = RunFolder(project.run)
    half_written.checkpoints.mkdir()
    half_written.checkpoint_path(5).write_bytes(b"")
    callbacks = training.Callbacks(lambda _: None, lambda _: None, lambda _: None, lambda: False)
    run = training.train_wake_word(project, request, None, callbacks)
    assert (run.step, run.config) == (5, config)
    assert RunFolder(project.run).load().weights["layer"].item() == 2.5
