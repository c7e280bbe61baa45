"""What the page on a wake word shows besides its test streams."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from wakeword.test_verdict import measured
from wordspot.audio.files import write_audio
from wordspot.intervals import Proportion
from wordspot.wakeword import report
from wordspot.wakeword.report import write_wake_word_report


def test_single_clips_and_the_near_misses_that_wake_it_are_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = []
    for number in range(14):
        clips.append((tmp_path / f"{number}.wav", f"hey <damp> {number}"))
        write_audio(clips[-1][0], np.zeros(1600, np.float32), 16_000)
    parts: list[str] = []
    monkeypatch.setattr(report, "write_stream_report", lambda path, result, before: parts.extend(before))
    figures = dataclasses.replace(measured(Proportion(30, 40), Proportion(4, 5)), woken=tuple(clips), before=Proportion(6, 10))
    write_wake_word_report(tmp_path / "report.html", figures, "Not good & so on.")
    notice, single, near = parts
    assert notice == '<p class="notice">Not good &amp; so on.</p>'
    assert "30 of 40 (75.0 %)" in single
    assert "4 of 5 (80.0 %)" in single
    assert "<b>6 of 10 (60.0 %)</b><span>newest recordings of people: found by the model before them" in single
    assert near.count('<audio controls preload="none" src="data:audio/wav;base64,') == 12
    assert "hey &lt;damp&gt; 0" in near


def test_a_good_model_without_recordings_of_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []
    monkeypatch.setattr(report, "write_stream_report", lambda path, result, before: parts.extend(before))
    write_wake_word_report(tmp_path / "report.html", measured(), "")
    (single,) = parts
    assert "recordings of people" not in single
    assert "0 of 20 (0.0 %)" in single
