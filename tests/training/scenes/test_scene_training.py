"""Training on scenes: it learns, it resumes to the bit with its averaged weights, and speech is part of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import wordspot as ws
from wordspot.errors import CheckpointError, ConfigError, DataError
from wordspot.training.checkpoint import load_checkpoint, read_metadata
from wordspot.training.run_folder import RunFolder

SMALL: dict[str, Any] = {
    "features.hop_ms": 20,
    "features.clip_ms": 1000,
    "scenes.length_s": 2.0,
    "model.n_channels": 8,
    "model.dilations": "1,1,2",
    "training.batch_size": 4,
    "training.average": 0.9,
    "training.evaluate_every": 4,
    "training.save_every": 2,
    "training.warmup_steps": 2,
    "augment.snr_db": (0.0, 30.0),
    "augment.made_noise": 0.0,
    "augment.colour_db": 3.0,
    "augment.speed": 0.1,
}
WORDS = ["low", "middle", "high"]


def train(data: Path, out: Path, steps: int = 8, **more: Any) -> ws.Run:
    settings = SMALL | more.pop("settings", {})
    return ws.train(data, WORDS, out=out, model="residual_1d", steps=steps, settings=settings, init="none", **more)


@pytest.fixture(scope="module")
def unbroken(tone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tone_folder, tmp_path_factory.mktemp("scenes") / "run").path


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(path).checkpoint_path(RunFolder(path).latest_step()))


def test_resumed_equals_unbroken_to_the_bit(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt):
        train(tone_folder, tmp_path / "run", on_record=steps.append, stop=lambda: len(steps) >= 4)
    assert ws.load_run(tmp_path / "run").step < 8
    ws.resume(tmp_path / "run", tone_folder)
    one, two = tensors(unbroken), tensors(tmp_path / "run")
    assert one.keys() == two.keys()
    assert any(name.startswith("average.") for name in one)
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name
    for name in ("log.jsonl", "metrics.json"):
        assert (unbroken / name).read_text() == (tmp_path / "run" / name).read_text()


def test_counts_of_held_out_clips_change_nothing(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    records: list[Any] = []
    run = train(tone_folder, tmp_path / "run", settings={"training.found_every": 3}, on_record=records.append)
    counts = [one for one in records if one.kind == "found"]
    assert [one.step for one in counts] == [3, 6]
    assert all(one.n_words > 0 and one.n_others > 0 for one in counts)
    assert [one["step"] for one in run.log() if one["kind"] == "found"] == [3, 6]
    one, two = tensors(unbroken), tensors(run.path)
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_averaged_weights_are_evaluated_and_exported(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    """The run's result is that of a checkpoint whose weights are the averages."""
    checkpoint = load_checkpoint(RunFolder(unbroken).checkpoint_path(RunFolder(unbroken).latest_step()))
    assert not torch.equal(checkpoint.weights["output.weight"], checkpoint.average["output.weight"])
    plain = dataclasses.replace(checkpoint, weights=checkpoint.best_weights, average={})
    assert torch.equal(plain.best_weights["output.weight"], checkpoint.average["output.weight"])
    ws.load_run(unbroken).export(tmp_path / "words.onnx")
    from wordspot.export.read_weights import checkpoint_of_file
    from wordspot.runtime.model import read_model

    read_back = checkpoint_of_file(*read_model(tmp_path / "words.onnx"))
    best = RunFolder(unbroken).load()
    torch.testing.assert_close(read_back.weights["output.weight"], best.average["output.weight"])


def test_a_checkpoint_without_an_average_loads(unbroken: Path, tmp_path: Path) -> None:
    """As older versions wrote it."""
    path = RunFolder(unbroken).checkpoint_path(8)
    old = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("average.")}
    save_file(old, tmp_path / "old.safetensors", read_metadata(path))
    loaded = load_checkpoint(tmp_path / "old.safetensors")
    assert loaded.average == {}
    assert torch.equal(loaded.best_weights["output.weight"], old["model.output.weight"])


EASY = {
    "features.clip_ms": 1300,
    "scenes.length_s": 4.0,
    "scenes.level_db": (-10.0, 0.0),
    "scenes.stride_ms": 20,
    "training.batch_size": 8,
    "training.learning_rates": (0.01,),
    "training.evaluate_every": 50,
    "data.unknown_weight": 1.0,
    "augment.frequency_masks": 0,
}


@pytest.mark.slow
def test_it_learns(tone_folder: Path, tmp_path: Path) -> None:
    run = train(tone_folder, tmp_path / "run", 100, settings=EASY)
    assert run.metrics["testing"]["accuracy"] > 0.8


def make_speech(folder: Path, n_speakers: int = 8) -> Path:
    """Noise as speech, by speakers in folders."""
    rng = np.random.default_rng(1)
    for speaker in range(n_speakers):
        (folder / str(speaker)).mkdir(parents=True)
        audio = rng.uniform(-0.2, 0.2, 48_000).astype(np.float32)
        soundfile.write(folder / str(speaker) / f"{speaker}-1.wav", audio, 16_000, subtype="PCM_16")
    return folder


def test_speech_belongs_to_a_run(tone_folder: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    speech = make_speech(tmp_path / "speech")
    run = train(tone_folder, tmp_path / "run", 2, speech=speech, on_note=notes.append)
    assert any("minutes of speech in" in note for note in notes)
    assert not any("left out" in note for note in notes)
    listed = [line for line in (run.path / "data.csv").read_text().splitlines() if "_speech_" in line]
    assert 4 <= len(listed) <= 8
    assert all(line.startswith("training,_speech_,") for line in listed)
    ws.resume(run, tone_folder, speech=speech, steps=3)
    (said,) = (path for path in speech.rglob("*.wav") if f",{path.relative_to(speech).as_posix()}," in f"{listed[0]},")
    said.with_suffix(".txt").write_text("turn it low")
    train(tone_folder, tmp_path / "again", 2, speech=speech, on_note=notes.append)
    name = said.relative_to(speech).as_posix()
    assert f"1 recordings of speech are left out, since their text has a word of the model: {name}" in notes
    with pytest.raises(DataError, match="the recordings have changed"):
        ws.resume(run, tone_folder, steps=4)


def test_speech_needs_scenes(tone_folder: Path, tmp_path: Path) -> None:
    speech = make_speech(tmp_path / "speech", 1)
    with pytest.raises(ConfigError, match="`speech` is used in training scenes only"):
        train(tone_folder, tmp_path / "run", 2, speech=speech, settings={"scenes.length_s": 0})


def test_a_network_without_windows_is_rejected(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the network tiny_conv cannot classify all windows of a scene"):
        ws.train(
            tone_folder, WORDS, out=tmp_path / "run", model="tiny_conv", settings={"scenes.length_s": 6, "augment.snr_db": "0,30"}
        )


def test_other_front_ends_learn_from_scenes(tone_folder: Path, tmp_path: Path) -> None:
    for features in ("mfcc", "micro", "average"):
        run = train(tone_folder, tmp_path / features, 2, features=features)
        assert np.isfinite(run.metrics["validation"]["accuracy"])


def test_a_wrong_init_of_another_network(unbroken: Path, tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="differ"):
        ws.train(
            tone_folder,
            WORDS,
            out=tmp_path / "run",
            model="residual_1d",
            init=unbroken,
            steps=1,
            settings=SMALL | {"model.n_channels": 12},
        )
