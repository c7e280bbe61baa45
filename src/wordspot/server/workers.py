"""`serve` with several processes on one port, whose metrics add up. For Linux, which divides connections among them.

Each worker is a server of its own that binds the same port (SO_REUSEPORT). It writes its counters to a file every second, in a
folder that only this user can read, and whichever worker answers ``GET /metrics`` adds those of the others. The counters of
a worker that has ended stay, so that sums never fall; its connections and streams are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from wordspot.errors import ConfigError
from wordspot.files import write_text
from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters, Snapshot
from wordspot.server.served import ServedModel, load_models
from wordspot.server.streams import StreamPool
from wordspot.server.web_server import WebServer, bind

_WRITE_SECONDS = 1.0
_MOST_WORKERS = 256
_STOP_SECONDS = 10.0
_log = logging.getLogger("wordspot.server")

Tls = tuple[Path, Path] | None


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a worker serves."""

    models: tuple[Path | str | None, ...]
    settings: ServerSettings
    tls: Tls
    folder: Path
    level: int


def check_workers(workers: int, wyoming_port: int | None) -> None:
    """Raises ConfigError for a number of workers that makes no sense here."""
    if not 1 <= workers <= _MOST_WORKERS:
        raise ConfigError(f"`workers` must lie between 1 and {_MOST_WORKERS}, got {workers}")
    if not sys.platform.startswith("linux"):
        raise ConfigError("`workers` needs Linux; elsewhere, run several servers on ports of their own behind a load balancer")
    if wyoming_port is not None:
        raise ConfigError("`workers` share the port of the page; serve `wyoming_port` by another server, with one worker")


def serve_workers(
    n_workers: int,
    models: Sequence[Path | str | None],
    served: Sequence[ServedModel],
    settings: ServerSettings,
    tls: Tls,
    on_start: Callable[[str], object],
) -> None:
    """Serve until SIGINT or SIGTERM, by `n_workers` processes. One that ends is replaced.

    Args:
        n_workers: how many.
        models: files; each worker opens them.
        served: the same, opened: for errors before anything starts.
        settings: of each worker.
        tls: the files of a certificate and of its key.
        on_start: called with the page's URL when all workers listen.

    Raises:
        KeyboardInterrupt: on SIGINT.
        ConfigError: the address cannot be used, or workers end as soon as they start.
    """
    bind(settings.host, settings.port).close()  # sharing a port would hide that another program has it
    threads = settings.threads or max((os.cpu_count() or 1) // n_workers, 1)
    web = WebServer(served, dataclasses.replace(settings, threads=threads), tls=tls, shares_port=True)
    settings = dataclasses.replace(settings, threads=threads, port=web.port)
    url = web.url
    web.close()  # or it would get connections that nobody accepts
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        job = _Job(tuple(models), settings, tls, Path(folder), _log.level)
        _supervise(n_workers, job, lambda: on_start(url))


def share_counters(counters: Counters, folder: Path, name: str) -> None:
    """Let the values of `counters` be written to `folder` every second, and read those of others there."""
    own = folder / f"{name}.json"
    counters.others = lambda: read_snapshots(folder, own)

    def write() -> None:
        while folder.is_dir():
            with contextlib.suppress(OSError):
                write_text(own, json.dumps(dataclasses.asdict(counters.snapshot())))
            time.sleep(_WRITE_SECONDS)

    threading.Thread(target=write, daemon=True).start()


def read_snapshots(folder: Path, own: Path) -> list[Snapshot]:
    """The values in a folder except those in the file `own`; without gauges if the process has ended."""
    found = []
    for path in sorted(folder.glob("[0-9]*.json")):
        if path == own:
            continue
        with contextlib.suppress(OSError, ValueError):
            snapshot = Snapshot(**json.loads(path.read_text(encoding="utf-8")))
            is_running = not path.with_suffix(".ended").exists()
            found.append(snapshot if is_running else dataclasses.replace(snapshot, gauges={}))
    return found


class _Worker:
    """A worker process and the pipe on which it says that it listens."""

    def __init__(self, number: int, job: _Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.number, self._folder, self._listens = number, job.folder, False
        self._ready, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(str(number), job, theirs))
        self.process.start()
        theirs.close()

    def listens(self, seconds: float = 0.0) -> bool:
        """Whether it has said so, within some seconds.

        Raises:
            ConfigError: it has ended before that, for a reason that will not go away.
        """
        if not self._listens and self._ready.poll(seconds):
            try:
                self._ready.recv()
            except EOFError as error:
                self.process.join(_STOP_SECONDS)
                raise ConfigError(f"a worker of the server ended with status {self.process.exitcode} as it started") from error
            self._listens = True
        return self._listens

    def end(self) -> None:
        """Wait for its end; its gauges count no more."""
        self.process.join(_STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        (self._folder / f"{self.number}.ended").touch()


def _supervise(n_workers: int, job: _Job, on_start: Callable[[], object]) -> None:
    stopped: list[int] = []
    before = {number: signal.signal(number, lambda got, _: stopped.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    workers = [_Worker(number, job) for number in range(n_workers)]
    n_made = n_workers
    try:
        for worker in workers:
            while not worker.listens(0.2) and not stopped:
                pass
        if not stopped:
            on_start()
        while not stopped:
            ended = set(wait([worker.process.sentinel for worker in workers], timeout=0.5))
            for place, worker in enumerate(workers):
                if worker.process.sentinel in ended and not stopped:
                    worker.end()
                    worker.listens()
                    _log.warning("worker %d ended with status %s; another is started", worker.number, worker.process.exitcode)
                    workers[place] = _Worker(n_made, job)
                    n_made += 1
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped and stopped[0] == signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)  # end as by a signal, as a server with one process does
    raise KeyboardInterrupt


def _work(name: str, job: _Job, ready: Connection) -> None:
    """Serve, until SIGTERM or the end of the parent."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    _log.setLevel(job.level)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    models = load_models(job.models)
    settings = job.settings
    pool = StreamPool(models, threads=settings.n_threads, max_streams=settings.max_streams, gain=settings.gain)
    web = WebServer(models, settings, tls=job.tls, pool=pool, shares_port=True)
    share_counters(pool.counters, job.folder, name)
    ready.send(None)
    ready.close()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(web.serve())


def _end_with_parent() -> None:
    """End with the parent process, which cannot end its workers if it is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
