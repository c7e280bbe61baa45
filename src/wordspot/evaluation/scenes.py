"""Metrics of a trigger, a model that says when one word was spoken: on the scenes of a set, which are always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.config import DecoderConfig, RunConfig
from wordspot.data.scenes.trigger import label_track, scene_at
from wordspot.evaluation.bench import Bench, BenchMetrics, ScoredStream, measure_bench
from wordspot.evaluation.curves import make_curves, sweep
from wordspot.evaluation.judging import PosteriorTrack
from wordspot.metrics import Floats
from wordspot.presets import TIME_TOLERANCE_MS, TRIGGER_DECODER
from wordspot.seeds import SET_NUMBERS
from wordspot.tasks import labels_of_run

if TYPE_CHECKING:
    from wordspot.data.scenes.material import Scene
    from wordspot.data.trigger import TriggerData


@dataclass(frozen=True)
class SceneMetrics:
    """All metrics of a trigger on a set of scenes.

    Attributes:
        accuracy: of single steps, which says little; None without scenes.
        accuracy_of_zeros: what a network that never fires would have.
        bench: misses, false accepts per hour, latency and curves.
    """

    accuracy: float | None
    accuracy_of_zeros: float | None
    bench: BenchMetrics

    def to_json(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "accuracy_of_zeros": self.accuracy_of_zeros, **self.bench.to_json(events=False)}


def make_scenes(sources: TriggerData, config: RunConfig, split: str) -> list[Scene]:
    """The scenes of the validation or testing set: the same at every evaluation; none if the set has no positives."""
    trigger, features = config.trigger, config.features
    minutes = trigger.validation_minutes if split == "validation" else trigger.testing_minutes
    count = round(minutes * 60_000 / features.clip_ms) if sources.has(split) else 0
    return [
        scene_at(
            sources.of(split), features.clip_samples, (config.data.seed, SET_NUMBERS[split], number), trigger, config.words[0]
        )
        for number in range(count)
    ]


def right_steps(scene: Scene, config: RunConfig, end_ms: Floats) -> NDArray[np.int8]:
    """The right prediction at each step: int8 [len(end_ms)], 1 just after the word, else 0."""
    return label_track(scene.words, config.words[0], len(end_ms), end_ms, config.trigger, scene_ms=config.features.clip_ms)


def bench_of_scenes(scenes: Sequence[Scene], tracks: Sequence[PosteriorTrack], config: RunConfig) -> Bench:
    """Scenes with a trigger's posteriors, as streams to decode."""
    streams = tuple(
        ScoredStream(track.posteriors.astype(np.float32, copy=False), track.time_ms, scene.words, config.features.clip_ms)
        for scene, track in zip(scenes, tracks, strict=True)
    )
    return Bench(streams, labels_of_run(config), 0.0, TIME_TOLERANCE_MS)


def measure_scenes(
    scenes: Sequence[Scene],
    tracks: Sequence[PosteriorTrack],
    config: RunConfig,
    decoder: DecoderConfig = TRIGGER_DECODER,
) -> SceneMetrics:
    """All metrics of a trigger.

    Args:
        scenes: of one set, from `make_scenes`.
        tracks: the model's posteriors in each, the word's in the last column.
        config: of the run.
        decoder: that turns the posteriors into detections.
    """
    bench = bench_of_scenes(scenes, tracks, config)
    right = [right_steps(scene, config, track.time_ms) for scene, track in zip(scenes, tracks, strict=True)]
    predicted = [track.posteriors.argmax(axis=1) for track in tracks]
    n = sum(len(steps) for steps in right)
    n_correct = sum(int((a == b).sum()) for a, b in zip(predicted, right, strict=True))
    n_zero = sum(int((steps == 0).sum()) for steps in right)
    curves = make_curves(bench, list(sweep(bench, decoder)))
    metrics = measure_bench(bench, decoder, curves)
    return SceneMetrics(n_correct / n if n else None, n_zero / n if n else None, metrics)
