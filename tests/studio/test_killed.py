"""The server is killed while it saves, trains or exports: what it had confirmed is there afterwards, and nothing in part.

Killed means SIGKILL, which no process can prepare for.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from support.made_server import wait_until
from support.studio_page import RATE, Server, add_version, clips
from wordspot.audio.files import encode_wav, read_audio
from wordspot.runtime.detector import Detector
from wordspot.studio.job import FAILED, FINISHED, STOPPED, ask_to_stop, read_job
from wordspot.studio.project import StudioFolder, StudioProject, TrainingSettings
from wordspot.studio.sounds import RATE as SAVED_RATE
from wordspot.studio.sounds import list_sounds
from wordspot.studio.versions import list_versions
from wordspot.wakeword.project import Project

WORD = "hey lamp"
TAKES = f"/v1/studio/projects/lamp/sounds/takes?word={quote(WORD)}&speaker=ann"
KILLED_AFTER_S = (0.05, 0.2, 0.45)  # of uploading without a pause
SMALL = TrainingSettings(
    minutes=0.1, n_voices=16, n_near_misses=2, stream_minutes=0.5, engine="espeak-ng", false_accepts_per_hour=600
)
TRAINED_S = 900.0  # for busy machines


@pytest.fixture
def project(tmp_path: Path) -> StudioProject:
    project = StudioFolder(tmp_path / "studio").create("lamp")
    project.add_word(WORD)
    return project


@pytest.fixture
def start(project: StudioProject) -> Iterator[Callable[[], Server]]:
    """Starts servers; what a test leaves running is ended."""
    started: list[Server] = []

    def make() -> Server:
        started.append(Server(project.path.parent))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.kill()
    ask_to_stop(project.path, STOPPED)


def sound(number: int) -> bytes:
    noise = 0.1 * np.random.default_rng(number).standard_normal(RATE).astype(np.float32)
    return encode_wav(noise, RATE)


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201, 202), content
        return content


def digests(folder: Path) -> dict[str, str]:
    """What stands in a folder, hidden files left out: each name with the hash of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def upload_until_killed(server: Server, first: int) -> list[dict[str, Any]]:
    """Upload takes one after the other. Returns those that the server confirmed."""
    confirmed: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(first, first + 1000):
            confirmed.append(json.loads(ask(server, "POST", TAKES, sound(number))))
    return confirmed


