"""The training loop: it learns, it resumes to the bit, and a kill at any instant leaves the last checkpoint whole."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.config import ModelConfig, RunConfig, TrainingConfig
from wordspot.data.cache import decode_folder
from wordspot.data.folders import list_recordings
from wordspot.errors import CheckpointError, ConfigError, DataError, TrainingError
from wordspot.overrides import override
from wordspot.presets import FEATURES
from wordspot.seeds import step_seed
from wordspot.training.checkpoint import load_checkpoint
from wordspot.training.device import resolve_device, resolve_precision
from wordspot.training.loss import training_loss
from wordspot.training.optimizer import learning_rate
from wordspot.training.run_folder import RunFolder
from wordspot.training.tasks.words import ClipEvaluation, WordsTask
from wordspot.training.trainer import StepRecord, Trainer

WORDS = ("low", "middle", "high")
SETTINGS = {
    "training.steps": (12,),
    "training.learning_rates": (0.003,),
    "training.optimizer": "adamw",
    "training.batch_size": 16,
    "training.evaluate_every": 4,
    "training.save_every": 2,
    "training.keep_checkpoints": 3,
    "features.hop_ms": 20,
    "augment.speed": 0.05,
    "augment.room_frequency": 0.3,
    "augment.time_masks": 1,
}


def make_trainer(data: Path, out: Path, model: str = "tiny_conv", *, log_every: int | None = None, **settings: Any) -> Trainer:
    config = RunConfig(words=WORDS, features=FEATURES["logmel"], model=ModelConfig(model))
    config = override(config, SETTINGS | settings)
    decoded = decode_folder(list_recordings(data), 16_000, 16_000)
    device = torch.device("cpu")
    return Trainer(config, WordsTask(config, decoded, device), out, device, log_every)


def stop_after(step: int, trainer: Trainer) -> Callable[[], bool]:
    return lambda: trainer.step >= step


@pytest.fixture(scope="module")
def unbroken(tone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from beginning to end."""
    out = tmp_path_factory.mktemp("unbroken")
    trainer = make_trainer(tone_folder, out)
    trainer.start()
    records = list(trainer.train())
    assert [r.step for r in records if isinstance(r, StepRecord)] == list(range(1, 13))
    assert [(r.step, r.set) for r in records if isinstance(r, ClipEvaluation)] == [
        (4, "validation"),
        (8, "validation"),
        (12, "validation"),
        (12, "testing"),
    ]
    return out


def assert_same_checkpoint(a: Path, b: Path) -> None:
    one, two = load_checkpoint(a), load_checkpoint(b)
    assert (one.step, one.best_step, one.best_score) == (two.step, two.best_step, two.best_score)
    assert one.weights.keys() == two.weights.keys()
    assert one.optimizer.keys() == two.optimizer.keys()
    for name, tensor in one.weights.items():
        assert torch.equal(tensor, two.weights[name]), name
    for name, tensor in one.optimizer.items():
        assert torch.equal(tensor, two.optimizer[name]), name


@pytest.mark.parametrize("broken_at", [1, 5, 8, 11])
@pytest.mark.slow
def test_resumed_equals_unbroken_to_the_bit(unbroken: Path, tone_folder: Path, tmp_path: Path, broken_at: int) -> None:
    trainer = make_trainer(tone_folder, tmp_path)
    trainer.start()
    with pytest.raises(KeyboardInterrupt):
        list(trainer.train(stop_after(broken_at, trainer)))
    again = make_trainer(tone_folder, tmp_path)
    again.resume()
    assert again.step == broken_at
    list(again.train())
    assert_same_checkpoint(RunFolder(unbroken).checkpoint_path(12), RunFolder(tmp_path).checkpoint_path(12))
    assert (unbroken / "log.jsonl").read_text() == (tmp_path / "log.jsonl").read_text()
    assert (unbroken / "metrics.json").read_text() == (tmp_path / "metrics.json").read_text()


