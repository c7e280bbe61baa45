"""Synthetic noise: its level, its variety, and that training uses it while evaluation does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from wordspot.audio.noise import LEVEL, make_babble, make_sounds
from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.overrides import override
from wordspot.training.batches import Batches

RATE = 16_000


def level_of(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio / 32768.0))))


def test_babble_is_many_voices_at_one_level() -> None:
    """Each of a thousand clips is a tone of its own: every second holds three to eight of them."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    tones = np.stack([8000 * np.sin(2 * np.pi * hertz * time) for hertz in range(100, 5100, 50)]).astype(np.int16)
    babble = make_babble(tones, 20 * RATE + 7, rng)
    assert babble.shape == (20 * RATE + 7,)
    assert babble.dtype == np.int16
    n_voices = []
    for second in babble[: 20 * RATE].reshape(20, RATE):
        assert level_of(second) == pytest.approx(LEVEL, rel=0.02)
        spectrum = np.abs(np.fft.rfft(second.astype(float)))
        n_voices.append(int((spectrum[100:5100:50] > 0.1 * spectrum.max()).sum()))
    assert min(n_voices) >= 2  # a tone may be drawn twice
    assert max(n_voices) <= 8
    assert len(set(n_voices)) > 2


def test_sounds_are_all_different_and_at_one_level() -> None:
    sounds = make_sounds(60 * RATE, RATE, np.random.default_rng(0))
    pieces = sounds.reshape(30, 2 * RATE)
    for piece in pieces:
        assert LEVEL / 3 < level_of(piece) < 1.02 * LEVEL  # bursts are clipped
    spectra = np.abs(np.fft.rfft(pieces, axis=1))[:, : RATE // 2]
    bands = np.log10(np.square(spectra[:, : RATE // 2 // 20 * 20]).reshape(30, 20, -1).sum(axis=2) + 1)
    assert np.std(bands - bands.mean(axis=1, keepdims=True), axis=0).min() > 0.2  # in every band some 2 dB or more
    loudness = np.square(pieces.astype(float)).reshape(30, 100, -1).mean(axis=2)
    swell = loudness.max(axis=1) / np.median(loudness, axis=1)
    assert swell.min() < 3
    assert swell.max() > 30


def test_the_same_seed_makes_the_same_noise() -> None:
    one, two = (make_sounds(RATE, RATE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def batches_of(data: Path, share: float) -> Batches:
    words = ("low", "middle", "high")
    config = override(RunConfig(words=words), {"augment.made_noise": share, "training.batch_size": 400})
    decoded = decode_folder(list_recordings(data), RATE, RATE)
    return Batches(config, decoded, build_sets(decoded.listing, words, config.data), torch.device("cpu"))


@pytest.mark.slow
def test_training_uses_it_as_often_as_requested_and_evaluation_never(tone_folder: Path) -> None:
    """The folder's own noise is white; of a made sound two neighbouring samples are seldom independent."""

    def correlated(share: float) -> float:
        noise = batches_of(tone_folder, share)._draw_noise(400, Generator().manual_seed(0))
        assert noise is not None
        next_to = (noise[:, 1:] * noise[:, :-1]).mean(dim=1) / noise.square().mean(dim=1)
        return float((next_to.abs() > 0.1).float().mean())

    assert correlated(0.0) == 0.0
    assert correlated(0.75) == pytest.approx(0.75, abs=0.1)
    for with_it, without in zip(
        batches_of(tone_folder, 0.5).evaluation_batches("validation"),
        batches_of(tone_folder, 0.0).evaluation_batches("validation"),
        strict=True,
    ):
        assert torch.equal(with_it[0], without[0])
