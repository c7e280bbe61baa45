"""Run tasks in other processes, whichever engine starts them: a bounded number at a time, again if a worker was lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from wordspot.archive.worker import Task

_AHEAD = 2  # tasks handed out for each worker, so that none waits for the next
_MOST_LOST = 3


@dataclass(frozen=True)
class Lost:
    """The outcome of a task whose worker ended: it was killed, crashed, or its node is gone."""

    reason: str


class Engine(Protocol):
    """What runs tasks.

    Attributes:
        n_workers: how many run at the same time; may change as a cluster grows.
    """

    @property
    def n_workers(self) -> int: ...

    def submit(self, number: int, task: Task) -> None:
        """Start a task, or let it wait for a worker."""

    def wait(self) -> list[tuple[int, Any]]:
        """The numbers of tasks that have ended, at least one, with what `run_task` returned or a `Lost`.

        Raises:
            Exception: a task raised, which is a bug.
        """

    def close(self) -> None:
        """Stop all workers, at once."""


def run_tasks(
    engine: Engine, tasks: Iterator[Task], *, may_go_on: Callable[[], bool] = lambda: True
) -> Iterator[tuple[Task, Any]]:
    """Run tasks; yield each with its outcome as it ends. A task whose worker was lost is tried again.

    Args:
        engine: what runs them.
        tasks: taken only as fast as they are run.
        may_go_on: asked before a further task is taken; while it says no, those that run are waited for.

    Yields:
        A task and what `run_task` returned; or, after three lost workers, the last `Lost`.
    """
    again: deque[Task] = deque()
    running: dict[int, Task] = {}
    n_lost: dict[int, int] = {}
    n_started, is_last = 0, False
    while True:
        while len(running) < _AHEAD * engine.n_workers and (again or (not is_last and (may_go_on() or not running))):
            task = again.popleft() if again else next(tasks, None)
            if task is None:
                is_last = True
                break
            running[n_started] = task
            engine.submit(n_started, task)
            n_started += 1
        if not running:
            return
        for number, outcome in engine.wait():
            task = running.pop(number)
            if isinstance(outcome, Lost):
                n_lost[id(task)] = n_lost.get(id(task), 0) + 1
                if n_lost[id(task)] < _MOST_LOST:
                    again.append(task)
                    continue
            n_lost.pop(id(task), None)
            yield task, outcome
