"""The studio as a command of its own and as a part of `wordspot serve`: what it prints, and who may use it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.made_onnx import made_model
from support.made_server import running
from wordspot.commands.main import main
from wordspot.errors import ConfigError, NotFoundError
from wordspot.locks import hold_lock
from wordspot.server.serve import serve
from wordspot.server.served import load_models
from wordspot.studio.job import RUNNING, Job, asked_to_stop, write_job
from wordspot.studio.project import StudioFolder
from wordspot.studio.routes import StudioRoutes
from wordspot.studio.serve import studio
from wordspot.studio.training import Training
from wordspot.studio.worker import lock_path

PROJECTS = "/v1/studio/projects"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "made.onnx"
    path.write_bytes(made_model())
    return path


@contextlib.contextmanager
def started(*args: str, n_lines: int) -> Iterator[list[str]]:
    """`wordspot` in a process of its own, and the first lines that it prints; Ctrl-C ends it as it should."""
    process = subprocess.Popen([sys.executable, "-m", "wordspot", *args], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield [process.stdout.readline().strip() for _ in range(n_lines)]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        process.stdout.close()


def get(port: int, path: str, token: str = "") -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def test_serve_has_the_studio_beside_its_models(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    StudioFolder(folder).path.mkdir()
    StudioFolder(folder).create("lamp")
    with started("serve", str(model), "--studio", "--dir", str(folder), "--port", "0", n_lines=5) as lines:
        port = int(lines[0].rsplit(":", 1)[1].strip("/"))
        assert lines[2] == "Model:    made (a, b)"
        assert lines[3:] == [f"The studio: http://localhost:{port}/studio/", f"Projects:   {folder}"]
        assert [one["name"] for one in json.loads(get(port, PROJECTS)[1])["projects"]] == ["lamp"]
        assert [one["name"] for one in json.loads(get(port, "/v1/models")[1])["models"]] == ["made"]
        status, _, headers = get(port, "/studio/")
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
    with started("serve", str(model), "--port", "0", n_lines=1) as lines:
        port = int(lines[0].rsplit(":", 1)[1].strip("/"))
        assert get(port, "/studio/")[0] == get(port, PROJECTS)[0] == 404


@pytest.mark.parametrize("more", [("--host", "0.0.0.0"), ("--allow-origin", "https://home.example")])
def test_open_to_the_network_or_behind_a_proxy_it_has_a_token(model: Path, tmp_path: Path, more: tuple[str, str]) -> None:
    args = ("serve", str(model), "--studio", "--dir", str(tmp_path / "words"), *more, "--port", "0")
    with started(*args, n_lines=4) as lines:
        found = re.fullmatch(r"The studio: http://localhost:(\d+)/studio/#token=(\S{20,})", lines[3])
        assert found
        port, token = int(found[1]), found[2]
        assert get(port, PROJECTS)[0] == 401
        assert get(port, PROJECTS, token)[0] == 200
        assert token not in get(port, "/studio/")[1].decode()


def test_other_pages_may_use_the_server_and_not_the_studio(model: Path, tmp_path: Path) -> None:
    folder = StudioFolder(tmp_path)

    def add(uploads: Any) -> Any:
        return StudioRoutes(folder, Training(folder), uploads).routes()

    with running(load_models([model]), add_routes=add, allow_origins=("https://example.org",)) as server:
        other = {"Origin": "https://example.org"}
        assert server.ask("GET", "/v1/models", headers=other)[0] == 200
        for method in ("GET", "POST", "OPTIONS"):
            status, _, body = server.ask(method, PROJECTS, "{}" if method == "POST" else None, headers=other)
            assert (status, b"only its own page may" in body) == (403, True)
        assert server.ask("GET", PROJECTS, headers={"Origin": f"http://127.0.0.1:{server.port}"})[0] == 200
    assert folder.projects() == []


def test_what_makes_no_sense(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["--dir", str(tmp_path)], ["--speech", str(tmp_path)]):
        assert main(["serve", str(model), *flags]) == 1
        assert "add --studio, or leave them out" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="served by one process, got `workers` = 2"):
        studio(tmp_path / "words", models=model, workers=2)
    with pytest.raises(ConfigError, match="further routes are served by one process only"):
        serve(model, workers=2, add_routes=lambda _: ())
    with pytest.raises(NotFoundError, match="expected recordings of speech"):
        studio(tmp_path / "words", speech=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a file"):
        studio(model)


def test_a_server_that_cannot_start_leaves_the_training_of_another_alone(tmp_path: Path) -> None:
    folder = StudioFolder(tmp_path)
    project = folder.create("lamp")
    write_job(project.path, Job(state=RUNNING))
    taken = socket.create_server(("127.0.0.1", 0))
    with (
        contextlib.closing(taken),
        hold_lock(lock_path(folder.path)),
        pytest.raises(ConfigError, match="cannot listen on 127"),
    ):
        studio(folder.path, port=taken.getsockname()[1])
    assert asked_to_stop(project.path) == ""
