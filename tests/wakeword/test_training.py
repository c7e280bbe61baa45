"""How fast training is, from a few steps and a part of a search, and what is announced."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from wordspot.errors import TrainingError
from wordspot.progress import SEARCHING, TRAINING, Progress
from wordspot.wakeword import training


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
    assert speed.announce(600, 3) == "training: 600 steps and 3 searches of the speech and noise, about 22 minutes"
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
