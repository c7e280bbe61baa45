"""`wordspot classify` as a user runs it, and what other commands say of a model of whole recordings."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from support.command_line import fails, run
from support.made_onnx import RATE, made_model
from support.made_recordings import CLIP, THREE, recording_model, window_scores
from wordspot.audio.files import read_blocks
from wordspot.commands import main as cli
from wordspot.reports.pictures import spectrogram
from wordspot.runtime.recordings import RecordingClassifier


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    if "classify" not in cli.COMMANDS:
        monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, "classify"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "person.onnx"
    path.write_bytes(recording_model())
    return path


def wav(path: Path, *levels: float, rate: int = RATE) -> Path:
    """A tenth of a second of each level, end to end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.repeat(np.array(levels, np.float32), rate // 10), rate, subtype="FLOAT")
    return path


# ---------------------------------------------------------------------------------------------------------------- answers


def test_a_line_says_label_score_and_stretch(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "talk.wav", -0.5, *[0.5] * 8, -0.5)
    status, out, error = run(capsys, "classify", model, path)
    assert (status, error) == (0, "")
    assert out == f"{path}: person (score = 0.68)  0:00.1 to 0:00.9 of 0:01.0\n"


def test_the_score_over_time_as_json(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "talk.wav", 0.5, 0, 0, -0.5, rate=RATE)
    status, out, _ = run(capsys, "classify", model, path, "--json")
    assert (status, out.count("\n")) == (0, 1)
    answer = json.loads(out)
    assert list(answer) == [
        "file", "label", "score", "scores", "threshold", "doubts", "start_s", "stop_s", "seconds", "windows",
    ]  # fmt: skip
    assert (answer["file"], answer["label"], answer["score"]) == (str(path), "person", 0.5)
    assert (answer["scores"], answer["threshold"]) == ({"person": 0.5, "machine": 0.5}, 0.5)
    windows = answer["windows"]
    assert windows["time_s"] == [round(0.05 + 0.025 * place, 3) for place in range(13)]
    assert windows["has_sound"] == [True] * 4 + [False] * 5 + [True] * 4
    means = np.array([0.5, 0.375, 0.25, 0.125, *[0] * 5, -0.125, -0.25, -0.375, -0.5])
    expected = window_scores(means)
    np.testing.assert_allclose(windows["scores"]["person"], expected[:, 0], atol=2e-6)
    np.testing.assert_allclose(windows["scores"]["machine"], expected[:, 1], atol=2e-6)
    assert (answer["start_s"], answer["stop_s"], answer["seconds"]) == (0, 0.175, 0.4)


def test_a_table_of_a_folder(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    wav(tmp_path / "in" / "b.wav", 0.5)
    wav(tmp_path / "in" / "a, b" / "c.wav", -0.5, -0.5)
    (tmp_path / "in" / "notes.txt").write_text("no sound")
    status, out, _ = run(capsys, "classify", model, tmp_path / "in", "--csv")
    rows = list(csv.reader(out.splitlines()))
    assert status == 0
    assert rows == [
        ["file", "label", "score", "start_s", "stop_s", "seconds", "doubts"],
        ["a, b/c.wav", "machine", "0.740000", "0.000", "0.200", "0.200", ""],
        ["b.wav", "person", "0.740000", "0.000", "0.100", "0.100", ""],
    ]


def test_another_threshold(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "talk.wav", 0.5)
    _, out, _ = run(capsys, "classify", model, path, "--threshold", "0.8", "--json")
    assert (json.loads(out)["label"], json.loads(out)["score"], json.loads(out)["threshold"]) == ("machine", 0.26, 0.8)
    fails(
        capsys,
        r"person\.onnx: --threshold must lie between 0 and 1, got 2",
        "classify",
        model,
        path,
        "--threshold",
        "2",
    )


@pytest.mark.slow
def test_three_labels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, path = tmp_path / "three.onnx", wav(tmp_path / "talk.wav", -0.5)
    model.write_bytes(recording_model(THREE))
    _, out, _ = run(capsys, "classify", model, path, "--json")
    answer = json.loads(out)
    assert answer["scores"] == pytest.approx({"person": 0.234, "machine": 0.666, "radio": 0.1}, abs=2e-6)
    assert "threshold" not in answer
    assert run(capsys, "classify", model, path, "--picture", tmp_path / "three.png")[0] == 0


def test_what_cannot_be_judged_is_left_out_and_named(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    wav(tmp_path / "in" / "a.wav", 0.5)
    (tmp_path / "in" / "b.wav").write_bytes(b"RIFF")
    status, out, error = run(capsys, "classify", model, tmp_path / "in")
    assert status == 1
    assert out.startswith("a.wav: person")
    assert re.search(r"skipped: .*b\.wav: .*\n1 of 2 files could not be read\n", error), error
    fails(capsys, r"b\.wav: ", "classify", model, tmp_path / "in" / "b.wav")
    fails(capsys, "no such file", "classify", model, tmp_path / "none.wav")


def test_a_model_must_be_named(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "talk.wav", 0.5)
    fails(capsys, r"talk\.wav is taken for a recording, since the name of a model ends in \.onnx", "classify", path)
    fails(capsys, "Train one with `wordspot train --task recordings`", "classify", path, path)
    renamed = model.with_suffix(".model")
    renamed.write_bytes(model.read_bytes())
    fails(capsys, r"person\.model is taken for a recording, since the name of a model ends in \.onnx", "classify", renamed, path)
    fails(capsys, "no recordings; name files or folders after it", "classify", model)
    fails(capsys, "name a single model, before the recordings", "classify", path, model)


def test_silence_and_unused_channels_are_noted(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    _, out, _ = run(capsys, "classify", model, wav(tmp_path / "quiet.wav", 0, 0))
    assert "quiet.wav: cannot tell: it contains digital silence only" in out
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(recording_model(whole=True))
    _, _, error = run(capsys, "classify", whole, wav(tmp_path / "long.wav", 0.5, 0.5, 0.5))
    assert "long.wav: only its first 0.1 s of 0.3 s are used" in error
    assert run(capsys, "classify", whole, wav(tmp_path / "fits.wav", 0.5))[2] == ""


# ---------------------------------------------------------------------------------------------------------------- picture


@pytest.mark.parametrize("levels", [[0.5], [0.5, 0, 0, 0, -0.5] * 20, [0.0]], ids=["one", "many", "silence"])
@pytest.mark.slow
def test_a_picture(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path, levels: list[float]) -> None:
    path = wav(tmp_path / "$x_1$ 声.wav", *levels)
    status, out, _ = run(capsys, "classify", model, path, "--picture", tmp_path / "deep" / "out.png")
    assert status == 0
    assert out.count("\n") == 1
    data = (tmp_path / "deep" / "out.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 1200


def test_pictures_that_cannot_be_are_rejected_first(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", 0.5)
    fails(capsys, r"expected a name that ends in \.png", "classify", model, path, "--picture", tmp_path / "out.svg")
    fails(capsys, "takes one FILE, got 2", "classify", model, path, path, "--picture", tmp_path / "out.png")


def test_a_spectrogram_shows_a_tone_where_it_is(tmp_path: Path) -> None:
    rate, seconds = 8000, 40.0
    time = np.arange(int(rate * seconds)) / rate
    audio = 0.5 * np.sin(2 * np.pi * np.where(time < 30, 1000, 3000) * time)
    soundfile.write(tmp_path / "s.wav", audio, rate)
    picture = spectrogram(read_blocks(tmp_path / "s.wav")[1], rate, seconds)
    assert picture.shape == (1200, 101)
    loudest = picture.argmax(axis=1) * rate / 200
    assert (loudest[:895] == 1000).all()
    assert (loudest[905:] == 3000).all()
    short = spectrogram(read_blocks(wav(tmp_path / "short.wav", 0.5))[1], RATE, 0.1)
    assert len(short) == 10
    assert np.isfinite(short).all()


# --------------------------------------------------------------------------------------------------------------- refusals


def test_other_models_are_sent_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words, path = tmp_path / "words.onnx", wav(tmp_path / "a.wav", 0.5)
    words.write_bytes(made_model("clip", clip_samples=CLIP))
    fails(capsys, r"words\.onnx: the model does not classify entire recordings.* use `detect`", "classify", words, path)


@pytest.mark.parametrize("command", ["label", "detect", "listen"])
def test_commands_for_words_send_to_classify(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path, command: str
) -> None:
    path = wav(tmp_path / "a.wav", 0.5)
    match = r"person\.onnx classifies entire recordings \(person, machine\) and detects no words; use `classify`"
    fails(capsys, match, command, model, path)


# ------------------------------------------------------------------------------------------------------------ real sounds


#: Prints the windows of a file, and the peak of memory in MB. On Linux `getrusage` counts what the parent held as well.
_JUDGE = """
import resource, sys
from pathlib import Path
from wordspot.runtime.recordings import RecordingClassifier
n_windows = len(RecordingClassifier(sys.argv[1]).classify_file(sys.argv[2]).times_s)
status = Path("/proc/self/status")
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(n_windows, peak)
"""


@pytest.mark.slow
def test_an_hour_costs_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    """In a fresh process, so that the peak is that of judging."""
    if sys.platform == "win32":
        pytest.skip("no getrusage there")
    peaks = []
    for name, minutes in (("minute", 1), ("hour", 60)):
        path = tmp_path / f"{name}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            block: NDArray[Any] = 0.1 * np.random.default_rng(1).standard_normal(60 * RATE)
            for _ in range(minutes):
                file.write(block)
        (tmp_path / "m.onnx").write_bytes(recording_model(clip_samples=48_000, stride_ms=500))
        command = [sys.executable, "-c", _JUDGE, str(tmp_path / "m.onnx"), str(path)]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
        n_windows, peak = ended.stdout.split()
        assert int(n_windows) == 120 * minutes - 5
        peaks.append(float(peak))
    assert peaks[1] < 300
    assert peaks[1] - peaks[0] < 20


def test_real_recordings_of_any_rate_are_read(shared_data: Path) -> None:
    folder = shared_data / "real_or_synthetic"
    if not folder.is_dir():
        pytest.skip("the list of real and synthetic recordings is not here")
    classifier = RecordingClassifier(recording_model(clip_samples=16_000, stride_ms=500))
    for path in [next((folder / name).iterdir()) for name in ("real", "synthetic")]:
        result, info = classifier.classify_file(path), soundfile.info(path)
        assert result.seconds == pytest.approx(info.duration, abs=1e-3)
        assert 0 <= result.start_s < result.stop_s <= result.seconds
        assert result.has_sound.any()
