"""From a typed phrase to a measured wake word, with as little training as possible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wordspot as ws
from support.command_line import fails
from wordspot.audio.files import write_audio
from wordspot.data.speech import Speech
from wordspot.errors import ConfigError
from wordspot.wakeword import measuring, training
from wordspot.wakeword.project import Project, Request

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

SMALL: dict[str, Any] = {"n_voices": 24, "n_near_misses": 3, "minutes": 0.01, "engine": "espeak-ng", "false_accepts_per_hour": 60}
SMALL |= {"stream_minutes": 1.0}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of two steps."""
    monkeypatch.setattr(training, "_FEWEST_STEPS", 2)
    monkeypatch.setattr(training, "_PROBE_STEPS", 2)
    monkeypatch.setattr(training, "_PROBE_SKIPPED", 1)


@pytest.mark.slow
def test_a_phrase_becomes_a_model(tmp_path: Path, quick: None) -> None:
    out, notes = tmp_path / "lamp", list[str]()
    with pytest.raises(KeyboardInterrupt):
        ws.new("hey lamp", out=out, stop=lambda: True, **SMALL)
    read = Project(out).read()
    assert read is not None
    assert read[1] == ["speak"]
    with pytest.raises(ConfigError, match="set `resume` to go on with it"):
        ws.new("hey lamp", out=out, **SMALL)
    with pytest.raises(ConfigError, match=r"begun with other arguments \(`n_voices` 24\); repeat them"):
        ws.new("hey lamp", out=out, resume=True, **{**SMALL, "n_voices": 30})

    takes = tmp_path / "takes"
    takes.mkdir()
    for number in range(40):
        sound = 0.1 * np.random.default_rng(number).standard_normal(9000).astype(np.float32)
        write_audio(takes / f"{number}.wav", sound, 16_000)
    made = ws.new("hey lamp", out=out, resume=True, takes=takes, on_note=notes.append, **SMALL)
    assert "40 recordings of people added" in notes
    assert made.model == out / "hey-lamp.onnx"
    assert ws.verify(made.model).passed
    assert ws.open_model(made.model).card.labels == ("_silence_", "_unknown_", "hey lamp")
    assert made.report.read_text(encoding="utf-8").startswith("<!")
    assert made.measured.voices.n > 0
    assert made.measured.takes is not None
    value = json.loads(json.dumps(made.to_json()))
    assert value["measured"]["n_words"] == made.measured.detections.all_words.n_words > 0
    assert "wordspot listen" in made.summary()
    assert any("no `speech` was given" in line for line in made.warnings)


def test_arguments_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "lamp")
    fails(capsys, "--minutes must be more than 0, got 0", "new", "hey lamp", "--out", out, "--minutes", "0")
    fails(capsys, "lamp holds no project of `new`; leave out --resume to begin one", "new", "hey lamp", "--out", out, "--resume")
    missing = tmp_path / "nowhere"
    for flag in ("--speech", "--add", "--add-false", "--backgrounds"):
        fails(capsys, "nowhere: no such folder; expected recordings", "new", "hey lamp", "--out", out, flag, missing)
    assert not Path(out).exists()


def test_speech_whose_text_holds_the_phrase_is_no_negative() -> None:
    texts = (("say", "hey", "lamp", "now"), ("hey", "lamppost"), ())
    audio = np.arange(30, dtype=np.int16)
    speech = Speech(("a", "b", "c"), ("", "", ""), audio, (0, 10, 20, 30), texts, (None, None, None), 16_000)
    kept = [part.tolist() for part in measuring.without_phrases(speech, ["hey lamp"])]
    assert kept == [list(range(10, 20)), list(range(20, 30))]


def test_a_project_that_was_begun_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = Request(("hey lamp",), "en", "espeak-ng", 24, 60, (), 0.5, 20.0, 0, ())
    project = Project(tmp_path / "lamp")
    project.path.mkdir()
    project.write(request, [])
    words = "new", "hey lamp", "--out", project.path, "--engine", "espeak-ng", "--resume"
    fails(capsys, r"was begun with other arguments \(--voices 24\); repeat them", *words)
