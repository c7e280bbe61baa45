"""The task `trigger`: detect when one word is said. It is trained on synthetic scenes and evaluated like streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from wordspot.audio.samples import to_int16
from wordspot.config import FeatureConfig, RunConfig
from wordspot.data.bank import TriggerMaterial
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import scene_at
from wordspot.data.trigger import TriggerData, load_trigger_data
from wordspot.errors import DataError
from wordspot.evaluation.curves import THRESHOLDS, OperatingPoint, make_curves, operating_points, sweep, total_curve
from wordspot.evaluation.judging import PosteriorTrack
from wordspot.evaluation.scenes import bench_of_scenes, make_scenes, measure_scenes, right_steps
from wordspot.models.streaming import StepNetwork
from wordspot.presets import TRIGGER_DECODER
from wordspot.progress import OnProgress
from wordspot.seeds import SET_NUMBERS
from wordspot.tasks import labels_of_run
from wordspot.training.augment import Augmenter
from wordspot.training.prefetch import Ahead
from wordspot.training.tasks import Event

_SCENES_AT_ONCE = 10
_LOOKS = THRESHOLDS[::4]

Truth = NDArray[np.int8]


@dataclass(frozen=True)
class SceneEvaluation:
    """An evaluated set of scenes: single steps, and the detections of the decoder.
    accuracy: of single steps, for comparison with `accuracy_of_zeros`, that of a network that never fires.
    points: misses at some rates of false accepts per hour, from `curves.operating_points`.
    """

    step: int
    set: str
    accuracy: float
    accuracy_of_zeros: float
    cross_entropy: float
    n: int
    hours: float
    points: tuple[OperatingPoint, ...]
    kind: str = "evaluation"

    @property
    def score(self) -> float:
        """The negative cross-entropy, since the miss rate at few false accepts changes in large steps."""
        return -self.cross_entropy

    def summary(self) -> str:
        if not self.n:
            return f"Step {self.step}: the {self.set} set has no positives, so nothing is measured on it"
        found = ", ".join(
            f"{100 * (1 - point.miss_rate):.1f}% at {point.at_most_per_hour:g}"
            for point in self.points
            if point.miss_rate is not None
        )
        return (
            f"Step {self.step}: {self.set.capitalize()} found = {found or 'nothing'} false accepts an hour "
            f"(N={self.n}, {60 * self.hours:.0f} minutes); correct steps {100 * self.accuracy:.2f}%, "
            f"without any detection {100 * self.accuracy_of_zeros:.2f}%"
        )


class TriggerTask:
    """A `training.tasks.TrainingTask` on scenes of a folder's positives, negatives and backgrounds.

    Raises:
        DataError: no positives are left for training.

    Training scenes are made from (seed, step, number) and never repeat; those of the other sets are always the same.
    """

    window_stride = 0

    def __init__(self, config: RunConfig, sources: TriggerData, device: torch.device) -> None:
        self.config, self.sources, self.device = config, sources, device
        self.labels = labels_of_run(config)
        if not sources.has("training"):
            raise DataError("no positives are left for training; lower data.validation_percent and data.testing_percent")
        # scenes have their own noise and speed, and a time shift would separate a word from its label
        self.augmenter = Augmenter(dataclasses.replace(config.augment, time_shift_ms=0.0), config.features)
        self._made: dict[str, list[Scene]] = {}
        self._scenes: Ahead[tuple[NDArray[np.int16], Truth]] | None = None
        self._ends_ms: NDArray[np.float64] = np.zeros(0)

    @classmethod
    def load(
        cls, config: RunConfig, data: Path, device: torch.device, progress: OnProgress, on_note: Callable[[str], None]
    ) -> Self:
        """The task with the recordings of `data`; see `training.tasks.load_task`."""
        sources = load_trigger_data(
            data,
            config.trigger,
            config.data,
            config.features.sample_rate,
            progress,
            scene_ms=config.features.clip_ms,
            word=config.words[0],
        )
        for problem in sources.problems:
            on_note(f"left out: {problem}")
        if workers := config.trigger.workers:  # torch threads that share a core with workers slow everything down
            torch.set_num_threads(max(torch.get_num_threads() - workers, 1))
        return cls(config, sources, device)

    def describe(self) -> str:
        return self.sources.describe()

    def warnings(self) -> Iterator[str]:
        yield from self.sources.warnings

    def listing_text(self) -> str:
        return self.sources.listing_text()

    def examples(self) -> dict[str, Tensor]:
        scene = self._scene("training", 0)
        return {self.config.words[0]: torch.from_numpy(scene.audio)}

    def prepare(self, network: nn.Module) -> None:
        self._ends_ms = step_ends_ms(network, self.config.features)
        make = _TrainingScenes(self.sources.of("training"), self.config, self._ends_ms)
        self._scenes = Ahead(make, self.config.trigger.workers)

    def training_batch(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        assert self._scenes is not None, "prepare comes first"
        sound, truth = self._scenes.get(step)
        audio = torch.from_numpy(sound).to(self.device).float().div_(32768)
        is_silence = torch.zeros(len(audio), dtype=torch.bool, device=self.device)
        audio = self.augmenter.augment(audio, is_silence, None, generator)
        return audio, torch.from_numpy(truth).to(self.device).long()

    def guided_batch(self, step: int) -> None:
        """None: there are no targets by a teacher for this task."""

    def after_step(self, network: Callable[[], nn.Module], front_end: nn.Module, step: int) -> Iterator[Event]:
        yield from ()

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing changes during training."""

    def evaluate(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> SceneEvaluation:
        return self._measure(network, front_end, name, step)

    def finish(self, network: nn.Module, front_end: nn.Module, step: int) -> tuple[dict[str, Any], SceneEvaluation]:
        metrics: dict[str, Any] = {}
        for name in ("validation", "testing"):
            scenes, tracks = self.scenes(name), self._tracks(network, front_end, name)
            metrics[name] = measure_scenes(scenes, tracks, self.config).to_json() if scenes else {"n": 0}
        return metrics, self.evaluate(network, front_end, "testing", step)

    def close(self) -> None:
        if self._scenes is not None:
            self._scenes.close()

    def scenes(self, name: str) -> list[Scene]:
        """The scenes of a set that is evaluated: always the same."""
        if name not in self._made:
            self._made[name] = make_scenes(self.sources, self.config, name)
        return self._made[name]

    def _scene(self, name: str, number: int) -> Scene:
        config = self.config
        seeds = (config.data.seed, SET_NUMBERS[name], number)
        return scene_at(self.sources.of(name), config.features.clip_samples, seeds, config.trigger, config.words[0])

    def _measure(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> SceneEvaluation:
        scenes, tracks = self.scenes(name), self._tracks(network, front_end, name)
        truth = [right_steps(scene, self.config, self._ends_ms) for scene in scenes]
        bench = bench_of_scenes(scenes, tracks, self.config)
        curve = total_curve(make_curves(bench, list(sweep(bench, TRIGGER_DECODER, _LOOKS)), _LOOKS))
        answers = np.concatenate([np.zeros((0, 2)), *(track.posteriors.astype(np.float64) for track in tracks)])
        right = np.concatenate([np.zeros(0, np.int8), *truth])
        chosen = np.maximum(answers[np.arange(len(right)), right], 1e-30)
        return SceneEvaluation(
            step=step,
            set=name,
            accuracy=float((answers.argmax(axis=1) == right).mean()) if len(right) else 0.0,
            accuracy_of_zeros=float((right == 0).mean()) if len(right) else 0.0,
            cross_entropy=float(-np.log(chosen).mean()) if len(right) else 0.0,
            n=sum(bench.n_spoken.values()),
            hours=bench.hours,
            points=operating_points(curve),
        )

    def _tracks(self, network: nn.Module, front_end: nn.Module, name: str) -> list[PosteriorTrack]:
        """The posteriors of each scene of a set."""
        rows = predict_scenes(network, front_end, [scene.audio for scene in self.scenes(name)], self.device)
        return [PosteriorTrack(self._ends_ms, posteriors, np.ones(len(posteriors), bool)) for posteriors in rows]


def step_ends_ms(network: nn.Module, features: FeatureConfig) -> NDArray[np.float64]:
    """The end of each step of the network within a scene, in milliseconds: float64 [steps]."""
    assert isinstance(network, StepNetwork)
    last: NDArray[np.int64] = network.step_ends(features.n_frames).numpy()
    return (last * features.hop_samples + features.window_samples) * 1000 / features.sample_rate


def predict_scenes(
    network: nn.Module, front_end: nn.Module, scenes: Sequence[NDArray[np.float32]], device: torch.device
) -> list[NDArray[np.float32]]:
    """The posteriors of each scene, float32 [steps, 2]; dropout is off."""
    network.eval()
    rows: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, len(scenes), _SCENES_AT_ONCE):
            audio = np.stack(scenes[start : start + _SCENES_AT_ONCE])
            logits = network(front_end(torch.from_numpy(audio).to(device)))
            rows += list(torch.softmax(logits.float(), dim=-1).cpu().numpy())
    return rows


@dataclass(frozen=True)
class _TrainingScenes:
    """The scenes of a training step and their targets: int16 [batch, samples], int8 [batch, steps]."""

    material: TriggerMaterial
    config: RunConfig
    ends_ms: NDArray[np.float64]

    def __call__(self, step: int) -> tuple[NDArray[np.int16], Truth]:
        config = self.config
        scenes = [
            scene_at(
                self.material,
                config.features.clip_samples,
                (config.training.seed, SET_NUMBERS["training"], step, number),
                config.trigger,
                config.words[0],
            )
            for number in range(config.training.batch_size)
        ]
        truth = [right_steps(scene, config, self.ends_ms) for scene in scenes]
        return np.stack([to_int16(scene.audio) for scene in scenes]), np.stack(truth)
