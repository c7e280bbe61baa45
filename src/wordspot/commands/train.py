"""``wordspot train``."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.options import add_flags
from wordspot.commands.recordings_flags import add_recordings_flags
from wordspot.commands.trigger_flags import add_trigger_flags
from wordspot.tasks import TASKS

if TYPE_CHECKING:
    import torch

    from wordspot.config import RunConfig
    from wordspot.training.checkpoint import Checkpoint
    from wordspot.training.trainer import Evaluation, Task, Trainer

HELP = "train a model on a folder of recordings"
EXAMPLE = "wordspot train recordings --words yes,no,up,down --out runs/four"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DIR|CSV", type=Path,
        help="one folder of recordings per word; trigger: with positives, negatives and backgrounds in it; recordings: a "
        "list, path,label[,speaker,generator,split], or one folder per class",
    )  # fmt: skip
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="the folder of the run")
    parser.add_argument(
        "--task", choices=tuple(TASKS),
        help="words: which word a clip is; trigger: when one word is said; recordings: "
        "which class a recording of any length is of (default: words)",
    )  # fmt: skip
    parser.add_argument(
        "--init", metavar="RUN", type=Path,
        help="begin with this run's weights: the same network, its last layer perhaps for other words",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out was broken off")
    parser.add_argument(
        "--checkpoint", metavar="STEP", type=int, help="with --resume: go on from this one, and forget what came after"
    )
    parser.add_argument("--force", action="store_true", help="begin anew in an --out that holds a run")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add_flags(parser)
    add_trigger_flags(parser)
    add_recordings_flags(parser)


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.commands.options import build_config, check_resumed
    from wordspot.errors import ConfigError
    from wordspot.training.run_folder import RunFolder

    if args.checkpoint is not None and not args.resume:
        raise ConfigError("--checkpoint names where to resume; give --resume with it")
    if args.leave_one_generator_out:
        from wordspot.commands.leave_out import leave_one_out

        leave_one_out(args, lambda config, out: _train_part(config, args, out))
        return
    config = check_resumed(RunFolder(args.out).read_config(), args) if args.resume else build_config(args)
    if args.init and args.resume:
        raise ConfigError("--init begins a new run, --resume goes on with one; give one of them")
    init = RunFolder(args.init).load() if args.init else None
    trainer = make_trainer(config, args.data, args.out, args.device, resume=args.resume, force=args.force, init=init)
    if args.resume:
        trainer.resume(args.checkpoint)
        console.note(f"resuming at step {trainer.step} of {config.training.total_steps}")
    train(trainer)
    console.say(_next(config.task, args))


def _train_part(config: RunConfig, args: argparse.Namespace, out: Path) -> Trainer:
    """One of several runs, to its end."""
    trainer = make_trainer(config, args.data, out, args.device, resume=False, force=True)
    train(trainer, "what is in --out is not complete; begin anew with --force")
    return trainer


def _next(task: str, args: argparse.Namespace) -> str:
    if task == "trigger":
        return f"next: wordspot export {args.out} --out {args.out / 'trigger.onnx'}"
    if task == "recordings":
        return f"next: wordspot export {args.out} --out {args.out / 'recordings.onnx'}"
    return f"next: wordspot evaluate {args.out} {args.data} --report {args.out / 'report.html'}"


def make_trainer(
    config: RunConfig, data: Path, out: Path, device: str, *, resume: bool, force: bool, init: Checkpoint | None = None
) -> Trainer:
    """A trainer on the recordings of `data`; damaged ones are listed and left out.

    Args:
        init: begin with the weights of this checkpoint.
    """
    from wordspot.files import check_out, prepare_out
    from wordspot.training.device import resolve_device
    from wordspot.training.trainer import Trainer

    where = resolve_device(device)
    hint = "--resume to go on with the run in it, or --force to begin anew"
    if not resume:
        check_out(out, force=force, hint=hint)
    trainer = Trainer(config, make_task(config, data, where), out, where)
    if not resume:
        prepare_out(out, force=force, hint=hint)
        trainer.start(init)
    return trainer


def make_task(config: RunConfig, data: Path, device: torch.device) -> Task:
    """What `config` learns, from the recordings of `data`."""
    from wordspot.commands import console
    from wordspot.progress import Progress

    features = config.features
    with console.show_progress() as show:
        load = (
            _load_trigger
            if config.task == "trigger"
            else _load_manifest
            if config.task == "recordings"
            else _load_clips
        )
        task, problems = load(
            config, data, device, features, lambda done, total: show(Progress("decoding recordings", done, total))
        )
    console.note_left_out(problems)
    return task


def _load_trigger(config: Any, data: Path, device: Any, features: Any, count: Any) -> tuple[Task, Sequence[str]]:
    from wordspot.data.trigger import load_sources
    from wordspot.training.tasks.trigger import TriggerTask

    _leave_cores(config.trigger.workers)
    sources = load_sources(
        data, config.trigger, config.data, features.sample_rate, count, scene_ms=features.clip_ms, word=config.words[0]
    )
    return TriggerTask(config, sources, device), sources.problems


def _load_manifest(config: Any, data: Path, device: Any, features: Any, count: Any) -> tuple[Task, Sequence[str]]:
    from wordspot.data.manifest.load import load_recordings
    from wordspot.training.tasks.recordings import RecordingsTask

    loaded = load_recordings(
        data, config.words, config.data, config.recordings, features.sample_rate, count, clip_ms=features.clip_ms
    )
    return RecordingsTask(config, loaded, device), loaded.problems


def _load_clips(config: Any, data: Path, device: Any, features: Any, count: Any) -> tuple[Task, Sequence[str]]:
    from wordspot.data.cache import decode_folder
    from wordspot.data.clips import check_words
    from wordspot.data.folders import list_recordings
    from wordspot.training.tasks.words import WordsTask

    listing = list_recordings(data)
    check_words(listing, config.words)
    decoded = decode_folder(listing, features.sample_rate, features.clip_samples, count)
    return WordsTask(config, decoded, device), decoded.problems


def _leave_cores(workers: int) -> None:
    """Take threads away from torch: where they and other processes share a core, all of them wait for each other."""
    import torch

    if workers:
        torch.set_num_threads(max(torch.get_num_threads() - workers, 1))


def train(trainer: Trainer, when_stopped: str = "the same command with --resume goes on from there") -> Evaluation:
    """Train with a progress bar, saying each evaluation; returns the last one, on the testing set.

    Args:
        trainer: what to train.
        when_stopped: what to say after Ctrl-C.
    """
    from wordspot.commands import console
    from wordspot.training.trainer import StepRecord

    settings = trainer.config.training
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    console.note(
        f"{trainer.config.model.name}: {parameters:,} parameters, {trainer.task.describe()}, "
        f"{trainer.device.type} {trainer.precision}"
    )
    for line in trainer.task.warnings():
        console.note(line)
    last: Any = None
    with _graceful_stop() as stop, console.progress_bar() as bar:
        task = bar.add_task("training", total=settings.total_steps, completed=trainer.step)
        try:
            for record in trainer.train(stop):
                if isinstance(record, StepRecord):
                    text = (
                        f"rate {record.learning_rate:.2g}  loss {record.loss:.3f}  "
                        f"accuracy {100 * record.accuracy:.0f} %"
                    )
                    bar.update(task, completed=record.step, description=text)
                    continue
                last = record
                console.note(record.summary())
        except KeyboardInterrupt:
            console.note(f"stopped after step {trainer.step}; {when_stopped}")
            raise
    return last


@contextmanager
def _graceful_stop() -> Iterator[Any]:
    """The first Ctrl-C asks training to stop after the step at hand; a second one interrupts at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
