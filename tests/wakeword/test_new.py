"""From a typed phrase to a measured wake word, with as little training as possible."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wordspot as ws
from support.command_line import fails, run
from wordspot.audio.files import write_audio
from wordspot.audio.samples import to_int16
from wordspot.data.speech import Speech
from wordspot.data.voices import find_engines
from wordspot.data.voices.reading import read_aloud, text_for
from wordspot.errors import ConfigError
from wordspot.wakeword import making, measuring, training
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.splicing import people

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

import torch

from support.made_tflite import detected_by_pymicro, device_features, run_on_device
from wordspot.training.run_folder import RunFolder

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
    assert ws.info(made.model).card.quantization == "int8"
    assert ws.info(made.model).card.decoder.confirm_ms == 0  # nothing competes with one phrase
    assert ws.info(made.model).card.decoder.refractory_ms == 1500  # its score may rise again while it leaves the window
    assert made.model.stat().st_size < 300_000
    assert made.report.read_text(encoding="utf-8").startswith("<!")
    assert made.measured.voices.n > 0
    assert made.measured.takes is not None
    assert made.measured.before is None  # no model was there before these recordings
    spoken = list(Project(out).spoken.rglob("*.wav"))
    assert len(spoken) == SMALL["n_voices"]
    assert all(path.with_suffix(".txt").is_file() for path in spoken)
    assert sum(note.startswith("no `speech` was given: voices read") for note in notes) == 1
    value = json.loads(json.dumps(made.to_json()))
    assert value["measured"]["n_words"] == made.measured.detections.all_words.n_words > 0
    assert "wordspot listen" in made.summary()
    assert any("no `speech` was given" in line for line in made.warnings)
    assert not any("annotation" in line for line in made.warnings)
    assert made.summary().endswith(made.verdict)
    page = made.report.read_text(encoding="utf-8")
    assert "Single clips" in page
    assert ('<p class="notice">' in page) == bool(made.verdict)
    (announced,) = (note for note in notes if note.startswith("training: "))
    assert re.fullmatch(r"training: 2 steps and [12] searches of the speech and noise, about .*", announced)

    for number in range(40, 45):
        sound = 0.1 * np.random.default_rng(number).standard_normal(9000).astype(np.float32)
        write_audio(takes / f"{number}.wav", sound, 16_000)
    again = ws.new(out=out, resume=True, takes=takes)
    assert again.request == made.request
    assert again.measured.before is not None
    assert again.measured.before.n == 5
    assert (
        f"the model before the newest recordings of people: found in {again.measured.before.count} of these 5" in again.summary()
    )


def test_arguments_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "lamp")
    fails(capsys, "--minutes must be more than 0, got 0", "new", "hey lamp", "--out", out, "--minutes", "0")
    fails(capsys, "lamp holds no project of `new`; leave out --resume to begin one", "new", "hey lamp", "--out", out, "--resume")
    missing = tmp_path / "nowhere"
    for flag in ("--speech", "--add", "--add-false", "--backgrounds"):
        fails(capsys, "nowhere: no such folder; expected recordings", "new", "hey lamp", "--out", out, flag, missing)
    assert not Path(out).exists()


@pytest.mark.slow
def test_people_of_the_speech_say_the_phrase(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is joined from their sentences is trained on, in two runs; what resumes goes on with the same recordings."""
    monkeypatch.setattr(people, "_FEWEST_SOUNDS", 100)
    monkeypatch.setattr(training, "choose_plan", lambda *_, **__: training.Plan(2, 2))
    out, speech = tmp_path / "lamp", tmp_path / "speech"
    engines = find_engines("espeak-ng", n_speakers=12)
    read_aloud(text_for("en", ()), speech, n=36, seed=0, engines=engines, n_speakers=12)
    with pytest.raises(KeyboardInterrupt):
        ws.new("hey lamp", out=out, speech=speech, stop=lambda: True, **SMALL)
    joined = sorted(out.glob("recordings/*/*_nohash_people*.wav"))
    assert {path.parent.name for path in joined} >= {"hey lamp", "lamp"}
    ws.new("hey lamp", out=out, speech=speech, resume=True, **SMALL)
    assert sorted(out.glob("recordings/*/*_nohash_people*.wav")) == joined
    rows = (out / "run" / "data.csv").read_text(encoding="utf-8").splitlines()
    used = [row for row in rows if "_nohash_people" in row]
    assert len(used) == len(joined)
    assert all("training" in row for row in used)
    project = Project(out)
    one, other, mean = (RunFolder(path).load() for path in (project.members / "1", project.members / "2", project.run))
    starts = [RunFolder(project.members / name).load(0).weights for name in ("1", "2")]
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert one.step == other.step == mean.step == 2
    assert (one.config.training.seed, other.config.training.seed) == (0, 1000)
    ends = [checkpoint.best_weights for checkpoint in (one, other)]
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    for name, value in mean.weights.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2)


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
    words = "--out", project.path, "--engine", "espeak-ng", "--resume"
    fails(capsys, r"was begun with other arguments \(--voices 24\); repeat them", "new", "hey lamp", *words)
    fails(capsys, r"was begun with other arguments \(--voices 24\); repeat them", "new", *words, "--voices", 30)
    fails(capsys, "no phrase is given; name at least one, or set --resume", "new", "--out", tmp_path / "radio")
    fails(capsys, "radio holds no project of `new`", "new", "--out", tmp_path / "radio", "--resume")


