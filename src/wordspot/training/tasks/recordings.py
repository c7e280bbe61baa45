"""The task `recordings`: classify recordings of any length. Networks train on windows; evaluation uses entire recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from wordspot.audio.noise import make_sounds
from wordspot.audio.samples import to_float32
from wordspot.config import SETS, RunConfig
from wordspot.data.manifest.load import ManifestData, RecordingSet, load_manifest
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.recordings import RecordingsMetrics, measure_recordings
from wordspot.metrics import det_curve, equal_error_rate
from wordspot.progress import OnProgress
from wordspot.runtime.windows import (
    combine,
    cut_windows,
    find_sound,
    power_of,
    stride_of,
    window_starts,
    with_sound,
)
from wordspot.seeds import step_seed
from wordspot.tasks import labels_of_run
from wordspot.training.augment import Augmenter
from wordspot.training.tasks import Event

_WINDOWS_AT_ONCE = 64
_FIT = 2  # purpose of random numbers: the last number of a batch's seed
_LEAST = 1e-30  # of a posterior whose logarithm is taken


@dataclass(frozen=True)
class RecordingEvaluation:
    """A set of recordings, evaluated.

    Attributes:
        eer: equal error rate of the first label against the others, 0 to 1; NaN if one side is missing.
    """

    step: int
    set: str
    eer: float
    accuracy: float
    cross_entropy: float
    n: int
    kind: str = "evaluation"

    @property
    def score(self) -> float:
        """The negative cross-entropy, since error rates of few recordings change in large steps."""
        return -self.cross_entropy

    def summary(self) -> str:
        if not self.n:
            return f"Step {self.step}: the {self.set} set is empty, so nothing is measured on it"
        error = "" if np.isnan(self.eer) else f"EER = {100 * self.eer:.1f}%, "
        return (
            f"Step {self.step}: {self.set.capitalize()} {error}accuracy = {100 * self.accuracy:.1f}% (N={self.n}), "
            f"cross-entropy {self.cross_entropy:.3f}"
        )


class RecordingsTask:
    """A `training.tasks.TrainingTask` on recordings of classes.

    Args:
        config: of the run.
        recordings: by set.
        device: where batches are made.
        noise_seconds: how much synthetic noise to generate.

    Raises:
        DataError: a class has no recordings for training.
        ConfigError: there are backgrounds, but the settings mix in no noise.
    """

    window_stride = 0

    def __init__(self, config: RunConfig, recordings: ManifestData, device: torch.device, noise_seconds: int = 300) -> None:
        self.config, self.recordings, self.device = config, recordings, device
        self.labels = labels_of_run(config)
        training = recordings.sets["training"]
        if missing := [label for place, label in enumerate(self.labels) if not (training.truth == place).any()]:
            raise DataError(
                f"no recordings of {', '.join(missing)} are left for training. Lower data.validation_percent and "
                "data.testing_percent, or give recordings of more speakers"
            )
        self.augmenter = Augmenter(config.augment, config.features)
        self._groups = _groups(training)
        whole = config.recordings.whole
        self._sounding = [] if whole else [_sounding(audio, *_sizes(config)[:2]) for audio in training.audio]
        self._by_length = np.argsort([len(audio) for audio in training.audio], kind="stable")
        self._noise = self._make_noise(noise_seconds)

    @classmethod
    def load(
        cls, config: RunConfig, data: Path, device: torch.device, progress: OnProgress, on_note: Callable[[str], None]
    ) -> Self:
        """The task with the recordings of `data`; see `training.tasks.load_task`."""
        recordings = load_manifest(
            data,
            config.words,
            config.data,
            config.recordings,
            config.features.sample_rate,
            progress,
            clip_ms=config.features.clip_ms,
        )
        for problem in recordings.problems:
            on_note(f"left out: {problem}")
        return cls(config, recordings, device)

    def describe(self) -> str:
        counts = ", ".join(f"{len(self.recordings.sets[name])} for {name}" for name in SETS)
        n_backgrounds = len(self.recordings.backgrounds)
        return f"recordings: {counts}" + (f", over {n_backgrounds} backgrounds" if n_backgrounds else "")

    def warnings(self) -> Iterator[str]:
        yield from self.recordings.warnings
        for name, recordings in self.recordings.sets.items():
            if not len(recordings):
                yield f"the {name} set is empty, so nothing is measured on it"

    def listing_text(self) -> str:
        return self.recordings.listing_text()

    def examples(self) -> dict[str, Tensor]:
        training = self.recordings.sets["training"]
        firsts = {label: int(np.argmax(training.truth == place)) for place, label in enumerate(self.labels)}
        return {label: torch.from_numpy(self._windows(training.audio[row])[0]) for label, row in firsts.items()}

    def prepare(self, network: nn.Module) -> None:
        """Check that the network can be fitted, if that is wanted.

        Raises:
            ConfigError: it cannot.
        """
        if not self.config.recordings.fit_windows:
            return
        if not hasattr(network, "fit"):
            raise ConfigError(
                f"recordings.fit_windows: the model {self.config.model.name} has no fit; use statistics, or set it to 0"
            )
        if self.config.training.average:
            raise ConfigError("recordings.fit_windows: the last layer is not averaged over steps; set training.average to 0")

    def training_batch(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Windows of recordings, each class and each generator within it equally often; or entire recordings at random."""
        rng = np.random.default_rng([self.config.training.seed, step])
        training, size = self.recordings.sets["training"], self.config.training.batch_size
        if self.config.recordings.whole:
            rows = self._draw_of_like_length(size, rng)
            audio = np.concatenate([self._windows(training.audio[row]) for row in rows])
        else:
            rows = [self._draw(place % len(self.labels), rng) for place in range(size)]
            audio = np.stack([self._draw_window(row, rng) for row in rows])
        sound = torch.from_numpy(audio).to(self.device)
        sound, _ = self.augmenter.change_speed(sound, generator)
        is_silence = torch.zeros(size, dtype=torch.bool, device=self.device)
        sound = self.augmenter.augment(sound, is_silence, self._draw_noise(size, generator), generator)
        return sound, torch.from_numpy(training.truth[rows]).to(self.device)

    def guided_batch(self, step: int) -> None:
        """None: there are no targets by a teacher for this task."""

    def after_step(self, network: Callable[[], nn.Module], front_end: nn.Module, step: int) -> Iterator[Event]:
        """After the last step, fit the last layer, if that is wanted."""
        if self.config.recordings.fit_windows and step == self.config.training.total_steps:
            self._fit(network(), front_end, step)
        yield from ()

    @torch.no_grad()
    def _fit(self, network: nn.Module, front_end: nn.Module, step: int) -> None:
        """Fit the last layer on windows drawn and augmented as those of the steps, which they follow."""
        network.eval()
        described, labels = [], []
        n_batches = -(-self.config.recordings.fit_windows // self.config.training.batch_size)
        for batch in range(1, n_batches + 1):
            seed = step_seed(self.config.training.seed, step + batch, _FIT)
            generator = Generator(device=self.device).manual_seed(seed)
            audio, truth = self.training_batch(step + batch, generator)
            described.append(network.describe(self.augmenter.features(front_end, audio, generator)))  # type: ignore[operator]
            labels.append(truth)
        network.fit(torch.cat(described), torch.cat(labels), self.config.recordings.ridge)  # type: ignore[operator]

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing changes during training."""

    def evaluate(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> RecordingEvaluation:
        return self.evaluate_posteriors(name, step, self.judge(network, front_end, name))

    def finish(self, network: nn.Module, front_end: nn.Module, step: int) -> tuple[dict[str, Any], RecordingEvaluation]:
        figures: dict[str, Any] = {}
        for name in ("validation", "testing"):
            posteriors = self.judge(network, front_end, name)
            recordings = self.recordings.sets[name]
            figures[name] = measure_set(recordings, posteriors).to_json() if len(recordings.truth) else {"n": 0}
        return figures, self.evaluate_posteriors("testing", step, posteriors)

    def close(self) -> None:
        """Nothing to release."""

    def judge(self, network: nn.Module, front_end: nn.Module, name: str) -> NDArray[np.float64]:
        """Posteriors float64 [n, labels] of the recordings of a set, in its order."""
        return judge(network, front_end, self.config, self.recordings.sets[name].audio, self.device)

    def evaluate_posteriors(self, name: str, step: int, posteriors: NDArray[np.float64]) -> RecordingEvaluation:
        """Evaluate posteriors float64 [n, labels] of the recordings of a set."""
        truth = self.recordings.sets[name].truth
        n = len(truth)
        likelihood = np.maximum(posteriors[np.arange(n), truth], _LEAST)
        return RecordingEvaluation(
            step=step,
            set=name,
            eer=equal_error_rate(det_curve(posteriors[:, 0], truth == 0)) if n else float("nan"),
            accuracy=float((posteriors.argmax(axis=1) == truth).mean()) if n else 0.0,
            cross_entropy=float(-np.log(likelihood).mean()) if n else 0.0,
            n=n,
        )

    def _windows(self, audio: NDArray[np.int16]) -> NDArray[np.float32]:
        return cut_windows(audio, *_sizes(self.config))

    def _draw(self, label: int, rng: np.random.Generator) -> int:
        """A random recording of this label, each of its generators equally likely."""
        groups = self._groups[label]
        group = groups[rng.integers(len(groups))]
        return int(group[rng.integers(len(group))])

    def _draw_window(self, row: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """A random window of a recording, from where it has sound."""
        audio = self.recordings.sets["training"].audio[row]
        clip, stride, _ = _sizes(self.config)
        sounding, loudest = self._sounding[row]
        if len(audio) <= clip or not len(sounding):
            result: NDArray[np.float32] = self._windows(audio[:clip])[0]
            return result
        begin = int(rng.choice(sounding))
        moved = begin + int(rng.integers(-(stride // 2), stride // 2 + 1))
        window = _window_at(audio, moved, clip)
        is_heard = with_sound(np.append(power_of(window[None]), loudest))[0]  # it may have moved into silence
        return window if is_heard else _window_at(audio, begin, clip)

    def _draw_of_like_length(self, size: int, rng: np.random.Generator) -> list[int]:
        """`size` random recordings of similar lengths, so that batches contain little padding."""
        order = self._by_length
        reach = min(2 * size, len(order))
        first = min(max(int(rng.integers(len(order))) - reach // 2, 0), len(order) - reach)
        return [int(order[first + place]) for place in rng.choice(reach, size, replace=size > reach)]

    def _make_noise(self, seconds: int) -> list[tuple[float, Tensor]]:
        """The synthetic and the recorded noise: for each its share of the clips, and int16 [samples]."""
        augment, features = self.config.augment, self.config.features
        if augment.background_frequency == 0 or (augment.background_volume == 0 and not augment.snr_db):
            if self.recordings.backgrounds:
                raise ConfigError(
                    "this run mixes in no noise, so it needs no `backgrounds`; leave them out, or set "
                    "augment.background_frequency=0.8 and augment.snr_db=0,30"
                )
            return []
        noise = []
        made_share = augment.made_noise if self.recordings.backgrounds else 1.0
        if made_share > 0:
            n_samples = max(seconds * features.sample_rate, 2 * features.clip_samples)
            made = _made_sounds(n_samples, features.sample_rate, self.config.data.seed)
            noise.append((made_share, torch.from_numpy(made)))
        if self.recordings.backgrounds:
            recorded = np.concatenate([one.samples for one in self.recordings.backgrounds])
            recorded = np.resize(recorded, max(len(recorded), 2 * features.clip_samples))
            noise.append((1 - made_share, torch.from_numpy(recorded)))
        return noise

    def _draw_noise(self, count: int, generator: Generator) -> Tensor | None:
        """A random piece of noise for each clip: float32 [count, clip_samples]."""
        if not self._noise:
            return None
        clip = self.config.features.clip_samples
        places = torch.rand(count, generator=generator, device=self.device, dtype=torch.float64).cpu()
        if len(self._noise) == 1:
            which = torch.zeros(count, dtype=torch.long)
        else:
            which = (torch.rand(count, generator=generator, device=self.device) >= self._noise[0][0]).long().cpu()
        drawn = torch.empty(count, clip, dtype=torch.int16)
        for number, (_, sounds) in enumerate(self._noise):
            starts = (places[which == number] * (len(sounds) - clip + 1)).long()
            drawn[which == number] = sounds.unfold(0, clip, 1)[starts]
        return drawn.to(self.device).float().div_(32768)


@lru_cache(maxsize=2)
def _made_sounds(n_samples: int, sample_rate: int, seed: int) -> NDArray[np.int16]:
    """`make_sounds`, cached for consecutive runs."""
    return make_sounds(n_samples, sample_rate, np.random.default_rng([seed, 1]))


def judge(
    network: nn.Module,
    front_end: nn.Module,
    config: RunConfig,
    audio: Sequence[NDArray[np.int16]],
    device: torch.device,
) -> NDArray[np.float64]:
    """The posteriors of recordings, each from its windows: int16 [samples] each → float64 [n, labels]."""
    network.eval()
    rows = [np.zeros((0, len(labels_of_run(config))))]
    with torch.inference_mode():
        for samples in audio:
            windows = cut_windows(samples, *_sizes(config))
            posteriors = []
            for start in range(0, len(windows), _WINDOWS_AT_ONCE):
                part = torch.from_numpy(windows[start : start + _WINDOWS_AT_ONCE].copy()).to(device)
                posteriors.append(torch.softmax(network(front_end(part)).double(), dim=1).cpu().numpy())
            rows.append(combine(np.concatenate(posteriors), find_sound(windows))[None])
    return np.concatenate(rows)


def measure_set(recordings: RecordingSet, posteriors: NDArray[np.float64]) -> RecordingsMetrics:
    """All metrics of a set, from its posteriors."""
    return measure_recordings(
        recordings.labels,
        recordings.truth,
        posteriors,
        [row.speaker for row in recordings.rows],
        [row.generator for row in recordings.rows],
    )


def _sizes(config: RunConfig) -> tuple[int, int, bool]:
    """The samples of a window and of a stride, and whether a recording is one window."""
    features, recordings = config.features, config.recordings
    stride = stride_of(recordings.stride_ms, features.sample_rate, features.clip_samples)
    return features.clip_samples, stride, recordings.whole


def _sounding(audio: NDArray[np.int16], clip: int, stride: int) -> tuple[NDArray[np.int64], float]:
    """Where the windows of a recording that have sound begin, and the mean square of its loudest window."""
    starts = window_starts(len(audio), clip, stride)
    power = np.array([power_of(_window_at(audio, int(start), clip)[None])[0] for start in starts])
    return starts[with_sound(power)], float(power.max())


def _window_at(audio: NDArray[np.int16], start: int, clip: int) -> NDArray[np.float32]:
    """The window from `start`, or as near to it as the recording allows: float32, at most `clip` samples."""
    start = max(min(start, len(audio) - clip), 0)
    return to_float32(audio[start : start + clip])


def _groups(training: RecordingSet) -> list[list[NDArray[np.int64]]]:
    """For each label, the rows of each of its generators: int64 [n] each."""
    groups = []
    for place in range(len(training.labels)):
        rows = np.flatnonzero(training.truth == place)
        generators = np.array([training.rows[row].generator or "" for row in rows])
        groups.append([rows[generators == name] for name in np.unique(generators)])
    return groups
