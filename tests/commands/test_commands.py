"""`wordspot train` and `wordspot evaluate` as a user runs them: results, and one clear line for every mistake."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.command_line import fails, run
from wordspot.commands.main import main

QUICK = (
    "--model", "tiny_conv", "--steps", "25", "--learning-rates", "0.003", "--batch-size", "16", "--evaluate-every", "25",
    "--hop-ms", "20", "--set", "training.warmup_steps=2", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tones"
    assert main(["train", str(tone_folder), "--words", "low,middle,high", "--out", str(out), *QUICK]) == 0
    return out


def test_train_says_what_it_reached(capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path) -> None:
    status, out, error = run(capsys, "train", tone_folder, "--words", "low,high", "--out", tmp_path / "run", *QUICK)
    assert status == 0
    assert re.search(r"Step 25: Validation accuracy = \d+\.\d% \(N=\d+, 95 % interval", error)
    assert re.search(r"Step 25: Testing accuracy = ", error)
    assert out == f"next: wordspot evaluate {tmp_path / 'run'} {tone_folder} --report {tmp_path / 'run' / 'report.html'}\n"


def test_evaluate_json(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path) -> None:
    answers: dict[str, Any] = {}
    for split in ("training", "validation", "testing", "all"):
        status, out, _ = run(capsys, "evaluate", trained, tone_folder, "--split", split, "--json")
        assert status == 0
        answers[split] = json.loads(out)
    for measures in answers.values():
        assert measures["labels"] == ["_silence_", "_unknown_", "low", "middle", "high"]
        confusion = np.array(measures["confusion"])
        assert confusion.sum() == measures["n"]
        assert measures["accuracy"] == pytest.approx(np.trace(confusion) / measures["n"])
        assert measures["accuracy_low"] < measures["accuracy"] <= measures["accuracy_high"]
        assert measures["keyword_accuracy"] == pytest.approx(np.trace(confusion[2:, 2:]) / confusion[2:].sum())
        assert set(measures["per_label"]) == set(measures["labels"])
    assert answers["all"]["n"] == 4 * 30 + 9  # every clip once, and a tenth of the 90 keyword clips as silence
    assert answers["all"]["per_label"]["_unknown_"]["n"] == 30
    metrics = json.loads((trained / "metrics.json").read_text())
    for name in ("validation", "testing"):
        assert answers[name]["accuracy"] == metrics[name]["accuracy"]
        assert answers[name]["confusion"] == metrics[name]["confusion"]


def test_metrics_on_training_data_are_reported_as_such(
    capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path
) -> None:
    testing = run(capsys, "evaluate", trained, tone_folder, "--json")
    assert "optimistic" not in testing[2]
    assert json.loads(testing[1])["clips_trained_on"] == 0
    _, out, error = run(capsys, "evaluate", trained, tone_folder, "--split", "training", "--json")
    answer = json.loads(out)
    assert answer["clips_trained_on"] == answer["n"] - answer["per_label"]["_silence_"]["n"]
    assert "these results are too optimistic" in error
    # copies under other names are told by their contents, other takes of a speaker by the name
    known = next(path for path in sorted((tone_folder / "low").iterdir()) if path.name in (trained / "data.csv").read_text())
    (tmp_path / "low").mkdir()
    shutil.copy(known, tmp_path / "low" / "renamed.wav")
    _, out, _ = run(capsys, "evaluate", trained, tmp_path, "--split", "all", "--json")
    assert json.loads(out)["clips_trained_on"] == 1


def test_two_evaluations_agree_to_the_bit(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path) -> None:
    first = run(capsys, "evaluate", trained, tone_folder, "--json")
    assert run(capsys, "evaluate", trained, tone_folder, "--json") == first


def test_a_foreign_folder(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path) -> None:
    """Folders the model does not know are unknown words; folders that are missing are no error with --split all."""
    shutil.copytree(tone_folder / "low", tmp_path / "foreign" / "LOW")
    shutil.copytree(tone_folder / "other", tmp_path / "foreign" / "whistle")
    status, out, error = run(capsys, "evaluate", trained, tmp_path / "foreign", "--split", "all", "--json")
    assert status == 0
    assert "no background noise" in error
    counts = {label: row["n"] for label, row in json.loads(out)["per_label"].items()}
    assert counts == {"_silence_": 3, "_unknown_": 30, "low": 30, "middle": 0, "high": 0}
    fails(
        capsys,
        "no recordings of middle, high; the folders here are low, whistle",
        "evaluate",
        trained,
        tmp_path / "foreign",
    )


@pytest.mark.slow
def test_evaluate_tables_and_report(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "evaluate", trained, tone_folder, "--report", tmp_path / "r.html")
    assert status == 0
    assert "Confusion (rows: true label, columns: predicted label)" in out
    assert re.search(r"Accuracy on testing: \d+\.\d % \(N=\d+", out)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "http://" not in re.sub(r"http://www\.w3\.org/\S+", "", page)  # nothing is fetched
    assert "https://" not in page


def test_resume_and_the_checkpoint_it_names(
    capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    status, _, error = run(capsys, "train", tone_folder, "--out", tmp_path / "run", "--resume")
    assert status == 0
    assert "resuming at step 25 of 25" in error
    fails(
        capsys, "no checkpoint of step 7; those kept: 25",
        "train", tone_folder, "--out", tmp_path / "run", "--resume", "--checkpoint", "7",
    )  # fmt: skip
    fails(
        capsys, r"training.batch_size is 99, but the run was begun with 16",
        "train", tone_folder, "--out", tmp_path / "run", "--resume", "--batch-size", "99",
    )  # fmt: skip
    fails(
        capsys, r"model.dropout is 0.1, but the run was begun with None",
        "train", tone_folder, "--out", tmp_path / "run", "--resume", "--set", "model.dropout=0.1",
    )  # fmt: skip
    fails(
        capsys, "--words is low, but the run was begun with low,middle,high",
        "train", tone_folder, "--out", tmp_path / "run", "--resume", "--words", "low",
    )  # fmt: skip
    fails(
        capsys, "model.name is conv, but the run was begun with tiny_conv",
        "train", tone_folder, "--out", tmp_path / "run", "--resume", "--model", "conv",
    )  # fmt: skip


def picture_of(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image).astype(float)


MISTAKES = [
    ("no such folder; expected a data folder with one folder per word", "{out}/none", "--words", "low"),
    ("no recordings found", "{empty}", "--words", "low"),
    ("is the only word's folder; expected at least two", "{single}", "--words", "low"),
    ("each word must be named once, got low", "{data}", "--words", "low,low"),
    ("each word must be named once, got low", "{data}", "--words", "low,LOW"),
    ("no recordings of lo; the folders here are high, low, middle, other", "{data}", "--words", "lo,high"),
    ("name them with --words", "{data}"),
    ("must be at most 100, got 60", "{data}", "--words", "low", "--validation-percent", "60", "--testing-percent", "60"),
    ("lie between 0 and 100, got 101", "{data}", "--words", "low", "--testing-percent", "101"),
    (
        "got 1 .30. and 2 .*; set both, .* such as `steps` 300 and `learning_rates` 0.001",
        "{data}",
        "--words",
        "low",
        "--model",
        "conv",
        "--recipe",
        "classic",
        "--steps",
        "30",
    ),
    ("lists of the same length, got 2 .* and 1", "{data}", "--words", "low", "--steps", "5,5", "--learning-rates", "1"),
    ("did you mean training.batch_size", "{data}", "--words", "low", "--set", "training.batchsize=3"),
    ("a setting must be section.field=value", "{data}", "--words", "low", "--set", "training"),
    ("training.batch_size must be a whole number, got 'many'", "{data}", "--words", "low", "--batch-size", "many"),
    ("no model 'resnet'; expected one of residual_1d", "{data}", "--words", "low", "--model", "resnet"),
    ("has no option 'rank'; it has dropout", "{data}", "--words", "low", "--model", "tiny_conv", "--set", "model.rank=2"),
    ("no module 'nowhere'", "{data}", "--words", "low", "--model", "nowhere:make"),
    ("--device must be", "{data}", "--words", "low", "--device", "tpu"),
    ("no config.json", "{data}", "--words", "low", "--resume"),
    ("add --resume", "{data}", "--words", "low", "--checkpoint", "3"),
    ("no such file", "{data}", "--words", "low", "--split", "lists"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[" ".join(m[1:])[:60] for m in MISTAKES])
def test_mistakes(capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path, mistake: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(tone_folder / "low", tmp_path / "single" / "low")
    places = {"data": tone_folder, "out": tmp_path, "empty": tmp_path / "empty", "single": tmp_path / "single"}
    args = [arg.format(**places) for arg in mistake[1:]]
    fails(capsys, mistake[0], "train", *args, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()  # nothing half-written


def test_an_out_that_holds_files_is_rejected(
    capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    fails(
        capsys,
        "--resume the run in it, or set --force",
        "train",
        tone_folder,
        "--words",
        "low",
        "--out",
        tmp_path,
        *QUICK,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    (tmp_path / "file").write_text("mine")
    fails(capsys, "a file", "train", tone_folder, "--words", "low", "--out", tmp_path / "file", *QUICK)


def test_force_begins_anew(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    args = ("train", tone_folder, "--words", "low,high", "--out", tmp_path / "run", *QUICK, "--steps", "5")
    assert run(capsys, *args, "--force")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1, 2, 3, 4, 5]
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000005.safetensors"]


def test_evaluate_mistakes(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path) -> None:
    fails(capsys, "has no checkpoint; train first", "evaluate", tmp_path / "none", tone_folder)
    fails(capsys, "no such folder", "evaluate", trained, tmp_path / "none")
    fails(capsys, "no checkpoint of step 3", "evaluate", trained, tone_folder, "--checkpoint", "3")
    shutil.copytree(trained, tmp_path / "run")
    checkpoint = next((tmp_path / "run" / "checkpoints").iterdir())
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    fails(capsys, "damaged", "evaluate", tmp_path / "run", tone_folder)


def test_damaged_recordings_are_listed_and_training_goes_on(
    capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tone_folder, tmp_path / "data")
    (tmp_path / "data" / "low" / "bad.wav").write_bytes(b"RIFF....WAVE")
    (tmp_path / "data" / "high" / "empty.flac").write_bytes(b"")
    nans = np.full(100, np.nan, np.float32)
    soundfile.write(tmp_path / "data" / "high" / "nan.wav", nans, 16_000, subtype="FLOAT")
    status, _, error = run(
        capsys, "train", tmp_path / "data", "--words", "low,high", "--out", tmp_path / "run", *QUICK, "--steps", "3"
    )
    assert status == 0
    for name in ("low/bad.wav", "high/empty.flac", "high/nan.wav"):
        assert re.search(rf"left out: .*{name}: ", error)
    assert "3 recordings could not be read and are left out" in error


@pytest.mark.slow
def test_chinese_labels_from_the_folder_to_the_report(
    capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tone_folder, data)
    (data / "low").rename(data / "汪汪叫")
    (data / "high").rename(data / "喵喵喵")
    out = tmp_path / "run"
    assert run(capsys, "train", data, "--words", "汪汪叫,喵喵喵", "--out", out, *QUICK)[0] == 0
    assert (out / "labels.txt").read_text(encoding="utf-8").split() == ["_silence_", "_unknown_", "汪汪叫", "喵喵喵"]
    status, table, _ = run(capsys, "evaluate", out, data, "--report", tmp_path / "r.html")
    assert status == 0
    assert "汪汪叫" in table
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("喵喵喵") >= 3
    answer = json.loads(run(capsys, "evaluate", out, data, "--json")[1])
    assert answer["per_label"]["汪汪叫"]["n"] > 0


def test_your_own_model_by_import_path(
    capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    recipe = {'training.steps': (9,), 'training.learning_rates': (0.01,), 'features': 'mfcc'}\n"
        "    def __init__(self, n_frames, n_features, n_labels, width=8):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Flatten(), nn.Linear(n_frames * n_features, width), nn.ReLU(),\n"
        "                                 nn.Linear(width, n_labels))\n"
        "    def forward(self, features):\n"
        "        return self.net(features)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "run"
    assert run(
        capsys, "train", tone_folder, "--words", "low,high", "--out", out, "--model", "my_net:Net",
        "--set", "model.width=5", "--batch-size", "8",
    )[0] == 0  # fmt: skip
    config = json.loads((out / "config.json").read_text())
    assert config["model"] == {"name": "my_net:Net", "options": {"width": 5}}
    assert config["features"]["kind"] == "mfcc"
    assert config["training"]["steps"] == [9]
    assert run(capsys, "evaluate", out, tone_folder)[0] == 0


def test_classic_recipe(capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = ("train", tone_folder, "--words", "low,high", "--out", out, "--model", "single_fc", "--recipe", "classic")
    assert run(capsys, *args, "--steps", "2,1", "--batch-size", "8")[0] == 0
    config = json.loads((out / "config.json").read_text())
    assert config["training"]["learning_rates"] == [0.001, 0.0001]
    assert config["training"]["optimizer"] == "sgd"
    assert config["data"]["noise_split"] == "shared"
    assert config["features"]["kind"] == "mfcc"


@pytest.mark.parametrize("front_end", ["logmel", "mfcc", "average", "micro", "spectrogram", "psf_mfcc"])
def test_every_front_end_trains(capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path, front_end: str) -> None:
    out = tmp_path / "run"
    status, _, error = run(
        capsys, "train", tone_folder, "--words", "low,high", "--out", out, "--model", "single_fc", "--features", front_end,
        "--steps", "2", "--learning-rates", "0.001", "--batch-size", "8", "--set", "training.warmup_steps=1",
    )  # fmt: skip
    assert status == 0, error
    assert run(capsys, "evaluate", out, tone_folder)[0] == 0


def test_without_the_train_extra(tone_folder: Path, tmp_path: Path) -> None:
    """Without torch the answer is one line with the command that installs it."""
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from wordspot.commands.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    args = ("train", str(tone_folder), "--words", "low", "--out", str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ('wordspot: this needs torch, which is not installed; run: pip install "wordspot[train]"\n')


def test_a_newer_configuration(capsys: pytest.CaptureFixture[str], trained: Path, tone_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config_version": 2}))
    fails(capsys, "has version 2", "train", tone_folder, "--out", tmp_path / "run", "--resume")


@pytest.mark.slow
def test_spectrograms(capsys: pytest.CaptureFixture[str], tone_folder: Path, tmp_path: Path) -> None:
    """The picture of a 1 kHz tone: time from left to right, the tone as one bright line at an eighth of the height."""
    tone = next(path for path in sorted((tone_folder / "middle").iterdir()))
    for front_end in ("spectrogram", "logmel", "mfcc", "micro"):
        out = tmp_path / f"{front_end}.png"
        assert run(capsys, "spectrogram", tone, "--out", out, "--features", front_end)[0] == 0
        assert picture_of(out).shape[1] > 300
    assert run(capsys, "spectrogram", tone, "--out", tmp_path / "classic.png", "--classic")[0] == 0
    pixels = picture_of(tmp_path / "classic.png")
    assert pixels.shape == ((16_000 - 256) // 128 + 1, 129)  # time downward, frequency rightward
    assert abs(int(pixels.sum(axis=0).argmax()) - 1000 / 8000 * 128) <= 1.5
    fails(capsys, "ends in .png", "spectrogram", tone, "--out", tmp_path / "x.jpg")
    fails(capsys, "no such file", "spectrogram", tmp_path / "none.wav", "--out", tmp_path / "x.png")
