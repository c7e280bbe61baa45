"""The task `trigger`: scenes in, a network that says when, measured by what all streams are measured by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.commands.main import main
from wordspot.config import ModelConfig, RunConfig, TriggerConfig
from wordspot.data.trigger import load_trigger_data
from wordspot.errors import ConfigError
from wordspot.overrides import override
from wordspot.presets import FEATURES
from wordspot.training.run_folder import RunFolder
from wordspot.training.tasks.trigger import SceneEvaluation, TriggerTask
from wordspot.training.trainer import StepRecord, Trainer

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "features.clip_ms": 4000,
    "model.window_frames": 40,
    "model.n_channels": 16,
    "model.dilations": "1,2",
    "training.steps": (2,),
    "training.learning_rates": (0.01,),
    "training.optimizer": "adamw",
    "training.batch_size": 4,
    "training.evaluate_every": 2,
    "trigger.positives": ("high",),
    "trigger.negatives": ("low", "middle"),
    "trigger.backgrounds": ("_background_noise_",),
    "trigger.gap_s": (0.2, 1.0),
    "trigger.snr_db": (10.0, 30.0),
    "trigger.fragments": 0.0,  # a part of a tone is a tone
    "trigger.validation_minutes": 0.5,
    "trigger.testing_minutes": 0.5,
    "trigger.workers": 0,
}


def make_config(**settings: Any) -> RunConfig:
    config = RunConfig(("high",), task="trigger", features=FEATURES["logmel"], model=ModelConfig("trigger_1d"))
    return override(config, SMALL | settings)


def make_task(data: Path, **settings: Any) -> TriggerTask:
    config = make_config(**settings)
    sources = load_trigger_data(data, config.trigger, config.data, 16_000, scene_ms=config.features.clip_ms)
    return TriggerTask(config, sources, CPU)


def make_trainer(data: Path, out: Path, **settings: Any) -> Trainer:
    task = make_task(data, **settings)
    return Trainer(task.config, task, out, CPU)


def test_it_learns_when(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"training.steps": (60,), "training.evaluate_every": 30})
    trainer.start()
    records = list(trainer.train())
    last = records[-1]
    assert isinstance(last, SceneEvaluation)
    assert (last.set, last.step) == ("testing", 60)
    assert last.n > 5
    assert all((point.miss_rate or 0) < 0.2 for point in last.points), "tones of 3 kHz are not hard to find"
    assert last.points
    assert "without any detection" in last.summary()
    metrics = json.loads(RunFolder(tmp_path).metrics.read_text())
    assert metrics["testing"]["n_words"] == last.n
    assert metrics["testing"]["accuracy_of_zeros"] == pytest.approx(last.accuracy_of_zeros)
    assert metrics["best_validation_score"] == max(
        record.score for record in records if isinstance(record, SceneEvaluation) and record.set == "validation"
    )
    assert (tmp_path / "labels.txt").read_text().split() == ["_silence_", "high"]


def test_training_never_sees_a_scene_twice_and_can_be_repeated(tone_folder: Path, tmp_path: Path) -> None:
    task, again = (make_trainer(tone_folder, tmp_path / name).task for name in ("one", "two"))
    batches = [task.training_batch(step, torch.Generator()) for step in (1, 2)]
    scenes = torch.cat([audio for audio, _ in batches])
    assert scenes.shape == (8, 64_000)
    assert len({scene.numpy().tobytes() for scene in scenes}) == 8
    audio, truth = again.training_batch(2, torch.Generator())
    assert torch.equal(audio, batches[1][0])
    assert torch.equal(truth, batches[1][1])


def test_workers_make_the_same_scenes(tone_folder: Path, tmp_path: Path) -> None:
    here = make_trainer(tone_folder, tmp_path / "here").task.training_batch(5, torch.Generator())
    beside = make_trainer(tone_folder, tmp_path / "beside", **{"trigger.workers": 1}).task
    try:
        audio, truth = beside.training_batch(5, torch.Generator())
    finally:
        beside.close()
    assert torch.equal(audio, here[0])
    assert torch.equal(truth, here[1])


def test_measured_scenes_are_always_the_same_and_of_their_set(tone_folder: Path) -> None:
    one, two = (make_task(tone_folder) for _ in range(2))
    for name in ("validation", "testing"):
        assert len(one.scenes(name)) == 8  # of 4 s in half a minute
        for scene, other in zip(one.scenes(name), two.scenes(name), strict=True):
            assert np.array_equal(scene.audio, other.audio)
            assert scene.words == other.words
    clips = {name: {word.clip for scene in one.scenes(name) for word in scene.words} for name in ("validation", "testing")}
    assert clips["validation"].isdisjoint(clips["testing"])
    other_seed = make_task(tone_folder, **{"training.seed": 3})
    assert np.array_equal(other_seed.scenes("testing")[0].audio, one.scenes("testing")[0].audio)


class Always(torch.nn.Module):
    """Answers with the same logit at every frame."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def step_ends(self, n_frames: int) -> torch.Tensor:
        return torch.arange(n_frames)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, self.logit]).expand(*features.shape[:2], 2)


