"""The trigger's exported files: what their cards say, and that sound in any chunks gives what torch gives for the scene."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from support.made_networks import make
from wordspot.audio.files import write_audio
from wordspot.commands.main import main
from wordspot.config import FeatureConfig, ModelConfig, RunConfig
from wordspot.errors import ConfigError, ExportError
from wordspot.export.run import Exported, export_network, export_run
from wordspot.export.tracing import why_no_stream
from wordspot.features import make_front_end
from wordspot.presets import FEATURES
from wordspot.runtime.detector import Detector, Scorer
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile.card import read_card
from wordspot.runtime.modelfile.self_test import run_self_test
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

WORD = "athena"
CASES: dict[str, tuple[str, FeatureConfig]] = {
    "trigger_1d": ("trigger_1d", FeatureConfig(clip_ms=4000)),
    "trigger_gru": ("trigger_gru", FEATURES["specgram"]),
    "another hop": ("trigger_1d", FeatureConfig(clip_ms=4000, window_ms=25, hop_ms=20)),
}


def config_of(name: str, features: FeatureConfig) -> RunConfig:
    return RunConfig(words=(WORD,), task="trigger", features=features, model=ModelConfig(name))


def network_of(name: str, features: FeatureConfig) -> Any:
    """A small network; the classic's norm has seen the power of sounds like these, as after training."""
    network = make(name, features.n_frames, features.n_features)
    if name == "trigger_gru":
        heard = make_front_end(features)(torch.from_numpy(sound(features.sample_rate, features))[None])
        with torch.no_grad():
            rows = network.stem(heard.mT)
            network.stem_norm.running_mean.copy_(rows.mean(dim=(0, 2)))
            network.stem_norm.running_var.copy_(rows.var(dim=(0, 2)))
            network.output.weight.mul_(5)  # answers that differ, on both sides of 0.5
            network.output.bias.sub_(network(heard)[..., 1].mean())
    return network


