"""The training tasks: a class for each task of `wordspot.tasks`, all with the methods of `TrainingTask`.

A training task knows the examples and how predictions are evaluated. The loop in `wordspot.training.trainer` is the same for
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from wordspot.config import RunConfig
from wordspot.errors import ConfigError
from wordspot.progress import OnProgress


class Evaluation(Protocol):
    """The record of an evaluated set in the log. A task's own record has more fields."""

    @property
    def kind(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def set(self) -> str: ...
    @property
    def n(self) -> int:
        """Number of evaluated examples; without any, no checkpoint becomes the best."""

    @property
    def score(self) -> float:
        """The score of the checkpoint; the best checkpoint has the highest."""

    def summary(self) -> str:
        """The result as one line for people."""


class Event(Protocol):
    """A record in the log of something that a task did during training. A task's own record has more fields."""

    @property
    def kind(self) -> str: ...
    @property
    def step(self) -> int: ...

    def summary(self) -> str:
        """What was done, as one line for people."""


class TrainingTask(Protocol):
    """The examples of a run and their evaluation."""

    labels: tuple[str, ...]

    @property
    def window_stride(self) -> int:
        """Frames from one labelled window of a batch's scenes to the next; 0: a batch has no windows."""

    def describe(self) -> str:
        """The training examples in a few words."""

    def warnings(self) -> Iterator[str]:
        """Warnings about the recordings, before training begins."""

    def listing_text(self) -> str:
        """The content of ``data.csv``: the recordings used."""

    def examples(self) -> dict[str, Tensor]:
        """An example for each label, float32 [samples], to show the network's input."""

    def prepare(self, network: nn.Module) -> None:
        """Called with the network before the first batch."""

    def training_batch(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """The batch of a step: audio float32 [batch, samples] and targets int64 [batch], [batch, steps] or [batch, windows]."""

    def guided_batch(self, step: int) -> tuple[Tensor, Tensor] | None:
        """Windows with a teacher's targets for a step: float32 [windows, samples] and [windows, words]; None: there are none."""

    def after_step(self, network: Callable[[], nn.Module], front_end: nn.Module, step: int) -> Iterator[Event]:
        """Called after each step, with what gives the network; what it changes in later batches is in `state`.

        Yields:
            what to log.
        """

    def state(self) -> dict[str, Tensor]:
        """What training has changed in the task, for a checkpoint."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the `state` of a checkpoint."""

    def evaluate(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> Evaluation:
        """Evaluate the network on the set of this name, after `step` steps."""

    def finish(self, network: nn.Module, front_end: nn.Module, step: int) -> tuple[dict[str, Any], Evaluation]:
        """All metrics of the network that was best on validation, and its evaluation on testing."""

    def close(self) -> None:
        """Release all resources; called after training, even if it failed."""


Load = Callable[[RunConfig, Path, torch.device, OnProgress, Callable[[str], None]], TrainingTask]


def load_task(
    config: RunConfig,
    data: Path,
    device: torch.device,
    progress: OnProgress,
    on_note: Callable[[str], None],
    speech: Path | None = None,
) -> TrainingTask:
    """Read the recordings that `config` trains on.

    Args:
        config: of the run.
        data: the folder of recordings, or a manifest.
        device: where batches are made.
        progress: called while recordings are decoded.
        on_note: called with a line for each recording that is left out.
        speech: a folder of sentences, for the task `words`; see `data.speech`.

    Raises:
        ConfigError: `speech` for a task or configuration that does not use it.
        NotFoundError, DataError: the recordings are missing, or do not suffice for training.
    """
    from wordspot.training.tasks.recordings import RecordingsTask
    from wordspot.training.tasks.trigger import TriggerTask
    from wordspot.training.tasks.words import WordsTask

    if config.task == "words":
        return WordsTask.load(config, data, device, progress, on_note, speech)
    if speech is not None:
        raise ConfigError(f"`speech` is for the task words, this is {config.task}; leave it out")
    loaders: dict[str, Load] = {"trigger": TriggerTask.load, "recordings": RecordingsTask.load}
    return loaders[config.task](config, data, device, progress, on_note)
