"""``wordspot sweep``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import add_flags, add_trigger_flags, config_arguments
from wordspot.tasks import TASKS

if TYPE_CHECKING:
    from wordspot.sweeps.result import SweepResult, SweepRow

HELP = "train with several settings and seeds, side by side on Ray Tune or one by one, and compare"
EXAMPLE = "wordspot sweep recordings --words yes,no --vary training.batch_size=32/64 --seeds 5 --out sweeps/batch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DIR|CSV", type=Path, help="the recordings, as for train")
    add(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="the folder of the sweep; what is there already is not trained again",
    )
    add(
        "--vary",
        action="append",
        default=[],
        metavar="SECTION.FIELD=A/B",
        help="values of a setting, with slashes between them; several settings give all combinations",
    )
    add("--seeds", type=int, default=3, metavar="N", help="trainings of each combination (default: %(default)s)")
    add(
        "--evaluate-on",
        choices=("validation", "testing"),
        default="testing",
        help="the set to evaluate on; take validation to choose settings (default: %(default)s)",
    )
    add("--task", choices=tuple(TASKS), help="as for train (default: words)")
    add("--init", metavar="RUN|FILE.onnx", nargs="?", const="default", help="as for train")
    add("--speech", metavar="DIR", type=Path, help="as for train")
    add("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--engine", choices=("ray", "one-by-one"), help="what runs the trainings (default: ray if it is installed)")
    add("--workers", type=int, metavar="N", help="with ray: trainings at a time (default: one for each core)")
    add("--address", metavar="HOST:PORT", help="of a running Ray cluster, or auto")
    add("--json", action="store_true", help="print everything as JSON")
    add_flags(parser)
    add_trigger_flags(parser)


def run(args: argparse.Namespace) -> int:
    from wordspot.commands import console
    from wordspot.sweeps.sweep import sweep

    with console.watch_training("the same command goes on from there") as callbacks:
        result = sweep(
            args.data, out=args.out, vary=_vary(args.vary), seeds=args.seeds, split=args.evaluate_on, speech=args.speech,
            init=args.init, device=args.device, engine=args.engine, workers=args.workers, address=args.address,
            **config_arguments(args), **callbacks,
        )  # fmt: skip
    if args.json:
        console.print_json(result.to_json())
    else:
        _print(result)
    for one in result.failed:
        console.note(f"failed: {one.point.folder}: {one.error}")
    return 1 if result.failed else 0


def _vary(texts: list[str]) -> dict[str, list[str]]:
    from wordspot.overrides import parse_settings

    return {name: [part.strip() for part in text.split("/")] for name, text in parse_settings(texts).items()}


def _print(result: SweepResult) -> None:
    from wordspot.commands import console

    names = list(dict.fromkeys(name for row in result.rows for name in row.measures))
    columns = [column for name in names for column in (name.replace("_", " "), "95 %")]
    rows = [[row.label or "all", row.n_seeds, *_cells(row, names)] for row in result.rows]
    console.print_table(f"On {result.split}, mean over the seeds", ["", "seeds", *columns], rows)
    console.say(f"runs: {result.out}")


def _cells(row: SweepRow, names: list[str]) -> list[str]:
    from wordspot.formats import MISSING, interval
    from wordspot.sweeps.result import form_of

    cells: list[str] = []
    for name in names:
        one, form = row.measures.get(name), form_of(name)
        cells += [MISSING, MISSING] if one is None else [form(one.value), interval(one.low, one.high, form)]
    return cells