def sound(n: int, features: FeatureConfig, seed: int = 4) -> NDArray[np.float32]:
    """Noise and tones, loud and soft by turns of a tenth of a second."""
    rng = np.random.default_rng(seed)
    tenth = features.sample_rate // 10
    levels = np.repeat(np.exp(rng.uniform(-3, 0, n // tenth + 1)), tenth)[:n]
    hertz = np.repeat(rng.uniform(200, 4000, n // tenth + 1), tenth)[:n]
    tones = np.sin(2 * np.pi * np.cumsum(hertz) / features.sample_rate)
    return (0.1 * levels * (tones + rng.standard_normal(n))).astype(np.float32)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Exported, Any, RunConfig]:
    name, features = CASES[request.param]
    network, config = network_of(name, features), config_of(name, features)
    return export_network(network, config), network, config


def n_early(network: Any, config: RunConfig) -> int:
    """Steps of a stream that see frames from before its beginning."""
    steps: int = network.early_steps(make_front_end(config.features).early_frames)
    return steps


def test_an_export_leaves_the_network_as_it_was() -> None:
    """And so does asking whether it can be a stream."""
    network = network_of("trigger_gru", FeatureConfig(clip_ms=2500, hop_ms=15))
    before = {name: value for name, value in vars(network).items() if not name.startswith("_")}
    config = config_of("trigger_gru", FeatureConfig(clip_ms=2500, hop_ms=15))
    why_no_stream(network, make_front_end(config.features), config)
    export_network(network, config)
    assert {name: value for name, value in vars(network).items() if not name.startswith("_")} == before


def test_the_card(case: tuple[Exported, Any, RunConfig]) -> None:
    exported, network, config = case
    card = read_card(exported.model)
    assert card == exported.card
    assert exported.difference < 1e-4
    assert (card.kind, card.labels) == ("stream", ("_silence_", WORD))
    step = config.features.hop_samples * network.hop_frames
    assert (card.clip_samples, card.step_samples) == (step * (1 + n_early(network, config)), step)
    assert 2 * card.sample_rate <= card.self_test.ends[0] < 2 * card.sample_rate + step
    assert card.self_test.n_samples == card.self_test.ends[-1] > 2.9 * card.sample_rate
    assert (card.decoder.kind, card.decoder.average_ms, card.decoder.refractory_ms) == ("peak", 80, 1000)
    assert card.config["task"] == "trigger"
    report = run_self_test(open_model(exported.model).session, card)
    assert report.passed
    assert report.rows == 4


def test_sound_in_any_chunks_gives_what_one_pass_gives(case: tuple[Exported, Any, RunConfig]) -> None:
    exported, network, config = case
    scorer, features = Scorer(exported.model), config.features
    audio = sound(3 * features.sample_rate + 1234, features)
    with torch.no_grad():
        whole = network(make_front_end(features)(torch.from_numpy(audio)[None]))[0].softmax(dim=1).numpy()
    for sizes in ([37], [1, 5000, 160], [len(audio)]):
        parts, start = [], 0
        for size in np.resize(sizes, 10_000):
            if start >= len(audio):
                break
            parts.append(scorer.feed(audio[start : start + size]))
            start += size
        scores, end_ms = (np.concatenate(each) for each in zip(*parts, strict=True))
        scorer.reset()
        step_ms = 1000 * exported.card.step_samples / features.sample_rate
        ends = (np.arange(len(scores)) + 1 + n_early(network, config)) * step_ms
        np.testing.assert_allclose(end_ms, ends, err_msg="a row for each answer that counts")
        assert 0 <= len(whole) - len(scores) <= 1
        np.testing.assert_allclose(scores, whole[: len(scores)], atol=1e-4)
    assert np.ptp(whole[:, 1]) > 0.1


def test_the_graph_is_lean(case: tuple[Exported, Any, RunConfig]) -> None:
    """Nothing asks for a shape. Only the classic's norms that follow a GRU stand for themselves."""
    kinds = [node.op_type for node in onnx.load_from_string(case[0].model).graph.node]
    assert not {"Shape", "Range", "Expand", "ConstantOfShape", "Loop"} & set(kinds)
    assert kinds.count("BatchNormalization") == kinds.count("GRU") == (2 if hasattr(case[1], "layers") else 0)


def test_a_detector_takes_it() -> None:
    name, features = CASES["trigger_1d"]
    network = network_of(name, features)
    with torch.no_grad():
        network.output.bias.copy_(torch.tensor([-9.0, 9.0]))  # it always says yes
    detector = Detector(export_network(network, config_of(name, features)).model)
    found = detector.feed(sound(16_000, features)) + detector.flush()
    assert [one.label for one in found] == [WORD]
    assert found[0].time_ms < 200, "heard from the first step on"


def test_what_gives_no_stream_is_rejected() -> None:
    features = dataclasses.replace(FEATURES["micro"], clip_ms=2000)
    with pytest.raises(ExportError, match="must be exported as a stream, but the front end micro cannot be"):
        export_network(make("trigger_1d", features.n_frames, features.n_features), config_of("trigger_1d", features))


# ------------------------------------------------------------------------------------------------------------ the commands


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never trained."""
    folder = tmp_path_factory.mktemp("run")
    features = FeatureConfig(clip_ms=4000)
    options = {"n_channels": 16, "window_frames": 60, "dilations": "1,2"}
    config = dataclasses.replace(config_of("trigger_1d", features), model=ModelConfig("trigger_1d", options))
    network = make("trigger_1d", features.n_frames, features.n_features)
    run = RunFolder(folder)
    run.write_config(config)
    save_checkpoint(run.checkpoint_path(5), Checkpoint(config, 5, 5, 0.5, network.state_dict(), {}))
    return folder


def test_exported_by_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "athena.onnx"
    assert main(["export", str(run), "--out", str(out)]) == 0
    assert "takes a stream, 10 ms or more at a time" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 0
    clip = tmp_path / "clip.wav"
    write_audio(clip, sound(16_000, FeatureConfig()), 16_000)
    capsys.readouterr()
    assert main(["label", str(out), str(clip)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "detects when 'athena' is said and cannot label clips; use `detect`" in error


def test_int8_cannot_be_measured(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measured on clips, but a run of the task trigger has none"):
        export_run(run, tmp_path / "athena.onnx", int8=True, data=tmp_path)
    assert not list(tmp_path.iterdir())
    export_run(run, tmp_path / "athena.onnx", int8=True, max_loss=None)
    assert main(["verify", str(tmp_path / "athena.onnx")]) == 0
