"""The trigger's networks: sizes, a second computation in numpy, and that a stream gives what one pass over a scene gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from support.made_networks import make
from wordspot.config import FeatureConfig, ModelConfig
from wordspot.errors import ConfigError
from wordspot.features import make_front_end
from wordspot.models import find_recipe, make_model
from wordspot.models.layers import delay
from wordspot.models.recurrent_layers import Gru
from wordspot.models.trigger import TriggerGru
from wordspot.presets import FEATURES
from wordspot.training.recipes import recipe_config

NAMES = ("trigger_1d", "trigger_gru")


def random(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_chunks(model: Any, stream: Tensor, n_steps: int, early_frames: int) -> Tensor:
    state, answers = model.initial_state(len(stream), early_frames), []
    whole = stream.shape[1] // model.hop_frames * model.hop_frames
    for piece in stream[:, :whole].split(n_steps * model.hop_frames, dim=1):
        answer, state = model.step(piece, state)
        answers.append(answer)
    return torch.cat(answers, dim=1)


# --- sizes -------------------------------------------------------------------------------------------------------------


def test_the_classic_size() -> None:
    """Keras counts 522,561 with one set of biases a GRU; two more sets of 3 · 128. What batch norms measure is not trained."""
    model = make_model(ModelConfig("trigger_gru"), 5511, 101, 2)
    norms = 2 * (196 + 128 + 128)
    trained = sum(weights.numel() for weights in model.parameters())
    assert trained == 101 * 15 * 196 + 196 + 3 * 128 * (196 + 128 + 2 + 128 + 128 + 2) + norms + 129
    assert trained + norms == 522_561 + 768
    measured = [value.numel() for name, value in model.named_buffers() if "running" in name]
    assert sum(measured) == norms == 904


def test_the_classic_shapes() -> None:
    model: Any = make_model(ModelConfig("trigger_gru"), 5511, 101, 2).eval()
    with torch.no_grad():
        logits = model(random(1, 5511, 101))
    assert logits.shape == (1, 1375, 2)
    assert not logits[..., 0].any(), "softmax of (0, z) is the sigmoid of z"
    assert model.n_steps(5511) == 1375
    ends = model.step_ends(5511)
    assert (ends.dtype, len(ends), ends[0], ends[1], ends[-1]) == (torch.int64, 1375, 14, 18, 5510)


def test_the_size_of_the_default() -> None:
    """Counted by hand, as `residual_1d`: a stem of 40·64·3, five blocks, 64·2 + 2."""
    model: Any = make_model(ModelConfig("trigger_1d"), 998, 40, 2)
    block = 9 * 64 + 64 * 128 + 2 * 128 + 128 * 64 + 2 * 64
    assert sum(weights.numel() for weights in model.parameters()) == 40 * 64 * 3 + 2 * 64 + 5 * block + 130 == 94_658
    assert model.pool.n_frames == 110 - 82
    assert model.eval()(random(2, 998, 40)).shape == (2, 998, 2)
    assert model.n_steps(998) == 998
    assert model.step_ends(998).tolist() == list(range(998))


# --- a second computation ----------------------------------------------------------------------------------------------


def array(weights: Tensor | None) -> NDArray[np.float64]:
    assert weights is not None
    return weights.double().numpy()


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def batch_norm(x: NDArray[np.float64], norm: Any) -> NDArray[np.float64]:
    scaled = (x - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + 0.001)  # Keras's epsilon
    return scaled * array(norm.weight) + array(norm.bias)


def keras_gru(x: NDArray[np.float64], layer: Any) -> NDArray[np.float64]:
    """Keras' GRU with reset_after: kernels [inputs, 3 · units] of the gates z, r, h, and two biases."""
    r, z, h = range(3)
    weights = [array(getattr(layer, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    kernel, recurrent, bias, recurrent_bias = (np.concatenate([np.split(w, 3)[gate] for gate in (z, r, h)]).T for w in weights)
    units, rows = layer.hidden_size, []
    state = np.zeros(units)
    for row in x:
        of_x, of_state = row @ kernel + bias, state @ recurrent + recurrent_bias
        update = sigmoid(of_x[:units] + of_state[:units])
        reset = sigmoid(of_x[units : 2 * units] + of_state[units : 2 * units])
        new = np.tanh(of_x[2 * units :] + reset * of_state[2 * units :])
        state = update * state + (1 - update) * new
        rows.append(state)
    return np.stack(rows)


def test_trigger_gru_by_numpy() -> None:
    model, features = make("trigger_gru", 67), random(1, 67, 10)
    x, kernel = array(features[0]), array(model.stem.weight)  # [filters, features, 15]
    rows = [np.einsum("tf,oft->o", x[4 * j : 4 * j + 15], kernel) for j in range(14)]
    hidden = np.maximum(batch_norm(np.stack(rows) + array(model.stem.bias), model.stem_norm), 0)
    for layer, norm in zip(model.layers, model.norms, strict=True):
        hidden = batch_norm(keras_gru(hidden, layer), norm)
    logit = hidden @ array(model.output.weight)[0, :, 0] + array(model.output.bias)
    answer = model(features)[0]
    np.testing.assert_allclose(answer[:, 1].numpy(), logit, atol=1e-5)  # float32 sums of some hundred products
    np.testing.assert_allclose(answer.softmax(dim=1)[:, 1].numpy(), sigmoid(logit), atol=1e-5)
    assert logit.std() > 0.1


# --- streamed = whole --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early_frames", [0, 1, 2, 3])
@pytest.mark.parametrize(("name", "options"), [("trigger_1d", {}), ("trigger_1d", {"n_local": 6}), ("trigger_gru", {})])
@pytest.mark.slow
def test_a_stream_gives_what_one_pass_gives(name: str, options: dict[str, Any], early_frames: int) -> None:
    """From the first logit on, for any values of the frames that the front end sees only in part."""
    model, scene = make(name, **options), random(2, 403, 10)
    whole = model(scene)
    assert whole[..., 1].std() > 0.03
    stream = torch.cat([100 * random(2, early_frames, 10, seed=6), scene], dim=1)
    assert not any(state.any() for state in model.initial_state(2, early_frames))
    for chunk in (1, 2, 7, 100):
        answers = in_chunks(model, stream, chunk, early_frames)
        assert answers.shape[1] == stream.shape[1] // model.hop_frames
        rows = answers[:, model.early_steps(early_frames) :]
        assert 0 <= whole.shape[1] - rows.shape[1] <= 1, "the last window may have begun, and not be whole"
        torch.testing.assert_close(rows, whole[:, : rows.shape[1]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("trigger_1d", FeatureConfig(clip_ms=2500)),
        ("trigger_1d", FeatureConfig(clip_ms=2500, window_ms=25)),
        ("trigger_1d", FeatureConfig(clip_ms=2500, hop_ms=15)),
        ("trigger_gru", FEATURES["specgram"]),
        ("trigger_gru", FeatureConfig(clip_ms=2500)),
    ],
    ids=["30/10", "25/10", "30/15", "specgram", "logmel"],
)
def test_from_audio_to_logits(name: str, features: FeatureConfig) -> None:
    """Front end and network together: the answer for each step, and the sample at which it ends."""
    front_end, model = make_front_end(features), make(name, features.n_frames, features.n_features)
    step = features.hop_samples * model.hop_frames
    audio = 0.01 * random(1, 150 * step + 7)
    whole = model(front_end(audio))
    sound, state, answers = front_end.initial_state(1), model.initial_state(1, front_end.early_frames), []
    for piece in audio[:, : 150 * step].split(11 * step, dim=1):
        frames, sound = front_end.step(piece, sound)
        answer, state = model.step(frames, state)
        answers.append(answer)
    n_early = model.early_steps(front_end.early_frames)
    rows = torch.cat(answers, dim=1)[:, n_early:]
    assert 0 <= whole.shape[1] - rows.shape[1] <= 1
    # where linear power reaches thousands, a float32 sum of 150 products of it is rounded to some 1e-4
    torch.testing.assert_close(rows.softmax(dim=2), whole[:, : rows.shape[1]].softmax(dim=2), rtol=1e-4, atol=1e-5)
    n_frames = front_end(audio).shape[1]
    heard = model.step_ends(n_frames)[: rows.shape[1]] * features.hop_samples + features.window_samples
    consumed = (torch.arange(rows.shape[1]) + n_early + 1) * step
    late = consumed - heard
    assert (late == late[0]).all()
    assert 0 <= late[0] < (4 if name == "trigger_gru" else 1) * features.hop_samples + 1


@pytest.mark.parametrize("name", NAMES)
def test_each_step_sees_the_frames_that_it_says(name: str) -> None:
    """A changed frame changes no logit that ends before it, and the first one that ends with it or after."""
    model, scene = make(name), random(1, 90, 10)
    before, ends = model(scene), model.step_ends(90)
    for n in (20, 21, 22, 23, 40):
        changed = scene.clone()
        changed[0, n] += 3
        differs = (model(changed) - before)[0].abs().amax(dim=1) > 1e-6
        assert int(ends[differs][0]) == int(ends[ends >= n][0])
        assert ends[differs].min() >= n


def test_the_default_sees_one_window() -> None:
    model, scene = make("trigger_1d"), random(1, 150, 10)
    before = model(scene)
    scene[0, 30] += 3
    differs = (model(scene) - before)[0].abs().amax(dim=1) > 0
    assert torch.nonzero(differs).flatten().tolist() == list(range(30, 90))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_off_at_evaluation(name: str) -> None:
    model, scene = make(name), random(2, 90, 10)
    assert torch.equal(model(scene), model(scene))
    model.train()
    assert not torch.equal(model(scene), model(scene))


# --- parts -------------------------------------------------------------------------------------------------------------


def test_a_gru_holds_its_state() -> None:
    layer, x, state = Gru(3, 4), 50 * random(6, 2, 3), random(2, 4)
    hold = torch.zeros(6, 2, 1)
    hold[1:3, 0] = hold[5, 1] = 1
    with torch.no_grad():
        y, after = layer.step(x, state, hold)
        for one, kept in enumerate(([0, 3, 4, 5], [0, 1, 2, 3, 4])):
            expected, end = layer.step(x[kept][:, one : one + 1], state[one : one + 1])
            torch.testing.assert_close(y[kept, one], expected[:, 0])
            torch.testing.assert_close(after[one], end[0])
    assert torch.equal(y[2, 0], y[0, 0]), "exactly as it was"


def test_a_delay() -> None:
    first, state = delay(torch.tensor([[1.0, 2, 3]]), torch.zeros(1, 2))
    second, state = delay(torch.tensor([[4.0]]), state)
    assert torch.cat([first, second], dim=1).tolist() == [[0, 0, 1, 2]]
    assert state.tolist() == [[3, 4]]
    assert delay(first, torch.zeros(1, 0))[0] is first


# --- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("trigger_1d", (998, 40, 12), "it has 12 labels, but detects one word and needs 2"),
        ("trigger_gru", (5511, 101, 12), "it has 12 labels"),
        ("trigger_gru", (14, 101, 2), "a scene has 14 frames, but the convolution spans 15"),
        ("trigger_1d", (90, 40, 2), "window_frames is 110, but must be 1 to 90, the frames of a scene"),
    ],
)
def test_refusals(name: str, sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_model(ModelConfig(name), *sizes)


def test_a_context_beyond_the_window_is_rejected() -> None:
    with pytest.raises(ConfigError, match="dilations 1,1,2,2,4 see 83 frames, a clip has 80"):
        make_model(ModelConfig("trigger_1d", {"window_frames": 80}), 998, 40, 2)


def test_the_classic_recipe() -> None:
    config = recipe_config(("athena",), "trigger_gru", "classic", task="trigger")
    assert (config.features.sample_rate, config.features.n_frames, config.features.n_features) == (44_100, 5511, 101)
    assert (config.trigger.scenes, config.trigger.label_steps) == ("classic", 50)
    training = config.training
    assert (training.optimizer, training.weight_decay, training.learning_rates) == ("adamw", 0, (0.0001,))
    assert training.batch_size == 5
    assert config.augment.gain_db > 0, "linear power depends on the level"
    network = make_model(config.model, 5511, 101, 2)
    assert isinstance(network, TriggerGru)
    assert network.dropout.p == 0.8


def test_the_default_recipe_of_trigger_gru_changes_only_the_dropout() -> None:
    classic = recipe_config(("athena",), "trigger_gru", "classic", task="trigger")
    config = recipe_config(("athena",), "trigger_gru", task="trigger")
    assert config == dataclasses.replace(classic, model=ModelConfig("trigger_gru", {"dropout": 0.2}))


def bursts(batch: int, n_features: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scenes of noise with a loud burst in the lower half of the bands, the word, and one in the upper half, at random places.

    Returns:
        features [batch, 403, n_features], targets int64 [batch, 98]: 1 at 8 steps after the word.
    """
    features, targets = torch.rand(batch, 403, n_features, generator=generator), torch.zeros(batch, 98, dtype=torch.long)
    half = n_features // 2
    for scene, (wanted, other) in enumerate(torch.randint(5, 75, (batch, 2), generator=generator).tolist()):
        features[scene, 4 * other : 4 * other + 40, half:] += 20
        features[scene, 4 * wanted : 4 * wanted + 40, :half] += 20
        targets[scene, wanted + 10 : wanted + 18] = 1
    return features, targets


@pytest.mark.parametrize(("recipe", "low", "high"), [("default", 0.5, 1.0), ("classic", -0.2, 0.2)])
def test_gradients_under_two_draws_of_dropout(recipe: str, low: float, high: float) -> None:
    """On the same scenes they agree with the default recipe, and not at all with the classic one: why that learns so slowly."""
    config = recipe_config(("athena",), "trigger_gru", recipe, task="trigger")
    features, targets = bursts(5, 101, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model: Any = make_model(config.model, 403, 101, 2).train()
    gradients = []
    for _ in range(2):
        model.zero_grad()
        nn.functional.cross_entropy(model(features).flatten(0, 1), targets.flatten()).backward()
        gradients.append(torch.cat([layer.weight_ih_l0.grad.flatten() for layer in model.layers]))
    assert low < float(nn.functional.cosine_similarity(*gradients, dim=0)) < high


def test_trigger_gru_learns_when_a_sound_ended() -> None:
    torch.manual_seed(0)
    model: Any = make_model(ModelConfig("trigger_gru", {"n_filters": 16, "n_units": 16, "dropout": 0.2}), 403, 8, 2)
    optimizer, generator = torch.optim.Adam(model.parameters(), 0.01), torch.Generator().manual_seed(0)
    for _ in range(100):
        features, targets = bursts(8, 8, generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
    features, targets = bursts(8, 8, generator)
    with torch.no_grad():
        found = model.eval()(features).argmax(dim=2)
    assert float(found[targets == 1].float().mean()) > 0.7
    assert float(found[targets == 0].float().mean()) < 0.05


def test_the_default_recipe() -> None:
    config = recipe_config(("athena",), "trigger_1d", task="trigger")
    assert (config.features.kind, config.features.sample_rate, config.features.n_frames) == ("logmel", 16_000, 998)
    augment = config.augment
    from_scenes = (augment.time_shift_ms, augment.background_frequency, augment.scene_share, augment.made_noise)
    assert from_scenes == (0, 0, 0, 0), "a scene has its noise, and its words stand where the labels say"
    with pytest.raises(ConfigError, match="has no classic recipe"):
        find_recipe("trigger_1d", "classic")
