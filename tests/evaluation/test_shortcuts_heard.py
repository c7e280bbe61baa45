"""What must not decide does not: trimming, gain and resampling both ways move the default's scores of real recordings little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wordspot.audio.resample import resample
from wordspot.audio.samples import to_float32, to_int16
from wordspot.data.manifest.load import load_manifest
from wordspot.metrics import Floats
from wordspot.overrides import override
from wordspot.tasks import TASKS
from wordspot.training.recipes import recipe_config
from wordspot.training.tasks.recordings import RecordingsTask, judge
from wordspot.training.trainer import Trainer

CPU = torch.device("cpu")
Audio = NDArray[np.int16]


@pytest.fixture(scope="module")
def trained(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, list[Audio], Floats]:
    """The default after a few steps, some recordings of others, and the log-odds of a person in each."""
    config = recipe_config(("real", "synthetic"), TASKS["recordings"].default_model, task="recordings")
    config = override(config, {
        "recordings.n_folds": 3, "training.steps": (25,), "training.batch_size": 16, "training.evaluate_every": 25,
        "augment.background_frequency": 0.0, "augment.room_frequency": 0.0,
    })  # fmt: skip
    listing = shared_data / "real_or_synthetic" / "labels.csv"
    loaded = load_manifest(listing, config.words, config.data, config.recordings, config.features.sample_rate)
    trainer = Trainer(config, RecordingsTask(config, loaded, CPU), tmp_path_factory.mktemp("run"), CPU)
    for _ in range(25):
        trainer.train_step()
    audio = list(loaded.sets["testing"].audio)[::2]
    return trainer, audio, log_odds(trainer, audio)


def log_odds(trainer: Trainer, audio: list[Audio]) -> Floats:
    posteriors = judge(trainer.model, trainer.front_end, trainer.config, audio, CPU)
    return np.asarray(np.log(posteriors[:, 0] / posteriors[:, 1]))


def trimmed(audio: Audio) -> Audio:
    """From the first sample within 30 dB of the peak on."""
    loud = np.flatnonzero(np.abs(audio.astype(np.int32)) > np.abs(audio.astype(np.int32)).max() * 10**-1.5)
    return audio[loud[0] : loud[-1] + 1]


def over(rate: int, audio: Audio) -> Audio:
    return to_int16(resample(resample(to_float32(audio), 16_000, rate), rate, 16_000))


CHANGES = {
    "trimmed": (trimmed, 0.25),
    "20 dB softer": (lambda audio: np.round(audio * 0.1).astype(np.int16), 0.1),
    "16 to 22.05 to 16 kHz": (lambda audio: over(22_050, audio), 0.02),
    "16 to 14.4 to 16 kHz": (lambda audio: over(14_400, audio), 0.4),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.slow
def test_what_must_not_decide_moves_scores_little(trained: tuple[Trainer, list[Audio], Floats], name: str) -> None:
    """The mean movement of a recording's log-odds, beside their spread over recordings: the tolerance is that share.

    Trimming moves the windows over the words, and 20 dB less leaves 3 bits less above the rounding to 16 bits.
    """
    trainer, audio, before = trained
    change, tolerance = CHANGES[name]
    after = log_odds(trainer, [change(samples) for samples in audio])
    moved = np.abs(after - before).mean() / before.std()
    assert 0 < moved < tolerance
    assert np.corrcoef(before, after)[0, 1] > 0.9
