"""Prefetch numbered work items in worker processes. A result depends only on its number, so runs are reproducible."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from wordspot.errors import TrainingError
from wordspot.interrupts import held_back

_Result = TypeVar("_Result")
_make: Callable[[int], Any]
_KEPT_AHEAD = 3
_GUARD = (
    "a worker process of training imports your script again, so the script's own code must be under `if __name__ == '__main__':`"
)


class Ahead(Generic[_Result]):
    """``make(number)`` for consecutive numbers, computed in advance.

    Args:
        make: a pure function of the number; with processes it must be picklable.
        workers: processes besides this one; with 0 each result is computed here, when it is needed.
    """

    def __init__(self, make: Callable[[int], _Result], workers: int) -> None:
        self._make, self._workers = make, workers
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: dict[int, Future[_Result]] = {}

    def get(self, number: int) -> _Result:
        """The result of `number`; those after it are started.

        Raises:
            TrainingError: a process ended early, as happens if a script trains when it is imported.
        """
        if not self._workers:
            return self._make(number)
        if self._pool is None:
            if getattr(multiprocessing.current_process(), "_inheriting", False):  # this is a worker that imports the script
                raise TrainingError(_GUARD)
            self._pool = self._start()
        for old in [waiting for waiting in self._waiting if waiting < number]:
            self._waiting.pop(old).cancel()
        for wanted in range(number, number + _KEPT_AHEAD * self._workers):
            if wanted not in self._waiting:
                with held_back():  # the first ones start the processes; Ctrl-C is handled by this one
                    self._waiting[wanted] = self._pool.submit(_call, wanted)
        try:
            return self._waiting.pop(number).result()
        except BrokenProcessPool as error:
            raise TrainingError(f"a worker process of training ended early; {_GUARD}") from error

    def _start(self) -> ProcessPoolExecutor:
        """Start the processes and hand each of them `make`.

        It goes through a queue, whose own thread writes it: as an argument it would be written here into a pipe, and if a worker
        ended before reading it, this process would wait for ever.
        """
        context = multiprocessing.get_context("spawn")
        handed = context.Queue()
        handed.cancel_join_thread()  # do not wait at exit for a worker that never read
        for _ in range(self._workers):
            handed.put(self._make)
        return ProcessPoolExecutor(self._workers, context, initializer=_begin, initargs=(handed,))

    def close(self) -> None:
        """Stop the processes; a later `get` starts them again."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        self._waiting = {}


def _begin(handed: multiprocessing.Queue[Callable[[int], Any]]) -> None:
    global _make
    _make = handed.get()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `held_back` does nothing
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End with the parent process, which cannot end its workers if it is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _call(number: int) -> Any:
    return _make(number)
