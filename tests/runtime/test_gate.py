"""A gate beside the detector: it classifies the window that ends with a detection, `listen` ignores voices that it rejects."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.made_onnx import RATE, made_model
from support.made_recordings import CLIP, THREE, recording_model, window_scores
from support.made_streams import spoken
from wordspot.audio.resample import resample
from wordspot.commands.main import main
from wordspot.errors import AudioError, ConfigError
from wordspot.runtime.decoder import Detection
from wordspot.runtime.gate import Gate

GATE = recording_model()


def heard(end_ms: float) -> Detection:
    return Detection("a", end_ms, 0.9, end_ms + 100)


def ramp(n_samples: int) -> NDArray[np.float32]:
    """Sound whose windows all have other means: from -0.5 to 0.5."""
    return np.linspace(-0.5, 0.5, n_samples, dtype=np.float32)


# ------------------------------------------------------------------------------------------------------------------- gate


@pytest.mark.parametrize("size", [1, 320, 1600, 7777, 80_000])
def test_the_window_ends_where_the_detection_does(size: int) -> None:
    audio, gate = ramp(16_000), Gate(GATE, RATE)
    for start in range(0, len(audio), size):
        gate.feed(audio[start : start + size])
    for end_ms in (100.0, 437.5, 1000.0):
        end = int(end_ms * 16)
        person, machine = window_scores(audio[end - CLIP : end].mean(keepdims=True))[0]
        judgement = gate.judge(heard(end_ms))
        assert judgement.is_target == (person >= 0.5)
        assert judgement.label == ("person" if judgement.is_target else "machine")
        assert judgement.score == pytest.approx(max(person, machine), abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_another_rate_gives_what_resampling_all_gives(rate: int) -> None:
    time = np.arange(rate) / rate
    audio = (0.4 * np.sin(2 * np.pi * 3 * time) + 0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    gate, whole = Gate(GATE, rate), resample(audio, rate, RATE)
    for start in range(0, rate, 441):
        gate.feed(audio[start : start + 441])
    for end_ms in (250.0, 600.0, 730.0):
        end = round(end_ms * 16)
        expected = window_scores(whole[end - CLIP : end].mean(keepdims=True))[0]
        assert gate.judge(heard(end_ms)).score == pytest.approx(expected.max(), abs=1e-4)


def test_at_a_streams_start_what_there_is_is_repeated() -> None:
    gate = Gate(GATE, RATE)
    gate.feed(np.full(400, 0.5, np.float32))
    assert gate.judge(heard(25.0)).score == pytest.approx(0.74, abs=1e-6)
    whole = Gate(recording_model(whole=True), RATE)
    whole.feed(np.full(400, 0.5, np.float32))
    assert whole.judge(heard(25.0)).score == pytest.approx(0.56, abs=1e-6)  # zeros after it: a mean of 0.125


def test_entire_numbers_are_taken_too() -> None:
    gate = Gate(GATE, RATE)
    gate.feed(np.full(CLIP, -16384, np.int16))
    judgement = gate.judge(heard(100.0))
    assert (judgement.is_target, judgement.label) == (False, "machine")
    assert judgement.score == pytest.approx(0.74, abs=1e-6)


@pytest.mark.parametrize("size", [320, 100_000])
def test_only_the_last_seconds_are_kept(size: int) -> None:
    gate = Gate(GATE, RATE)
    for _ in range(0, 60 * RATE, size):
        gate.feed(np.zeros(size, np.float32))
    assert len(gate.history) == len(gate.history.samples()) < 5.2 * RATE + size
    gate.feed(np.full(CLIP, 0.5, np.float32))
    gate.feed(np.full(5 * RATE, -0.5, np.float32))  # a detection may be that late
    end_ms = (gate.history.start + len(gate.history) - 5 * RATE) / 16
    assert gate.judge(heard(end_ms)).score == pytest.approx(0.74, abs=1e-6)
    assert gate.judge(heard(end_ms)).is_target


def test_the_threshold_is_the_cards_or_the_given_one() -> None:
    strict = Gate(recording_model(thresholds={"person": 0.8}), RATE)
    lax = Gate(GATE, RATE, threshold=0.1)
    for gate, level, passes in ((strict, 0.5, False), (strict, 0.7, True), (lax, -0.8, True), (lax, -0.9, False)):
        gate.feed(np.full(CLIP, level, np.float32))
        assert gate.judge(heard((gate.history.start + len(gate.history)) / 16)).is_target == passes


def test_of_three_labels_only_the_first_passes() -> None:
    gate = Gate(recording_model(THREE), RATE)
    gate.feed(np.full(CLIP, 0.5, np.float32))
    gate.feed(np.full(CLIP, -0.5, np.float32))
    assert gate.judge(heard(100)).is_target
    refused = gate.judge(heard(200))
    assert (refused.is_target, refused.label) == (False, "machine")


def test_what_is_no_gate_or_no_stream_is_rejected() -> None:
    with pytest.raises(ConfigError, match="does not classify entire recordings"):
        Gate(made_model("clip"), RATE)
    with pytest.raises(AudioError, match="sample rate must lie between 1000 and 1000000 Hz, got 10"):
        Gate(GATE, 10)
    with pytest.raises(AudioError, match="NaN or infinite"):
        Gate(GATE, RATE).feed(np.full(10, np.nan))


# ----------------------------------------------------------------------------------------------------------------- listen


class FakeInput:
    def __init__(self, audio: NDArray[Any]) -> None:
        self.buffer = io.BytesIO((audio * 32767).astype("<i2").tobytes())


@pytest.fixture
def listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`wordspot listen` to sound that holds an "a" (a constant sound above 0) and then a "b" (below 0)."""
    words = tmp_path / "words.onnx"
    words.write_bytes(made_model(clip_samples=CLIP))

    def listen(*args: object, rate: int = RATE) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", FakeInput(spoken(rate)))
        capsys.readouterr()
        status = main(["listen", str(words), "-", "--rate", str(rate), *map(str, args)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return listen


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A gate that takes what is above 0 for a person."""
    path = tmp_path / "person.onnx"
    path.write_bytes(GATE)
    return path


def test_a_word_of_another_voice_is_ignored(listen: Callable[..., tuple[int, str, str]], gate: Path) -> None:
    status, plain, _ = listen()
    assert (status, plain.count("\n")) == (0, 2)
    for rate in (RATE, 44_100):
        status, out, error = listen("--gate", gate, rate=rate)
        assert (status, error) == (0, "the gate accepts person and ignores machine\n")
        first, second = out.splitlines()
        assert re.fullmatch(r" +\d\.\d\d s  a \(score = 0\.\d\d\)", first)
        ending = re.fullmatch(r" +\d\.\d\d s  b \(score = 0\.\d\d\)  ignored: machine \((0\.\d\d)\)", second)
        assert ending
        assert float(ending[1]) > 0.5


def test_json_says_what_the_gate_took_it_for(listen: Callable[..., tuple[int, str, str]], gate: Path) -> None:
    _, out, _ = listen("--gate", gate, "--json")
    first, second = map(json.loads, out.splitlines())
    assert set(first) == {"label", "time_ms", "score", "emitted_ms", "ignored", "gate"}
    assert (first["label"], first["ignored"], first["gate"]["label"]) == ("a", False, "person")
    assert (set(first["gate"]), first["gate"]["certain"]) == ({"label", "score", "certain"}, True)
    assert (second["label"], second["ignored"], second["gate"]["label"]) == ("b", True, "machine")
    assert 0.5 < second["gate"]["score"] <= 1


def test_what_is_ignored_is_not_kept_and_starts_nothing(
    listen: Callable[..., tuple[int, str, str]], gate: Path, tmp_path: Path
) -> None:
    program = tmp_path / "note.py"
    program.write_text(
        "import os, pathlib, sys\nwith pathlib.Path(sys.argv[1]).open('a') as file: file.write(os.environ['WORDSPOT_LABEL'])\n"
    )
    command = f'"{sys.executable}" "{program}" "{tmp_path / "labels"}"'
    status, out, _ = listen("--gate", gate, "--save", tmp_path / "heard", "--exec", command, "--json")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert "saved" not in second
    assert [path.name for path in (tmp_path / "heard").iterdir()] == [Path(first["saved"]).name]
    assert (tmp_path / "labels").read_text() == "a"


def test_a_gate_of_another_task_is_rejected(listen: Callable[..., tuple[int, str, str]], gate: Path, tmp_path: Path) -> None:
    status, out, error = listen("--gate", tmp_path / "words.onnx")
    assert (status, out) == (1, "")
    assert re.search(r"--gate: .*words\.onnx: the model does not classify entire recordings", error)
    status, out, error = listen("--gate", tmp_path / "none.onnx")
    assert (status, out) == (1, "")
    assert "no such file" in error
