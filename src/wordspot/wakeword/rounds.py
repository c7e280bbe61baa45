"""Train in rounds: each round after the first also learns what the model of the round before fell for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.config import DataConfig, FeatureConfig
from wordspot.data.cache import DecodedClips, decode_folder
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import list_recordings
from wordspot.data.speech import load_speech
from wordspot.errors import TrainingError
from wordspot.formats import duration
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress
from wordspot.run import Run, resume, train
from wordspot.wakeword.mining import mine, without_phrases
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.recordings import FALSE_ACCEPTS, MINED

#: Number of rounds → the part of the minutes for each.
SHARES = {1: (1.0,), 2: (0.5, 0.5), 3: (0.3, 0.3, 0.4)}
#: Changes of the network's recipe: more speech and other words than for ten words, because false accepts matter most.
RECIPE: dict[str, Any] = {
    "training.precision": "auto",
    "scenes.recent_ms": 400.0,
    "scenes.reading": 0.3,
    "scenes.phrases": 0.4,
    "scenes.whole_clips": 0.15,
    "data.unknown_weight": 10.0,
    "augment.warp": 0.12,
}
_LATER_RATE = 0.003  # learning rate after the first round
_PROBE_STEPS, _PROBE_SKIPPED = 8, 3
_FEWEST_STEPS = 20
_MOST_MINED = 400
_RATE = FeatureConfig.sample_rate


@dataclass(frozen=True)
class Callbacks:
    """The caller's callbacks while a round runs; see `wordspot.train`."""

    progress: OnProgress
    on_note: OnNote
    on_record: Callable[[Any], None]
    stop: Callable[[], bool]


def train_round(project: Project, request: Request, number: int, speech: Path | None, callbacks: Callbacks) -> Run:
    """Train round `number`, from 1 on. The first starts from the model in the package, the others from the round before."""
    out = project.run(number)
    common: dict[str, Any] = {
        "speech": speech, "progress": callbacks.progress, "on_note": callbacks.on_note, "on_record": callbacks.on_record,
        "stop": callbacks.stop,
    }  # fmt: skip
    begun = Run(out)
    if (out / "config.json").is_file() and begun.step:
        return resume(begun, project.recordings, **common)
    init = "default" if number == 1 else project.run(number - 1)
    seconds = 60 * request.minutes * SHARES[request.n_rounds][number - 1]
    steps = _steps_in(seconds, project, request, init, speech)
    callbacks.on_note(f"round {number} of {request.n_rounds}: {steps} steps, about {duration(seconds)}")
    settings: dict[str, Any] = {"training.evaluate_every": steps, "training.warmup_steps": min(100, steps // 5)}
    if number > 1:
        settings["training.learning_rates"] = (_LATER_RATE,)
    return _train(project, request, out, init, {**common, "steps": steps, "settings": settings})


def _train(project: Project, request: Request, out: Path, init: str | Path, more: Mapping[str, Any]) -> Run:
    """A new run with the network and the front end of `init`, and their recipe."""
    settings = {**RECIPE, **more["settings"]}
    return train(
        project.recordings, list(request.phrases), out=out, init=init, seed=request.seed, force=True,
        **{**more, "settings": settings},
    )  # fmt: skip


def _steps_in(seconds: float, project: Project, request: Request, init: str | Path, speech: Path | None) -> int:
    """The steps that this machine trains in `seconds`, from the time of a few."""
    times: list[float] = []
    probe = project.path / "probe"
    _train(
        project, request, probe, init,
        {
            "speech": speech, "steps": _PROBE_STEPS, "on_record": lambda _: times.append(time.monotonic()),
            "settings": {"training.evaluate_every": _PROBE_STEPS, "training.warmup_steps": 1},
        },
    )  # fmt: skip
    shutil.rmtree(probe, ignore_errors=True)
    if len(times) < _PROBE_STEPS:
        raise TrainingError("training ended before its speed was known; run the same command with --resume")
    seconds_a_step = (times[_PROBE_STEPS - 1] - times[_PROBE_SKIPPED - 1]) / (_PROBE_STEPS - _PROBE_SKIPPED)
    return max(int(seconds / max(seconds_a_step, 1e-6)), _FEWEST_STEPS)


def mine_round(project: Project, request: Request, number: int, speech: Path | None, run: Run, on_note: OnNote) -> None:
    """Add what the model of round `number` falls for to the recordings of the next."""
    exported = project.path / f"round-{number}.onnx"
    run.export(exported, force=True)
    n = mine(
        exported, _training_negatives(project, request, speech), _RATE, project.recordings / FALSE_ACCEPTS,
        f"{MINED}{number}", _MOST_MINED,
    )  # fmt: skip
    on_note(f"round {number}: {n} false accepts in the training negatives, to be learned as no word")


def _training_negatives(project: Project, request: Request, speech: Path | None) -> Iterator[NDArray[np.int16]]:
    decoded = decode_folder(list_recordings(project.recordings), _RATE, int(_RATE * CLIP_MS / 1000))
    yield from _clips_of_others(decoded, request)
    if speech is not None:
        yield from without_phrases(load_speech(speech, _RATE, DataConfig()), request.phrases)


def _clips_of_others(decoded: DecodedClips, request: Request) -> Iterator[NDArray[np.int16]]:
    """Each training clip of other words between a second of silence, so that what is before it does not matter."""
    wanted = {normalize_word(phrase) for phrase in request.phrases}
    sets = split_recordings(decoded.listing, DataConfig(), wanted).sets
    pause = np.zeros(_RATE, np.int16)
    for row, clip in enumerate(decoded.listing.clips):
        if sets[row] == "training" and clip.word not in wanted and clip.word != FALSE_ACCEPTS:
            yield np.concatenate([pause, decoded.clips[row], pause])
