"""What is said about a finished model, by its figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wordspot.evaluation.false_accepts import DetectionMetrics, Latency, WordMetrics
from wordspot.intervals import EventRate, Proportion
from wordspot.wakeword.measuring import Measured
from wordspot.wakeword.project import Request
from wordspot.wakeword.verdict import doubts_about, limits, verdict

FOUND, NOT_WOKEN = Proportion(36, 40), Proportion(0, 20)
REQUEST = Request(("hey lamp",))


def detections(missed: int = 10, n_words: int = 100, accepts: int = 0, hours: float = 1.0) -> DetectionMetrics:
    words = WordMetrics(Proportion(missed, n_words), EventRate(accepts, hours), {}, {}, Latency(0, None, None))
    return DetectionMetrics(hours, words, {"hey lamp": words})


def measured(voices: Proportion = FOUND, takes: Proportion | None = None, near: Proportion = NOT_WOKEN, **more: Any) -> Measured:
    stream: Any = SimpleNamespace(metrics=SimpleNamespace(detections=detections(**more)))
    return Measured(voices, takes, near, (), stream)


def test_a_good_model_needs_no_verdict() -> None:
    assert verdict(measured(), REQUEST, 600, has_speech=True) == ""
    assert verdict(measured(takes=Proportion(0, 1)), REQUEST, 600, has_speech=True) == ""  # one recording says nothing
    assert verdict(measured(accepts=2, hours=0.3), REQUEST, 600, has_speech=True) == ""  # nor do two in so little sound


@pytest.mark.parametrize(
    ("figures", "fault"),
    [
        (measured(Proportion(3, 40)), "it finds the phrase in 3 of 40 held-out voices"),
        (measured(takes=Proportion(0, 4)), "it finds the phrase in 0 of 4 held-out recordings of people"),
        (measured(near=Proportion(18, 20)), "18 of 20 clips of similar phrases wake it"),
        (measured(missed=80), "it misses 80 of 100 phrases in the test streams at its threshold"),
        (measured(accepts=60), "60 false accepts an hour there, wanted 0.5"),
    ],
)
def test_what_is_wrong_and_what_helps(figures: Measured, fault: str) -> None:
    line = verdict(figures, REQUEST, 600, has_speech=True)
    assert line.startswith(f"Not good enough to use: {fault}. What helps: ")
    assert "recordings of people who say it (`takes`), or a phrase with more syllables." in line
    assert "\n" not in line


def test_advice_fits_what_was_given() -> None:
    line = verdict(measured(Proportion(0, 40)), REQUEST, 20, has_speech=False)
    assert "more training (it had 20 steps; raise `minutes`), recordings of other speech (`speech`), ten recordings" in line
    line = verdict(measured(takes=Proportion(0, 40)), REQUEST, 600, has_speech=True)
    assert "What helps: more recordings of people" in line


def test_what_the_streams_cannot_show() -> None:
    (few,) = limits(detections(hours=0.5), REQUEST, has_speech=True)
    assert few.startswith(
        "30 minutes of sound chose the threshold: even without any false accept there, the true rate may be up to 7.38"
    )
    assert "to show 0.5 takes 7.4 hours" in few
    assert "annotation" not in few
    assert limits(detections(hours=9), REQUEST, has_speech=True) == []
    assert limits(detections(hours=9, accepts=30), REQUEST, has_speech=True) == [
        "no threshold keeps to 0.5 false accepts an hour: the fewest are 30 in 9 hours"
    ]
    assert "no `speech` was given" in limits(detections(hours=9), REQUEST, has_speech=False)[0]


def test_recordings_that_may_not_hold_the_phrase_are_listed() -> None:
    figures = measured()
    assert doubts_about(figures) == []
    (line,) = doubts_about(dataclasses.replace(figures, doubtful=tuple(Path(f"take-{n}.wav") for n in range(6))))
    assert line.startswith("6 recordings of people may not hold the phrase")
    assert "take-0.wav, take-1.wav, take-2.wav, take-3.wav and 2 more. Listen to these copies; remove" in line