def test_resume_from_every_kept_checkpoint(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    import shutil

    kept = RunFolder(unbroken).steps()
    assert kept[-3:] == [8, 10, 12]
    for step in kept[:-1]:
        out = tmp_path / str(step)
        shutil.copytree(unbroken, out)
        trainer = make_trainer(tone_folder, out)
        trainer.resume(step)
        assert RunFolder(out).latest_step() == step
        list(trainer.train())
        assert_same_checkpoint(RunFolder(unbroken).checkpoint_path(12), RunFolder(out).checkpoint_path(12))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "muon"])
@pytest.mark.slow
def test_every_optimizer_resumes(tone_folder: Path, tmp_path: Path, optimizer: str) -> None:
    settings = {"training.optimizer": optimizer, "training.steps": (3, 3), "training.learning_rates": (0.01, 0.001)}
    whole = make_trainer(tone_folder, tmp_path / "whole", **settings)
    whole.start()
    list(whole.train())
    broken = make_trainer(tone_folder, tmp_path / "broken", **settings)
    broken.start()
    with pytest.raises(KeyboardInterrupt):
        list(broken.train(stop_after(3, broken)))
    again = make_trainer(tone_folder, tmp_path / "broken", **settings)
    again.resume()
    list(again.train())
    assert_same_checkpoint(whole.run.checkpoint_path(6), again.run.checkpoint_path(6))


