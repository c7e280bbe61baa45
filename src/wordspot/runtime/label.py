"""Label clips with the word they contain: the verb `label`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.errors import AudioError, ConfigError
from wordspot.progress import OnNote, OnProgress
from wordspot.runtime.batch import FailedFile, OnFailed, Recordings, judge_files
from wordspot.runtime.detector import Classifier
from wordspot.runtime.model import Source, as_model, check_labels_clips


@dataclass(frozen=True)
class LabelScore:
    """A label and its posterior, 0 to 1."""

    label: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """The label and the rounded score as a JSON object."""
        return {"label": self.label, "score": round(self.score, 6)}


@dataclass(frozen=True)
class ClipLabels:
    """The labels of one clip.

    Attributes:
        name: the file's name, as shown.
        labels: the likeliest labels with their scores, the best first.
        seconds: length of the file.
        clip_seconds: length of the clip that was judged; the rest of the file was not used.
    """

    name: str
    labels: tuple[LabelScore, ...]
    seconds: float
    clip_seconds: float

    @property
    def label(self) -> str:
        """The likeliest label."""
        return self.labels[0].label

    @property
    def score(self) -> float:
        """Its posterior, 0 to 1."""
        return self.labels[0].score

    @property
    def is_cropped(self) -> bool:
        """Whether the file is longer than the clip that was judged."""
        return self.seconds > self.clip_seconds

    def to_json(self) -> dict[str, Any]:
        """The clip as a JSON object."""
        return {"file": self.name, "labels": [one.to_json() for one in self.labels]}


@dataclass(frozen=True)
class Labels:
    """The labels of several clips. Iterating goes through the clips.

    Attributes:
        clips: a result for each file.
        failed: the files that could not be labelled.
    """

    clips: tuple[ClipLabels, ...]
    failed: tuple[FailedFile, ...] = ()

    def __iter__(self) -> Iterator[ClipLabels]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def to_json(self) -> dict[str, Any]:
        """All clips as a JSON object."""
        return {"clips": [one.to_json() for one in self.clips], "failed": [one.to_json() for one in self.failed]}


def label(
    recordings: Recordings,
    model: Source = None,
    *,
    top: int = 3,
    channel: int | None = None,
    on_result: Callable[[ClipLabels], None] | None = None,
    on_failed: OnFailed | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> Labels:
    """Label each clip with its most probable words. A clip is cropped, or padded with zeros, at its end, as in training.

    Args:
        recordings: a clip, a folder of clips, or several of both.
        model: an exported file; None uses the model that comes with wordspot.
        top: how many labels to return for each clip.
        channel: which channel of each clip to use, counted from 0 (default: the first, or the loudest if that is silent).
        on_result: called with the result of each clip.
        on_failed: called for each file that cannot be labelled; a single one raises instead.
        on_note: called with warnings about a clip: a silent channel, a header that is slightly wrong.
        progress: called after each clip.

    Raises:
        NotFoundError: no such model or clip, or a folder without clips.
        CardError: a model file that is damaged, or not written by wordspot.
        AudioError: a single clip that cannot be read, or is twice as long as the model's clips or longer.
        ConfigError: a model that does not label clips, or a `top` below 1.
    """
    if top < 1:
        raise ConfigError(f"`top` must be at least 1, got {top}")
    opened = as_model(model)
    check_labels_clips(opened)
    classifier = Classifier(opened)
    return Labels(
        *judge_files(
            recordings,
            lambda path, name: label_clip(classifier, path, name, top=top, channel=channel, on_note=on_note),
            stage="labelling",
            on_result=on_result,
            on_failed=on_failed,
            progress=progress,
        )
    )


def label_clip(
    classifier: Classifier,
    path: Path,
    name: str,
    *,
    top: int = 3,
    channel: int | None = None,
    on_note: OnNote | None = None,
) -> ClipLabels:
    """Label one sound file, as `label` does.

    Raises:
        NotFoundError: no such file.
        AudioError: it cannot be read, or is twice as long as the model's clips or longer.
    """
    card = classifier.card
    audio, rate = read_audio(path, card.sample_rate, channel=channel, on_note=on_note)
    if len(audio) >= 2 * card.clip_samples:
        raise AudioError(
            f"{path} is {len(audio) / rate:.1f} s long; this model takes clips of {card.clip_seconds:g} s. "
            "Use `wordspot detect` for longer recordings"
        )
    posteriors = classifier.classify(audio[: card.clip_samples])[0]
    return ClipLabels(name, top_labels(card.labels, posteriors, top), len(audio) / rate, card.clip_seconds)


def top_labels(labels: Sequence[str], posteriors: NDArray[Any], n: int) -> tuple[LabelScore, ...]:
    """The `n` likeliest labels, the best first; of equal ones the later.

    Args:
        labels: names.
        posteriors: float [labels].
        n: how many to return; fewer if there are fewer labels.
    """
    order = posteriors.argsort(kind="stable")[::-1][:n]
    return tuple(LabelScore(labels[place], float(posteriors[place])) for place in order)
