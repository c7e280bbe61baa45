"""Measure the loss of accuracy by 8-bit weights on validation clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.errors import DataError
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.session import judge_clips, open_session
from wordspot.training.batches import Batches


@dataclass(frozen=True)
class Int8Cost:
    """An exported file with weights in 8 bits, compared with the one in float32.

    Attributes:
        clips: how many were compared.
        accuracy_before: of the file in float32, 0 to 1.
        accuracy: of the file in 8 bits, 0 to 1.
        changed: clips with another prediction.
    """

    clips: int
    accuracy_before: float
    accuracy: float
    changed: int

    @property
    def loss(self) -> float:
        """The loss of accuracy, in percentage points."""
        return 100 * (self.accuracy_before - self.accuracy)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "loss": self.loss}


def measure_int8(model: bytes, int8: bytes, card: Card, config: RunConfig, data: Path) -> Int8Cost:
    """Compare two exported files on the validation clips of a folder.

    Args:
        model: the file in float32.
        int8: the file in 8 bits.
        card: of both.
        config: of the run, which decides what the validation clips are.
        data: the folder of recordings.

    Raises:
        DataError: the folder has none of the words, or no validation clips.
    """
    listing = list_recordings(data)
    sets = {"validation": build_sets(listing, config.words, config.data)["validation"]}
    decoded = decode_folder(listing, config.features.sample_rate, config.features.clip_samples)
    if len(decoded.listing.clips) < len(listing.clips):
        sets["validation"] = build_sets(decoded.listing, config.words, config.data)["validation"]
    truth = sets["validation"].labels
    if not len(truth):
        raise DataError(f"{data} has no validation clips to measure int8 on; add recordings")
    batches = Batches(config, decoded, sets, torch.device("cpu"))
    sessions = [open_session(one) for one in (model, int8)]
    before: list[NDArray[np.int64]] = []
    after: list[NDArray[np.int64]] = []
    for audio, _ in batches.evaluation_batches("validation"):
        for session, predictions in zip(sessions, (before, after), strict=True):
            predictions.append(judge_clips(session, card, audio.numpy()).argmax(axis=1))
    prediction, new_prediction = np.concatenate(before), np.concatenate(after)
    correct, new_correct = (float((given == truth).mean()) for given in (prediction, new_prediction))
    return Int8Cost(len(truth), correct, new_correct, int((prediction != new_prediction).sum()))
