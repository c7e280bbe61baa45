"""`wordspot evaluate` and `wordspot tune` on lists of recordings, with a model whose scores are computed by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.made_onnx import RATE, made_model
from support.made_recordings import THREE, recording_model
from wordspot.audio.condition import Condition
from wordspot.commands import main as cli
from wordspot.errors import DataError
from wordspot.evaluation.answered import measure_conditions, within
from wordspot.evaluation.recordings_tuning import choose_limits
from wordspot.limits import Limits
from wordspot.overrides import from_json
from wordspot.runtime.modelfile.card import read_card
from wordspot.runtime.recordings import RecordingClassifier

#: A constant sound of level m scores 0.5 + 0.48 m for "person". One of each class lies on the wrong side.
PERSON, MACHINE = (0.6, 0.7, 0.5, 0.8, -0.2), (-0.6, -0.5, -0.7, 0.1, -0.8)


def write_level(path: Path, level: float, seconds: float = 0.5) -> None:
    """A constant sound; the last sample tells recordings of the same level apart."""
    audio = np.full(round(seconds * RATE), level, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``model.onnx`` and ``labels.csv`` with a speaker's recordings in testing, another's levels in validation."""
    root = tmp_path_factory.mktemp("recordings")
    (root / "model.onnx").write_bytes(recording_model())
    (root / "three.onnx").write_bytes(recording_model(THREE))
    (root / "words.onnx").write_bytes(made_model("clip"))
    lines = ["path,label,speaker,generator,split"]
    for offset, split in ((0.0, "training"), (0.01, "validation"), (0.02, "testing")):
        for label, levels in (("person", PERSON), ("machine", MACHINE)):
            for number, level in enumerate(levels):
                generator = "" if label == "person" else "vits" if number < 3 else "flite"
                name = f"{split}/{label}_{generator}_{number}.wav"
                write_level(root / name, level + offset, 0.5 + 0.01 * number)
                lines.append(f"{name},{label},{split}{number},{generator},{split}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    status = cli.main([str(arg) for arg in args])
    out, error = capsys.readouterr()
    return status, out, error


def evaluated(capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    status, out, error = run(capsys, "evaluate", *args, "--json")
    assert status == 0, error
    return dict(json.loads(out))


def fails(capsys: pytest.CaptureFixture[str], message: str, *args: object) -> None:
    status, out, error = run(capsys, *args)
    assert (status, out) == (1, "")
    assert message in error
    assert error.startswith("wordspot: ")


def test_metrics_of_a_file(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    """One of five persons lies at -0.18, one of five machines at 0.12: the rates cross at one in five."""
    measures = evaluated(capsys, files / "model.onnx", files / "labels.csv")
    assert (measures["n"], measures["split"], measures["step"]) == (10, "testing", None)
    assert measures["confusion"] == [[4, 1], [1, 4]]
    assert measures["eer"] == pytest.approx(0.2)
    assert measures["auc"] == pytest.approx(24 / 25)  # of 25 pairs only the two in the wrong order are
    assert measures["interval"] == {"over": "speakers", "n": 5, "n_speakers": 5}
    by_name = {row["generator"]: row for row in measures["per_generator"]}
    assert {name: row["n"] for name, row in by_name.items()} == {"flite": 2, "vits": 3}
    assert by_name["vits"]["eer"] == 0
    assert {row["path"] for row in measures["recordings"]} == {
        line.split(",")[0] for line in (files / "labels.csv").read_text().splitlines() if line.endswith(",testing")
    }
    scores = {row["path"]: row["posteriors"][0] for row in measures["recordings"]}
    assert scores["testing/person__0.wav"] == pytest.approx(0.5 + 0.48 * 0.62, abs=1e-4)
    assert measures["recordings_trained_on"] is None


def test_sets_are_those_of_the_list_and_all_is_all(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    assert evaluated(capsys, files / "model.onnx", files / "labels.csv", "--split", "validation")["n"] == 10
    status, out, error = run(capsys, "evaluate", files / "model.onnx", files / "labels.csv", "--split", "all", "--json")
    assert status == 0
    assert json.loads(out)["n"] == 30
    assert "does not list the recordings it was trained on" in error


def test_tables_and_the_headline(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    status, out, _ = run(capsys, "evaluate", files / "model.onnx", files / "labels.csv")
    assert status == 0
    lines = out.splitlines()
    assert lines[-1].startswith("EER on testing: 20.0 % (")
    assert ", over 5 speakers), AUC 0.960, accuracy 80.0 % (49.0 to 94.3, N=10)" in lines[-1]
    assert "person is predicted from a score of 0.5: 20.0 % (3.6 to 62.4) missed, 20.0 % (3.6 to 62.4) false alarms" in out
    assert "vits" in out
    assert "testing3" in out


def test_the_threshold_of_the_card_decides(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(recording_model(thresholds={"person": 0.6}))
    measures = evaluated(capsys, tmp_path / "m.onnx", files / "labels.csv")
    assert measures["confusion"] == [[4, 1], [0, 5]]
    assert measures["threshold"] == 0.6
    assert measures["eer"] == pytest.approx(0.2)


def test_three_classes(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    lines = (files / "labels.csv").read_text().splitlines()
    more = [line.replace("machine", "radio", 2) if "flite" in line else line for line in lines]
    for line in more[1:]:
        name = line.split(",")[0]
        write_level(tmp_path / name, 0.3, 0.5) if "radio" in name else None
    text = "\n".join(
        line if "radio" in line else line.replace(line.split(",")[0], str(files / line.split(",")[0])) for line in more[1:]
    )
    (tmp_path / "labels.csv").write_text(f"{lines[0]}\n{text}\n")
    status, out, error = run(capsys, "evaluate", files / "three.onnx", tmp_path / "labels.csv")
    assert status == 0, error
    assert out.splitlines()[-1].startswith("Accuracy on testing: ")
    assert "Per label" in out
    assert "missed" not in out


def test_the_page(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "evaluate", files / "model.onnx", files / "labels.csv", "--report", tmp_path / "r.html")
    assert status == 0
    assert out.splitlines()[-1] == f"report: {tmp_path / 'r.html'}"
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 10
    assert page.count('class="curve"') == 10
    assert page.index("testing/person__4.wav") < page.index("testing/machine_flite_3.wav")  # 0.41 and 0.44 of their own


def test_what_is_rejected(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    fails(capsys, "--checkpoint is for the folder of a run", "evaluate", files / "model.onnx", files / "labels.csv",
          "--checkpoint", 1)  # fmt: skip
    text = (files / "labels.csv").read_text()
    for name in ("training", "validation"):
        text = text.replace(f",{name}\n", ",testing\n")
    (files / "one_set.csv").write_text(text)
    fails(capsys, "the validation set has no recordings; --split all", "evaluate", files / "model.onnx",
          files / "one_set.csv", "--split", "validation")  # fmt: skip


# --- tune ---------------------------------------------------------------------------------------------------------------


def test_tune_chooses_on_the_validation_set(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """The machine of 0.11 there scores 0.5528, the person next above, of 0.51, scores 0.7448: between them."""
    out = tmp_path / "tuned.onnx"
    base = ("tune", files / "model.onnx", files / "labels.csv", "--out", out)
    status, text, error = run(capsys, *base, "--false-alarm-rate", 0.01, "--json")
    assert status == 0, error
    measures = json.loads(text)
    assert measures["after"]["threshold"] == pytest.approx((0.5528 + 0.7448) / 2, abs=1e-4)
    assert (measures["before"]["false_alarm_rate"], measures["after"]["false_alarm_rate"]) == (0.2, 0)
    assert (measures["before"]["miss_rate"], measures["after"]["miss_rate"]) == (0.2, 0.2)
    assert read_card(out).decoder.thresholds == {"person": measures["after"]["threshold"]}
    assert RecordingClassifier(out).threshold == measures["after"]["threshold"]
    assert "5 recordings of machine cannot show a false-alarm rate of 1 %: the true rate may be 43.4 % (95 %)" in error
    fails(capsys, "already exists", *base, "--false-alarm-rate", 0.2)
    status, text, error = run(capsys, *base, "--false-alarm-rate", 0.2, "--force")
    assert status == 0, error
    assert f"wordspot evaluate {out} LIST" in text
    assert read_card(out).decoder.thresholds["person"] == pytest.approx((0.5 - 0.48 * 0.49 + 0.5 - 0.48 * 0.19) / 2, abs=1e-4)


@pytest.mark.parametrize(("rate", "nearest", "answered"), [(0.2, None, 1), (0.1, 0.4088, 0.9), (0.0, 0.2648, 0.8)])
def test_tune_for_an_error_rate(
    capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path, rate: float, nearest: float | None, answered: float
) -> None:
    """Of five each, a machine scores 0.5528 and a person 0.4088; the next one is a machine of 0.2648."""
    out = tmp_path / "tuned.onnx"
    status, text, error = run(
        capsys, "tune", files / "model.onnx", files / "labels.csv", "--out", out, "--error-rate", rate, "--json"
    )
    assert status == 0, error
    after = json.loads(text)["after"]
    assert after["answered"] == pytest.approx(answered)
    assert (after["miss_rate"] + after["false_alarm_rate"]) / 2 == pytest.approx(rate)
    assert after["threshold"] == 0.5
    margin = 0.0 if nearest is None else np.log((1 - nearest) / nearest)
    assert after["limits"]["margin"] == pytest.approx(margin, abs=1e-3)
    assert after["limits"]["least_s"] == pytest.approx(0.5)
    assert read_card(out).limits.margin == after["limits"]["margin"]
    measured = evaluated(capsys, out, files / "labels.csv", "--split", "validation")["answered"]
    assert measured["n"] == round(10 * answered)
    assert 1 - np.mean(list(measured["recall"].values())) == pytest.approx(rate)
    status, text, error = run(capsys, "evaluate", out, files / "labels.csv", "--split", "validation")
    assert f"it answers for {round(10 * answered)} of 10 recordings" in " ".join(text.split())
    (tmp_path / "level.wav").write_bytes((files / "testing" / "person__0.wav").read_bytes())
    write_level(tmp_path / "short.wav", 0.9, 0.3)
    write_level(tmp_path / "close.wav", 0.01)
    shown = {one["file"]: one["doubts"] for one in classified(capsys, out, tmp_path)}
    assert shown["level.wav"] == []
    assert [doubt["code"] for doubt in shown["short.wav"]] == ["short"]
    assert shown["short.wav"][0]["reason"] == "too short: 0.3 s of sound; the model was tuned on recordings of 0.5 s or more"
    assert [doubt["code"] for doubt in shown["close.wav"]] == (["close"] if rate < 0.2 else [])


def test_silence_is_answered_neither_in_evaluation_nor_by_a_classifier() -> None:
    """One is zero in its first tenth of a second, which is all that a model of whole recordings sees here."""
    loud, late, zero = np.full(RATE, 9000, np.int16), np.zeros(RATE, np.int16), np.zeros(RATE, np.int16)
    late[RATE // 2 :] = 9000
    for whole, expected in ((False, [True, True, False]), (True, [True, False, False])):
        classifier = RecordingClassifier(recording_model(whole=whole))
        assert [not classifier.classify(audio, RATE).doubts for audio in (loud, late, zero)] == expected
        conditions = measure_conditions([loud, late, zero], from_json(classifier.card.config))
        assert within(Limits(), conditions).tolist() == expected


def test_tune_does_not_silence_a_class() -> None:
    """The three targets lie closer to the threshold than the wrong one of two others: no margin keeps both classes."""
    scores = np.array([0.6, 0.61, 0.62, 0.95, 0.01])
    is_target = np.array([True, True, True, False, False])
    audible = [Condition(level_db=-20, floor_db=-60, lead_ms=0, tail_ms=0, sound_s=3, bandwidth_hz=7000)] * 5
    with pytest.raises(DataError, match="while recordings of both classes are answered"):
        choose_limits(scores, is_target, 0.5, audible, 0.2)
    scores[3] = 0.605  # now it is among the targets: beyond it, all are right
    assert choose_limits(scores, is_target, 0.5, audible, 0.2).margin == pytest.approx(np.log(0.61 / 0.39))


def classified(capsys: pytest.CaptureFixture[str], model: Path, folder: Path) -> list[dict[str, Any]]:
    status, text, error = run(capsys, "classify", model, folder, "--json")
    assert status == 0, error
    return [json.loads(line) for line in text.splitlines()]


def test_what_tune_rejects(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    data = files / "labels.csv"
    base, new = ("tune", files / "model.onnx", data), ("--out", tmp_path / "x.onnx")
    rate = ("--false-alarm-rate", 0.1)
    fails(capsys, "--false-alarm-rate is missing", *base, *new)
    fails(capsys, "between 0 and 1", *base, *new, "--false-alarm-rate", 1)
    fails(capsys, "between 0 and 1", *base, *new, "--false-alarm-rate", "nan")
    fails(capsys, "--error-rate must lie between 0 and 1", *base, *new, "--error-rate", -0.1)
    fails(capsys, "--false-accepts-per-hour is for streams", *base, *new, *rate, "--false-accepts-per-hour", 1)
    fails(capsys, "--average-ms is for streams", *base, *new, *rate, "--average-ms", 100)
    fails(capsys, "lists of recordings are given; name one", *base, data, *new, *rate)
    fails(capsys, "has 3 classes", "tune", files / "three.onnx", data, *new, *rate)
    fails(capsys, "is for models of entire recordings", "tune", files / "words.onnx", data, *new, *rate)
    assert not list(tmp_path.iterdir())


# --- a run --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an untrained network, of windows of 200 ms, 100 ms apart."""
    import torch

    from wordspot.config import FeatureConfig, ModelConfig, RecordingsConfig, RunConfig
    from wordspot.models import make_model
    from wordspot.training.checkpoint import Checkpoint, save_checkpoint
    from wordspot.training.run_folder import RunFolder

    config = RunConfig(
        words=("person", "machine"),
        task="recordings",
        features=FeatureConfig(clip_ms=200),
        recordings=RecordingsConfig(stride_ms=100),
        model=ModelConfig("tiny_conv"),
    )
    torch.manual_seed(1)
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_config(config)
    path = folder.checkpoint_path(3)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, Checkpoint(config, 3, 3, 0.0, dict(network.state_dict()), {}))
    return folder.path


def test_a_run_is_judged_window_by_window(
    capsys: pytest.CaptureFixture[str], files: Path, run_folder: Path, tmp_path: Path
) -> None:
    """A recording's log-odds are the mean of those of its windows, which one at a time give as well."""
    from wordspot.evaluation.evaluate import load_for_evaluation
    from wordspot.training.evaluate import judge_of_run

    measures = evaluated(capsys, run_folder, files / "labels.csv", "--device", "cpu")
    assert (measures["step"], measures["n"]) == (3, 10)
    assert (measures["recordings_trained_on"], measures["other_recordings_of_speakers_trained_on"]) == (0, 0)
    judge = judge_of_run(run_folder, None, "cpu")
    audio = load_for_evaluation(files / "labels.csv", judge.config).sets["testing"].audio[3]
    (track,) = judge.over_time([audio])
    assert len(audio) == 0.53 * RATE
    np.testing.assert_allclose(track.time_ms, [100, 200, 300, 400, 430])  # the last window ends with the recording
    assert track.has_sound.all()
    log_odds = np.log(track.posteriors[:, 0] / (1 - track.posteriors[:, 0])).mean()
    row = next(row for row in measures["recordings"] if row["path"] == "testing/person__3.wav")
    assert np.log(row["posteriors"][0] / row["posteriors"][1]) == pytest.approx(log_odds, abs=1e-5)
    status, _, _ = run(capsys, "evaluate", run_folder, files / "labels.csv", "--report", tmp_path / "r.html", "--device", "cpu")
    assert status == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count('class="curve"') == 10


def test_recordings_that_were_trained_on_are_counted(capsys: pytest.CaptureFixture[str], files: Path, run_folder: Path) -> None:
    first = files / "testing/person__0.wav"
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    listing = run_folder / "data.csv"
    listing.write_text(f"set,label,path,speaker,generator,sha256\ntraining,person,x.wav,x,,{digest}\n")
    status, out, error = run(capsys, "evaluate", run_folder, files / "labels.csv", "--json", "--device", "cpu")
    listing.unlink()
    assert status == 0
    assert json.loads(out)["recordings_trained_on"] == 1
    assert "trained on 1 of these 10 recordings" in error


def test_speakers_on_both_sides_are_reported(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    text = (files / "labels.csv").read_text()
    for number in range(5):
        text = text.replace(f",training{number},", f",same{number},").replace(f",testing{number},", f",same{number},")
    (files / "leaky.csv").write_text(text)
    status, _, error = run(capsys, "evaluate", files / "model.onnx", files / "leaky.csv")
    assert status == 0
    assert error.count("will be too optimistic") == 5
    assert "speaker same0 is in the sets" in error
