"""Exported files against torch, and against the definition: a stream's score is that of the clip that ends there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from wordspot.commands.main import main
from wordspot.config import DecoderConfig, FeatureConfig, ModelConfig, RunConfig
from wordspot.errors import ConfigError, DataError, ExportError
from wordspot.export import rewrite as onnx_rewrite
from wordspot.export.int8_cost import Int8Cost
from wordspot.export.quantize import quantize
from wordspot.export.run import Exported, export_network, export_run
from wordspot.export.tracing import why_no_stream
from wordspot.features import filterbanks, make_front_end
from wordspot.models import MODELS, find_constructor, make_model
from wordspot.presets import FEATURES
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.runtime.modelfile.self_test import difference, run_self_test
from wordspot.runtime.modelfile.session import run_clips, run_stream
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

WORDS = ("low", "high")
SMALL: dict[str, dict[str, Any]] = {
    "residual_1d": {"n_channels": 32, "dilations": "1,1"},
    "low_latency_svdf": {"n_units": 16},
    "gru": {"n_units": 8, "n_layers": 1},
}
Array = NDArray[np.float32]


def make(name: str, features: FeatureConfig, **options: Any) -> tuple[nn.Module, RunConfig]:
    """A network of random weights whose norms have seen data, and its configuration."""
    config = RunConfig(words=WORDS, features=features, model=ModelConfig(name, {**SMALL.get(name, {}), **options}))
    torch.manual_seed(3)
    network = make_model(config.model, features.n_frames, features.n_features, 4)
    is_power = hasattr(network, "front_end")
    with torch.no_grad():
        for _ in range(2):
            drawn = torch.randn(8, features.n_frames, features.n_features)
            network(drawn.square() if is_power else drawn)
        for parameter in network.parameters():
            parameter.mul_(1.5)  # so that answers differ from clip to clip
    return network.eval(), config


def noise(*shape: int) -> Array:
    return (0.1 * np.random.default_rng(5).standard_normal(shape)).astype(np.float32)


def ops(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


@pytest.fixture(scope="module")
def residual() -> tuple[Exported, nn.Module, RunConfig]:
    network, config = make("residual_1d", FEATURES["logmel"])
    exported = export_network(network, config, int8=True, decoder=DecoderConfig(threshold=0.4), data={"licence": "CC0"})
    return exported, network, config


# ---------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("n_steps", [1, 2, 7, 100])
def test_a_stream_gives_the_score_of_the_clip_that_ends_there(
    n_steps: int, residual: tuple[Exported, nn.Module, RunConfig]
) -> None:
    exported, network, config = residual
    card = exported.card
    audio = noise(1, 16_000 + 130 * card.step_samples)
    opened = open_model(exported.model)
    scores = run_stream(opened.session, card, audio, n_steps)
    assert scores.shape == (1, audio.shape[1] // card.step_samples, 4)
    ends = np.arange(16_000, audio.shape[1] + 1, card.step_samples)
    clips = torch.from_numpy(np.stack([audio[0, end - 16_000 : end] for end in ends]))
    with torch.no_grad():
        expected = network(make_front_end(config.features)(clips)).softmax(dim=1).numpy()
    np.testing.assert_allclose(scores[0, ends // card.step_samples - 1], expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01  # answers that do differ


def test_what_a_streams_card_says(residual: tuple[Exported, nn.Module, RunConfig]) -> None:
    exported = residual[0]
    card = read_card(exported.model)
    assert card == exported.card
    assert (card.kind, card.sample_rate, card.clip_samples, card.quantization) == ("stream", 16_000, 16_000, "none")
    assert card.labels == ("_silence_", "_unknown_", "low", "high")
    assert card.decoder.threshold == 0.4
    assert card.data == {"licence": "CC0"}
    assert card.config["model"]["name"] == "residual_1d"
    assert card.self_test.ends[0] == 16_000
    assert run_self_test(open_model(exported.model).session, card).difference < 1e-5


def test_a_streams_graph_is_lean(residual: tuple[Exported, nn.Module, RunConfig]) -> None:
    """Batch norms are folded, no operator computes a shape, and the DFT is a formula."""
    model = onnx.load_from_string(residual[0].model)
    kinds = [node.op_type for node in model.graph.node]
    assert not {"BatchNormalization", "Shape", "Gather", "Range", "Expand", "Constant"} & set(kinds)
    assert kinds.count("Unsqueeze") == 2  # of the audio, and after the mean over time: more cost nothing measurable
    sizes = {tensor.name: np.prod(tensor.dims) for tensor in model.graph.initializer}
    assert max(sizes.values()) < 10_000  # a DFT of 484 rows of 480 is 232,320
    assert len(residual[0].model) < 4 * sum(sizes.values()) + 20_000
    assert model.opset_import[0].version == 18
    onnx.checker.check_model(model, full_check=True)


def test_a_state_that_is_one_tensor() -> None:
    """`low_latency_svdf` has no tuple."""
    network, config = make("low_latency_svdf", FEATURES["logmel"])
    exported = export_network(network, config)
    assert [state.name for state in exported.card.states] == ["sound", "state_0"]
    assert exported.difference < 1e-5


@pytest.mark.parametrize(
    "name", sorted(set(MODELS) - {"residual_1d", "low_latency_svdf", "bcresnet", "trigger_1d", "trigger_gru"})
)
def test_every_network_can_be_exported(name: str) -> None:
    network, config = make(name, FEATURES[getattr(find_constructor(name), "front_end", "logmel")])
    exported = export_network(network, config)
    assert exported.difference < 2e-5
    assert exported.card.kind == ("stream" if hasattr(network, "step") else "clip")


@pytest.mark.parametrize("kind", ["mfcc", "average", "spectrogram"])
def test_every_spectral_front_end_streams(kind: str) -> None:
    network, config = make("residual_1d", dataclasses.replace(FEATURES[kind], clip_ms=300))
    exported = export_network(network, config)
    assert (exported.card.kind, exported.card.clip_samples) == ("stream", 4800)
    assert exported.difference < 5e-5


def test_other_sizes_of_the_transform() -> None:
    """A transform longer than the window, at another rate."""
    features = FeatureConfig(sample_rate=8000, clip_ms=200, window_ms=20, hop_ms=10, high_hz=3900, fft_size=500, n_mels=20)
    network, config = make("residual_1d", features)
    assert export_network(network, config).difference < 5e-5


# ------------------------------------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("kind", ["micro", "psf_mfcc"])
def test_front_ends_that_judge_clips(kind: str) -> None:
    if kind == "micro":  # a short transform: its stages make most of the graph
        features = FeatureConfig(
            kind="micro", sample_rate=8000, clip_ms=60, window_ms=16, hop_ms=8, n_mels=10, low_hz=125, high_hz=3500
        )
    else:
        features = dataclasses.replace(FEATURES[kind], clip_ms=100)
    network, config = make("single_fc", features)
    exported = export_network(network, config)
    assert exported.card.kind == "clip"
    assert exported.difference < 5e-5
    session = open_model(exported.model).session
    for n in (1, 2, 5):
        audio = noise(n, features.clip_samples)
        with torch.no_grad():
            expected = network(make_front_end(features)(torch.from_numpy(audio))).softmax(dim=1).numpy()
        np.testing.assert_allclose(run_clips(session, audio), expected, atol=1e-5)


def test_what_does_not_stream_says_why() -> None:
    def why(name: str, features: FeatureConfig) -> str:
        network, config = make(name, features)
        return why_no_stream(network, make_front_end(features), config)

    short = dataclasses.replace(FEATURES["logmel"], clip_ms=300)
    assert why("residual_1d", short) == ""
    assert "works on clips only" in why("single_fc", short)
    assert "micro cannot be exported as a stream" in why("low_latency_svdf", FEATURES["micro"])
    assert "psf_mfcc cannot be" in why("low_latency_svdf", FEATURES["psf_mfcc"])
    assert "25 ms is not a multiple of the hop of 10 ms" in why("low_latency_svdf", dataclasses.replace(short, window_ms=25))
    assert "not a multiple of the network's step" in why("low_latency_svdf", dataclasses.replace(short, clip_ms=305))
    assert "state is empty" in why("low_latency_svdf", dataclasses.replace(short, window_ms=10))


def test_a_stream_that_cannot_be_is_exported_for_clips() -> None:
    features = dataclasses.replace(FEATURES["logmel"], clip_ms=300, window_ms=25)
    network, config = make("low_latency_svdf", features)
    assert export_network(network, config).card.kind == "clip"


# ------------------------------------------------------------------------------------------------------ what is refused


class Odd(nn.Module):
    """A network that does something else while it is exported."""

    def __init__(self, n_frames: int, n_features: int, n_labels: int, what: str = "differ") -> None:
        super().__init__()
        self.output, self.what = nn.Linear(n_frames * n_features, n_labels), what

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(features.flatten(1))
        if self.what == "differ" and torch.compiler.is_exporting():
            logits = logits + torch.tensor([3e-4, 0, 0, 0])
        if self.what == "add up":
            logits = logits.cumsum(dim=1)
        if self.what == "choose":
            logits = logits if float(logits.sum()) > 0 else -logits
        if self.what == "freeze" and torch.compiler.is_exporting():
            logits = logits + torch.zeros(3, 4)  # the traced number of clips
        return logits


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("differ", r"differ from torch's by 0\.000.*; at most 0\.0001 is allowed. Nothing was written"),
        ("add up", "would be rejected: .*the operator ':CumSum', which wordspot does not; nothing was written"),
        ("choose", "the model 'odd:Odd' cannot be exported"),
        ("freeze", "cannot be exported|would be rejected"),
    ],
)
def test_a_network_that_cannot_be_exported_is_rejected(what: str, message: str) -> None:
    config = RunConfig(words=WORDS, features=FeatureConfig(clip_ms=100), model=ModelConfig("odd:Odd"))
    network = Odd(config.features.n_frames, config.features.n_features, 4, what)
    with pytest.raises(ExportError, match=message) as caught:
        export_network(network, config)
    assert "\n" not in str(caught.value)


def test_a_difference_anywhere_counts() -> None:
    even = np.full((2, 4), 0.25)
    assert difference(even, even) == 0
    assert difference(even, even * 1.001) == pytest.approx(1e-3, rel=1e-3)
    assert difference(np.array([[1.0, 1e-30]]), np.array([[1.0, 1e-8]])) == 0
    assert difference(even, even[:1]) == 1
    for wrong in (np.nan, -0.5, np.inf):
        assert difference(np.array([[wrong, 0.5]]), np.array([[0.5, 0.5]])) >= 0.5


# ------------------------------------------------------------------------------------------------------------------ int8


def test_weights_in_8_bits(residual: tuple[Exported, nn.Module, RunConfig]) -> None:
    exported = residual[0]
    assert exported.int8 is not None
    card = read_card(exported.int8)
    assert card.quantization == "int8"
    assert len(exported.int8) < 0.6 * len(exported.model)
    opened = open_model(exported.int8)  # passes its own self-test, not torch's
    apart = difference(np.exp(card.self_test.log_posteriors), np.exp(exported.card.self_test.log_posteriors))
    assert 1e-5 < apart < 0.1
    audio = noise(1, 20_000)
    small = run_stream(opened.session, card, audio, 50)
    whole = run_stream(open_model(exported.model).session, card, audio, 50)
    assert 0 < np.abs(small - whole).max() < 0.02


def test_a_file_in_8_bits_that_no_reader_takes_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    def quantize_badly(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Sinh", [model.graph.node[0].output[0]], ["odd"]))

    monkeypatch.setattr("wordspot.export.quantize.quantize_weights", quantize_badly)
    network, config = make("single_fc", dataclasses.replace(FEATURES["logmel"], clip_ms=100))
    with pytest.raises(ExportError, match=r"would be rejected: .*the operator ':Sinh', which wordspot does not"):
        export_network(network, config, int8=True)


def test_quantized_weights_are_within_half_a_step() -> None:
    weights = np.random.default_rng(1).standard_normal((5, 7, 1, 3)).astype(np.float32)
    weights[2] = 0
    numbers, factors = quantize(weights, 0)
    assert numbers.dtype == np.int8
    assert factors.shape == (5, 1, 1, 1)
    assert (np.abs(numbers).max(axis=(1, 2, 3)) == [127, 127, 0, 127, 127]).all()
    assert (np.abs(numbers * factors - weights) <= factors * 0.5001).all()


# ----------------------------------------------------------------------------------------------------------- the passes


def evaluate(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Array]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: list[Any], out: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(("n_fft", "first", "n_bins"), [(512, 2, 242), (2048, 0, 1025), (500, 3, 100)])
def test_the_dfts_formula_gives_the_dft(n_fft: int, first: int, n_bins: int) -> None:
    window = filterbanks.hann(480) if first else np.ones(480)
    dft = filterbanks.windowed_dft(window, n_fft, np.arange(first, first + n_bins))
    kernel = np.ascontiguousarray(dft.T[:, None, None, :], np.float32)
    model = graph_of([helper.make_node("Mul", ["x", "a.dft"], ["y"])], {"a.dft": kernel}, [1], list(kernel.shape))
    onnx_rewrite.compute_dft(model, model.graph.initializer[0], n_fft, first)
    (computed,) = evaluate(model, {"x": np.ones(1, np.float32)})
    computed[n_bins:] *= -1  # sines without their sign: only squares are taken
    np.testing.assert_allclose(computed, kernel, atol=2e-6)  # an angle of up to 2 pi in float32
    assert sum(len(tensor.raw_data) for tensor in model.graph.initializer) < 10_000 + 8 * n_bins


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_matrix_comes_back_exactly(axis: int, dtype: Any) -> None:
    mel = filterbanks.htk_mel(257, 16_000, 40, 60, 7600).astype(dtype)
    matrix = np.ascontiguousarray(mel if axis else mel.T)
    cast = helper.make_node("Cast", ["m"], ["c"], to=1)
    model = graph_of([cast, helper.make_node("Mul", ["x", "c"], ["y"])], {"m": matrix}, [1], list(matrix.shape))
    onnx_rewrite.compute_sparse(model, model.graph.initializer[0])
    assert "m" not in [tensor.name for tensor in model.graph.initializer]
    assert (evaluate(model, {"x": np.ones(1, np.float32)})[0] == matrix.astype(np.float32)).all()


@pytest.mark.parametrize("shape", [(1, 4096), (4096, 1)])
def test_a_single_row_or_column_stays(shape: tuple[int, int]) -> None:
    model = graph_of([helper.make_node("Mul", ["x", "m"], ["y"])], {"m": np.ones(shape, np.float32)}, [1], [*shape])
    onnx_rewrite.compute_sparse(model, model.graph.initializer[0])
    assert [tensor.name for tensor in model.graph.initializer] == ["m"]


def test_a_full_matrix_stays() -> None:
    model = graph_of([helper.make_node("Mul", ["x", "m"], ["y"])], {"m": np.ones((50, 50), np.float32)}, [1], [50, 50])
    onnx_rewrite.compute_sparse(model, model.graph.initializer[0])
    assert [tensor.name for tensor in model.graph.initializer] == ["m"]


def test_the_positions_of_samples_in_windows_come_back_exactly() -> None:
    table = 160 * np.arange(50)[:, None] + np.arange(7, 407)
    model = graph_of([helper.make_node("Gather", ["x", "m"], ["y"])], {"m": table}, [9000], list(table.shape))
    onnx_rewrite.compute_sums(model, model.graph.initializer[0])
    assert sum(len(tensor.raw_data) for tensor in model.graph.initializer) == 8 * (50 + 400)
    assert (evaluate(model, {"x": np.arange(9000, dtype=np.float32)})[0] == table).all()


@pytest.mark.parametrize("shape", [(50, 50), (2500,), (1, 2500)])
def test_other_integers_stay(shape: tuple[int, ...]) -> None:
    table = np.random.default_rng(0).integers(0, 9, shape)
    model = graph_of([helper.make_node("Gather", ["x", "m"], ["y"])], {"m": table}, [9], list(shape))
    onnx_rewrite.compute_sums(model, model.graph.initializer[0])
    assert [tensor.name for tensor in model.graph.initializer] == ["m"]


# ----------------------------------------------------------------------------------------------------- runs and commands


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never trained."""
    folder = tmp_path_factory.mktemp("run")
    network, config = make("single_fc", FEATURES["logmel"])
    run = RunFolder(folder)
    run.write_config(config)
    save_checkpoint(run.checkpoint_path(5), Checkpoint(config, 5, 5, 0.5, network.state_dict(), {}))
    (folder / "data.csv").write_text(
        "set,label,path,sha256\ntraining,low,low/a_nohash_0.wav,1\ntraining,high,high/a.wav,2\ntesting,low,low/b.wav,3\n"
    )
    return folder


