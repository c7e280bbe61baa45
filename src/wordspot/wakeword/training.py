"""Train a wake word in one run that learns more and more from what it falls for."""

from __future__ import annotations

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
from wordspot.progress import OnNote, OnProgress
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
#: The note before the first step begins with this.
BEGINS = "training"
#: Steps that are trained again if training is killed.
_MOST_REPEATED = 100
_PROBE_STEPS, _PROBE_SKIPPED = 8, 3
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
        callbacks.on_note(f"{BEGINS}: goes on after step {begun.step}")
        return resume(begun, project.recordings, **common)
    seconds_a_step = _seconds_a_step(project, request, speech)
    most = MAX_STEPS if WAKE_WORD_PRESETS[request.preset] else _MOST_STEPS
    steps = min(max(int(60 * request.minutes / seconds_a_step), _FEWEST_STEPS), most)
    callbacks.on_note(f"{BEGINS}: {steps} steps, about {duration(max(steps * seconds_a_step, 1.0))}")
    searches = tuple(dict.fromkeys(max(round(share * steps), 1) for share in SEARCHES))
    tenth = max(steps // N_COUNTS, 1)
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


def _seconds_a_step(project: Project, request: Request, speech: Path | None) -> float:
    """How long a step takes on this machine, from the time of a few."""
    times: list[float] = []
    probe = project.path / "probe"
    settings = {"training.evaluate_every": _PROBE_STEPS, "training.warmup_steps": 1}
    more = {"speech": speech, "steps": _PROBE_STEPS, "on_record": lambda _: times.append(time.monotonic())}
    _train(project, request, probe, settings, more)
    shutil.rmtree(probe, ignore_errors=True)
    if len(times) < _PROBE_STEPS:
        raise TrainingError("training ended before its speed was known; run the same command with --resume")
    return max((times[_PROBE_STEPS - 1] - times[_PROBE_SKIPPED - 1]) / (_PROBE_STEPS - _PROBE_SKIPPED), 1e-6)
