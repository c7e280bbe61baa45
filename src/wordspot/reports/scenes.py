"""Pictures of the scenes of the task `trigger`, with the targets of training and, if wanted, a model's posterior."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.config import TriggerConfig
from wordspot.data.scenes.make_scenes import MadeScene
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import label_track
from wordspot.errors import ConfigError
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
from wordspot.reports import pictures
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import open_model

#: The classic course's network: this many of its steps in ten seconds, out of this many, follow a word.
CLASSIC_STEPS = (50, 1375)
_STEP_MS = 10.0  # from one target to the next if there is no model


def word_of_model(model: Path, word: str | None) -> str:
    """The label of a model that is `word`, or its only word if that is None.

    Raises:
        ConfigError: the model has no such word, or several.
    """
    labels = open_model(model).card.labels
    words = [label for label in labels if label not in (SILENCE_LABEL, UNKNOWN_LABEL)]
    if word not in words and (word is not None or len(words) != 1):
        wanted = "one word" if word is None else repr(word)
        raise ConfigError(f"{model}: the model's words are {', '.join(words)}; expected {wanted}. Name one with `words`")
    return words[0] if word is None else word


@dataclass(frozen=True)
class DrawScene:
    """Draws a scene beside its sound file; see `make_scenes`.

    Attributes:
        word: the word whose targets are drawn.
        trigger: says how long after a word the target is 1.
        model: an exported file whose posterior of the word is drawn, or None.
    """

    word: str
    trigger: TriggerConfig
    model: Path | None = None

    def __call__(self, made: MadeScene, scene: Scene) -> None:
        scene_ms = 1000 * made.seconds
        posterior = self._posterior(scene)
        ends = self._usual_ends(scene_ms) if posterior is None else posterior[0]
        targets = label_track(scene.words, self.word, len(ends), ends, self.trigger, scene_ms=scene_ms)
        title = f"{made.picture.stem}: {self.word}"
        pictures.save_scene_picture(made.picture, scene, self.word, (ends, targets.astype(float)), posterior, title)

    def _posterior(self, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
        """Where each step of the model ends, in milliseconds, and its posterior of the word."""
        if self.model is None:
            return None
        scorer: Scorer = Scorer(self.model, sample_rate=scene.sample_rate)
        column = scorer.card.labels.index(self.word)
        parts = [scorer.feed(scene.audio), scorer.flush()]
        return np.concatenate([ends for _, ends in parts]), np.concatenate([scores[:, column] for scores, _ in parts])

    def _usual_ends(self, scene_ms: float) -> NDArray[np.float64]:
        """Where steps end if there is no model: as in the classic course if its targets are wanted, else every 10 ms."""
        every = 10_000 / CLASSIC_STEPS[1] if self.trigger.label_steps else _STEP_MS
        n_steps = max(int(scene_ms / every + 1e-6), 1)
        return np.arange(1, n_steps + 1, dtype=np.float64) * every