@pytest.mark.slow
def test_a_kill_leaves_the_last_checkpoint_whole(tone_folder: Path, tmp_path: Path) -> None:
    """SIGKILL at arbitrary instants, three times; each time the run resumes and in the end nothing is lost."""
    command = [
        sys.executable, "-m", "wordspot", "train", str(tone_folder), "--out", str(tmp_path / "run"),
        "--words", "low,middle,high", "--model", "tiny_conv", "--batch-size", "8", "--device", "cpu",
        "--steps", "400", "--learning-rates", "0.001", "--save-every", "1", "--evaluate-every", "400",
        "--set", "training.warmup_steps=1",
    ]  # fmt: skip
    run = RunFolder(tmp_path / "run")
    seen = 0
    for attempt in range(3):
        process = subprocess.Popen([*command, *(["--resume"] if attempt else [])], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not run.steps() or run.steps()[-1] <= seen + 2):
            time.sleep(0.003 * (attempt + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert run.steps(), "no checkpoint was written in time"
        seen = load_checkpoint(run.checkpoint_path(run.latest_step())).step
        for step in run.steps():
            assert load_checkpoint(run.checkpoint_path(step)).step == step
        assert all(isinstance(line, dict) for line in run.read_log())
    assert seen > 6


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on(tone_folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "wordspot", "train", str(tone_folder), "--out", str(tmp_path / "run"),
        "--words", "low,middle,high", "--model", "tiny_conv", "--batch-size", "8",
        "--steps", "100000", "--learning-rates", "0.001", "--save-every", "100000", "--evaluate-every", "100000",
    ]  # fmt: skip
    run = RunFolder(tmp_path / "run")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (run.log.is_file() and run.log.stat().st_size > 500):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on from there" in error
    assert "Traceback" not in error
    assert run.latest_step() == run.read_log()[-1]["step"] > 0


@pytest.mark.slow
def test_it_learns(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        tone_folder, tmp_path, **{"training.steps": (60,), "training.evaluate_every": 60, "training.save_every": 60}
    )
    trainer.start()
    last = list(trainer.train())[-1]
    assert isinstance(last, ClipEvaluation)
    assert (last.set, last.step) == ("testing", 60)
    assert last.accuracy > 0.7  # chance is below 0.3; the tones are easy
    assert sum(map(sum, last.confusion)) == last.n


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_does_not(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    for seed, name in ((0, "same"), (1, "other")):
        trainer = make_trainer(tone_folder, tmp_path / name, **{"training.seed": seed})
        trainer.start()
        list(trainer.train())
    log = (unbroken / "log.jsonl").read_text()
    assert (tmp_path / "same" / "log.jsonl").read_text() == log
    assert (tmp_path / "other" / "log.jsonl").read_text() != log


def test_run_folder_is_complete(unbroken: Path, tone_folder: Path) -> None:
    names = {path.name for path in unbroken.iterdir()}
    assert names == {
        "checkpoints", "config.json", "data.csv", "labels.txt", "log.jsonl", "metrics.json", "tensorboard", "versions.json",
    }  # fmt: skip
    assert (unbroken / "labels.txt").read_text() == "_silence_\n_unknown_\nlow\nmiddle\nhigh\n"
    with (unbroken / "data.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["set"] for row in rows} == {"training", "validation", "testing"}
    for row in rows[:5]:
        assert row["sha256"] == hashlib.sha256((tone_folder / row["path"]).read_bytes()).hexdigest()
    versions = json.loads((unbroken / "versions.json").read_text())
    assert versions["torch"] == importlib.metadata.version("torch")
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert (
        metrics["testing"]["n"]
        == len([r for r in rows if r["set"] == "testing"]) + metrics["testing"]["per_label"]["_silence_"]["n"]
    )
    assert metrics["best_step"] in RunFolder(unbroken).steps()


def test_tensorboard_holds_scalars_and_pictures(unbroken: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(unbroken / "tensorboard"))
    board.Reload()
    assert {"accuracy/training", "loss/training", "accuracy/validation", "cross_entropy/validation"} <= set(
        board.Tags()["scalars"]
    )
    assert [event.step for event in board.Scalars("accuracy/training")] == list(range(1, 13))
    assert set(board.Tags()["images"]) == {f"features/{label}" for label in ("_silence_", "_unknown_", *WORDS)}


@pytest.mark.slow
def test_best_on_validation_is_kept_and_taken(tone_folder: Path, tmp_path: Path) -> None:
    """Train well, then ruin the weights with an absurd rate: the best checkpoint is from before, and survives."""
    trainer = make_trainer(
        tone_folder,
        tmp_path,
        **{
            "training.steps": (40, 20),
            "training.learning_rates": (0.003, 100.0),
            "training.keep_checkpoints": 2,
            "training.evaluate_every": 20,
            "training.save_every": 5,
        },
    )
    trainer.start()
    list(trainer.train())
    run = RunFolder(tmp_path)
    assert run.load().step in (20, 40)
    assert run.load(60).step == 60
    assert run.steps() == sorted({run.load().step, 55, 60})


def test_check_nans_names_the_layer(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"training.check_nans": True})
    trainer.start()
    with torch.no_grad():
        trainer.model.output.weight[0, 0] = float("nan")  # type: ignore[union-attr, index]
    with pytest.raises(TrainingError, match="NaN or infinity in the output of layer 'output'"):
        list(trainer.train())


def test_learning_rates_follow_the_phases() -> None:
    settings = override(RunConfig(words=WORDS), {"training.steps": (3, 2), "training.learning_rates": (0.1, 0.01)}).training
    assert [learning_rate(settings, step) for step in range(1, 6)] == [0.1, 0.1, 0.1, 0.01, 0.01]


def test_cosine_warms_up_and_ends_at_zero() -> None:
    settings = override(
        RunConfig(words=WORDS),
        {"training.steps": (100,), "training.learning_rates": (1.0,), "training.schedule": "cosine", "training.warmup_steps": 10},
    ).training
    rates = [learning_rate(settings, step) for step in range(1, 101)]
    assert rates[4] == pytest.approx(0.5)
    assert rates[9] == 1.0
    assert rates[54] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.argmax(rates) == 9
    longer = override(RunConfig(words=WORDS, training=settings), {"training.warmup_steps": 5000}).training
    assert [learning_rate(longer, step) for step in range(1, 101)] == rates  # never more than a tenth


def test_a_checkpoint_of_another_model_is_rejected(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(unbroken, tmp_path / "run")
    for settings in ({"training.seed": 5}, {"features.low_hz": 100}, {"training.optimizer": "sgd"}):
        with pytest.raises(CheckpointError, match="of another model or run"):
            make_trainer(tone_folder, tmp_path / "run", **settings).resume()
    make_trainer(tone_folder, tmp_path / "run", **{"training.save_every": 7}).resume()
    other = make_trainer(tone_folder, tmp_path / "run", model="single_fc")
    with pytest.raises(CheckpointError, match=r"of another model.*tiny_conv"):
        other.resume()


def test_no_training_clips(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clips are left for training"):
        make_trainer(tone_folder, tmp_path, **{"data.validation_percent": 50, "data.testing_percent": 50})


def test_without_validation_the_last_checkpoint_is_taken(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"data.validation_percent": 0, "training.steps": (3,)})
    trainer.start()
    assert [record.set for record in trainer.train() if isinstance(record, ClipEvaluation)] == ["testing"]
    assert RunFolder(tmp_path).load().step == 3


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="`device` must be"):
        resolve_device("quantum")
    assert resolve_precision("float32", torch.device("cpu")) == "float32"
    assert resolve_precision("auto", torch.device("cpu")) in ("float32", "bf16")


@pytest.mark.slow
def test_bf16_learns_too(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"training.precision": "bf16", "training.steps": (40,)})
    trainer.start()
    losses = [record.loss for record in trainer.train() if isinstance(record, StepRecord)]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE is POSIX")
@pytest.mark.slow
def test_a_full_disk_while_saving_leaves_the_last_checkpoint(tone_folder: Path, tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: the checkpoint (190 KB and more) cannot be written."""
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from wordspot.commands.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    decode_folder(list_recordings(tone_folder), 16_000, 16_000)
    command = [
        sys.executable, "-c", program, "train", str(tone_folder), "--out", str(tmp_path / "run"),
        "--words", "low,middle,high", "--model", "tiny_conv", "--steps", "3", "--learning-rates", "0.001",
        "--set", "training.warmup_steps=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "step-00000003.safetensors" in done.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_resume_before_the_first_checkpoint_begins_anew(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path)
    trainer.start()
    (tmp_path / "log.jsonl").write_text('{"step": 1, "kind": "step"}\n')
    again = make_trainer(tone_folder, tmp_path)
    again.resume()
    assert again.step == 0
    list(again.train())
    assert (tmp_path / "log.jsonl").read_text() == (unbroken / "log.jsonl").read_text()


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(unbroken, tmp_path / "run")
    trainer = make_trainer(tone_folder, tmp_path / "run")
    trainer.resume()
    list(trainer.train())
    for name in ("log.jsonl", "metrics.json", "data.csv"):
        assert (tmp_path / "run" / name).read_text() == (unbroken / name).read_text()


def test_resume_on_other_recordings_is_rejected(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(unbroken, tmp_path / "run")
    shutil.copytree(tone_folder, tmp_path / "data")
    shutil.copy(tone_folder / "low" / "sp1_nohash_0.wav", tmp_path / "data" / "low" / "sp1_nohash_1.wav")
    trainer = make_trainer(tmp_path / "data", tmp_path / "run")
    with pytest.raises(DataError, match=r"changed since the run began: .*sp1_nohash_1"):
        trainer.resume()


def test_tied_weights_are_saved(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"training.steps": (2,)})
    trainer.model.register_parameter("again", trainer.model.output.weight)  # type: ignore[union-attr, arg-type]
    trainer.start()
    list(trainer.train())
    assert trainer.run.load().step == 2


def test_weights_of_another_run_are_taken_over(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    given = RunFolder(unbroken).load()
    trainer = make_trainer(tone_folder, tmp_path / "same", **{"training.steps": (1,), "training.seed": 7})
    trainer.start(given)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, given.weights[name]), name
    fewer = override(trainer.config, {"training.learning_rates": (0.0,)})
    config = RunConfig(words=WORDS[:2], features=fewer.features, model=fewer.model, training=fewer.training)
    task = WordsTask(config, decode_folder(list_recordings(tone_folder), 16_000, 16_000), torch.device("cpu"))
    other = Trainer(config, task, tmp_path / "fewer", torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in other.model.state_dict().items()}
    other.start(given)
    for name, tensor in other.model.state_dict().items():
        wanted = before if name.startswith("output.") else given.weights
        assert torch.equal(tensor, wanted[name]), name
    with pytest.raises(CheckpointError, match=r"`init`: the networks differ in .* of a tiny_conv"):
        make_trainer(tone_folder, tmp_path / "another", model="single_fc").start(given)


def test_a_run_that_began_with_weights_goes_on_with_them(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    given = RunFolder(unbroken).load()
    make_trainer(tone_folder, tmp_path).start(given)  # and is broken off before its first step
    again = make_trainer(tone_folder, tmp_path)
    again.resume()
    assert again.step == 0
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, given.weights[name]), name


def test_weights_of_another_front_end_are_rejected(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, **{"features.low_hz": 200})
    with pytest.raises(CheckpointError, match="`init`: the runs have different front ends"):
        trainer.start(RunFolder(unbroken).load())


def test_a_frozen_body_draws_no_dropout(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        tone_folder,
        tmp_path,
        model="gru",
        **{"training.frozen_body": True, "features.hop_ms": 10, "model.dropout": 0.5},
    )
    trainer.train_step()
    assert [name for name, module in trainer.model.named_modules() if module.training] == ["output"]


def test_a_frozen_body_stays(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    given = RunFolder(unbroken).load()
    trainer = make_trainer(tone_folder, tmp_path, **{"training.steps": (3,), "training.frozen_body": True, "training.seed": 3})
    trainer.start(given)
    list(trainer.train())
    after = trainer.run.load(3).weights
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, given.weights[name])}
    assert changed == {"output.weight", "output.bias"}


def test_norms_of_a_frozen_body_stay(tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        tone_folder,
        tmp_path,
        model="residual_1d",
        **{"training.steps": (2,), "training.frozen_body": True, "features.hop_ms": 10},
    )
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.start()
    list(trainer.train())
    after = trainer.run.load(2).weights
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"output.weight", "output.bias"}


def test_silence_is_corrected_in_the_loss_only(tone_folder: Path, tmp_path: Path) -> None:
    """The first loss with a bias is the cross-entropy of the first step's logits with that much more for silence."""
    losses = {}
    for bias in (0.0, 2.0):
        trainer = make_trainer(tone_folder, tmp_path / str(bias), **{"training.silence_bias": bias})
        for parameter in trainer.model.parameters():
            torch.nn.init.zeros_(parameter)
        losses[bias] = float(trainer.train_step().loss)
    labels = make_trainer(tone_folder, tmp_path / "labels").task.training_batch(1, _first_generator())[1]
    share = float((labels == 0).float().mean())
    assert 0 < share < 1
    total = np.log(np.exp(2.0) + len(WORDS) + 1)
    assert losses[0.0] == pytest.approx(np.log(len(WORDS) + 2), rel=1e-5)
    assert losses[2.0] == pytest.approx(total - 2.0 * share, rel=1e-5)


def _first_generator() -> torch.Generator:
    return torch.Generator().manual_seed(step_seed(0, 1, 1))


def test_the_squared_error_of_three_labels_counts_all_of_them() -> None:
    settings = TrainingConfig(loss="squared_error")
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]]))
    given = training_loss(logits, torch.tensor([1]), settings)
    assert float(given) == pytest.approx((0.2**2 + 0.5**2 + 0.3**2) / 2, abs=1e-6)
    two = training_loss(torch.log(torch.tensor([[0.2, 0.8]])), torch.tensor([0]), settings)
    assert float(two) == pytest.approx(0.8**2, abs=1e-6)  # of the first label's posterior alone, as the classic


def test_results_fetched_together_are_logged_all_the_same(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tone_folder, tmp_path, log_every=5)
    trainer.start()
    list(trainer.train())
    for name in ("log.jsonl", "metrics.json"):
        assert (tmp_path / name).read_text() == (unbroken / name).read_text()


def test_training_needs_no_tensorboard(
    unbroken: Path, tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    trainer = make_trainer(tone_folder, tmp_path)
    trainer.start()
    list(trainer.train())
    assert (tmp_path / "log.jsonl").read_text() == (unbroken / "log.jsonl").read_text()
    assert not (tmp_path / "tensorboard").exists()
