"""The GRU: its definition, its size, that chunks of a stream give what one pass gives, and that it exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wordspot.config import ModelConfig, RunConfig
from wordspot.errors import ConfigError
from wordspot.models import cpu_kernels, find_recipe, make_model
from wordspot.models.recurrent_layers import Gru
from wordspot.overrides import override


def make(n_frames: int = 98, **options: object) -> Any:
    """A network whose norm has seen data, in evaluation."""
    torch.manual_seed(1)
    model = make_model(ModelConfig("gru", dict(options)), n_frames, 40, 12)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(20, n_frames, 40) * 2 + 1)
    return model.eval().requires_grad_(False)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def in_chunks(model: Any, stream: Tensor, chunk: int) -> Tensor:
    state, answers = model.initial_state(len(stream)), []
    for start in range(0, stream.shape[1], chunk):
        answer, state = model.step(stream[:, start : start + chunk], state)
        answers.append(answer)
    return torch.cat(answers, dim=1)


def test_size() -> None:
    """Counted by hand: 40·60·5 and a norm; two layers of three gates over input and state, two biases; 60·12 + 12."""
    layer = 3 * (60 * 60 + 60 * 60) + 2 * 3 * 60
    expected = 40 * 60 * 5 + 2 * 60 + 2 * layer + 60 * 12 + 12
    assert sum(weights.numel() for weights in make().parameters()) == expected == 56_772


def test_the_layer_is_its_definition() -> None:
    """Cho et al. 2014, with the reset gate after the product as in cuDNN: computed in numpy, float64."""
    layer, x, state = Gru(3, 4), random(6, 1, 3), random(1, 4)
    with torch.no_grad():
        y, after = layer.step(x, state)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    of_input, of_state, input_bias, state_bias = (getattr(layer, name).detach().double().numpy() for name in names)
    hidden = state[0].double().numpy()
    for t in range(6):
        a = np.split(of_input @ x[t, 0].double().numpy() + input_bias, 3)
        b = np.split(of_state @ hidden + state_bias, 3)
        reset, update = (1 / (1 + np.exp(-(a[n] + b[n]))) for n in (0, 1))
        hidden = (1 - update) * np.tanh(a[2] + reset * b[2]) + update * hidden
        np.testing.assert_allclose(y[t, 0].numpy(), hidden, atol=1e-6)
    np.testing.assert_allclose(after[0].numpy(), hidden, atol=1e-6)


def test_training_gives_the_gradients_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's own backward pass against torch's, in float64: of the input, the state before, and all weights."""
    layer, target = Gru(3, 4).double().train(), random(20, 2, 4).double()
    inputs = [random(20, 2, 3).double().requires_grad_(), random(2, 4).double().requires_grad_()]
    wanted = [*inputs, *layer.parameters()]
    found = {}
    for enabled in (True, False):
        monkeypatch.setattr(cpu_kernels, "enabled", enabled)
        y, after = layer.step(*inputs)
        loss = (y * target).sum() + 3 * after.square().sum()
        found[enabled] = [y, after, *torch.autograd.grad(loss, wanted)]
    for ours, torchs in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-10, atol=1e-12)
    assert "_Gru" in type(found[True][0].grad_fn).__name__, "both were torch's"


@pytest.mark.parametrize(("stride", "chunks"), [(1, (1, 2, 7, 100)), (2, (2, 4, 14, 100)), (3, (3, 99))])
def test_chunks_give_what_one_pass_gives(stride: int, chunks: tuple[int, ...]) -> None:
    model, stream = make(stride=stride), random(2, 300, 40)
    whole, _ = model.step(stream, model.initial_state(2))
    assert whole.shape == (2, 300 // stride, 12)
    assert whole.std() > 0.05
    for chunk in chunks:
        torch.testing.assert_close(in_chunks(model, stream, chunk), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n_frames", "stride"), [(98, 1), (98, 2), (49, 2), (98, 4)])
def test_a_clip_is_a_stream_from_zero(n_frames: int, stride: int) -> None:
    """Frames that do not fill a stride are skipped at the clip's beginning: the last frame is always used."""
    model, clip = make(n_frames, stride=stride), random(3, n_frames, 40)
    streamed = in_chunks(model, clip[:, n_frames % model.hop_frames :], model.hop_frames)
    torch.testing.assert_close(model(clip), streamed[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_frame_counts(stride: int) -> None:
    """Each logit depends on the newest frame, and on no later one."""
    model, stream = make(stride=stride), random(1, 12, 40)
    before, _ = model.step(stream, model.initial_state(1))
    for n in range(12):
        changed = stream.clone()
        changed[0, n] += 1
        differs = (model.step(changed, model.initial_state(1))[0] - before).abs().amax(dim=2)[0] > 1e-6
        assert differs.tolist() == [end > n for end in range(stride, 13, stride)]


def test_what_was_said_before_is_remembered() -> None:
    """No window ends its memory, here one that hardly forgets: so a stream is not judged as its last clip would be."""
    model, stream = make(), random(1, 200, 40)
    for layer in model.layers:
        layer.bias_ih_l0[60:120] = 5.0  # keep nearly all of the state
    whole, _ = model.step(stream, model.initial_state(1))
    assert (whole[:, -1] - model(stream[:, -98:])).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore")  # of torch's exporter, about itself
@pytest.mark.slow
def test_exported_it_takes_any_length(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = make(stride=2)

        def forward(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            logits, after = self.network.step(features, state)
            return (logits, *after)

    module = Step().eval()
    state = module.network.initial_state(1)
    hops = torch.export.Dim("hops", min=1, max=10_000)
    program = torch.onnx.export(
        module,
        (random(1, 6, 40), *state),
        dynamo=True,
        opset_version=18,
        verbose=False,
        dynamic_shapes=({1: 2 * hops}, tuple({} for _ in state)),
    )
    assert program is not None
    program.save(str(tmp_path / "gru.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "gru.onnx")
    names = [one.name for one in session.get_inputs()]
    stream, answers, kept = random(1, 120, 40), [], [one.numpy() for one in state]
    for chunk in stream.split([2, 4, 100, 14], dim=1):
        answer, *kept = session.run(None, dict(zip(names, [chunk.numpy(), *kept], strict=True)))
        answers.append(answer)
    expected, _ = module.network.step(stream, state)
    np.testing.assert_allclose(np.concatenate(answers, axis=1), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_layers": 0}, "at least one layer and .*, got 0 and 1"),
        ({"stride": 6}, "a stride of 1 to 5, got 2 and 6"),
        ({"stride": 0}, "and 0"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_its_recipe_is_one() -> None:
    recipe = find_recipe("gru", "default")
    assert override(RunConfig(("yes",)), recipe).training.total_steps == sum(recipe["training.steps"])
