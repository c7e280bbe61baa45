"""Train a wake word: runs that learn more and more from what they fall for, whose weights are averaged.

One run finds many more or far fewer people than another with a different seed. The average of a few is steadier, and about as
good as the best of them: see dev/LOG.md, 2026-12-02.
"""

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
from wordspot.errors import ConfigError, TrainingError
from wordspot.files import read_json, write_json
from wordspot.formats import duration
from wordspot.presets import WAKE_WORD_PRESETS
from wordspot.progress import SEARCHING, TRAINING, OnNote, OnProgress, Progress
from wordspot.run import Run, average_runs, beginning_of, resume, train
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
#: What changes where the teacher's targets are learned: they keep the network from learning the voices by heart.
GUIDED: dict[str, Any] = {"training.guidance": 0.5, "training.body_rate": 0.4}
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
_MOST_STEPS, _MOST_GUIDED = 600, 1100
#: Runs of so many steps that are averaged, if the minutes suffice; and by how much their seeds differ.
_MOST_RUNS, _SEEDS_APART, _SEEDS = 3, 1000, 2**31


@dataclass(frozen=True)
class Callbacks:
    """The caller's callbacks while training runs; see `wordspot.train`."""

    progress: OnProgress
    on_note: OnNote
    on_record: Callable[[Any], None]
    stop: Callable[[], bool]


def train_wake_word(project: Project, request: Request, speech: Path | None, callbacks: Callbacks) -> Run:
    """Train for the minutes of the request, or go on where training was interrupted."""
    run = Run(project.run)
    if (project.run / "config.json").is_file() and run.step >= run.config.training.total_steps:  # it is written last
        return run
    plan = _plan(project, request, speech, callbacks)
    members = [Run(project.members / str(number)) for number in range(1, plan.n_runs + 1)]
    for number, member in enumerate(members):
        _train_member(project, request, member, plan, number, speech, callbacks)
    return average_runs(members, project.run)


@dataclass(frozen=True)
class Plan:
    """Runs, each of so many steps, that are averaged."""

    n_runs: int
    n_steps: int

    @property
    def searches(self) -> tuple[int, ...]:
        """The steps at which a run searches the speech and the noise."""
        return tuple(dict.fromkeys(max(round(share * self.n_steps), 1) for share in SEARCHES))


def _plan(project: Project, request: Request, speech: Path | None, callbacks: Callbacks) -> Plan:
    """What training was begun with; or as many steps as the minutes allow, and then as many runs."""
    if project.plan.is_file():
        return _read_plan(project.plan)
    speed = measure_speed(project, request, speech, callbacks.progress)
    most = _MOST_GUIDED if request.taught else _MOST_STEPS
    plan = choose_plan(speed, 60 * request.minutes, most if not WAKE_WORD_PRESETS[request.preset] else None)
    callbacks.on_note(speed.announce(plan))
    project.plan.parent.mkdir(exist_ok=True)
    write_json(project.plan, dataclasses.asdict(plan))
    return plan


def _read_plan(path: Path) -> Plan:
    value = read_json(path)
    try:
        return Plan(int(value["n_runs"]), int(value["n_steps"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({type(error).__name__}: {error}); begin anew with `force`") from error


def choose_plan(speed: Speed, seconds: float, most_useful: int | None) -> Plan:
    """As many steps as `seconds` allow; from the body, as many runs of the most useful number of steps.

    Args:
        speed: of training.
        seconds: for all runs together.
        most_useful: steps from the body; None: from random weights, where runs would differ too much to be averaged.
    """
    n_steps = min(max(int(seconds / speed.seconds_a_step), _FEWEST_STEPS), most_useful or MAX_STEPS)
    n_runs = int(seconds / speed.seconds_of(Plan(1, n_steps))) if most_useful else 1
    return Plan(min(max(n_runs, 1), _MOST_RUNS), n_steps)


def _train_member(
    project: Project, request: Request, member: Run, plan: Plan, number: int, speech: Path | None, callbacks: Callbacks
) -> None:
    """Train one of the runs, or go on with it, unless it is finished."""
    done, total = number * plan.n_steps, plan.n_runs * plan.n_steps
    if member.step == plan.n_steps:
        return
    common: dict[str, Any] = {
        "speech": speech, "on_note": callbacks.on_note, "stop": callbacks.stop,
        "progress": _of_all(callbacks.progress, done, total),
        "on_record": _useful(lambda record: callbacks.on_record(dataclasses.replace(record, step=record.step + done))),
    }  # fmt: skip
    if member.step:
        resume(member, project.recordings, **common)
        return
    first = Run(project.members / "1")
    start = "body" if member == first else beginning_of(first, project.members / "start")
    tenth = max(plan.n_steps // N_COUNTS, 1)
    settings = {
        "training.evaluate_every": plan.n_steps, "training.found_every": tenth, "training.save_every": min(tenth, _MOST_REPEATED),
        "training.warmup_steps": min(100, plan.n_steps // 5), "scenes.seek_at": plan.searches,
    }  # fmt: skip
    seed = (request.seed + number * _SEEDS_APART) % _SEEDS
    more = {**common, "steps": plan.n_steps, "seed": seed, "init": start}
    _train(project, request, member.path, settings, more)


def _of_all(progress: OnProgress, done: int, total: int) -> OnProgress:
    """Shows the steps of a run as part of all steps, of which `done` came before it."""

    def show(one: Progress) -> None:
        progress(dataclasses.replace(one, done=done + one.done, total=total) if one.stage == TRAINING else one)

    return show


def _useful(on_record: Callable[[Any], None]) -> Callable[[Any], None]:
    """`on_record` without evaluations on clips, which say little about this recipe; see `wordspot.training.scenes.found`."""
    return lambda record: None if record.kind == "evaluation" else on_record(record)


def _train(project: Project, request: Request, out: Path, settings: Mapping[str, Any], more: Mapping[str, Any]) -> Run:
    """A new run from the body in the package or another `init`; with the network of the preset from random weights."""
    own = WAKE_WORD_PRESETS[request.preset]
    arguments = {"init": "body", **more, **({"init": "none"} if own else {})}
    guided = GUIDED if request.taught else {}
    recipe = {**RECIPE, **guided, **_network(own), **settings}
    return train(project.recordings, list(request.phrases), out=out, force=True, settings=recipe, **arguments)


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

    def seconds_of(self, plan: Plan) -> float:
        """How long everything up to the last step takes."""
        return plan.n_runs * (plan.n_steps * self.seconds_a_step + len(plan.searches) * self.seconds_a_search)

    def announce(self, plan: Plan) -> str:
        """The note before the first step."""
        runs = f", {plan.n_runs} times with different seeds and then averaged" if plan.n_runs > 1 else ""
        return (
            f"training: {plan.n_steps} steps and {len(plan.searches)} searches of the speech and noise{runs}, about "
            f"{duration(max(self.seconds_of(plan), 1.0))}"
        )


def measure_speed(project: Project, request: Request, speech: Path | None, progress: OnProgress) -> Speed:
    """Time a few steps, and a part of a search.

    Raises:
        TrainingError: training ended before its speed was known.
    """
    probe, folder = _Probe(progress), project.path / "probe"
    settings = {"training.evaluate_every": _PROBE_STEPS, "training.warmup_steps": 1, "scenes.seek_at": (_PROBE_STEPS,)}
    more = {"speech": speech, "steps": _PROBE_STEPS, "seed": request.seed, "progress": probe.on_progress}
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