def test_a_resumed_project_need_not_be_described_again(tmp_path: Path) -> None:
    project, begun = Project(tmp_path / "lamp"), Request(("hey lamp",), engine="espeak-ng", n_voices=24, stream_minutes=1.0)
    project.path.mkdir()
    project.write(begun, [])
    usual = {name: value for name, value in vars(Request(("any",))).items() if name != "phrases"}
    assert making._request(project, None, usual, resume=True) == begun
    changed = making._request(project, None, {**usual, "stream_minutes": 5.0}, resume=True)
    assert changed == dataclasses.replace(begun, stream_minutes=5.0)


def test_killed_while_recordings_are_copied_it_trains_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed project finds nothing new to copy, and trains on what was copied before it was killed all the same."""
    request = Request(("hey lamp",), "en", "espeak-ng", 24, 3)
    project, takes = Project(tmp_path / "lamp"), tmp_path / "takes"
    for folder in (project.run, takes):
        folder.mkdir(parents=True)
    project.write(request, ["speak", "train"])
    write_audio(takes / "0.wav", 0.1 * np.random.default_rng(0).standard_normal(9000).astype(np.float32), 16_000)
    brought = making.Brought(takes)
    callbacks = training.Callbacks(lambda _: None, lambda _: None, lambda _: None, lambda: False)

    def gather() -> list[str]:
        finished = ["speak", "train"]
        making._gather(project, request, finished, brought, callbacks)
        return finished

    def killed(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(making.takes, "weigh_takes", killed)
        with pytest.raises(SystemExit):
            gather()
    assert gather() == ["speak"]
    assert not project.run.exists()
    project.run.mkdir()
    assert gather() == ["speak", "train"]  # nothing has changed since
    assert project.run.exists()


@pytest.mark.slow
def test_a_wake_word_for_esphome(tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The preset for microcontrollers writes files that the interpreters of devices run."""
    made = ws.new("hey lamp", out=tmp_path / "lamp", preset="microcontroller", **SMALL)
    assert made.esphome is not None
    path = tmp_path / "lamp" / "esphome" / "hey_lamp.json"
    assert made.esphome.manifest == path
    assert sorted(file.name for file in path.parent.iterdir()) == ["hey_lamp.json", "hey_lamp.tflite", "hey_lamp.yaml"]
    settings = json.loads(path.read_text(encoding="utf-8"))["micro"]
    assert (settings["probability_cutoff"], settings["sliding_window_size"]) == (made.esphome.cutoff, made.esphome.window)
    config = ws.Run(tmp_path / "lamp" / "run").config
    assert (config.features.kind, config.features.hop_ms, config.features.clip_ms) == ("micro", 10, 1500)
    assert ws.verify(made.model).passed
    assert ws.info(made.model).card.quantization == "none"  # so that `export --target esphome` takes the file as well
    assert made.model.stat().st_size < 310_000

    decoder = ws.open_model(made.model).card.decoder
    assert (decoder.threshold, decoder.average_ms) == (made.esphome.cutoff, 30 * (made.esphome.window - 1))
    assert made.measured.stream.model == str(path)
    assert made.measured.detections.all_words.n_words > 0
    value = json.loads(json.dumps(made.to_json()))["esphome"]
    assert value["bytes"] == made.esphome.bytes == path.with_suffix(".tflite").stat().st_size < 100_000
    assert "hey_lamp.yaml, .json and .tflite: for ESPHome, " in made.summary()

    sound = to_int16((0.1 * np.random.default_rng(1).standard_normal(24_000)).astype(np.float32))
    scores = run_on_device(path.with_suffix(".tflite").read_bytes(), device_features(sound), 3, settings["tensor_arena_size"])
    assert len(scores) > 40
    assert len(np.unique(scores)) > 1
    detected_by_pymicro(path.parent, "hey_lamp", sound)
    status, out, error = run(capsys, "info", path)
    assert (status, error) == (0, "")
    assert "hey lamp" in out


def test_presets_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lamp"
    base = ("new", "hey lamp", "--out", out, "--preset")
    fails(capsys, "--preset must be one of default, microcontroller, got 'tiny'", *base, "tiny")
    several = "makes a model for ESPHome, which detects one phrase, got 2; make one project for each"
    fails(capsys, f"--preset microcontroller {several}", *base, "microcontroller", "hey radio")
    fails(
        capsys,
        "ESPHome takes the wake word 'vad' for that of its voice activity detector",
        "new",
        "vad",
        "--out",
        out,
        "--preset",
        "microcontroller",
    )
    assert not out.exists()
