"""Distinguish people from synthetic voices on words of one second, by a synthesiser that is not in the training set.

    python benchmarks/person_words.py speech_commands --noise environment,speech_commands/_background_noise_ --out DIR

The data are words of people and the same words by each engine of `wordspot.data.voices` that is installed (espeak-ng,
flite, festival). Each engine is held out in turn: a run is trained on the others and tested on it, on people and in
noise that are not in the training set. Windows are one second long, so this also measures the gate of `wordspot
listen --gate`.

- ``mixed``: both classes are trimmed to the word, brought to one level, placed anywhere in a second, and mixed with
  the same kinds of noise at 0 to 20 dB, anew in each training step. Only the voice is left to learn from.
- ``plain``: as recorded, and as synthesised. Here a clean recording gives the class away.

DIR keeps the voices, the mixed copies, a list for each engine (``DIR/mixed/without-flite.csv``) and the runs, and in
``DIR/CONDITION-MODEL.json`` the results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from person_data import (
    LABELS,
    assign_clips,
    draw_people,
    make_machines,
    name_of,
    noise_of,
    read_noise,
    write_mixed,
    write_rows,
)
from results import write_result
from wordspot.commands import console
from wordspot.data.voices import find_engines
from wordspot.errors import ConfigError
from wordspot.evaluation.bootstrap import Scored
from wordspot.files import read_json
from wordspot.overrides import parse_settings
from wordspot.tasks import TASKS
from wordspot.training.leave_one_out import judge_testing, scored, summary
from wordspot.training.recipes import make_config
from wordspot.training.run import begin_run, train_to_end

WORDS = "yes,no,up,down,left,right,on,off,stop,go"
CONDITIONS = ("mixed", "plain")
_CLIP_SNR_DB = "-4,16"  # of the whole second, which a word of 0.4 s fills by two fifths: 0 to 20 dB for the word


def make_lists(args: argparse.Namespace) -> dict[str, dict[str, Path | None]]:
    """Make missing data. For each condition: the engines to hold out, and the folder of the mixed clips if there are any.

    Raises:
        ConfigError: fewer than two engines are installed.
    """
    words, engines = args.words.split(","), find_engines()
    if len(engines) < 2:
        raise ConfigError(f"two engines at least must be installed, got {', '.join(engines)}; see `wordspot speak`")
    people = draw_people(args.recordings, words, args.people, args.seed)
    machines = make_machines(args.out / "voices", engines, words, args.per_engine, args.seed)
    folders: dict[str, Path | None] = dict.fromkeys(args.conditions)
    if "mixed" in args.conditions:
        noise = read_noise([Path(name) for name in args.noise.split(",")])
        folders["mixed"] = args.out / "mixed" / name_of(noise, args.seed)
        write_mixed([*people, *machines], folders["mixed"], noise, args.seed, args.copies)
    for condition, mixed in folders.items():
        for engine in engines:
            write_rows(list_of(args.out, condition, engine), assign_clips(people, machines, engine), mixed, args.copies)
    return {condition: dict.fromkeys(engines, mixed) for condition, mixed in folders.items()}


def list_of(out: Path, condition: str, engine: str) -> Path:
    """The path of the list that holds out this engine."""
    return out / condition / f"without-{engine}.csv"


def hold_out(args: argparse.Namespace, condition: str, engine: str, mixed: Path | None) -> tuple[dict[str, Any], Scored]:
    """Train without an engine and test on it: metrics, seconds of training, and scores.

    Args:
        mixed: where `write_mixed` put the words and the noise of training; None: words as they are.
    """
    listed, out = list_of(args.out, condition, engine), args.out / "runs" / f"{condition}-{args.model}" / engine
    settings: dict[str, Any] = {"recordings.hold_out": (engine,), "features.clip_ms": 1000}
    if mixed is not None:
        settings |= {
            "recordings.backgrounds": (str(noise_of(mixed).resolve()),),
            "augment.background_frequency": 1,
            "augment.snr_db": _CLIP_SNR_DB,
        }
    settings |= parse_settings(args.settings)
    config = make_config(listed, LABELS, task="recordings", model=args.model, settings=settings)
    trainer = begin_run(config, listed, out, device="cpu", force=True)
    begun = time.monotonic()
    train_to_end(trainer, on_note=console.note)
    seconds = time.monotonic() - begun
    measures = read_json(trainer.run.metrics)["testing"]
    part, posteriors = judge_testing(trainer)
    test = scored(part.rows, part.truth, posteriors)
    return {"generator": engine, **measures, "training_seconds": seconds}, test


def print_table(title: str, table: dict[str, Any]) -> None:
    """A row for each engine held out, and their mean."""

    def cells(name: str, row: dict[str, Any]) -> list[Any]:
        counts = [row["per_label"][label]["n"] for label in LABELS] if "per_label" in row else ["", ""]
        eer, low, high, auc = (f"{100 * row[key]:.2f}" for key in ("eer", "eer_low", "eer_high", "auc"))
        seconds = f"{row['training_seconds']:.0f}" if "training_seconds" in row else ""
        return [name, *counts, eer, f"{low} to {high}", auc, seconds]

    columns = ["held out", "people", "machine", "EER %", "95 %", "AUC %", "seconds of training"]
    rows = [cells(row["generator"], row) for row in table["generators"]]
    console.print_table(title, columns, [*rows, cells("mean", table["mean"])])


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", metavar="DIR", type=Path, help="people's words: one folder per word")
    parser.add_argument("--noise", metavar="DIR,DIR", required=True, help="folders of noise")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--words", metavar="A,B,C", default=WORDS, help=f"default: {WORDS}")
    parser.add_argument("--per-engine", metavar="N", type=int, default=400, help="clips of each engine (default: 400)")
    parser.add_argument("--people", metavar="N", type=int, default=1500, help="clips of people (default: 1500)")
    parser.add_argument("--copies", metavar="N", type=int, default=1, help="copies of each training word (default: 1)")
    parser.add_argument(
        "--model",
        metavar="NAME",
        default=TASKS["recordings"].default_model,
        help=f"default: {TASKS['recordings'].default_model}",
    )
    parser.add_argument(
        "--conditions",
        metavar="A,B",
        type=lambda text: text.split(","),
        default=list(CONDITIONS),
        help=f"default: {','.join(CONDITIONS)}",
    )
    parser.add_argument(
        "--set", dest="settings", metavar="SECTION.FIELD=VALUE", action="append", default=[], help="as `wordspot train`"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawn recordings, voices and noises (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.conditions if name not in CONDITIONS]:
        parser.error(f"--conditions: expected {' and '.join(CONDITIONS)}, got {', '.join(unknown)}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    tables = {}
    for condition, engines in make_lists(args).items():
        held_out = [hold_out(args, condition, *engine) for engine in engines.items()]
        tables[condition] = summary([row for row, _ in held_out], [test for _, test in held_out])
        write_result(args.out / f"{condition}-{args.model.rpartition(':')[2]}.json", tables[condition])
        if not args.json:
            print_table(f"A person or a machine, {condition}, {args.model}: each engine held out", tables[condition])
    if args.json:
        console.print_json(tables)


if __name__ == "__main__":
    main()
