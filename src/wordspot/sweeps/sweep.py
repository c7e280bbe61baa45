"""Train with several settings and seeds, and compare: the verb `sweep`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.errors import ConfigError, TrainingError
from wordspot.files import check_out, read_json, write_json
from wordspot.formats import shown
from wordspot.locks import hold_lock
from wordspot.progress import OnNote, OnProgress, ignore, ignore_note
from wordspot.ray_start import has_ray
from wordspot.sweeps.grid import SEED, Point, make_points
from wordspot.sweeps.result import SweepResult, form_of, make_result
from wordspot.sweeps.training import Plan, Trained, train_point, trained_before
from wordspot.sweeps.tune import run_on_ray

if TYPE_CHECKING:
    from wordspot.training.run import OnRecord

ENGINES = ("ray", "one-by-one")
TABLE = "sweep.json"
_ARGUMENTS = "arguments"
_LOCK = ".lock"


def sweep(
    data: Path | str,
    words: str | Sequence[str] | None = None,
    *,
    out: Path | str,
    vary: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 3,
    split: str = "testing",
    task: str = "words",
    model: str | None = None,
    features: str | None = None,
    recipe: str = "default",
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    speech: Path | str | None = None,
    init: Path | str | None = None,
    device: str = "auto",
    engine: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    stop: Callable[[], bool] | None = None,
    on_record: OnRecord | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> SweepResult:
    """Train with every combination of settings and with several seeds, and evaluate: means and intervals over the seeds.

    The same call goes on where it was interrupted. More seeds or more values are added to what is there.

    Args:
        data, words: as for `wordspot.train`.
        out: the folder of the sweep, new or of the same sweep; it holds a run for each training.
        vary: ``section.field`` → values; with several settings, all combinations.
        seeds: how many trainings of each combination, with the seeds from ``training.seed`` on.
        split: the set to evaluate on. To choose settings take ``validation``, so that ``testing`` stays unseen.
        task, model, features, recipe, preset, settings, speech, init, device: as for `wordspot.train`.
        engine: ``"ray"``, side by side, or ``"one-by-one"`` (default: Ray if it is installed).
        workers: with Ray: trainings at a time (default: the cores of the machine).
        address: of a running Ray cluster, or ``"auto"``.
        stop, on_record, progress: one by one: as for `wordspot.train`.
        on_note: called with a line for each training that has ended.

    Raises:
        ConfigError: settings that make no sense, or `out` has a sweep with other arguments.
        LockedError: another sweep is running in `out`.
        TrainingError: no training succeeded, for example since recordings are missing.
        MissingExtraError: Ray is asked for and not installed.
    """
    chosen = dict(settings or {})
    first = _first_seed(chosen.pop(SEED, 0))
    points = make_points(vary or {}, range(first, first + seeds))
    arguments = {
        "words": words, "task": task, "model": model, "features": features, "recipe": recipe, "preset": preset,
        "init": _absolute(init), "speech": _absolute(speech),
    }  # fmt: skip
    plan = Plan(Path(data).absolute(), Path(out).absolute(), arguments, chosen, split, device)
    chosen_engine = _engine(engine, workers, address)
    _check(plan, points)
    callbacks = {"stop": stop, "on_record": on_record, "progress": progress or ignore, "on_note": on_note or ignore_note}
    with hold_lock(plan.out / _LOCK, f"{plan.out}: another sweep is running there; wait for it, or choose another `out`"):
        _check_same(plan)
        if not (plan.out / TABLE).is_file():  # else an earlier table stays until there is another
            write_json(plan.out / TABLE, {_ARGUMENTS: _recorded(plan)})
        trained = _train(plan, points, chosen_engine, (workers, address), callbacks)
        result = make_result(plan.out, split, trained)
        if len(result.failed) == len(points):
            raise TrainingError(f"no training succeeded; the first ended with: {result.failed[0].error}")
        write_json(plan.out / TABLE, {_ARGUMENTS: _recorded(plan), **result.to_json()})
    return result


def _train(
    plan: Plan, points: Sequence[Point], engine: str, where: tuple[int | None, str | None], callbacks: Mapping[str, Any]
) -> list[Trained]:
    """Do the trainings that have not ended before; return all, in the order of `points`."""
    trained = {point.folder: before for point in points if (before := trained_before(plan, point))}

    def keep(one: Trained) -> None:
        trained[one.point.folder] = one
        callbacks["on_note"](f"{len(trained)} of {len(points)}: {_line(one)}")

    todo = [point for point in points if point.folder not in trained]
    if todo and engine == "ray":
        run_on_ray(plan, todo, *where, keep)
    elif todo:
        _one_by_one(plan, todo, keep, callbacks)
    return [trained[point.folder] for point in points]


def _one_by_one(plan: Plan, points: Sequence[Point], keep: Callable[[Trained], None], callbacks: Mapping[str, Any]) -> None:
    for number, point in enumerate(points):
        # what there is to note about the recordings is the same in all trainings
        used = {name: value for name, value in callbacks.items() if number == 0 or name != "on_note"}
        keep(train_point(plan, point, **used))


def _first_seed(value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise ConfigError(f"{SEED} must be a whole number, got {value!r}") from error


def _engine(engine: str | None, workers: int | None, address: str | None) -> str:
    chosen = engine or ("ray" if address or has_ray() else ENGINES[1])
    if chosen not in ENGINES:
        raise ConfigError(f"`engine` must be {' or '.join(ENGINES)}, got {chosen!r}")
    if chosen != "ray" and (workers is not None or address):
        raise ConfigError(f"`{'address' if address else 'workers'}` is for `engine` ray")
    return chosen


def _check(plan: Plan, points: Sequence[Point]) -> None:
    """Raise what would be wrong with every training, before the first one.

    Raises:
        ConfigError: a setting or a set that does not exist, or a folder with something other than a sweep.
    """
    from wordspot.evaluation.evaluate import SPLITS
    from wordspot.training.recipes import make_config

    if plan.split not in SPLITS:
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS)}, got {plan.split!r}")
    given = {name: value for name, value in plan.arguments.items() if name not in ("init", "speech")}
    for point in points:
        make_config(plan.data, **given, settings={**plan.settings, **point.settings})
    only_begun = plan.out.is_dir() and [path.name for path in plan.out.iterdir()] == [_LOCK]
    if not only_begun and not (plan.out / TABLE).is_file():
        check_out(plan.out, force=False, hint="name the folder of the same sweep")


def _check_same(plan: Plan) -> None:
    """Raise if `out` has another sweep.

    Raises:
        ConfigError: it has.
    """
    if not (plan.out / TABLE).is_file():
        return
    before, now = read_json(plan.out / TABLE)[_ARGUMENTS], _recorded(plan)
    if differing := [name for name in now if before.get(name) != now[name]]:
        name = differing[0]
        raise ConfigError(
            f"{plan.out} has a sweep with {name} {shown(before.get(name))}, and now it is {shown(now[name])}; choose another "
            "`out`. Only `vary` and `seeds` may change"
        )


def _recorded(plan: Plan) -> dict[str, Any]:
    """What all trainings of a sweep must share, as JSON."""
    values = {"data": str(plan.data), **plan.arguments, "settings": plan.settings, "split": plan.split}
    recorded: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return recorded


def _absolute(path: Path | str | None) -> str | None:
    return str(Path(path).absolute()) if path is not None and Path(path).exists() else path if path is None else str(path)


def _line(one: Trained) -> str:
    name = f"{one.point.label} seed={one.point.seed}".strip()
    measures = ", ".join(f"{key.replace('_', ' ')} {form_of(key)(value)}" for key, value in one.measures.items())
    return f"{name}: {one.error or measures}"
