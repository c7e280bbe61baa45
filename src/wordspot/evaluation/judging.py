"""A trained model as evaluation sees it, no matter what runs it: an exported file, or a run's checkpoint with torch.

`judge_of_file` opens a file. `wordspot.training.evaluate` makes the judge of a run, which has the same two functions: one
prediction for each piece of sound (a clip or a recording), and predictions over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.config import DecoderConfig, RunConfig
from wordspot.errors import CardError
from wordspot.limits import Limits
from wordspot.metrics import Bools, Floats
from wordspot.overrides import from_json
from wordspot.presets import TRIGGER_DECODER
from wordspot.runtime.detector import Classifier, Scorer
from wordspot.runtime.model import Model, open_model
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.recordings import RecordingClassifier
from wordspot.tasks import TASKS

#: Mono at the model's rate: float32 or int16 [samples].
Audio = NDArray[Any]

_CLIPS_AT_ONCE = 100


@dataclass(frozen=True)
class PosteriorTrack:
    """A model's posteriors over time.

    Attributes:
        time_ms: float64 [n]: the middle of each window of a recording, or the end of each step of a trigger.
        posteriors: float [n, labels].
        has_sound: bool [n]; windows of digital silence do not count.
    """

    time_ms: Floats
    posteriors: NDArray[np.floating]
    has_sound: Bools


@dataclass(frozen=True)
class TrainedOn:
    """What a run was trained on: the SHA-256 of its recordings, and their speakers as far as they are known."""

    hashes: frozenset[str]
    speakers: frozenset[str]


@dataclass(frozen=True)
class Judge:
    """A trained model.

    Attributes:
        model: the file or the run's folder.
        config: the configuration of the run that it comes from.
        labels: in the order of its outputs.
        predict: pieces of sound → posteriors, float64 [n, labels]. Clips must have the model's length; a trigger has
            none.
        over_time: pieces of sound → the posteriors of each over time. A model of clips has none.
        at_once: how many pieces to pass to `predict` or `over_time` at a time.
        threshold: of the first label of a model of recordings with two labels.
        limits: beyond which a model of recordings cannot tell.
        decoder: of a model that predicts steps.
        step: of a run's checkpoint; None for an exported file.
        trained_on: None if that is not known, as for an exported file.
        log: the lines of the run's log, for its learning curves.
    """

    model: str
    config: RunConfig
    labels: tuple[str, ...]
    predict: Callable[[Sequence[Audio]], Floats]
    over_time: Callable[[Sequence[Audio]], list[PosteriorTrack]]
    at_once: int = 1
    threshold: float = 0.5
    limits: Limits = field(default_factory=Limits)
    decoder: DecoderConfig = TRIGGER_DECODER
    step: int | None = None
    trained_on: TrainedOn | None = None
    log: tuple[dict[str, Any], ...] = ()


def judge_of_file(path: Path) -> Judge:
    """Open an exported file.

    Raises:
        NotFoundError: no such file.
        CardError: the file is damaged, was not written by wordspot, or contradicts its own configuration.
    """
    opened = open_model(path)
    config = _config_of(path, opened.card)
    task = TASKS[config.task]
    if task.predicts_recordings:
        return _judge_recordings(path, config, opened)
    if task.predicts_steps:
        return _judge_steps(path, config, opened)
    classifier = Classifier(opened)

    def predict(clips: Sequence[Audio]) -> Floats:
        return classifier.classify(np.stack(clips)).astype(np.float64)

    return Judge(str(path), config, opened.card.labels, predict, no_track, _CLIPS_AT_ONCE)


def _judge_recordings(path: Path, config: RunConfig, opened: Model) -> Judge:
    classifier, rate = RecordingClassifier(opened), opened.card.sample_rate

    def predict(recordings: Sequence[Audio]) -> Floats:
        return np.stack([classifier.classify(audio, rate).posteriors for audio in recordings])

    def over_time(recordings: Sequence[Audio]) -> list[PosteriorTrack]:
        results = [classifier.classify(audio, rate) for audio in recordings]
        return [PosteriorTrack(1000 * one.times_s, one.window_posteriors, one.has_sound) for one in results]

    return Judge(
        str(path), config, opened.card.labels, predict, over_time, threshold=classifier.threshold, limits=classifier.card.limits
    )


def _judge_steps(path: Path, config: RunConfig, opened: Model) -> Judge:
    scorer = Scorer(opened)

    def over_time(scenes: Sequence[Audio]) -> list[PosteriorTrack]:
        tracks = []
        for audio in scenes:
            parts = [scorer.feed(audio), scorer.flush()]
            scores, end_ms = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            tracks.append(PosteriorTrack(end_ms, scores, np.ones(len(end_ms), bool)))
        return tracks

    return Judge(str(path), config, opened.card.labels, no_prediction, over_time, decoder=opened.card.decoder)


def _config_of(path: Path, card: Card) -> RunConfig:
    config = from_json(card.config)
    task, features = TASKS[config.task], config.features
    labels = task.labels_of(config.words)
    stated = (card.labels, card.sample_rate, card.clip_samples)
    if task.predicts_clips and stated != (labels, features.sample_rate, features.clip_samples):
        raise CardError(f"{path}: its labels, sample rate or clip length contradict its own configuration; export it again")
    return config


def no_track(clips: Sequence[Audio]) -> list[PosteriorTrack]:
    """`Judge.over_time` of a model of clips."""
    raise AssertionError("a model of clips has no posteriors over time")


def no_prediction(scenes: Sequence[Audio]) -> Floats:
    """`Judge.predict` of a trigger."""
    raise AssertionError("a trigger has posteriors over time only")
