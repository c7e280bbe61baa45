"""``wordspot train``."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.settings import add_flags

if TYPE_CHECKING:
    from wordspot.training import EvaluationRecord, Trainer

HELP = "train a model on a folder of recordings"
EXAMPLE = "wordspot train recordings --words yes,no,up,down --out runs/four"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DIR", type=Path, help="one folder of recordings per word")
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--task", choices=("words",), default="words", help="what is learned (default: words)")
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out was broken off")
    parser.add_argument(
        "--checkpoint", metavar="STEP", type=int, help="with --resume: go on from this one, and forget what came after"
    )
    parser.add_argument("--force", action="store_true", help="begin anew in an --out that holds a run")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add_flags(parser)


def run(args: argparse.Namespace) -> None:
    from wordspot import console
    from wordspot.checkpoint import RunFolder
    from wordspot.errors import ConfigError
    from wordspot.settings import build_config, check_resumed

    if args.checkpoint is not None and not args.resume:
        raise ConfigError("--checkpoint names where to resume; give --resume with it")
    config = check_resumed(RunFolder(args.out).read_config(), args) if args.resume else build_config(args)
    trainer = make_trainer(config, args.data, args.out, args.device, resume=args.resume, force=args.force)
    if args.resume:
        trainer.resume(args.checkpoint)
        console.note(f"resuming at step {trainer.step} of {config.training.total_steps}")
    train(trainer)
    console.say(f"next: wordspot evaluate {args.out} {args.data} --report {args.out / 'report.html'}")


def make_trainer(config: Any, data: Path, out: Path, device: str, *, resume: bool, force: bool) -> Trainer:
    """A trainer on the recordings of `data`; damaged ones are listed and left out."""
    from wordspot.commands.evaluate import decode
    from wordspot.dataset import check_words, list_recordings
    from wordspot.device import resolve_device
    from wordspot.files import check_out, prepare_out
    from wordspot.training import Trainer

    listing = list_recordings(data)
    check_words(listing, config.words)
    where = resolve_device(device)
    hint = "--resume to go on with the run in it, or --force to begin anew"
    if not resume:
        check_out(out, force=force, hint=hint)
    trainer = Trainer(config, decode(listing, config), out, where)
    if not resume:
        prepare_out(out, force=force, hint=hint)
        trainer.start()
    return trainer


def train(
    trainer: Trainer, when_stopped: str = "the same command with --resume goes on from there"
) -> EvaluationRecord:
    """Train with a progress bar, saying each evaluation; returns the last one, on the testing set.

    Args:
        trainer: what to train.
        when_stopped: what to say after Ctrl-C.
    """
    from wordspot import console
    from wordspot.metrics import wilson_interval
    from wordspot.training import StepRecord

    settings = trainer.config.training
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    console.note(
        f"{trainer.config.model.name}: {parameters:,} parameters, {len(trainer.sets['training']):,} training clips, "
        f"{trainer.device.type} {trainer.precision}"
    )
    for line in _warnings(trainer):
        console.note(line)
    last: Any = None
    with _graceful_stop() as stop, console.progress_bar() as bar:
        task = bar.add_task("training", total=settings.total_steps, completed=trainer.step)
        try:
            for record in trainer.train(stop):
                if isinstance(record, StepRecord):
                    text = (
                        f"rate {record.learning_rate:.2g}  loss {record.cross_entropy:.3f}  "
                        f"accuracy {100 * record.accuracy:.0f} %"
                    )
                    bar.update(task, completed=record.step, description=text)
                    continue
                last = record
                low, high = wilson_interval(round(record.accuracy * record.n), record.n)
                console.note(
                    f"Step {record.step}: {record.set.capitalize()} accuracy = {100 * record.accuracy:.1f}% "
                    f"(N={record.n}, 95 % interval {100 * low:.1f} to {100 * high:.1f})"
                )
        except KeyboardInterrupt:
            console.note(f"stopped after step {trainer.step}; {when_stopped}")
            raise
    return last


def _warnings(trainer: Trainer) -> Iterator[str]:
    """What the user should know of the data before training begins."""
    if not trainer.batches.has_noise("training"):
        yield "there is no _background_noise_: silence is digital zeros, and the model will not know real rooms"
    for name, clips in trainer.sets.items():
        missing = [label for position, label in enumerate(trainer.labels) if not (clips.labels == position).any()]
        if missing and len(clips):
            yield f"the {name} set holds no clip of {', '.join(missing)}"


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
