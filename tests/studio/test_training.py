"""The state of a training is true whatever dies, one runs at a time, and it goes on where it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.made_server import wait_until
from wordspot.errors import ConfigError
from wordspot.locks import is_locked
from wordspot.progress import SEARCHING, TRAINING, Progress
from wordspot.studio import training as module
from wordspot.studio.job import FINISHED, RUNNING, STOPPED, Job, JobWriter, asked_to_stop, read_job, write_job
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.training import Training
from wordspot.studio.worker import lock_path
from wordspot.wakeword.training import PROBING

#: A worker that does nothing but say that it runs, until it is asked to stop.
PRETENDER = """
import sys, time
from pathlib import Path
from wordspot.locks import hold_lock
from wordspot.studio.job import JobWriter, asked_to_stop
from wordspot.studio.worker import lock_path
project = Path(sys.argv[1])
with hold_lock(lock_path(project.parent)):
    writer = JobWriter(project)
    writer.write(stage="working")
    while not (state := asked_to_stop(project)):
        time.sleep(0.02)
    writer.write(state=state)
"""


@pytest.fixture
def folder(tmp_path: Path) -> StudioFolder:
    made = StudioFolder(tmp_path / "studio")
    made.create("lamp").add_word("hey lamp")
    made.create("empty")
    return made


@pytest.fixture
def training(folder: StudioFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Training]:
    """A training whose worker is the pretender."""
    script = tmp_path / "pretender.py"
    script.write_text(PRETENDER)
    popen, started = subprocess.Popen, list[Any]()

    def start(command: list[str], **options: Any) -> Any:
        started.append(popen([sys.executable, str(script), *command[3:]], **options))
        return started[-1]

    monkeypatch.setattr(module.subprocess, "Popen", start)
    yield Training(folder)
    for process in started:
        process.kill()
        process.wait()


def is_working(training: Training, project: StudioProject) -> bool:
    state = training.state(project)
    return state is not None and state["state"] == RUNNING and state["stage"] == "working"


def test_one_at_a_time_and_stopped_when_asked(folder: StudioFolder, training: Training) -> None:
    project = folder.project("lamp")
    assert training.state(project) is None
    with pytest.raises(ConfigError, match="add a word first"):
        training.start(folder.project("empty"))
    training.start(project)
    wait_until(lambda: is_working(training, project), 60)
    with pytest.raises(ConfigError, match="another training is running"):
        training.start(project)
    training.stop(project)
    wait_until(lambda: not training.is_busy, 60)
    state = training.state(project)
    assert state is not None
    assert state["state"] == STOPPED


def test_a_training_outlives_the_server(folder: StudioFolder, training: Training) -> None:
    project = folder.project("lamp")
    training.start(project)
    wait_until(lambda: is_working(training, project), 60)
    again = Training(folder)  # another server, which knows only the files
    assert is_working(again, project)
    assert again.recover() == project
    assert is_locked(lock_path(folder.path))
    again.stop(project)
    wait_until(lambda: not again.is_busy, 60)


def test_a_killed_worker_is_started_again(folder: StudioFolder, training: Training) -> None:
    project = folder.project("lamp")
    training.start(project)
    wait_until(lambda: is_working(training, project), 60)
    process = training._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = training.state(project)
    assert state is not None
    assert state["state"] == "interrupted"
    assert training.recover() == project
    wait_until(lambda: is_working(training, project), 60)
    training.stop(project)
    wait_until(lambda: not training.is_busy, 60)


def test_the_end_of_the_server_is_a_pause(folder: StudioFolder, training: Training) -> None:
    project = folder.project("lamp")
    training.start(project)
    wait_until(lambda: is_working(training, project), 60)
    training.pause()
    wait_until(lambda: not training.is_busy, 60)
    job = read_job(project.path)
    assert job is not None
    assert job.state == RUNNING  # what the next server goes on with
    write_job(project.path, Job(state=FINISHED))
    assert training.recover() is None


def test_a_damaged_job_is_none(tmp_path: Path) -> None:
    for content in ("{", "[]", '{"unknown": 1}'):
        (tmp_path / "training.json").write_text(content)
        assert read_job(tmp_path) is None


def test_progress_never_falls_and_the_curve_stays_small(tmp_path: Path) -> None:
    class Step:
        kind, loss, accuracy = "step", 0.5, 0.75

        def __init__(self, step: int) -> None:
            self.step = step

    writer, fractions = JobWriter(tmp_path), []
    for word in ("hey", "lamp"):
        writer.on_progress(Progress(word, 1, 2))
        fractions.append(writer.job.fraction)
    assert writer.job.stage == "Voices say “lamp”"
    writer.on_progress(Progress(PROBING, 1, 8))
    assert writer.job.stage == "Measuring how fast training is"
    for done in range(11):
        writer.on_progress(Progress(TRAINING, done, 10))
        assert writer.job.stage == "Training"
        fractions.append(writer.job.fraction)
        writer.on_progress(Progress(SEARCHING, 3, 12))
        assert writer.job.stage == "Searching the speech and noise"
        assert writer.is_training == (done < 10)  # it ends after this step, and is not interrupted
        fractions.append(writer.job.fraction)
    for seconds in range(5):
        writer.on_progress(Progress("scoring testing.wav", seconds))
        fractions.append(writer.job.fraction)
    for step in range(5000):
        writer.on_record(Step(step + 1))
    writer.write()
    job = read_job(tmp_path)
    assert job is not None
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1
    assert 100 <= len(job.curve) <= 400
    assert job.curve[-1][0] > 4900
    assert not asked_to_stop(tmp_path)


def test_of_several_that_start_at_once_one_runs(folder: StudioFolder, training: Training) -> None:
    def start(_: int) -> bool:
        try:
            training.start(folder.project("lamp"))
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 1
    training.stop(folder.project("lamp"))


def test_the_curves_go_on_after_an_interruption(tmp_path: Path) -> None:
    """Steps that are done again replace those of before."""
    writer = JobWriter(tmp_path)
    for step in range(1, 8):
        writer.on_record(SimpleNamespace(kind="step", step=step, accuracy=0.5, loss=1 / step))
        if step % 3 == 0:
            found = SimpleNamespace(kind="found", step=step, n_found=step, n_words=9, n_wrong=0, n_others=4)
            writer.on_record(found)
    writer.write()
    again = JobWriter(tmp_path)
    again.on_record(SimpleNamespace(kind="step", step=5, accuracy=0.5, loss=0.01))
    again.write()
    job = read_job(tmp_path)
    assert job is not None
    assert [int(step) for step, *_ in job.curve] == [1, 2, 3, 4, 5]
    assert job.curve[-1][1] == 0.01
    assert [tuple(one) for one in job.found] == [(3, 3, 9, 0, 4)]
