"""``wordspot train``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.options import add_flags, add_recordings_flags, add_trigger_flags, config_arguments, settings_of, words_of
from wordspot.tasks import TASKS

if TYPE_CHECKING:
    from wordspot.run import Run
    from wordspot.tasks import Task

HELP = "train a model on a folder of recordings"
EXAMPLE = "wordspot train recordings --words yes,no,up,down --out runs/four"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DIR|CSV",
        type=Path,
        help="one folder of recordings per word; trigger: with positives, negatives and backgrounds in it; recordings: a "
        "manifest, path,label[,speaker,generator,split,corpus], or one folder per class",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="the folder of the run")
    told = "; ".join(f"{task.name}: {task.help}" for task in TASKS.values())
    parser.add_argument("--task", choices=tuple(TASKS), help=f"{told} (default: words)")
    parser.add_argument(
        "--init",
        metavar="RUN|FILE.onnx",
        nargs="?",
        const="default",
        help="start from the weights of a run or an exported file, perhaps with other words; without a name, or 'default': "
        "from the model that comes with wordspot; 'body': from its network that was pre-trained on speech in general; "
        "'none': from random weights (default: if network and front end are the same, default for some of its ten words and "
        "body for others)",
    )
    parser.add_argument(
        "--speech",
        metavar="DIR",
        type=Path,
        help="words: recordings of sentences, which the network learns to ignore; they hold none of the words, or their text is "
        "in DIR/words.csv, *.trans.txt or NAME.txt",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in --out where it was interrupted")
    parser.add_argument(
        "--checkpoint", metavar="STEP", type=int, help="with --resume: continue from this one, and forget what came after"
    )
    parser.add_argument("--force", action="store_true", help="begin anew in an --out that holds a run")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add_flags(parser)
    add_trigger_flags(parser)
    add_recordings_flags(parser)


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.errors import ConfigError
    from wordspot.torchrun import rank

    if args.checkpoint is not None and not args.resume:
        raise ConfigError("--checkpoint names where to resume; add --resume")
    if args.leave_one_generator_out:
        _leave_out(args)
        return
    if args.init and args.resume:
        raise ConfigError("--init begins a new run and --resume continues one; leave out one of them")
    with console.watch_training("the same command with --resume goes on from there") as callbacks:
        finished = _resume(args, callbacks) if args.resume else _train(args, callbacks)
    if rank() == 0:
        console.say(f"next: {_next(TASKS[finished.config.task], finished, args)}")


def _train(args: argparse.Namespace, callbacks: dict[str, Any]) -> Run:
    from wordspot.run import train

    return train(
        args.data, out=args.out, speech=args.speech, init=args.init, device=args.device, force=args.force,
        **config_arguments(args), **callbacks,
    )  # fmt: skip


def _resume(args: argparse.Namespace, callbacks: dict[str, Any]) -> Run:
    from wordspot.run import load_run, resume

    begun = load_run(args.out)
    settings = settings_of(args, TASKS[args.task or begun.config.task])
    if args.model:
        settings["model.name"] = args.model
    return resume(
        begun, args.data, checkpoint=args.checkpoint, task=args.task, words=words_of(args), features=args.features,
        settings=settings, speech=args.speech, device=args.device, **callbacks,
    )  # fmt: skip


def _next(task: Task, finished: Run, args: argparse.Namespace) -> str:
    from wordspot.formats import command_line
    from wordspot.presets import is_for_esphome

    if is_for_esphome(finished.config):
        return command_line(
            "wordspot", "export", args.out, "--target", "esphome", "--data", args.data, "--out", args.out / "esphome"
        )
    if task.predicts_clips and finished.metrics["testing"]["n"]:
        return command_line("wordspot", "evaluate", args.out, args.data, "--report", args.out / "report.html")
    return command_line("wordspot", "export", args.out, "--out", args.out / f"{task.name}.onnx")


def _leave_out(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.errors import ConfigError
    from wordspot.training.leave_one_out import TABLE, leave_one_generator_out

    foreign = ("resume", "init", "hold_out_generator", "speech", "preset")
    if args.task != "recordings" or any(getattr(args, name) for name in foreign):
        flags = ", ".join("--" + name.replace("_", "-") for name in foreign)
        raise ConfigError(f"--leave-one-generator-out begins new runs of --task recordings; leave out {flags}")
    arguments = config_arguments(args)
    del arguments["task"], arguments["preset"]
    with console.watch_training("what is in --out is not complete; begin anew with --force") as callbacks:
        result = leave_one_generator_out(args.data, out=args.out, device=args.device, force=args.force, **arguments, **callbacks)
    print_generators(result.to_json())
    console.say(f"all results: {args.out / TABLE}")


def print_generators(table: dict[str, Any]) -> None:
    """A row for each generator, and the mean."""
    from wordspot.commands import console

    def percent(row: dict[str, Any], key: str) -> str:
        return "–" if row.get(key) is None else f"{100 * row[key]:.1f}"

    def cells(name: str, row: dict[str, Any]) -> list[Any]:
        interval = f"{percent(row, 'eer_low')} to {percent(row, 'eer_high')}"
        n, seconds = row.get("n", ""), row.get("training_seconds")
        return [
            name,
            n,
            percent(row, "eer"),
            interval,
            percent(row, "auc"),
            percent(row, "accuracy"),
            "" if seconds is None else f"{seconds:.0f}",
        ]

    rows = [cells(row["generator"], row) for row in table["generators"]]
    console.print_table(
        "Each generator, held out of training, in percent",
        ["", "recordings", "equal error rate", "95 %", "AUC", "accuracy", "seconds of training"],
        [*rows, cells("mean", table["mean"])],
    )
