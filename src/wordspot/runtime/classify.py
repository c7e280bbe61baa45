"""Classify entire recordings, for example as a person or a machine: the verb `classify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError
from wordspot.progress import OnNote, OnProgress
from wordspot.runtime.batch import FailedFile, OnFailed, Recordings, judge_files
from wordspot.runtime.model import Model, Source
from wordspot.runtime.recordings import RecordingClassifier, RecordingResult


@dataclass(frozen=True)
class ClassifiedFile:
    """The class of one file.

    Attributes:
        name: the file's name, as shown.
        result: the class, and the scores that decided it.
        path: path of the audio; for a pipe, a copy that exists only while `on_result` is called.
    """

    name: str
    result: RecordingResult
    path: Path

    @property
    def label(self) -> str:
        """The class."""
        return self.result.label

    @property
    def score(self) -> float:
        """Its posterior, 0 to 1."""
        return self.result.score

    def to_json(self) -> dict[str, Any]:
        """The file as a JSON object, with its scores over time."""
        return {"file": self.name, **self.result.to_json()}


@dataclass(frozen=True)
class Classification:
    """The classes of recordings. Iterating goes through the recordings.

    Attributes:
        recordings: a result for each of them.
        failed: the recordings that could not be classified.
    """

    recordings: tuple[ClassifiedFile, ...]
    failed: tuple[FailedFile, ...] = ()

    def __iter__(self) -> Iterator[ClassifiedFile]:
        return iter(self.recordings)

    def __len__(self) -> int:
        return len(self.recordings)

    def to_json(self) -> dict[str, Any]:
        """All recordings as a JSON object."""
        return {
            "recordings": [one.to_json() for one in self.recordings],
            "failed": [one.to_json() for one in self.failed],
        }


def classify(
    recordings: Recordings,
    model: Source,
    *,
    threshold: float | None = None,
    channel: int | None = None,
    on_result: Callable[[ClassifiedFile], None] | None = None,
    on_failed: OnFailed | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> Classification:
    """Classify recordings of any length, format and sample rate.

    Args:
        recordings: a file, a folder, or several of both.
        model: an exported model of the task `recordings`.
        threshold: score that the first of two labels must reach, 0 to 1 (default: the model's).
        channel: which channel of each recording to use, counted from 0 (default: the first, or the loudest if that is silent).
        on_result: called with the result of each recording.
        on_failed: called for each recording that cannot be read; a single one raises instead.
        on_note: called with warnings about a recording: a silent channel, a header that is slightly wrong.
        progress: called after each recording.

    Raises:
        NotFoundError: no such model or recording, or a folder without recordings.
        CardError: a model file that is damaged, or not written by wordspot.
        AudioError: a single recording that cannot be read.
        ConfigError: a model of another task, or a threshold outside 0 to 1 or for a model with three or more labels.
    """
    try:
        classifier = RecordingClassifier(model, threshold=threshold)
    except ConfigError as error:
        name = model.name if isinstance(model, Model) else "the model" if isinstance(model, bytes) else model
        raise ConfigError(f"{name}: {error}") from error
    return Classification(
        *judge_files(
            recordings,
            lambda path, name: ClassifiedFile(name, classifier.classify_file(path, channel=channel, on_note=on_note), path),
            stage="classifying",
            on_result=on_result,
            on_failed=on_failed,
            progress=progress,
        )
    )
