"""The steps of a training run: read the recordings, make a trainer, and train to the end.

`wordspot.train` and `wordspot.resume` are these steps with a configuration made from plain arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wordspot.config import RunConfig
from wordspot.files import check_out, prepare_out
from wordspot.progress import TRAINING, OnProgress, Progress
from wordspot.torchrun import rank
from wordspot.training.checkpoint import Checkpoint
from wordspot.training.device import resolve_device
from wordspot.training.parallel import join, leave
from wordspot.training.tasks import load_task
from wordspot.training.trainer import Record, StepRecord, Trainer

_HINT = "`resume` the run in it, or set `force` to begin anew"

OnNote = Callable[[str], None]
OnRecord = Callable[[Record], None]


def ignore(_: Any) -> None:
    """The callback of callers that do not watch."""


def never() -> bool:
    """The `stop` of callers that do not stop a run."""
    return False


def begin_run(
    config: RunConfig,
    data: Path,
    out: Path,
    *,
    speech: Path | None = None,
    init: Checkpoint | None = None,
    device: str = "auto",
    force: bool = False,
    progress: OnProgress = ignore,
    on_note: OnNote = ignore,
) -> Trainer:
    """A trainer at the first step of a new run.

    Args:
        config: of the run.
        data: the folder of recordings, or a manifest.
        out: the folder of the run, new or empty.
        speech: a folder of sentences, see `data.speech`.
        init: the weights that training starts from.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: begin in a folder that holds another run, which is removed.
        progress: called while recordings are decoded.
        on_note: called with a line for each recording that is left out.

    Raises:
        ConfigError: `out` holds files and `force` is off, or settings do not fit together.
        NotFoundError, DataError: the recordings are missing, or do not suffice for training.
        CheckpointError: `init` is of another network or front end.
    """
    if rank() == 0:
        check_out(out, force=force, hint=_HINT)
    trainer = _make_trainer(config, data, speech, out, device, progress, on_note)
    if trainer.group.is_main:
        prepare_out(out, force=force, hint=_HINT)
    trainer.start(init)
    return trainer


def continue_run(
    config: RunConfig,
    data: Path,
    out: Path,
    *,
    checkpoint: int | None = None,
    speech: Path | None = None,
    device: str = "auto",
    progress: OnProgress = ignore,
    on_note: OnNote = ignore,
) -> Trainer:
    """A trainer at the step where the run in `out` was interrupted, or at that of a `checkpoint`.

    Args:
        config: of the run, see `recipes.resumed_config`.
        data: the recordings that the run was begun with.
        out: the folder of the run.
        checkpoint: a step; later checkpoints and log lines are removed. None: the newest one.
        speech: the sentences that the run was begun with.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called while recordings are decoded.
        on_note: called with a line for each recording that is left out, and with the step.

    Raises:
        NotFoundError: there is no such checkpoint.
        CheckpointError: it belongs to another model or run.
        DataError: the recordings have changed since the run began.
    """
    trainer = _make_trainer(config, data, speech, out, device, progress, on_note)
    trainer.resume(checkpoint)
    if not trainer.group.is_main:
        return trainer
    total = config.training.total_steps
    on_note(f"resuming at step {trainer.step} of {total}" + ("" if trainer.step < total else "; more steps lengthen the run"))
    return trainer


def train_to_end(
    trainer: Trainer,
    *,
    stop: Callable[[], bool] = never,
    on_record: OnRecord = ignore,
    on_note: OnNote = ignore,
    progress: OnProgress = ignore,
) -> None:
    """Train to the last step, and evaluate the best network on the testing set.

    Args:
        trainer: as `begin_run` or `continue_run` give it.
        stop: called after every step; if it returns True, a checkpoint is saved and KeyboardInterrupt raised.
        on_record: called with the record of each step and evaluation.
        on_note: called with a line about the run, and with one for each warning about its recordings.
        progress: called with each step, in the stage `TRAINING`.
    """
    if not trainer.group.is_main:
        on_record = on_note = progress = ignore
    on_note(trainer.describe())
    for line in trainer.task.warnings():
        on_note(line)
    total = trainer.config.training.total_steps
    progress(Progress(TRAINING, trainer.step, total))
    speed = _Speed(trainer)
    for record in trainer.train(stop):
        on_record(record)
        if isinstance(record, StepRecord):
            progress(Progress(TRAINING, record.step, total, speed.text()))
        else:
            speed = _Speed(trainer)
    leave()


class _Speed:
    """How fast training is, without evaluations."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._began, self._step = trainer, time.monotonic(), trainer.step

    def text(self) -> str:
        rate = (self._trainer.step - self._step) * self._trainer.batch_seconds / max(time.monotonic() - self._began, 1e-9)
        return f"{rate:.0f} s of sound a second"


def _make_trainer(
    config: RunConfig, data: Path, speech: Path | None, out: Path, device: str, progress: OnProgress, on_note: OnNote
) -> Trainer:
    where = resolve_device(device)
    group = join(where, config.training.batch_size)
    if not group.is_main:
        progress = on_note = ignore
        group.any(False)  # until process 0 has decoded the recordings, which it keeps
    task = load_task(config, data, where, progress, on_note, speech)
    if group.is_main:
        group.any(False)
    return Trainer(config, task, out, where, group=group)