def test_export_verify_and_info(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "words.onnx"
    command = ["export", str(run), "--out", str(out), "--licence", "CC BY 4.0", "--attribution", "Åsa"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "takes clips of 1000 ms" in printed.out
    assert "not as a stream: the network single_fc works on clips only" in printed.err
    assert main(["verify", str(out)]) == 0
    assert "as it was exported; 4 rows of scores differ by up to" in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    text = capsys.readouterr().out
    assert "low, high" in text
    assert "CC BY 4.0" in text
    assert "Åsa" in text
    strange = tmp_path / "strange.onnx"
    card = dataclasses.replace(read_card(out), config={"features": 5, "model": ["x"]})
    strange.write_bytes(with_card(out.read_bytes(), card))
    assert main(["info", str(strange)]) == 0
    assert "? on ?" in capsys.readouterr().out
    assert main(["info", str(out), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["data"] == {"clips": 2, "licence": "CC BY 4.0", "attribution": "Åsa"}
    assert info["bytes"] == out.stat().st_size
    before = out.read_bytes()
    assert main(command) == 1
    assert "set --force to replace" in capsys.readouterr().err
    assert main([*command, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == len(before)


def test_a_file_that_gives_other_scores_fails_verify(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "words.onnx"
    export_run(run, out)
    card = read_card(out)
    rows = tuple(row[::-1] for row in card.self_test.log_posteriors)
    out.write_bytes(
        with_card(
            out.read_bytes(),
            dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows)),
        )
    )
    assert main(["verify", str(out)]) == 1
    assert "NOT as it was exported" in capsys.readouterr().out


def test_int8_is_measured_on_validation_clips(run: Path, tone_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "words.onnx"
    report = export_run(run, out, int8=True, data=tone_folder)
    assert report.int8 is not None
    assert set(report.to_json()["int8"]) == {"clips", "accuracy_before", "accuracy", "loss", "changed"}
    assert report.int8.clips > 5
    assert read_card(out).quantization == "int8"


def test_int8_that_costs_too_much_is_rejected(
    run: Path, tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.export.run.measure_int8", lambda *_: Int8Cost(200, 0.915, 0.9, 3))
    out = tmp_path / "words.onnx"
    with pytest.raises(ExportError, match=r"costs 1\.50 percentage points of accuracy on 200 clips, more than 1; nothing was"):
        export_run(run, out, int8=True, data=tone_folder)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ExportError, match="more than nan"):
        export_run(run, out, int8=True, data=tone_folder, max_loss=float("nan"))
    assert export_run(run, out, int8=True, data=tone_folder, max_loss=2).bytes == out.stat().st_size


def test_int8_need_not_be_measured(run: Path, tmp_path: Path) -> None:
    report = export_run(run, tmp_path / "words.onnx", int8=True, max_loss=None)
    assert report.int8 is None
    assert read_card(report.out).quantization == "int8"


def test_int8_without_clips_to_measure_on_is_rejected(run: Path, tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name their folder with `data`"):
        export_run(run, tmp_path / "words.onnx", int8=True)
    with pytest.raises(DataError):
        export_run(run, tmp_path / "words.onnx", int8=True, data=tone_folder / "low")
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_the_suffix_of_a_model_is_rejected(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"words\.bin: the name must end in \.onnx"):
        export_run(run, tmp_path / "words.bin")


def test_a_folder_is_no_file_to_write(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="already exists; choose another `out`"):
        export_run(run, tmp_path, force=True)
