"""Run the trainings of a sweep side by side on Ray Tune.

Ray's documentation recommends it for independent trainings in parallel. It only starts them, and starts them again if their
worker is lost: the runs themselves are in the folder of the sweep, and go on from their own checkpoints.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wordspot.errors import missing_extra
from wordspot.ray_start import start_ray
from wordspot.sweeps.grid import Point
from wordspot.sweeps.training import Plan, Trained, train_point

_MOST_LOST = 3


def run_on_ray(
    plan: Plan, points: Sequence[Point], workers: int | None, address: str | None, on_trained: Callable[[Trained], None]
) -> None:
    """Do all trainings, each with one core, and with a GPU or a part of it if there is one.

    Args:
        plan: of the sweep.
        points: the trainings.
        workers: at a time (default: the cores of the machine).
        address: of a running cluster, or ``auto``; None: one that is started here.
        on_trained: called after each.

    Raises:
        MissingExtraError: Ray Tune is not installed.
        ConfigError: no cluster there.
        KeyboardInterrupt: Ctrl-C.
    """
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # runs have logs of their own
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its other output cannot be turned off
    ray, is_ours = start_ray(workers, address)
    try:
        with tempfile.TemporaryDirectory(prefix="wordspot-sweep-") as storage:
            _fit(ray, plan, points, Path(storage), on_trained)
    finally:
        if is_ours:
            ray.shutdown()


def _fit(ray: Any, plan: Plan, points: Sequence[Point], storage: Path, on_trained: Callable[[Trained], None]) -> None:
    reported: set[int] = set()
    try:
        from ray import tune
    except ImportError as error:  # its packages are an extra of Ray
        raise missing_extra(error, "`engine` ray") from error

    def trial(config: dict[str, int]) -> dict[str, Any]:
        done = train_point(plan, points[config["number"]])
        return {"measures": dict(done.measures), "error": done.error}

    class Watch(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number, result = trial.config["number"], trial.last_result
            reported.add(number)
            on_trained(Trained(points[number], result["measures"], result["error"]))

    total = ray.cluster_resources()
    share = min(total.get("GPU", 0) / max(total.get("CPU", 1), 1), 1) if plan.device != "cpu" else 0
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1, "gpu": share}),
        param_space={"number": tune.grid_search(list(range(len(points))))},
        run_config=tune.RunConfig(
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=_MOST_LOST - 1),
            callbacks=[Watch()],
        ),
    )
    grid = tuner.fit()
    for number, found in zip((one.config["number"] for one in grid), grid, strict=True):
        if found.error:
            reported.add(number)
            on_trained(Trained(points[number], error=f"failed {_MOST_LOST} times: {_last_line(found.error)}"))
    if len(reported) < len(points):
        raise KeyboardInterrupt  # Tune ends without an exception


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