@contextlib.contextmanager
def half_sent(server: Server) -> Iterator[None]:
    """An upload of which the first half has arrived."""
    content = sound(999)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST {TAKES} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[: len(content) // 2])
        yield


def test_killed_while_takes_are_saved(project: StudioProject, start: Callable[[], Server]) -> None:
    """Every take that was confirmed is there, and none in part: neither under its name, nor offered by the next server."""
    folder, known = project.word_folder(WORD), dict[str, str]()
    for number, seconds in enumerate(KILLED_AFTER_S):
        server, confirmed = start(), list[dict[str, Any]]()
        with half_sent(server):
            uploader = threading.Thread(
                target=lambda s=server, n=number, c=confirmed: c.extend(upload_until_killed(s, 1000 * n))  # type: ignore[misc]
            )
            before = len(list_sounds(folder))
            uploader.start()
            # The second take is only sent once the first one was confirmed.
            wait_until(lambda n=before: len(list_sounds(folder)) > n + 1, 60)  # type: ignore[misc]
            time.sleep(seconds)
            server.kill()
            uploader.join()
        known |= {one["file"]: one["digest"] for one in confirmed}
        assert confirmed
    found = list_sounds(folder)
    assert known.items() <= {one.file: one.digest for one in found}.items()
    assert len(known) <= len(found) <= len(known) + len(KILLED_AFTER_S)  # at most one a time was saved and not yet confirmed
    assert {(one.seconds, one.problem) for one in found} == {(1.0, "")}
    shown = json.loads(ask(start(), "GET", "/v1/studio/projects/lamp"))["words"][0]["takes"]
    assert [one["file"] for one in shown] == [one.file for one in found]


def test_killed_right_after_each_step_was_confirmed(project: StudioProject, start: Callable[[], Server]) -> None:
    """A word, a take, its cut, a discarded take, kept and judged sounds, settings, a threshold."""
    add_version(project)
    one = "/v1/studio/projects/lamp"
    steps: list[tuple[str, str, bytes | None, Callable[[], bool]]] = [
        ("POST", f"{one}/words", b'{"word": "lamp off"}', lambda: "lamp off" in project.words),
        ("POST", TAKES, sound(1), lambda: len(list_sounds(project.word_folder(WORD))) == 1),
        ("POST", TAKES.replace("takes?", "takes/ann_nohash_0.wav/trim?"), b'{"start": 0.1, "stop": 0.6}',
         lambda: [(one.file, one.seconds) for one in list_sounds(project.word_folder(WORD))] == [("ann_nohash_1.wav", 0.5)]),
        ("DELETE", TAKES.replace("takes?", "takes/ann_nohash_1.wav?"), None,
         lambda: len(list_sounds(project.discarded / WORD)) == 2),
        ("POST", f"{one}/kept?word={quote(WORD)}&score=0.5", sound(2), lambda: len(list(project.kept.iterdir())) == 1),
        ("PUT", f"{one}/settings", b'{"minutes": 7}', lambda: project.settings().minutes == 7),
        ("POST", f"{one}/versions/1/threshold", b'{"threshold": 0.77}',
         lambda: set(list_versions(project)[0].read()["thresholds"].values()) == {0.77}),
    ]  # fmt: skip
    for method, path, body, is_there in steps:
        server = start()
        ask(server, method, path, body)
        server.kill()
        assert is_there(), path
    server = start()
    (kept,) = json.loads(ask(server, "GET", one))["kept"]
    ask(server, "POST", f"{one}/kept/{quote(kept['path'])}", b'{"answer": "not-meant"}')
    server.kill()
    assert len(list_sounds(project.not_words)) == 1


def test_killed_while_it_exports(project: StudioProject, start: Callable[[], Server]) -> None:
    """Nobody gets a part of a file as if it were the whole, and nothing is left in the project."""
    add_version(project)
    before = digests(project.path)
    for seconds in (0.0, 0.1, 0.3):
        server, received = start(), list[bytes]()

        def take(server: Server = server, received: list[bytes] = received) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                received.append(ask(server, "GET", "/v1/studio/projects/lamp/versions/1/exports/page"))

        taker = threading.Thread(target=take)
        taker.start()
        time.sleep(seconds)
        server.kill()
        taker.join()
        assert all(zipfile.ZipFile(io.BytesIO(content)).testzip() is None for content in received)
        assert digests(project.path) == before
    server = start()
    content = ask(server, "GET", "/v1/studio/projects/lamp/versions/1/exports/page")
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    assert (
        ask(server, "GET", "/v1/studio/projects/lamp/versions/1/exports/python") == list_versions(project)[0].model.read_bytes()
    )


def trainers(project: StudioProject) -> list[int]:
    """The ids of the processes that train a project (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"wordspot.studio.worker" in words and os.fsencode(project.path) in words:
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="processes are found as Linux lists them")
def test_killed_with_its_training_it_goes_on(project: StudioProject, start: Callable[[], Server], shared_data: Path) -> None:
    """Server and training are killed while voices speak, while it trains and while it measures."""
    pytest.importorskip("torch")
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")
    project.remove_word(WORD)
    project.add_word("marvin")
    server = start()
    for path in clips(shared_data, "marvin")[:4]:
        ask(server, "POST", "/v1/studio/projects/lamp/sounds/takes?word=marvin&speaker=ann", path.read_bytes())
    takes = digests(project.takes)
    project.write_settings(SMALL)
    ask(server, "POST", "/v1/studio/projects/lamp/training", b"{}")
    run = Project(project.model).members / "1"
    moments: dict[str, Callable[[], bool]] = {
        "speaking": lambda: any((project.model / "recordings").glob("*/*.wav")),
        "training": lambda: any(step > 0 for step in steps_of(run)),
        "measuring": lambda: (project.model / "streams").is_dir() and any((project.model / "streams").glob("*.csv")),
    }
    for name, is_now in moments.items():
        wait_until(lambda is_now=is_now: is_now() or has_ended(project), TRAINED_S)  # type: ignore[misc]
        assert not has_ended(project), name
        n_steps = max(steps_of(run), default=0)
        server.kill()
        for worker in trainers(project):
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not trainers(project), 60)
        assert list_versions(project) == []
        assert digests(project.takes) == takes
        server = start()
        state = json.loads(ask(server, "GET", "/v1/studio/projects/lamp/training"))
        assert state["state"] == "running", name
        assert max(steps_of(run), default=0) >= n_steps, name  # no step that was kept is trained again
        if name == "training":
            wait_until(lambda: shown_stage(project) == "Training" or has_ended(project), TRAINED_S)
            assert not has_ended(project)
    wait_until(lambda: has_ended(project), TRAINED_S)
    job = read_job(project.path)
    assert job is not None
    assert (job.state, job.version) == (FINISHED, 1), job.error
    (version,) = list_versions(project)
    assert version.read()["words"] == ["marvin"]
    Detector(version.model).feed(read_audio(clips(shared_data, "marvin")[0], SAVED_RATE)[0])
    assert digests(project.takes) == takes


def has_ended(project: StudioProject) -> bool:
    time.sleep(0.05)  # those who wait for it leave the cores to the training
    job = read_job(project.path)
    return job is not None and job.state in (FINISHED, FAILED)


def shown_stage(project: StudioProject) -> str:
    job = read_job(project.path)
    return "" if job is None else job.stage


def steps_of(run: Path) -> list[int]:
    """The steps of a run that a killed training need not repeat."""
    return [int(path.stem.removeprefix("step-")) for path in (run / "checkpoints").glob("step-*.safetensors")]
