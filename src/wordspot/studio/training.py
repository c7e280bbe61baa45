"""Starts, watches and stops the one process that trains in a studio's folder."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError
from wordspot.locks import is_locked
from wordspot.studio.job import (
    FINISHED,
    INTERRUPTED,
    RUNNING,
    STOPPED,
    Job,
    ask_to_stop,
    asked_to_stop,
    forget_stop,
    log_path,
    read_job,
    write_job,
)
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.worker import lock_path

_LOG_TAIL = 400  # characters


class Training:
    """The trainings of a studio.

    Args:
        folder: with the projects.
        speech: recordings of speech without the words, for `wordspot.new`; None: none.
    """

    def __init__(self, folder: StudioFolder, speech: Path | None = None) -> None:
        self._folder, self.speech = folder, speech
        self._process: subprocess.Popen[bytes] | None = None
        self._project: Path | None = None
        self._starting = threading.Lock()

    def recover(self) -> StudioProject | None:
        """Go on with a training that was running when the last server or worker ended. Returns its project."""
        left = [project for project in self._folder.projects() if _is_running(project)]
        for project in left:
            if is_locked(lock_path(self._folder.path)):  # it outlived the last server: let it go on
                forget_stop(project.path)
            else:
                self._spawn(project)
            return project
        return None

    def start(self, project: StudioProject) -> None:
        """Begin to train a project, or go on.

        Raises:
            ConfigError: it has no words, or a training is running.
        """
        if not project.words:
            raise ConfigError("add a word first")
        with self._starting:
            if self.is_busy:
                raise ConfigError("another training is running; wait until it has ended, or stop it")
            now, before = time.time(), read_job(project.path)
            job = Job(started=now, updated=now)
            if before is not None and before.state != FINISHED:  # it goes on; the worker drops steps that it trains again
                job = dataclasses.replace(job, curve=before.curve, found=before.found)
            write_job(project.path, job)
            self._spawn(project)

    def stop(self, project: StudioProject) -> None:
        """Ask the training of a project to end; `start` goes on with it."""
        if self.state(project) and self.is_busy and _is_running(project):
            ask_to_stop(project.path, STOPPED)

    def pause(self) -> None:
        """Ask a running training to end, so that the next server goes on with it."""
        for project in self._folder.projects():
            if _is_running(project) and not asked_to_stop(project.path):
                ask_to_stop(project.path, RUNNING)

    @property
    def is_busy(self) -> bool:
        """Whether a training is running."""
        return (self._process is not None and self._process.poll() is None) or is_locked(lock_path(self._folder.path))

    def state(self, project: StudioProject) -> dict[str, Any] | None:
        """The project's latest training as a JSON object; None if there was none."""
        job = read_job(project.path)
        if job is None:
            return None
        value = job.to_json()
        if job.state == RUNNING and not self._trains(project):
            value |= {"state": INTERRUPTED, "error": _last_line(project)}
        elif job.state == RUNNING and asked_to_stop(project.path):
            value |= {"stage": "Stopping after this step …"}
        return {**value, "now": time.time()}

    def _trains(self, project: StudioProject) -> bool:
        if self._process is not None and self._process.poll() is None:
            return self._project == project.path
        return is_locked(lock_path(self._folder.path))

    def _spawn(self, project: StudioProject) -> None:
        forget_stop(project.path)
        command = [sys.executable, "-m", "wordspot.studio.worker", str(project.path)]
        command += ["--speech", str(self.speech)] if self.speech else []
        with log_path(project.path).open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )  # a session of its own, so that Ctrl-C reaches the server only, which then asks for a pause
        self._project = project.path


def _is_running(project: StudioProject) -> bool:
    job = read_job(project.path)
    return job is not None and job.state == RUNNING


def _last_line(project: StudioProject) -> str:
    """The last line of the worker's output, which says why it died."""
    path = log_path(project.path)
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    return text.rpartition("\n")[2][-_LOG_TAIL:]