def test_step_accuracy_is_reported_beside_all_zeros(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path)
    task = trainer.task
    assert isinstance(task, TriggerTask)
    never, ever = (task.evaluate(Always(logit), trainer.front_end, "testing", 1) for logit in (-9.0, 9.0))
    words = sum(word.label == "high" for scene in task.scenes("testing") for word in scene.words)
    whole = sum(
        word.label == "high" and word.end_ms is not None and word.end_ms + 250 < 4000
        for scene in task.scenes("testing")
        for word in scene.words
    )
    frames = 8 * task.config.features.n_frames
    assert never.n == words
    assert never.accuracy == never.accuracy_of_zeros
    assert ever.accuracy == pytest.approx(1 - never.accuracy_of_zeros)
    assert 25 * whole <= round(frames * ever.accuracy) <= 25 * words  # 250 ms after each word, cut at a scene's end
    assert all(point.miss_rate == 1 for point in never.points)
    share = never.accuracy_of_zeros  # log(1 + exp(-9)) where it is right, 9 more where it is not
    assert never.cross_entropy == pytest.approx(np.log1p(np.exp(-9)) + 9 * (1 - share), rel=1e-4)
    assert ever.score == -ever.cross_entropy < never.score


def test_resume_is_to_the_bit(tone_folder: Path, tmp_path: Path) -> None:
    settings = {"training.steps": (4,), "training.save_every": 1, "training.evaluate_every": 4}
    whole = make_trainer(tone_folder, tmp_path / "whole", **settings)
    whole.start()
    list(whole.train())
    broken = make_trainer(tone_folder, tmp_path / "broken", **settings)
    broken.start()
    with pytest.raises(KeyboardInterrupt):
        list(broken.train(lambda: broken.step >= 2))
    resumed = make_trainer(tone_folder, tmp_path / "broken", **settings, **{"trigger.workers": 1})
    resumed.resume()
    assert [record.step for record in resumed.train() if isinstance(record, StepRecord)] == [3, 4]
    one, two = (RunFolder(tmp_path / name).load(4) for name in ("whole", "broken"))
    for name, tensor in one.weights.items():
        assert torch.equal(tensor, two.weights[name]), name


def test_a_body_that_knows_other_words(tone_folder: Path, tmp_path: Path) -> None:
    """``--init`` with a run of the task words: all but the last layer is taken over."""
    from wordspot.models import make_model
    from wordspot.training.checkpoint import Checkpoint

    words = make_model(ModelConfig("residual_1d", {"n_channels": 16, "dilations": "1,2"}), 98, 40, 12)
    config = RunConfig(("a", "b"), features=FEATURES["logmel"], model=ModelConfig("residual_1d"))
    trainer = make_trainer(tone_folder, tmp_path)
    trainer.start(Checkpoint(config, 1, 1, 0.5, words.state_dict(), {}))
    given, taken = words.state_dict(), trainer.model.state_dict()
    same = {name for name in taken if name in given and torch.equal(taken[name], given[name])}
    assert {name for name in taken if name not in same} == {"output.weight", "output.bias"}


