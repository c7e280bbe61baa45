"""The task `words`: classify clips of about a second as one of the words, an unknown word, or silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from wordspot.config import RunConfig
from wordspot.data.cache import DecodedClips, decode_folder
from wordspot.data.clips import ClipSet, build_sets, check_words
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import list_recordings
from wordspot.data.guidance import FILE, Guidance, read_guidance
from wordspot.data.speech import Speech, load_speech
from wordspot.data.split import unused_lists
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.clips import measure_clips
from wordspot.formats import some
from wordspot.intervals import wilson_interval
from wordspot.labels import SILENCE_LABEL, UNKNOWN, normalize_word
from wordspot.metrics import confusion_matrix
from wordspot.models.streaming import SceneNetwork
from wordspot.progress import OnProgress, ignore
from wordspot.tasks import labels_of_run
from wordspot.training.batches import Batches
from wordspot.training.guided import GuidedBatches
from wordspot.training.log import GUIDANCE_LABEL, listing_text
from wordspot.training.scenes.batches import SceneBatches
from wordspot.training.scenes.found import Found, HeldOutClips


@dataclass(frozen=True)
class ClipEvaluation:
    """An evaluated set of clips.

    Attributes:
        confusion: [labels][labels]; rows are the true labels, columns the predicted ones.
    """

    step: int
    set: str
    accuracy: float
    n: int
    cross_entropy: float
    confusion: list[list[int]]
    kind: str = "evaluation"

    @property
    def score(self) -> float:
        return self.accuracy

    def summary(self) -> str:
        if not self.n:
            return f"Step {self.step}: the {self.set} set is empty, so nothing is measured on it"
        low, high = wilson_interval(round(self.accuracy * self.n), self.n)
        return (
            f"Step {self.step}: {self.set.capitalize()} accuracy = {100 * self.accuracy:.1f}% "
            f"(N={self.n}, 95 % interval {100 * low:.1f} to {100 * high:.1f})"
        )


@dataclass(frozen=True)
class Search:
    """A search of the training speech and noise for what the network takes for a word.

    Attributes:
        n_found: places, which later scenes are cut around.
    """

    step: int
    n_found: int
    kind: str = "search"

    def summary(self) -> str:
        return (
            f"Step {self.step}: {self.n_found} places in the speech and noise are taken for a word; they are used more often now"
        )


class WordsTask:
    """A `training.tasks.TrainingTask` on the clips of a data folder, and on `speech` if there is any.

    Args:
        progress: called while training waits for a search of the speech, or for a count of held-out clips.
        guidance: a teacher's targets for these recordings, or None.

    Raises:
        DataError: no clips are left for training.
    """

    def __init__(
        self,
        config: RunConfig,
        decoded: DecodedClips,
        device: torch.device,
        speech: Speech | None = None,
        progress: OnProgress = ignore,
        guidance: Guidance | None = None,
    ) -> None:
        self._guidance = guidance
        self._guided: GuidedBatches | None = None
        self.labels, self._config, self._speech, self._progress = labels_of_run(config), config, speech, progress
        self._wanted = {normalize_word(word) for word in config.words}
        self.decoded, self.sets = decoded, build_sets(decoded.listing, config.words, config.data)
        if not len(self.sets["training"]):
            raise DataError("no clips are left for training; lower data.validation_percent and data.testing_percent")
        self.batches = Batches(config, decoded, self.sets, device)
        self._scenes: SceneBatches | None = None
        self._held_out: HeldOutClips | None = None

    @classmethod
    def load(
        cls,
        config: RunConfig,
        data: Path,
        device: torch.device,
        progress: OnProgress,
        on_note: Callable[[str], None],
        speech: Path | None = None,
    ) -> Self:
        """The task with the recordings of `data`, and those of `speech`; see `training.tasks.load_task`."""
        if speech is not None and not config.scenes.length_s:
            raise ConfigError("`speech` is used in training scenes only; set scenes.length_s, to 6 for example, or leave it out")
        listing = list_recordings(data)
        check_words(listing, config.words)
        decoded = decode_folder(
            listing,
            config.features.sample_rate,
            config.features.clip_samples,
            progress,
        )
        for problem in decoded.problems:
            on_note(f"left out: {problem}")
        if decoded.problems:
            on_note(f"{len(decoded.problems)} recordings could not be read and are left out")
        if unused := unused_lists(data, config.data.split):
            on_note(unused)
        for warning in decoded.warnings:
            on_note(warning)
        sentences = None
        if speech is not None:
            sentences = load_speech(speech, config.features.sample_rate, config.data, progress)
            for problem in sentences.problems:
                on_note(f"left out: {problem}")
        guidance = read_guidance(data) if config.training.guidance else None
        if config.training.guidance and (guidance is None or not config.scenes.length_s):
            raise ConfigError(
                f"training.guidance: {data} holds no targets by a teacher ({FILE}), or scenes.length_s is 0; set "
                "training.guidance to 0, or begin the project of `new` anew"
            )
        return cls(config, decoded, device, sentences, progress, guidance)

    def describe(self) -> str:
        clips = f"{len(self.sets['training']):,} training clips"
        return f"{clips}, {self._speech.describe()}" if self._speech else clips

    def warnings(self) -> Iterator[str]:
        if not self.batches.has_noise("training"):
            yield "there is no folder _background_noise_: silence is digital zeros, and the model will be worse in real rooms"
        if self._scenes is not None and (left_out := self._scenes.left_out):
            yield f"{len(left_out)} recordings of speech are left out, since their text has a word of the model: {some(left_out)}"
        note = split_recordings(self.decoded.listing, self._config.data, self._wanted).note
        if note:
            yield note
        for name, clips in self.sets.items():
            missing = [label for position, label in enumerate(self.labels) if not (clips.labels == position).any()]
            if missing and len(clips):
                yield f"the {name} set has no clips of {', '.join(missing)}"
            elif missing and not note:
                yield f"the {name} set is empty, so nothing is measured on it"

    def listing_text(self) -> str:
        speech = () if self._speech is None else zip(self._speech.paths, self._speech.hashes, strict=True)
        guided = "" if self._guidance is None else f"training,{GUIDANCE_LABEL},{FILE},{self._guidance.digest}\n"
        return listing_text(self.decoded, self.sets, self.labels, speech) + guided

    def examples(self) -> dict[str, Tensor]:
        labels = self.sets["training"].labels
        return {self.labels[label]: self.batches.clip("training", int(np.argmax(labels == label))) for label in np.unique(labels)}

    def prepare(self, network: nn.Module) -> None:
        """Make the training scenes, whose labels are at the network's steps.

        Raises:
            ConfigError: the network cannot learn from scenes.
        """
        if not self._config.scenes.length_s:
            return
        if not isinstance(network, SceneNetwork):
            name = self._config.model.name
            raise ConfigError(f"scenes.length_s: the network {name} cannot classify all windows of a scene; set it to 0")
        hop_frames = getattr(network, "hop_frames", 1)
        self._scenes = SceneBatches(self._config, self.decoded, self.sets["training"], self._speech, hop_frames)
        if self._guidance is not None:
            clips, noise = self.sets["training"], self._scenes.noise
            self._guided = GuidedBatches(self._config, self._guidance, self.decoded, clips, self._speech, noise)
        if self._config.training.found_every:
            self._held_out = self._held_out_clips(self._scenes.stride)

    def _held_out_clips(self, stride: int) -> HeldOutClips:
        """The validation set, with all clips of other words."""
        clips = self.decoded.listing.clips
        places = {normalize_word(word): place for place, word in enumerate(self._config.words, start=UNKNOWN + 1)}
        sets = split_recordings(self.decoded.listing, self._config.data, self._wanted).sets
        chosen = [row for row, name in enumerate(sets) if name == "validation" and clips[row].word != SILENCE_LABEL]
        labels = [places.get(clips[row].word, UNKNOWN) for row in chosen]
        rows, found = np.array(chosen, np.int64), np.array(labels, np.int64)
        return HeldOutClips(self.decoded, rows, found, self._config.features, stride, self.batches.device)

    @property
    def window_stride(self) -> int:
        return 0 if self._scenes is None else self._scenes.stride

    def training_batch(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        if self._scenes is None:
            return self.batches.training_batch(generator)
        audio, labels = (torch.from_numpy(part).to(self.batches.device) for part in self._scenes.draw(step))
        return self.batches.augmenter.through_channel(audio, generator), labels

    def guided_batch(self, step: int) -> tuple[Tensor, Tensor] | None:
        if self._guided is None:
            return None
        audio, targets = (torch.from_numpy(part).to(self.batches.device) for part in self._guided.draw(step))
        return audio, targets

    def after_step(self, network: Callable[[], nn.Module], front_end: nn.Module, step: int) -> Iterator[Search | Found]:
        every, show = self._config.training.found_every, self._progress
        if self._held_out is not None and step % every == 0 and (found := self._held_out.count(network(), front_end, step, show)):
            yield found
        if self._scenes is not None and step in self._config.scenes.seek_at:
            yield Search(step, self._scenes.seek(network(), front_end, self.batches.device, show))

    def state(self) -> dict[str, Tensor]:
        hard = {} if self._scenes is None else self._scenes.hard
        return {f"hard.{source}": torch.from_numpy(places) for source, places in hard.items() if len(places)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, places in state.items():
            if self._scenes is not None and name.startswith("hard"):  # before there was "hard.noise", it was "hard"
                self._scenes.hard[name.partition(".")[2] or "speech"] = places.numpy()

    def evaluate(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> ClipEvaluation:
        return self._record(name, step, predict(network, front_end, self.batches, name))

    def finish(self, network: nn.Module, front_end: nn.Module, step: int) -> tuple[dict[str, Any], ClipEvaluation]:
        figures: dict[str, Any] = {}
        for name in ("validation", "testing"):
            posteriors = predict(network, front_end, self.batches, name)
            clips = self.sets[name]
            if not len(clips):
                figures[name] = {"n": 0}
                continue
            figures[name] = measure_clips(self.labels, clips.labels, posteriors, speakers_of(self.decoded, clips)).to_json()
        return figures, self._record("testing", step, posteriors)

    def close(self) -> None:
        """Nothing to release."""

    def _record(self, name: str, step: int, posteriors: NDArray[np.float64]) -> ClipEvaluation:
        truth = self.sets[name].labels
        confusion = confusion_matrix(truth, posteriors.argmax(axis=1), len(self.labels))
        n = len(truth)
        likelihood = np.maximum(posteriors[np.arange(n), truth], 1e-30)
        return ClipEvaluation(
            step=step,
            set=name,
            accuracy=float(np.trace(confusion) / n) if n else 0.0,
            n=n,
            cross_entropy=float(-np.log(likelihood).mean()) if n else 0.0,
            confusion=confusion.tolist(),
        )


def predict(model: nn.Module, front_end: nn.Module, batches: Batches, name: str) -> NDArray[np.float64]:
    """Posteriors float64 [n, labels] of the set of this name, in its order; dropout is off."""
    model.eval()
    rows = [np.zeros((0, batches.n_labels))]
    with torch.inference_mode():
        for audio, _ in batches.evaluation_batches(name):
            rows.append(torch.softmax(model(front_end(audio)).double(), dim=1).cpu().numpy())
    return np.concatenate(rows)


def speakers_of(decoded: DecodedClips, clips: ClipSet) -> list[str | None]:
    """The speaker of each clip of a set; None for silence."""
    return [decoded.listing.clips[row].speaker if row >= 0 else None for row in clips.rows]
