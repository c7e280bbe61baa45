"""Training with a teacher's targets: what a batch holds, what the loss is, and that the network learns them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wordspot as ws
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.data.guidance import FILE, Guidance
from wordspot.data.speech import Speech
from wordspot.errors import ConfigError, DataError
from wordspot.training.guided import GuidedBatches
from wordspot.training.loss import guidance_loss
from wordspot.training.recipes import recipe_config
from wordspot.training.run_folder import RunFolder

WORDS = ("low", "high")
SMALL: dict[str, Any] = {
    "features.hop_ms": 20, "features.clip_ms": 1000, "scenes.length_s": 2.0, "model.n_channels": 8, "model.dilations": "1,1,2",
    "training.batch_size": 4, "training.average": 0.9, "training.evaluate_every": 40, "training.save_every": 4,
    "training.warmup_steps": 2, "augment.made_noise": 0.0,
}  # fmt: skip


def config(*, speed: float = 0.0) -> Any:
    made = recipe_config(WORDS, "residual_1d")
    augment = dataclasses.replace(made.augment, speed=speed, room_frequency=0.0)
    return dataclasses.replace(made, features=dataclasses.replace(made.features, clip_ms=1000.0), augment=augment)


def guidance_of(folder: Path, *, target: float = 4.0) -> Guidance:
    """`target` for each clip of a word, the opposite for all else, and as often each."""
    paths = [clip.path for clip in list_recordings(folder).clips]
    targets = [[target if Path(path).parent.name == word else -target for word in WORDS] for path in paths]
    n = len(paths)
    whole = np.full(n, -1)
    return Guidance(WORDS, "", np.array(paths), whole, whole, np.array(targets, np.float32), np.ones(n, np.float32))


def batches_of(
    folder: Path, guidance: Guidance, speech: Speech | None = None, *, noise: bool = False, speed: float = 0.0
) -> GuidedBatches:
    listing = list_recordings(folder)
    decoded = decode_folder(listing, 16_000, 16_000)
    pieces = [np.random.default_rng(0).integers(-9000, 9000, 40_000).astype(np.int16)] if noise else []
    training = build_sets(listing, WORDS, config().data)["training"]
    return GuidedBatches(config(speed=speed), guidance, decoded, training, speech, pieces)


def test_the_loss_by_hand() -> None:
    """Two labels and two words. Log odds of 0 and 0 as log(1/3) and log(1/3): errors of 1.9 and 0.1 → 1.4 and 0.005."""
    third = float(np.log(1 / 3))
    logits = torch.zeros(1, 4)
    targets = torch.tensor([[third + 1.9, third + 0.1]])
    assert float(guidance_loss(logits, targets)) == pytest.approx((1.4 + 0.005) / 2, abs=1e-6)
    sure = torch.tensor([[0.0, 0.0, 60.0, 0.0]])
    expected = 60 - np.log(3)
    assert float(guidance_loss(sure, torch.tensor([[expected, -60 - np.log(1 + 2 * np.exp(-60))]]))) == pytest.approx(0, abs=1e-5)


def test_a_batch_holds_training_recordings_anywhere_in_the_window(tone_folder: Path) -> None:
    """Without noise a window is the recording, somewhere, at another level; targets are those of its recording."""
    listing = list_recordings(tone_folder)
    training = build_sets(listing, WORDS, config().data)["training"]
    guidance = guidance_of(tone_folder)
    batches = batches_of(tone_folder, guidance)
    assert len(batches._pieces) == len({row for row in training.rows if row >= 0}) < len(guidance.paths)
    audio, targets = batches.draw(1)
    assert audio.shape == (48, 16_000)
    assert targets.shape == (48, 2)
    decibels = 20 * np.log10(np.abs(audio).max(axis=1))
    assert -30.01 < decibels.min() < -15 < decibels.max() < 0.01
    np.testing.assert_array_equal(audio, batches.draw(1)[0])
    assert not np.array_equal(audio, batches.draw(2)[0])
    spectra = np.abs(np.fft.rfft(audio, axis=1))
    loudest = spectra.argmax(axis=1)  # of tones: Hz
    words = [WORDS.index(word) if word in WORDS else -1 for word in _words_of(targets)]
    assert max(loudest[np.array(words) == 0]) < min(loudest[np.array(words) == 1])


def _words_of(targets: np.ndarray) -> list[str]:
    return [WORDS[int(row.argmax())] if row.max() > 0 else "" for row in targets]


def test_noise_is_at_most_as_loud(tone_folder: Path) -> None:
    """Each window with noise differs from the tone alone, whose share of the energy is half or more."""
    audio, _ = batches_of(tone_folder, guidance_of(tone_folder), noise=True).draw(1)
    spectra = np.square(np.abs(np.fft.rfft(audio, axis=1)))
    peak = spectra.argmax(axis=1)
    near = np.stack([spectra[row, max(at - 300, 0) : at + 300].sum() / spectra[row].sum() for row, at in enumerate(peak)])
    assert 0.4 < near.min() < 0.95 < near.max()


def test_copies_differ_in_speed_and_stay_whole(tone_folder: Path) -> None:
    """The tones are as long as the window: quicker copies are up to a fifth higher, slower ones would not fit."""
    as_they_are, copies = ([], [])
    for tones, batches in (
        (as_they_are, batches_of(tone_folder, guidance_of(tone_folder))),
        (copies, batches_of(tone_folder, guidance_of(tone_folder), speed=0.2)),
    ):
        for step in range(5):
            audio, targets = batches.draw(step)
            assert np.isfinite(audio).all()
            tones += np.abs(np.fft.rfft(audio[targets[:, 0] > 0], axis=1)).argmax(axis=1).tolist()
    assert min(copies) == min(as_they_are)
    assert max(as_they_are) < max(copies) < max(as_they_are) * 1.21


def test_pieces_of_speech(tone_folder: Path) -> None:
    """The second half of the second recording, which must be there, at 16 kHz."""
    audio = np.concatenate([np.zeros(32_000, np.int16), np.repeat(np.array([100, 30_000], np.int16), 16_000)])
    speech = Speech(("a.wav", "b.wav"), ("", ""), audio, (0, 32_000, 64_000), ((), ()), (None, None), 16_000)
    start, length, weight = np.array([16_000]), np.array([24_000]), np.ones(1, np.float32)
    made = Guidance(WORDS, "s", np.array(["b.wav"]), start, length, np.array([[1, 2]], np.float32), weight)
    batches = batches_of(tone_folder, made, speech)
    windows, targets = batches.draw(3)
    assert (targets == [1, 2]).all()
    assert all(np.ptp(window[160:-160]) == 0 for window in windows)
    assert all(window[160] > window[0] for window in windows)
    with pytest.raises(DataError, match="of the speech in s; train with it"):
        batches_of(tone_folder, dataclasses.replace(made, paths=np.array(["gone.wav"])), speech)
    with pytest.raises(DataError, match="of the speech in s; train with it"):
        batches_of(tone_folder, made)


def test_targets_that_do_not_fit(tone_folder: Path) -> None:
    made = guidance_of(tone_folder)
    with pytest.raises(DataError, match="the teacher's targets are of high, low, not of low, high"):
        batches_of(tone_folder, dataclasses.replace(made, words=("high", "low")))
    with pytest.raises(DataError, match="of none of these recordings"):
        batches_of(tone_folder, dataclasses.replace(made, weights=0 * made.weights))


@pytest.fixture
def guided_folder(tone_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tones"
    folder.mkdir()
    for path in tone_folder.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def train(folder: Path, out: Path, weight: float, **more: Any) -> ws.Run:
    settings = {**SMALL, "training.guidance": weight}
    return ws.train(folder, list(WORDS), out=out, model="residual_1d", steps=8, settings=settings, init="none", **more)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(run).checkpoint_path(RunFolder(run).latest_step()))


def test_targets_change_the_network_only_if_they_weigh(guided_folder: Path, tmp_path: Path) -> None:
    """A resumed run equals an unbroken one to the bit, and is refused if the targets have changed or are gone."""
    with pytest.raises(ConfigError, match="holds no targets by a teacher"):
        train(guided_folder, tmp_path / "none", 1.0)
    plain = weights(train(guided_folder, tmp_path / "plain", 0.0).path)
    guidance_of(guided_folder).write(guided_folder)
    off = weights(train(guided_folder, tmp_path / "off", 0.0).path)
    assert all(torch.equal(one, off[name]) for name, one in plain.items())
    on = weights(train(guided_folder, tmp_path / "on", 1.0).path)
    assert not all(torch.equal(one, on[name]) for name, one in plain.items())
    steps = list[Any]()
    with pytest.raises(KeyboardInterrupt):
        train(guided_folder, tmp_path / "again", 1.0, on_record=steps.append, stop=lambda: len(steps) >= 4)
    guidance_of(guided_folder, target=3.0).write(guided_folder)
    with pytest.raises(DataError, match="changed"):
        ws.resume(tmp_path / "again", guided_folder)
    (guided_folder / FILE).unlink()
    with pytest.raises(ConfigError, match="holds no targets by a teacher"):
        ws.resume(tmp_path / "again", guided_folder)
    guidance_of(guided_folder).write(guided_folder)
    ws.resume(tmp_path / "again", guided_folder)
    again = weights(tmp_path / "again")
    assert all(torch.equal(one, again[name]) for name, one in on.items())


@pytest.mark.slow
def test_the_network_learns_what_the_teacher_says(guided_folder: Path, tmp_path: Path) -> None:
    """Targets against the labels, with a large weight: the teacher wins."""
    made = guidance_of(guided_folder)
    dataclasses.replace(made, targets=np.ascontiguousarray(made.targets[:, ::-1])).write(guided_folder)
    settings = {**SMALL, "training.guidance": 100.0, "training.learning_rates": (0.02,)}
    run = ws.train(guided_folder, list(WORDS), out=tmp_path / "r", model="residual_1d", steps=60, settings=settings, init="none")
    record = next(one for one in run.log() if one.get("set") == "validation")
    low, high = 2, 3
    confusion = np.array(record["confusion"])
    assert confusion[low, high] > confusion[low, low]
    assert confusion[high, low] > confusion[high, high]
