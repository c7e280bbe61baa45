"""Training that starts from an exported file: its scores are those of the file until the first step."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import wordspot as ws
from support.made_exports import export_made
from wordspot.errors import CheckpointError, NotFoundError
from wordspot.export.read_weights import checkpoint_of_file as checkpoint_of
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.residual import Residual1d
from wordspot.run import _usual_start
from wordspot.runtime.detector import Classifier
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.training.checkpoint import Checkpoint, load_checkpoint
from wordspot.training.recipes import make_config, recipe_config
from wordspot.training.weights import load_weights, measure_norms

OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"


def checkpoint_of_file(path: Path | None) -> Checkpoint:
    return checkpoint_of(*read_model(path))


def network_of(checkpoint: Checkpoint) -> torch.nn.Module:
    features = checkpoint.config.features
    network = make_model(checkpoint.config.model, features.n_frames, features.n_features, len(checkpoint.config.words) + 2)
    load_weights(network, checkpoint)
    return network.eval()


@pytest.mark.parametrize("file", [None, OLD])
def test_the_scores_are_those_of_the_file(file: Path | None) -> None:
    checkpoint = checkpoint_of_file(file)
    network, front_end = network_of(checkpoint), make_front_end(checkpoint.config.features)
    audio = (0.1 * np.random.default_rng(0).standard_normal((8, checkpoint.config.features.clip_samples))).astype(np.float32)
    expected = Classifier(ws.open_model(file)).classify(audio)
    features = front_end(torch.from_numpy(audio))
    with torch.no_grad():
        assert np.abs(network(features).softmax(-1).numpy() - expected).max() < 1e-5
        measure_norms(network, features)
        assert np.abs(network(features).softmax(-1).numpy() - expected).max() < 1e-5
        for module in network.modules():  # the same in training, where norms use the statistics of their batch
            module.train(not isinstance(module, torch.nn.Dropout))
        assert np.abs(network(features).softmax(-1).numpy() - expected).max() < 1e-4


def test_local_patterns_are_read_back() -> None:
    exported = export_made("residual_1d", model__n_local=6)
    network = network_of(checkpoint_of("local.onnx", exported.model))
    assert isinstance(network, Residual1d)
    assert network.local is not None
    assert network.local.join.weight.abs().max() > 0


def test_norms_that_are_measured_change_no_output() -> None:
    config = recipe_config(("a", "b"), "residual_1d")
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 4).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        features = torch.randn(4, config.features.n_frames, config.features.n_features)
        before = network(features)
        measure_norms(network, features + 1)
        assert torch.allclose(network(features), before, atol=1e-4)


def test_a_run_starts_from_the_shipped_model(tone_folder: Path, tmp_path: Path) -> None:
    quick = {"training.batch_size": 8, "training.learning_rates": (0.0,), "training.weight_decay": 0.0}
    run = ws.train(tone_folder, ["low", "high"], out=tmp_path / "run", init="default", steps=1, settings=quick)
    shipped = checkpoint_of_file(None)
    assert run.config.features == shipped.config.features
    assert run.config.model == shipped.config.model
    weights = _newest(run)
    assert torch.equal(weights["blocks.0.mix.0.weight"], shipped.weights["blocks.0.mix.0.weight"])
    assert weights["output.weight"].shape[0] == 4
    with pytest.raises(CheckpointError, match="the networks differ in"):
        ws.train(tone_folder, ["low", "high"], out=tmp_path / "other", init=str(OLD), model="residual_1d", steps=1)
    with pytest.raises(NotFoundError, match="no such file"):
        ws.train(tone_folder, ["low", "high"], out=tmp_path / "other", init=tmp_path / "missing.onnx", steps=1)


def test_a_run_starts_from_the_shipped_body(tone_folder: Path, tmp_path: Path) -> None:
    """It has the network and the front end of the shipped model, so that one recipe serves both, and other weights."""
    quick = {"training.batch_size": 2, "scenes.length_s": 2.0, "augment.made_noise": 0.0, "training.learning_rates": (0.0,)}
    run = ws.train(tone_folder, ["low", "high"], out=tmp_path / "run", init="body", steps=1, settings=quick)
    shipped, body = checkpoint_of_file(None), load_checkpoint(Path(ws.__file__).parent / "training" / "body.safetensors")
    assert (run.config.features, run.config.model) == (shipped.config.features, shipped.config.model)
    name = "blocks.0.mix.0.weight"
    assert torch.equal(_newest(run)[name], body.weights[name].float())
    assert not torch.equal(_newest(run)[name], shipped.weights[name])


def test_the_small_network_has_a_body_of_its_own(tone_folder: Path, tmp_path: Path) -> None:
    """The preset starts from it without being asked to, whatever the words are, and with `init` body too."""
    quick = {"training.batch_size": 2, "scenes.length_s": 2.0, "augment.made_noise": 0.0, "training.learning_rates": (0.0,)}
    body = load_checkpoint(Path(ws.__file__).parent / "training" / "small_body.safetensors")
    for init in (None, "body"):
        notes: list[str] = []
        run = ws.train(
            tone_folder, ["low", "high"], out=tmp_path / str(init), init=init, preset="microcontroller", steps=1, settings=quick,
            on_note=notes.append,
        )  # fmt: skip
        assert run.config.model.options["n_channels"] == 48
        name = "blocks.0.mix.0.weight"
        assert torch.equal(_newest(run)[name], body.weights[name].float())
        assert any(note.startswith("training starts from the body") for note in notes) == (init is None)
    words = checkpoint_of_file(None).config.words
    assert _usual_start(make_config(tone_folder, words, preset="microcontroller")) == "body"
    assert _usual_start(make_config(tone_folder, words)) == "default"
    assert _usual_start(make_config(tone_folder, words, preset="best")) is None


def test_a_network_without_a_body_cannot_start_from_one(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the networks differ in"):
        ws.train(tone_folder, ["low", "high"], out=tmp_path / "run", init="body", preset="best", steps=1)


def _newest(run: ws.Run) -> dict[str, torch.Tensor]:
    from wordspot.training.run_folder import RunFolder

    return RunFolder(run.path).load(run.step).weights


def test_files_that_cannot_be_the_start(tmp_path: Path) -> None:
    content = OLD.read_bytes()
    card = read_card(content)
    (tmp_path / "int8.onnx").write_bytes(with_card(content, dataclasses.replace(card, quantization="int8")))
    with pytest.raises(CheckpointError, match=r"in 8 bits, too coarse to train on .*; name the run .*the folder run beside it"):
        checkpoint_of_file(tmp_path / "int8.onnx")
    told = dataclasses.replace(card, config={**card.config, "model": {"name": "gru", "options": {}}})
    (tmp_path / "gru.onnx").write_bytes(with_card(content, told))
    with pytest.raises(CheckpointError, match=r"network gru cannot be read back .*layers of other kinds.*name the run"):
        checkpoint_of_file(tmp_path / "gru.onnx")
    rows = tuple(tuple(reversed(row)) for row in card.self_test.log_posteriors)
    other = dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows))
    (tmp_path / "other.onnx").write_bytes(with_card(content, other))
    with pytest.raises(CheckpointError, match="scores differ by"):
        checkpoint_of_file(tmp_path / "other.onnx")


def test_training_starts_from_the_shipped_weights_where_they_fit(tone_folder: Path, tmp_path: Path) -> None:
    """For one of the ten words those of the model, for others those of the body."""
    quick = {"training.batch_size": 2, "scenes.length_s": 2.0, "augment.made_noise": 0.0, "training.learning_rates": (0.0,)}
    body = load_checkpoint(Path(ws.__file__).parent / "training" / "body.safetensors")
    weights = {"model": checkpoint_of_file(None).weights, "body": body.weights}
    shutil.copytree(tone_folder, tmp_path / "tones")
    (tmp_path / "tones" / "high").rename(tmp_path / "tones" / "left")

    def beginning(name: str, word: str = "low", init: str | None = None, **settings: object) -> str:
        notes: list[str] = []
        run = ws.train(
            tmp_path / "tones", [word], out=tmp_path / name, init=init, steps=1, settings=quick | settings, on_note=notes.append
        )
        noted = [told for note in notes for told in ("model", "body") if f"{told} that comes with wordspot" in note]
        own = _newest(run)["blocks.0.mix.0.weight"]
        theirs = {told: values["blocks.0.mix.0.weight"].float() for told, values in weights.items()}
        assert noted == [told for told, value in theirs.items() if own.shape == value.shape and torch.equal(own, value)]
        return noted[0] if noted else "none"

    assert beginning("its own", "left") == "model"
    assert beginning("other") == "body"
    assert beginning("fresh", init="none") == "none"
    assert beginning("narrow", **{"model.n_channels": 8}) == "none"
    assert beginning("other blocks", **{"model.dilations": "1,1,2,2,4"}) == "none"
    assert beginning("shorter", **{"features.clip_ms": 1000}) == "none"
