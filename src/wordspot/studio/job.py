"""The progress of a training as a file, written by the worker and read by the server: it outlives both."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.data.decode import STAGE as DECODING
from wordspot.errors import WordspotError
from wordspot.evaluation.streams import SCORING, TRYING_THRESHOLDS
from wordspot.files import read_json, write_json
from wordspot.progress import CHECKING, SEARCHING, TRAINING, Progress
from wordspot.wakeword.making import EXPORTING, MIXING_TESTING, MIXING_VALIDATION
from wordspot.wakeword.measuring import DOUBTING, LISTENING
from wordspot.wakeword.recordings import MIXING, SEEKING
from wordspot.wakeword.speech import READING
from wordspot.wakeword.teacher import ENCODING
from wordspot.wakeword.training import PROBING

#: States of a training. `interrupted` is never written: a file that says `running` without a process means it.
RUNNING, STOPPED, FAILED, FINISHED, INTERRUPTED = "running", "stopped", "failed", "finished", "interrupted"
_FILE, _STOP, _LOG = "training.json", "training.stop", "training.log"
_BETWEEN_STEPS = (SEARCHING, CHECKING)  # training waits for these, and cannot be interrupted there
_EVERY_S = 0.5
_MOST_POINTS, _MOST_NOTES = 400, 50
#: How the page says the stages of `wordspot.new`; voices report the text that they say.
_SENTENCES = {
    SEEKING: "Looking for what sounds like the words",
    MIXING: "Mixing noise",
    READING: "Voices read sentences",
    ENCODING: "A large network listens to the clips",
    EXPORTING: "Writing the model’s file",
    MIXING_VALIDATION: "Mixing words and noise to choose thresholds on",
    SCORING.format("validation.wav"): "Listening to them with the new model",
    TRYING_THRESHOLDS: "Choosing thresholds",
    MIXING_TESTING: "Mixing other words and noise to measure on",
    LISTENING: "Listening to clips that were held out",
    DOUBTING: "Checking the recordings of people",
    SCORING.format("testing.wav"): "Measuring misses and false alarms",
}
#: Parts of the whole, roughly, for the bar: speaking, training, thresholds and measures.
_SPEAKING, _TRAINING = 0.2, 0.5


@dataclass(frozen=True)
class Job:
    """What is known about a project's latest training.

    Attributes:
        state: see above.
        stage: what is being done, as a sentence for the page.
        done, total: items of this stage; `total` is 0 if it is not known.
        fraction: of everything, roughly.
        trains: training has begun, or is over.
        curve: step, loss and accuracy of training batches.
        found: step, and held-out clips of the words that are detected, of how many, clips of other words that are taken for one,
            of how many.
        notes: what the library reported, oldest first.
        error: why it failed.
        version: the number of the model that came out; 0 for none.
        started, updated: seconds since 1970.
    """

    state: str = RUNNING
    stage: str = "Starting …"
    done: int = 0
    total: int = 0
    fraction: float = 0.0
    trains: bool = False
    curve: tuple[tuple[float, ...], ...] = ()
    found: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    version: int = 0
    started: float = 0.0
    updated: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def read_job(project: Path) -> Job | None:
    """The latest training of a project; None if there was none, or its file is damaged."""
    path = project / _FILE
    try:
        return Job(**read_json(path)) if path.is_file() else None
    except (WordspotError, TypeError):
        return None


def write_job(project: Path, job: Job) -> None:
    write_json(project / _FILE, job.to_json())


def log_path(project: Path) -> Path:
    """Where the worker's own output goes."""
    return project / _LOG


def ask_to_stop(project: Path, state: str) -> None:
    """Ask the worker to end and to leave this state behind: `STOPPED`, or `RUNNING`, which the next server goes on with."""
    (project / _STOP).write_text(state, encoding="utf-8")


def asked_to_stop(project: Path) -> str:
    """The state that the worker was asked to leave behind; empty if it was not asked to end."""
    path = project / _STOP
    return path.read_text(encoding="utf-8") or STOPPED if path.is_file() else ""


def forget_stop(project: Path) -> None:
    (project / _STOP).unlink(missing_ok=True)


class JobWriter:
    """Turns the callbacks of `wordspot.new` into the file."""

    def __init__(self, project: Path) -> None:
        self._project = project
        before = read_job(project)
        now = time.time()
        self.job = Job(started=before.started if before and before.state == RUNNING else now, updated=now)
        self._points: list[tuple[float, ...]] = []
        self._found: list[tuple[int, ...]] = []
        self._n_records, self._keep_every, self._written = 0, 1, 0.0
        if before and before.state == RUNNING:  # it goes on, unless its first step says otherwise
            self._points, self._found = [tuple(one) for one in before.curve], [tuple(one) for one in before.found]
        self.is_training = False
        self.write()

    def write(self, **changes: Any) -> None:
        """Change some fields and write the file now."""
        self.job = dataclasses.replace(
            self.job, **changes, curve=tuple(self._points), found=tuple(self._found), updated=time.time()
        )
        self._written = time.monotonic()
        write_job(self._project, self.job)

    def on_note(self, note: str) -> None:
        if not self.job.trains:
            self.job = dataclasses.replace(self.job, stage="Getting ready to train", done=0, total=0)
        self.write(notes=(*self.job.notes, note)[-_MOST_NOTES:])

    def on_progress(self, progress: Progress) -> None:
        if progress.stage not in _BETWEEN_STEPS:
            self.is_training = progress.stage == TRAINING and progress.done != progress.total
        if progress.stage in (TRAINING, EXPORTING):
            self.job = dataclasses.replace(self.job, trains=True)
        done, total = progress.done, progress.total or 0
        changes = {"stage": self._sentence(progress.stage), "done": done, "total": total, "fraction": self._fraction(progress)}
        if changes["stage"] != self.job.stage or time.monotonic() - self._written > _EVERY_S:
            self.write(**changes)

    def on_record(self, record: Any) -> None:
        """A step's loss and accuracy, or counts of held-out clips; of many steps, every second is dropped again and again."""
        if record.kind == "found":
            self._found.append((record.step, record.n_found, record.n_words, record.n_wrong, record.n_others))
        if record.kind != "step":
            return
        if not self._n_records:
            self._points = [one for one in self._points if one[0] < record.step]
            self._found = [one for one in self._found if one[0] < record.step]
        self._n_records += 1
        if self._n_records % self._keep_every == 0:
            self._points.append((record.step, round(record.loss, 4), round(record.accuracy, 4)))
        if len(self._points) >= _MOST_POINTS:
            self._points, self._keep_every = self._points[::2], 2 * self._keep_every

    def _sentence(self, stage: str) -> str:
        if stage in _SENTENCES:
            return _SENTENCES[stage]
        if not self.job.trains and stage not in (PROBING, DECODING):
            return f"Voices say “{stage}”"
        return stage[:1].upper() + stage[1:]

    def _fraction(self, progress: Progress) -> float:
        """How far everything is: what is known of the stage, and never less than before."""
        part = min(progress.done / progress.total, 1.0) if progress.total else 0.0
        if not self.job.trains:
            value = min(self.job.fraction + 0.002, _SPEAKING)
        elif progress.stage == TRAINING:
            value = _SPEAKING + _TRAINING * part
        elif progress.stage in _BETWEEN_STEPS:
            value = self.job.fraction
        else:
            value = min(self.job.fraction + 0.0005, 0.99)
        return max(value, self.job.fraction)
