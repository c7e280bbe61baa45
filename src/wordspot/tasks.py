"""The three tasks: what their models predict, what they are trained on, and what can be done with them.

`TASKS` is the only place that knows the tasks by name; other code uses the properties of `Task`. The training of each task is
in `wordspot.training.tasks`, which loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from wordspot.errors import ConfigError
from wordspot.labels import SILENCE_LABEL, labels_of

if TYPE_CHECKING:
    from wordspot.config import RunConfig


@dataclass(frozen=True)
class Task:
    """One kind of model.

    Attributes:
        name: as in ``--task`` and in a run's configuration.
        help: what a model predicts, in a few words.
        predicts: what gets one prediction: a ``clip``, a ``step`` of a stream, or an entire ``recording``.
        data: what it is trained on: one folder per ``words``, the folders of a ``trigger``, or a ``manifest``.
        folders: the settings that name folders beside those of the words.
        labels_of: from a run's words to the labels of its model.
        default_model: the network if none is named.
        model_for_many: the default network if there are many recordings; None: always `default_model`.
        n_words: how many words a run may name, (least, most); 0 means no upper limit.
        decoder: the fields of `DecoderConfig` that an exported model of it starts with, if not the defaults.
    """

    name: str
    help: str
    predicts: Literal["clip", "step", "recording"]
    data: Literal["words", "trigger", "manifest"]
    folders: tuple[str, ...]
    labels_of: Callable[[tuple[str, ...]], tuple[str, ...]]
    default_model: str
    n_words: tuple[int, int] = (1, 0)
    model_for_many: tuple[int, str] | None = None
    decoder: Mapping[str, Any] = field(default_factory=dict)

    @property
    def predicts_clips(self) -> bool:
        """Whether it gives a clip one label, as `label` and the measures of clips need."""
        return self.predicts == "clip"

    @property
    def predicts_steps(self) -> bool:
        """Whether its network gives a posterior at every step, so that it runs on streams only."""
        return self.predicts == "step"

    @property
    def predicts_recordings(self) -> bool:
        """Whether it gives an entire recording one label, as `classify` needs; it detects nothing in a stream."""
        return self.predicts == "recording"

    def check_words(self, words: tuple[str, ...]) -> None:
        """Check how many words there are.

        Raises:
            ConfigError: too few or too many for this task.
        """
        least, most = self.n_words
        if len(words) < least or (most and len(words) > most):
            wanted = f"exactly {least}" if least == most else f"at least {least}"
            given = f"{len(words)} ({','.join(words)})" if words else "none"
            raise ConfigError(f"words: the task {self.name} needs {wanted}, got {given}")


TASKS = {
    task.name: task
    for task in (
        Task(
            name="words",
            help="which word a clip is",
            predicts="clip",
            data="words",
            folders=(),
            labels_of=labels_of,
            default_model="residual_1d",
        ),
        Task(
            name="trigger",
            help="when one word is said",
            predicts="step",
            data="trigger",
            folders=("positives", "negatives", "backgrounds"),
            labels_of=lambda words: (SILENCE_LABEL, *words),
            default_model="trigger_1d",
            n_words=(1, 1),
            # its score is high for a short time, after the word
            decoder={"average_ms": 80.0, "threshold": 0.5, "refractory_ms": 1000.0, "confirm_ms": 60.0},
        ),
        Task(
            name="recordings",
            help="which class a recording of any length is of",
            predicts="recording",
            data="manifest",
            folders=("backgrounds",),
            labels_of=lambda words: words,
            default_model="statistics",
            n_words=(2, 0),
            model_for_many=(1000, "pooled_conv"),
        ),
    )
}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")
    return TASKS[name]


def labels_of_run(config: RunConfig) -> tuple[str, ...]:
    """All labels of a run's model, in the order of its outputs."""
    return TASKS[config.task].labels_of(config.words)
