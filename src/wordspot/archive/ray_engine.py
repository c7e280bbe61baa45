"""The engine `ray`: tasks on a Ray cluster, or on a small one inside this process's machine.

Tasks and `ray.wait`, rather than Ray Data: recordings differ in length by a factor of thousands, and Ray's documentation advises
to take results in the order in which tasks end and to bound how many are pending. Ray does not repeat a lost task here;
`engine.run_tasks` does, in the same way for both engines.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Any

from wordspot.archive.engine import Lost
from wordspot.archive.worker import Setup, Task, run_task
from wordspot.errors import ConfigError, missing_extra

_STORE_BYTES = 256 << 20


def has_ray() -> bool:
    """Whether Ray is installed."""
    return importlib.util.find_spec("ray") is not None


class RayEngine:
    """Tasks on Ray, one core each.

    Args:
        setup: what all tasks share.
        n_workers: cores of the cluster that is started here; None: all of the machine's.
        address: of a running cluster, or ``auto``; None: start one on this machine, unless the calling program has one.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: no cluster there, or a number of workers for a cluster that runs already.
    """

    def __init__(self, setup: Setup, n_workers: int | None = None, address: str | None = None) -> None:
        if n_workers is not None and (n_workers < 1 or address):
            raise ConfigError(
                "`workers` must be at least 1" if not address else "`workers` is decided by the cluster; leave it out"
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts; it would send usage statistics
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what its next version does; else it warns
        try:
            import ray
        except ModuleNotFoundError as error:
            raise missing_extra(error, "`engine` ray") from error
        self._ray, self._is_ours = ray, not ray.is_initialized()
        if self._is_ours:
            _start(ray, n_workers, address)
        self._run = ray.remote(run_task).options(num_cpus=1, max_retries=0)
        self._setup = ray.put(setup)
        self._numbers: dict[Any, int] = {}

    @property
    def n_workers(self) -> int:
        """The cores of the cluster."""
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, number: int, task: Task) -> None:
        """As `Engine.submit`."""
        self._numbers[self._run.remote(self._setup, task)] = number

    def wait(self) -> list[tuple[int, Any]]:
        """As `Engine.wait`."""
        ready, _ = self._ray.wait(list(self._numbers), num_returns=1)
        return [(self._numbers.pop(one), self._outcome(one)) for one in ready]

    def close(self) -> None:
        """Stop the cluster, if it was started here, else the tasks."""
        if self._is_ours:
            self._ray.shutdown()
            return
        for one in self._numbers:
            self._ray.cancel(one, force=True)

    def _outcome(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:  # the worker, its node or the result is lost
            return Lost(f"its worker ended: {type(error).__name__}")


def _start(ray: Any, n_workers: int | None, address: str | None) -> None:
    quiet = {
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
        "num_cpus": n_workers,
        "_node_ip_address": "127.0.0.1",
    }
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else quiet))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"`address`: no Ray cluster answers at {address} ({' '.join(str(error).split())[:300]})") from error