def test_a_single_positive_is_learned_and_nothing_is_measured(tone_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("high", "low", "middle", "_background_noise_"):
        (data / name).mkdir(parents=True)
        for path in (tone_folder / name).iterdir():
            if name != "high" or path.name.startswith("sp3_"):
                (data / name / path.name).write_bytes(path.read_bytes())
    trainer = make_trainer(data, tmp_path / "run")
    assert any("nothing can be measured" in line for line in trainer.task.warnings())
    trainer.start()
    assert not [record for record in trainer.train() if isinstance(record, SceneEvaluation)]
    figures = json.loads(trainer.run.metrics.read_text())
    assert (figures["testing"], figures["best_validation_score"]) == ({"n": 0}, None)
    assert figures["best_step"] == 2, "the last one is taken"
    assert figures["best_validation_score"] is None


@pytest.mark.parametrize(("task", "model"), [("words", "trigger_1d"), ("trigger", "residual_1d")])
def test_a_network_of_the_other_task_is_rejected(tone_folder: Path, tmp_path: Path, task: str, model: str) -> None:
    words = (
        ["--words", "high"]
        if task == "words"
        else ["--positives", "high", "--negatives", "low", "--backgrounds", "_background_noise_"]
    )
    arguments = ["train", str(tone_folder), "--task", task, "--model", model, "--out", str(tmp_path / "run"), *words]
    assert main(arguments) == 1
    assert not (tmp_path / "run").exists()


def test_one_word_only() -> None:
    with pytest.raises(ConfigError, match="words: the task trigger needs exactly 1, got 2"):
        RunConfig(("a", "b"), task="trigger")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"trigger.gap_s": (3.0, 1.0)}, "gap_s must be LOW,HIGH"),
        ({"trigger.snr_db": (1.0,)}, "snr_db must be LOW,HIGH"),
        ({"trigger.label_ms": 0}, "label_ms must lie between"),
        ({"trigger.scenes": "movie"}, "scenes must be one of soundscape, classic"),
        ({"trigger.positives": ()}, "positives must name a folder"),
        ({"trigger.negative_share": 1.5}, "negative_share must lie between"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_config(**settings)


def test_from_the_command_line_to_a_file_that_listens(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model = tmp_path / "run", tmp_path / "high.onnx"
    flags = [part for name, value in SMALL.items() for part in ("--set", f"{name}={_text(value)}")]
    assert main(["train", str(tone_folder), "--task", "trigger", "--out", str(run), *flags]) == 0
    assert main(["evaluate", str(run), str(tone_folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.split("\n", 1)[1])  # the first line is the one that names the next command
    assert told["per_word"].keys() == {"high"}
    assert 0 < told["accuracy_of_zeros"] < 1
    assert main(["export", str(run), "--out", str(model)]) == 0
    assert main(["verify", str(model)]) == 0
    scenes = tmp_path / "scenes"
    folders = ["--positives", "high", "--negatives", "low", "--backgrounds", "_background_noise_"]
    assert main(["make-scenes", str(tone_folder), *folders, "--out", str(scenes), "--count", "1", "--no-picture"]) == 0
    capsys.readouterr()
    named = tmp_path / "named"
    arguments = ["make-scenes", str(tone_folder), *folders, "--out", str(named), "--no-picture", "--model", str(model)]
    assert main([*arguments, "--words", "low"]) == 1
    assert not named.exists()
    assert main(["evaluate", str(model), str(tone_folder), "--json"]) == 0
    of_file = json.loads(capsys.readouterr().out)
    for name in ("n_words", "n_hits", "n_false_accepts", "false_accepts_by_kind"):
        assert of_file[name] == told[name]
    assert of_file["accuracy"] == pytest.approx(told["accuracy"], abs=1e-3)  # scores near 0.5 may round to either side
    assert main(["evaluate", str(model), str(tone_folder), "--split", "all"]) == 1
    assert "validation or testing set; --split is all" in capsys.readouterr().err
    assert main(["test-stream", str(model), str(scenes / "scene-001.wav"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["per_word"].keys() == {"high"}


def test_defaults_fit_their_tasks() -> None:
    assert TriggerConfig().scenes == "soundscape"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
