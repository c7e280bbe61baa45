"""A few threads for many short jobs of an event loop.

A thread takes what waits, up to `_AT_ONCE` jobs, and brings all results back at once: handing over every job and every
result by itself, as an executor does, takes longer than judging 80 ms of sound.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_AT_ONCE = 8


@dataclass
class _Job:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    work: Callable[..., Any]
    args: tuple[Any, ...]
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        if self.future.cancelled():
            return
        try:
            self.result = self.work(*self.args)
        except BaseException as error:  # told to whoever waits; the thread goes on
            self.error = error

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Workers:
    """`n_threads` threads with a name; they begin with the first job."""

    def __init__(self, n_threads: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run_jobs, name=f"{name}-{number}", daemon=True) for number in range(n_threads)
        ]
        self._is_started = False

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """What `work(*args)` gives, or raises, in one of the threads."""
        if not self._is_started:
            self._is_started = True
            for thread in self._threads:
                thread.start()
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), work, args)
        self._jobs.put(job)
        return await job.future

    def shutdown(self) -> None:
        """Finish what waits, and end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch = [job]
            job.run()
            with contextlib.suppress(queue.Empty):
                while len(batch) < _AT_ONCE and (job := self._jobs.get_nowait()) is not None:
                    batch.append(job)
                    job.run()
            _bring_back(batch)
            if job is None:
                return


def _bring_back(batch: list[_Job]) -> None:
    for loop in {job.loop for job in batch}:
        done = [job for job in batch if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_deliver, done)


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
