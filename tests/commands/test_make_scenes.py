"""`wordspot make-scenes` as a user runs it, and the flags of the trigger's folders."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from support.made_onnx import made_model
from support.made_trigger import make_trigger_folder
from wordspot.commands import make_scenes
from wordspot.commands.options import add_trigger_flags, trigger_config
from wordspot.config import TriggerConfig
from wordspot.data.scenes.material import Scene
from wordspot.data.truth import SpokenWord, read_truth
from wordspot.errors import ConfigError, DataError
from wordspot.labels import word_of
from wordspot.reports.pictures import save_scene_picture, spectrogram

__all__ = ["folder"]
QUARTERS = ("--set", "data.validation_percent=25", "--set", "data.testing_percent=25")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trigger_folder(tmp_path_factory.mktemp("trigger") / "data")


def make(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    make_scenes.add_arguments(parser)
    make_scenes.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.mark.slow
def test_a_user_makes_scenes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "scenes"
    make(folder, "--out", out, "--count", 2, "--seconds", 5, "--split", "testing", "--words", "deep", *QUARTERS)
    captured = capsys.readouterr()
    assert "2 scenes of 5 s of the testing set, with their ground truth" in captured.out
    assert "the testing set holds only 5.0 s of background, which is repeated" in captured.err
    names = [f"scene-{number}{suffix}" for number in ("001", "002") for suffix in (".audacity.txt", ".csv", ".png", ".wav")]
    assert sorted(path.name for path in out.iterdir()) == names
    for number in ("001", "002"):
        info = soundfile.info(out / f"scene-{number}.wav")
        assert (info.frames, info.samplerate, info.channels) == (5 * 16_000, 16_000, 1)
        words, track = (read_truth(out / f"scene-{number}{suffix}") for suffix in (".csv", ".audacity.txt"))
        assert [word.label for word in words] == [word.label for word in track]
        assert {word.label for word in words} <= {"deep", "_unknown_"}
        with Image.open(out / f"scene-{number}.png") as picture:
            assert picture.width > 900
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".png"}

    with pytest.raises(ConfigError, match="contains files; expected a new or empty folder"):
        make(folder, "--out", out)
    flags = ("--words", "deep", *QUARTERS, "--no-picture", "--json")
    make(folder, "--out", tmp_path / "again", "--count", 2, "--seconds", 5, "--split", "testing", *flags)
    report = json.loads(capsys.readouterr().out)
    assert report["word"] == "deep"
    assert [one["seconds"] for one in report["scenes"]] == [5, 5]
    assert sum(report["scenes"][0]["words"].values()) == len(read_truth(tmp_path / "again" / "scene-001.csv"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == before
    make(folder, "--out", out, "--force", "--count", 1, "--seconds", 5, "--seed", 1, "--no-picture")
    assert (out / "scene-001.wav").read_bytes() != before["scene-001.wav"]


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is handed to the picture instead of drawing it."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("wordspot.reports.pictures.save_scene_picture", lambda *args: calls.append(args))
    return calls


def test_classic_scenes_with_the_course_s_labels(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = drawn(monkeypatch)
    make(folder, "--out", tmp_path / "s", "--count", 3, "--scenes", "classic", "--sample-rate", 44_100)
    for _, scene, word, (ends, label), posterior, _ in calls:
        assert word == "trigger"
        assert len(scene.audio) == 441_000
        assert len(ends) == len(label) == 1375
        assert ends[-1] == pytest.approx(10_000)
        assert posterior is None
        inside = [one for one in scene.words if one.label == word and (one.end_ms or 0) < 9_600]
        overlap = sum(1 for one in scene.words if one.label == word) - len(inside)
        if not overlap:
            assert label.sum() <= 50 * len(inside)
            assert label.sum() > 0 or not inside
    make(folder, "--out", tmp_path / "t", "--count", 1, "--scenes", "classic", "--set", "trigger.label_steps=7")
    _, scene, word, (_, label), _, _ = calls[-1]
    assert label.sum() <= 7 * sum(one.label == word for one in scene.words)


def test_a_model_s_posterior_is_drawn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(made_model())
    with pytest.raises(ConfigError, match=r"the model's words are a, b; expected 'deep'. Name one with `words`"):
        make(folder, "--out", tmp_path / "s", "--model", model, "--words", "deep")
    assert not (tmp_path / "s").exists()
    calls = drawn(monkeypatch)
    make(folder, "--out", tmp_path / "s", "--model", model, "--words", "b", "--count", 1, "--seconds", 3)
    _, scene, word, (ends, _), (score_ends, scores), _ = calls[0]
    assert word == "b"
    assert np.array_equal(ends, score_ends)
    assert ends.tolist() == [1000 + 10 * step for step in range(201)]  # a row each hop from the first whole clip on
    means = np.array([scene.audio[int(end * 16) - 16_000 : int(end * 16)].mean() for end in ends])
    np.testing.assert_allclose(scores, 0.96 * np.maximum(-means, 0) + 0.01, atol=1e-4)


@pytest.mark.slow
def test_the_picture(tmp_path: Path) -> None:
    tone = 0.1 * np.sin(2 * np.pi * 2000 * np.arange(30 * 16_000) / 16_000).astype(np.float32)
    picture = spectrogram([tone[: 12 * 16_000]], 16_000, 12.0)
    assert picture.shape == (1200, 201)
    assert set(picture[5:-5].argmax(axis=1)) == {50}  # 2000 Hz in bins of 40 Hz
    ends = np.arange(1, 3001) * 10.0
    words = (
        SpokenWord("deep", 1000, 1500),
        SpokenWord("_unknown_", 20_000, 20_300, "no/1.wav"),
        SpokenWord("深", 5, None),
    )
    sizes = []
    for seconds in (5, 12, 30):
        scene = Scene(tone[: seconds * 16_000], 16_000, words)
        path = tmp_path / f"{seconds}.png"
        save_scene_picture(path, scene, "deep", (ends, (ends > 1500) * 1.0), (ends, 0.5 + 0 * ends), "a scene")
        with Image.open(path) as image:
            sizes.append(image.height)
    assert sizes[0] == sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (("--seconds", 3601), "`seconds` must lie between 0.1 and 3600, got 3601"),
        (("--seconds", "nan"), "`seconds` must lie"),
        (("--count", 0), "`count` must lie between 1 and 999, got 0"),
        (("--seed", -1), "`seed` must be a whole number from 0 on"),
        (("--sample-rate", 100), "`sample_rate` must lie between 4000"),
        (("--set", "model.rank=3"), r"--set needs trigger\.FIELD=VALUE or data\.FIELD=VALUE here, got 'model\.rank'"),
        (("--words", "a,b"), "learns one word, got words 'a,b'; name one"),
        (("--negatives", "a,,b"), "--negatives expects names with commas between them, got 'a,,b'"),
        (("--set", "trigger.rooms=2"), "rooms must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_made(folder: Path, tmp_path: Path, flags: tuple[object, ...], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make(folder, "--out", tmp_path / "s", *flags)
    assert not (tmp_path / "s").exists()


def test_positives_longer_than_the_scene(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"none of its 40 positives can be used; .*positive is 0\.5.* to a scene's 0\.4 s"):
        make(folder, "--out", tmp_path / "s", "--seconds", 0.4)


def test_a_set_without_positives_is_rejected(folder: Path, tmp_path: Path) -> None:
    flags = ("--set", "data.validation_percent=0", "--split", "validation")
    with pytest.raises(DataError, match="no positives in the validation set; record more"):
        make(folder, "--out", tmp_path / "s", *flags)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_trigger_flags(parser)
    return parser.parse_args(list(arguments))


def test_flags_name_the_folders() -> None:
    base = TriggerConfig(negatives=("others",), rooms=0.1)
    assert trigger_config(parsed(), base) == base
    config = trigger_config(parsed("--positives", "yes, up", "--backgrounds", "noise"), base)
    assert (config.positives, config.negatives, config.backgrounds) == (("yes", "up"), ("others",), ("noise",))
    assert config.rooms == 0.1
    assert trigger_config(argparse.Namespace(), base) == base


@pytest.mark.parametrize(
    ("positives", "words", "expected"),
    [
        ("wake_words/athena", None, "athena"),
        ("wake_words/athena/", None, "athena"),
        ("C:\\words\\yes", None, "yes"),
        ("positives", None, "trigger"),
        ("data/positives", None, "trigger"),
        (".", None, "trigger"),
        ("..", None, "trigger"),
        ("positives", " hey lamp ", "hey lamp"),
    ],
)
def test_what_the_word_is_called(positives: str, words: str | None, expected: str) -> None:
    assert word_of(TriggerConfig(positives=(positives, "more")), words) == expected
