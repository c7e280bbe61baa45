"""Train a wake word in one run that learns more and more from what it falls for."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.config import MAX_STEPS
from wordspot.errors import TrainingError
from wordspot.formats import duration
from wordspot.presets import WAKE_WORD_PRESETS
from wordspot.progress import SEARCHING, TRAINING, OnNote, OnProgress, Progress
from wordspot.run import Run, resume, train
from wordspot.wakeword.project import CLIP_MS, Project, Request

#: Changes of the network's recipe: more speech and other words than for ten words, because false accepts matter most.
RECIPE: dict[str, Any] = {
    "training.precision": "auto",
    "training.body_rate": 0.15,
    "scenes.recent_ms": 400.0,
    "scenes.reading": 0.3,
    "scenes.phrases": 0.4,
    "scenes.whole_clips": 0.15,
    "scenes.hard": 0.4,
    "data.unknown_weight": 10.0,
    "augment.warp": 0.12,
    "augment.speed": 0.25,
}
#: When speech and noise are searched for what the network falls for, as parts of all steps.
SEARCHES = (0.35, 0.6, 0.8)
#: How often held-out clips are counted in which the phrases are detected; each time takes as long as a few steps.
N_COUNTS = 10
#: Steps that are trained again if training is killed.
_MOST_REPEATED = 100
#: The stage of the progress of a probe.
PROBING = "measuring how fast training is"
_PROBE_STEPS, _PROBE_SKIPPED = 8, 3
_PROBE_PIECES = 16  # of a search, after the first ones
_FEWEST_STEPS = 20
#: From the body: more steps learn the voices by heart, and people are found less often.
_MOST_STEPS = 600


@dataclass(frozen=True)
class Callbacks:
    """The caller's callbacks while training runs; see `wordspot.train`."""

    progress: OnProgress
    on_note: OnNote
    on_record: Callable[[Any], None]
    stop: Callable[[], bool]


def train_wake_word(project: Project, request: Request, speech: Path | None, callbacks: Callbacks) -> Run:
    """Train for the minutes of the request, or go on where training was interrupted."""
    common: dict[str, Any] = {
        "speech": speech, "progress": callbacks.progress, "on_note": callbacks.on_note, "on_record": _useful(callbacks.on_record),
        "stop": callbacks.stop,
    }  # fmt: skip
    begun = Run(project.run)
    if (project.run / "config.json").is_file() and begun.step:
        return resume(begun, project.recordings, **common)
    speed = measure_speed(project, request, speech, callbacks.progress)
    most = MAX_STEPS if WAKE_WORD_PRESETS[request.preset] else _MOST_STEPS
    steps = min(max(int(60 * request.minutes / speed.seconds_a_step), _FEWEST_STEPS), most)
    searches = tuple(dict.fromkeys(max(round(share * steps), 1) for share in SEARCHES))
    tenth = max(steps // N_COUNTS, 1)
    callbacks.on_note(speed.announce(steps, len(searches)))
    settings = {
        "training.evaluate_every": steps, "training.found_every": tenth, "training.save_every": min(tenth, _MOST_REPEATED),
        "training.warmup_steps": min(100, steps // 5), "scenes.seek_at": searches,
    }  # fmt: skip
    return _train(project, request, project.run, settings, {**common, "steps": steps})


def _useful(on_record: Callable[[Any], None]) -> Callable[[Any], None]:
    """`on_record` without evaluations on clips, which say little about this recipe; see `wordspot.training.scenes.found`."""
    return lambda record: None if record.kind == "evaluation" else on_record(record)


def _train(project: Project, request: Request, out: Path, settings: Mapping[str, Any], more: Mapping[str, Any]) -> Run:
    """A new run from the body in the package, or with the network of the preset from random weights."""
    own = WAKE_WORD_PRESETS[request.preset]
    return train(
        project.recordings, list(request.phrases), out=out, init="none" if own else "body", seed=request.seed, force=True,
        settings={**RECIPE, **_network(own), **settings}, **more,
    )  # fmt: skip


def _network(own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset's network, if it has its own, which knows nothing at first."""
    return {**own, "features.clip_ms": CLIP_MS, "training.body_rate": 1.0} if own else {}


@dataclass(frozen=True)
class Speed:
    """How fast training is on this machine.

    Attributes:
        seconds_a_step: of one training step.
        seconds_a_search: of one search of all speech and noise.
    """

    seconds_a_step: float
    seconds_a_search: float

    def announce(self, steps: int, n_searches: int) -> str:
        """The note before the first step, with the time that everything up to the last one takes."""
        seconds = max(steps * self.seconds_a_step + n_searches * self.seconds_a_search, 1.0)
        return f"training: {steps} steps and {n_searches} searches of the speech and noise, about {duration(seconds)}"


def measure_speed(project: Project, request: Request, speech: Path | None, progress: OnProgress) -> Speed:
    """Time a few steps, and a part of a search.

    Raises:
        TrainingError: training ended before its speed was known.
    """
    probe, folder = _Probe(progress), project.path / "probe"
    settings = {"training.evaluate_every": _PROBE_STEPS, "training.warmup_steps": 1, "scenes.seek_at": (_PROBE_STEPS,)}
    more = {"speech": speech, "steps": _PROBE_STEPS, "progress": probe.on_progress}
    try:
        with contextlib.suppress(_KnownError):
            _train(project, request, folder, settings, more)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return probe.speed()


class _KnownError(Exception):
    """Ends a probe, whose speed is known."""


class _Probe:
    """Times the steps and the pieces of a search of a training from its progress, and ends it when it has seen enough."""

    def __init__(self, progress: OnProgress) -> None:
        self._progress, self._n_pieces = progress, 0
        self._steps: list[float] = []  # when training began, and when each step ended
        self._pieces: list[tuple[float, int]] = []  # when a batch of pieces was searched, and how many are

    def on_progress(self, progress: Progress) -> None:
        """Take the time, and show what is being done."""
        now = time.monotonic()
        if progress.stage == TRAINING:
            self._steps.append(now)
            progress = dataclasses.replace(progress, stage=PROBING, speed="")
        elif progress.stage == SEARCHING:
            self._pieces.append((now, progress.done))
            self._n_pieces = progress.total or 0
            if progress.done - self._pieces[0][1] >= _PROBE_PIECES or progress.done == progress.total:
                raise _KnownError
            progress = Progress(PROBING, _PROBE_STEPS, _PROBE_STEPS)
        self._progress(progress)

    def speed(self) -> Speed:
        """What was measured; a search that ends with its first pieces takes no time to speak of."""
        if not self._pieces:
            raise TrainingError("training ended before its speed was known; run the same command with --resume")
        (begin, first), (end, last) = self._pieces[0], self._pieces[-1]
        steps = self._steps[_PROBE_SKIPPED:]  # a GPU reports its steps together, after the search
        seconds = (steps[-1] - steps[0]) / (len(steps) - 1) if len(steps) > 1 else (begin - self._steps[0]) / _PROBE_STEPS
        return Speed(max(seconds, 1e-6), self._n_pieces * (end - begin) / max(last - first, 1))
