"""The engine `processes`: worker processes of this machine, each of which may be killed without harm to the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any

from wordspot.archive.engine import Lost
from wordspot.archive.worker import Setup, Task, run_task
from wordspot.errors import ConfigError
from wordspot.interrupts import held_back

_AT_ONCE = 2  # tasks that a worker has, the one it does included
_GUARD = (
    "a worker process of `scan` imports your script again, so the script's own code must be under `if __name__ == '__main__':`"
)


class ProcessEngine:
    """Worker processes, started anew if they end.

    Args:
        setup: what all tasks share.
        n_workers: None: as many as this process may use cores.

    Raises:
        ConfigError: fewer than one worker, or called while a script is imported by a worker.
    """

    def __init__(self, setup: Setup, n_workers: int | None = None) -> None:
        if n_workers is not None and n_workers < 1:
            raise ConfigError(f"`workers` must be at least 1, got {n_workers}")
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise ConfigError(_GUARD)
        self.n_workers = n_workers or _n_cores()
        self._setup, self._waiting = setup, deque[tuple[int, Task]]()
        self._workers = [_Worker(setup) for _ in range(self.n_workers)]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def submit(self, number: int, task: Task) -> None:
        """Hand a task to the worker with the fewest, or let it wait."""
        self._waiting.append((number, task))
        self._hand_out()

    def wait(self) -> list[tuple[int, Any]]:
        """As `Engine.wait`."""
        ended: list[tuple[int, Any]] = []
        while not ended:
            ready = set(wait([worker.connection for worker in self._workers]))
            for place, worker in enumerate(self._workers):
                if worker.connection not in ready:
                    continue
                try:
                    ended.append(worker.receive())
                except (EOFError, OSError):
                    self._workers[place] = _Worker(self._setup)
                    ended += self._take_back(worker)
            self._hand_out()
        return ended

    def close(self) -> None:
        """Stop all workers, at once."""
        for worker in self._workers:
            worker.stop()

    def _hand_out(self) -> None:
        for n_tasks in range(_AT_ONCE):
            for worker in self._workers:
                if self._waiting and len(worker.tasks) == n_tasks:
                    worker.send(self._waiting.popleft())

    def _take_back(self, worker: _Worker) -> list[tuple[int, Any]]:
        """What a worker that has ended was doing is lost; what waited for it is handed out again."""
        code = worker.stop()
        self._waiting.extendleft(reversed(list(worker.tasks)[1:]))
        reason = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return [(number, Lost(f"its worker ended: {reason}")) for number, _ in list(worker.tasks)[:1]]


class _Worker:
    """A process, the connection to it, and the tasks it was handed and has not answered."""

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")
        self.tasks: deque[tuple[int, Task]] = deque()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, setup), daemon=True)
        with held_back():  # Ctrl-C is handled by the parent process
            self.process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def send(self, task: tuple[int, Task]) -> None:
        """Hand it a task; if it has ended, `receive` notices."""
        self.tasks.append(task)
        with contextlib.suppress(OSError):
            self.connection.send(task[1])

    def receive(self) -> tuple[int, Any]:
        """Its next result, which is that of its first task.

        Raises:
            EOFError, OSError: the process has ended.
            RuntimeError: the task raised.
        """
        value = self.connection.recv()
        number, _ = self.tasks.popleft()
        if isinstance(value, Exception):
            raise RuntimeError("a worker of the scan failed") from value
        return number, value

    def stop(self) -> int | None:
        """End it; return its exit status."""
        self.connection.close()
        self.process.terminate()
        self.process.join()
        return self.process.exitcode


def _work(connection: Connection, setup: Setup) -> None:
    """Do tasks until the other side closes the connection, as it does when its process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `held_back` does nothing
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                value: Any = run_task(setup, task)
            except Exception as error:
                value = error
            connection.send(value)


def _n_cores() -> int:
    """The cores that this process may use, which containers and `taskset` limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
