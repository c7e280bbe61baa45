"""The results of `evaluate`, one type for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordspot.audio.samples import Samples
from wordspot.evaluation.clips import ClipMetrics
from wordspot.evaluation.judging import Judge
from wordspot.evaluation.recordings import RecordingsMetrics
from wordspot.evaluation.scenes import SceneMetrics
from wordspot.metrics import Floats, Ints

if TYPE_CHECKING:
    from wordspot.data.manifest.load import RecordingSet


@dataclass(frozen=True)
class Overlap:
    """Recordings of the evaluated set that the model has seen in training.

    Attributes:
        n_seen: recordings that it was trained on.
        n_of_known_speakers: other recordings of speakers that it was trained on.
    """

    n_seen: int
    n_of_known_speakers: int


@dataclass(frozen=True)
class EvaluationResult(ABC):
    """What every result has.

    Attributes:
        model: the file or the run's folder.
        step: of the run's checkpoint; None for an exported file.
        data: what it was evaluated on.
        split: the set.
        left_out: recordings that could not be used, a line each.
        warnings: why the metrics may be too optimistic, a line each.
    """

    model: str
    step: int | None
    data: str
    split: str
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    @abstractmethod
    def accuracy(self) -> float | None:
        """Correct predictions, 0 to 1: of clips, of recordings, or of a trigger's single steps, which says little."""

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "step": self.step, "data": self.data, "split": self.split}


@dataclass(frozen=True)
class ClipsSeen:
    """The clips of a set, for a report.

    Attributes:
        names: [n], paths in the folder; silence is ``background noise``.
        truth: int64 [n], each clip's label.
        posteriors: float64 [n, labels].
        audio: position → float32 [samples].
        sample_rate: of the audio, Hz.
    """

    names: Sequence[str]
    truth: Ints
    posteriors: Floats
    audio: Callable[[int], Samples]
    sample_rate: int


@dataclass(frozen=True)
class WordsResult(EvaluationResult):
    """A model that tells words apart, evaluated on clips.

    Attributes:
        metrics: everything that was measured.
        overlap: None if it is not known what the model was trained on.
        clips: what was evaluated.
        log: the lines of the run's log; empty for an exported file.
    """

    metrics: ClipMetrics
    overlap: Overlap | None
    clips: ClipsSeen = field(repr=False, compare=False)
    log: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def accuracy(self) -> float | None:
        return self.metrics.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy`."""
        return self.metrics.interval

    def to_json(self) -> dict[str, Any]:
        return {
            **super().to_json(),
            **self.metrics.to_json(),
            "clips_trained_on": None if self.overlap is None else self.overlap.n_seen,
            "other_clips_of_speakers_trained_on": None if self.overlap is None else self.overlap.n_of_known_speakers,
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True)
class TriggerResult(EvaluationResult):
    """A model that says when one word was spoken, evaluated on scenes.

    Attributes:
        metrics: everything that was measured.
    """

    metrics: SceneMetrics

    @property
    def accuracy(self) -> float | None:
        return self.metrics.accuracy

    @property
    def miss_rate(self) -> float | None:
        return self.metrics.bench.detections.all_words.miss_rate

    @property
    def false_accepts_per_hour(self) -> float | None:
        return self.metrics.bench.detections.all_words.false_accepts_per_hour

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), **self.metrics.to_json()}


@dataclass(frozen=True)
class RecordingsResult(EvaluationResult):
    """A model that classifies whole recordings, evaluated on a set of them.

    Attributes:
        metrics: everything that was measured.
        overlap: None if it is not known what the model was trained on.
        recordings: what was evaluated.
        posteriors: float64 [n, labels].
        judge: the model, for its posteriors over time.
    """

    metrics: RecordingsMetrics
    overlap: Overlap | None
    recordings: RecordingSet = field(repr=False, compare=False)
    posteriors: Floats = field(repr=False, compare=False)
    judge: Judge = field(repr=False, compare=False)

    @property
    def accuracy(self) -> float | None:
        return self.metrics.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy`."""
        return self.metrics.interval

    @property
    def eer(self) -> float | None:
        """Equal error rate; None with three or more labels."""
        return self.metrics.eer

    def to_json(self) -> dict[str, Any]:
        seen = None if self.overlap is None else self.overlap.n_seen
        return {
            **super().to_json(),
            "task": "recordings",
            **self.metrics.to_json(),
            "recordings_trained_on": seen,
            "other_recordings_of_speakers_trained_on": None if self.overlap is None else self.overlap.n_of_known_speakers,
            "left_out": list(self.left_out),
            "recordings": [
                {"path": row.path, "label": row.label, "speaker": row.speaker, "generator": row.generator, "posteriors": values}
                for row, values in zip(self.recordings.rows, self.posteriors.tolist(), strict=True)
            ],
        }
