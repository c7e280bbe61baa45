"""The engine `ray`: tasks on a Ray cluster, or on a small one inside this process's machine.

Tasks and `ray.wait`, rather than Ray Data: recordings differ in length by a factor of thousands, and Ray's documentation advises
to take results in the order in which tasks end and to bound how many are pending. Ray does not repeat a lost task here;
`engine.run_tasks` does, in the same way for both engines.
"""

from __future__ import annotations

from typing import Any

from wordspot.archive.engine import Lost
from wordspot.archive.worker import Setup, Task, run_task
from wordspot.ray_start import start_ray


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
        self._ray, self._is_ours = start_ray(n_workers, address)
        self._run = self._ray.remote(run_task).options(num_cpus=1, max_retries=0)
        self._setup = self._ray.put(setup)
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
