"""The studio over HTTP, by real sockets: a user's way through it, and what no client can make it do."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

from support.made_onnx import made_model
from support.made_server import Running, running
from wordspot.commands.main import build_parser
from wordspot.files import write_json
from wordspot.server.served import load_models
from wordspot.studio import routes
from wordspot.studio.overview import training_command
from wordspot.studio.project import StudioFolder, TrainingSettings, request_of
from wordspot.studio.routes import StudioRoutes
from wordspot.studio.training import Training
from wordspot.wakeword.project import Project

RATE = 16_000
BASE = "/v1/studio/projects"


@pytest.fixture
def folder(tmp_path: Path) -> StudioFolder:
    made = StudioFolder(tmp_path / "studio")
    made.create("lamp").add_word("hey lamp")
    return made


@pytest.fixture
def server(folder: StudioFolder, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "made.onnx").write_bytes(made_model())
    models = load_models([tmp_path / "made.onnx"])

    def add(uploads: Any) -> Any:
        return StudioRoutes(folder, Training(folder), uploads).routes()

    with running(models, add_routes=add, max_upload_bytes=1 << 20) as server:
        yield server


def wav(seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32)
    soundfile.write(out, noise, RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


def ask(server: Running, method: str, path: str, value: Any = None, **options: Any) -> tuple[int, Any]:
    """A request with a JSON body or bytes: the status, and the answer's JSON."""
    body = value if isinstance(value, bytes) or value is None else json.dumps(value)
    status, _, answer = server.ask(method, path, body, **options)
    return status, json.loads(answer)


def test_the_page_is_there(server: Running) -> None:
    for name in ("", "app.js", "studio.css"):
        status, headers, _ = server.ask("GET", f"/studio/{name}")
        assert (status, headers["cache-control"]) == (200, "no-cache")
    assert server.ask("GET", "/studio")[0] == 308
    for name in ("../routes.py", "%2e%2e/routes.py", "nothing.js"):
        assert server.ask("GET", f"/studio/{name}")[0] == 404


def test_a_word_is_recorded_trimmed_played_and_discarded(server: Running, folder: StudioFolder) -> None:
    assert ask(server, "POST", BASE, {"name": "two words"}) == (201, {"name": "two words"})
    one = f"{BASE}/two%20words"
    assert ask(server, "POST", f"{one}/words", {"word": "Grün"})[1] == {"word": "grün"}
    sounds = f"{one}/sounds/takes"
    query = f"?word={quote('grün')}"
    status, saved = ask(server, "POST", f"{sounds}{query}&speaker=ann", wav())
    assert (status, saved["file"], saved["seconds"]) == (201, "ann_nohash_0.wav", 1.0)
    status, headers, body = server.ask("GET", f"{sounds}/{saved['file']}{query}")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "audio/wav", "no-store")
    assert soundfile.info(io.BytesIO(body)).frames == RATE
    status, cut = ask(server, "POST", f"{sounds}/{saved['file']}/trim{query}", {"start": 0.2, "stop": 0.7})
    assert (status, cut["seconds"]) == (200, 0.5)
    state = server.get_json(one)
    assert [take["file"] for take in state["words"][0]["takes"]] == [cut["file"]]
    assert "--add" in state["command"]
    status, gone = ask(server, "DELETE", f"{sounds}/{cut['file']}{query}")
    assert status == 200
    status, back = ask(server, "POST", f"{sounds}/{gone['discarded']}/restore{query}", {})
    assert (status, back["digest"]) == (200, cut["digest"])
    assert ask(server, "DELETE", f"{sounds}/{back['file']}{query}")[0] == 200
    assert server.get_json(one)["words"] == [{"word": "grün", "takes": []}]
    assert ask(server, "DELETE", f"{one}/words/{quote('grün')}")[0] == 200
    assert server.get_json(one)["words"] == []
    assert {one["name"] for one in server.get_json(BASE)["projects"]} == {"lamp", "two words"}


def test_what_was_heard_wrongly_is_kept_and_judged(server: Running) -> None:
    one = f"{BASE}/lamp"
    status, kept = ask(server, "POST", f"{one}/kept?word=hey%20lamp&score=0.8&missed=0", wav(2))
    assert status == 201
    state = server.get_json(one)
    assert [row["path"] for row in state["kept"]] == [kept["path"]]
    assert server.ask("GET", f"{one}/kept/{quote(kept['path'])}")[0] == 200
    assert ask(server, "POST", f"{one}/kept/{quote(kept['path'])}", {"answer": "not-meant"})[0] == 200
    state = server.get_json(one)
    assert state["kept"] == []
    assert len(state["not_words"]) == 1


def test_voices_say_a_word_and_what_sounds_like_it(server: Running) -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")
    voices = f"{BASE}/lamp/voices/hey%20lamp"
    first, again, other = (server.ask("GET", f"{voices}/{number}", seconds=60)[2] for number in (0, 0, 1))
    assert first == again != other
    audio, rate = soundfile.read(io.BytesIO(first))
    assert rate == RATE
    assert 0.05 < np.abs(audio).max() <= 1
    texts = server.get_json(voices, seconds=60)["texts"]
    assert texts
    assert "hey lamp" not in texts
    assert ask(server, "GET", f"{BASE}/lamp/voices/nothing")[0] == 404
    assert ask(server, "GET", f"{BASE}/lamp/voices/nothing/0")[0] == 404


def test_the_command_that_is_shown_does_the_same(folder: StudioFolder, tmp_path: Path) -> None:
    project = folder.project("lamp")
    project.add_word("off")
    project.write_settings(TrainingSettings(minutes=2.5, n_voices=50, n_near_misses=7, language="de"))
    for place in (project.takes / "off", project.not_words, project.backgrounds):
        place.mkdir(exist_ok=True)
        (place / "a.wav").write_bytes(wav())
    program, *words = shlex.split(training_command(project, project.settings()))
    args = build_parser().parse_args(words)
    assert (program, args.command, args.phrases) == ("wordspot", "new", ["hey lamp", "off"])
    given = {name: getattr(args, name) for name in vars(project.settings())}
    assert TrainingSettings(**given) == project.settings()
    assert (args.out, args.takes, args.false_accepts, args.backgrounds) == (
        project.model, project.takes, project.not_words, project.backgrounds,
    )  # fmt: skip
    assert (args.resume, args.force) == (False, False)
    Project(project.model).write(request_of(project.words, project.settings()), [])
    for settings, flag in ((project.settings(), "--resume"), (TrainingSettings(), "--force")):
        assert flag in training_command(project, settings, tmp_path).split()


def test_settings_and_versions(server: Running, folder: StudioFolder) -> None:
    one = f"{BASE}/lamp"
    assert ask(server, "PUT", f"{one}/settings", {"minutes": 2, "n_voices": 50})[0] == 200
    assert server.get_json(one)["settings"]["minutes"] == 2
    assert ask(server, "PUT", f"{one}/settings", {"minutes": -1})[0] == 422
    assert ask(server, "GET", f"{one}/versions/1")[0] == 404
    versions = folder.project("lamp").versions
    versions.mkdir()
    (versions / "1.onnx").write_bytes(made_model())
    assert server.get_json(one)["versions"] == []  # the report is written last
    write_json(versions / "1.json", {"number": 1, "words": ["a", "b"]})
    report = server.get_json(f"{one}/versions/1")
    assert report["model"]["labels"][-2:] == ["a", "b"]
    file = report["model"]["file"]
    status, _, body = server.ask("GET", f"/studio/{file}")
    assert (status, body) == (200, (versions / "1.onnx").read_bytes())
    assert ask(server, "POST", f"{one}/versions/1/threshold", {"threshold": 0.25})[0] == 200
    again = server.get_json(f"{one}/versions/1")
    assert again["model"]["card"]["decoder"]["threshold"] == 0.25
    assert again["thresholds"] == {"a": 0.25, "b": 0.25}
    assert server.ask("GET", f"/studio/{file}")[0] == 404  # the file has changed
    for kind in ("python", "home-assistant"):
        assert server.ask("GET", f"{one}/versions/1/exports/{kind}")[2] == (versions / "1.onnx").read_bytes()
    assert ask(server, "GET", f"{one}/versions/1/exports/nothing")[0] == 404
    commands = [export["command"] for export in server.get_json(f"{one}/versions/1/exports")["exports"]]
    assert all(command.startswith("wordspot ") for command in commands)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{BASE}/nowhere", None, 404),
        ("GET", f"{BASE}/..", None, 404),
        ("GET", f"{BASE}/%2e%2e", None, 404),
        ("POST", BASE, {"name": "../x"}, 422),
        ("POST", BASE, {"name": 3}, 422),
        ("POST", BASE, [], 422),
        ("POST", BASE, b"{", 422),
        ("POST", BASE, b"[" * 10_000, 422),
        ("POST", BASE, b" " * 20_000, 413),
        ("POST", f"{BASE}/lamp/words", {"word": "a/b"}, 422),
        ("POST", f"{BASE}/lamp/sounds/takes?word=hey%20lamp&speaker=..%2F..%2Fx", wav(), 422),
        ("POST", f"{BASE}/lamp/sounds/takes?word=..&speaker=a", wav(), 404),
        ("POST", f"{BASE}/lamp/sounds/elsewhere?speaker=a", wav(), 404),
        ("POST", f"{BASE}/lamp/sounds/takes?word=hey%20lamp&speaker=a", b"no sound", 422),
        ("POST", f"{BASE}/lamp/sounds/takes?word=hey%20lamp&speaker=a", bytes((1 << 20) + 1), 413),
        ("GET", f"{BASE}/lamp/sounds/takes/..%2f..%2fstudio.json?word=hey%20lamp", None, 404),
        ("POST", f"{BASE}/lamp/sounds/takes/%2e%2e/restore?word=hey%20lamp", {}, 404),
        ("POST", f"{BASE}/lamp/sounds/elsewhere/a.wav/restore", {}, 404),
        ("GET", f"{BASE}/lamp/kept/../studio.json", None, 404),
        ("GET", f"{BASE}/lamp/kept/%2e%2e/studio.json", None, 404),
        ("POST", f"{BASE}/lamp/kept?word=hey%20lamp&score=much", wav(), 422),
        ("POST", f"{BASE}/lamp/kept?word=other&score=1", wav(), 422),
        ("PUT", f"{BASE}/lamp/settings", {"language": "--help"}, 422),
        ("PUT", f"{BASE}/lamp/settings", {"engine": "\ud800"}, 422),
        ("PUT", f"{BASE}/lamp/settings", {"minutes": -(10**400)}, 422),
        ("GET", f"{BASE}/lamp/voices/hey%20lamp/{'9' * 5000}", None, 422),
        ("GET", f"{BASE}/lamp/versions/0", None, 404),
        ("GET", f"{BASE}/lamp/versions/{'9' * 5000}", None, 404),
        ("GET", "/studio/models/..%2f1.onnx", None, 404),
        ("GET", f"/studio/models/{'0' * 64}.onnx", None, 404),
    ],
)
def test_what_is_refused(server: Running, folder: StudioFolder, method: str, path: str, body: Any, status: int) -> None:
    before = sorted(folder.path.rglob("*"))
    found, value = ask(server, method, path, body)
    assert found == status
    assert str(folder.path) not in value["error"]
    assert sorted(folder.path.rglob("*")) == before


def test_other_pages_and_clients_without_the_token(folder: StudioFolder, tmp_path: Path) -> None:
    (tmp_path / "made.onnx").write_bytes(made_model())

    def add(uploads: Any) -> Any:
        return StudioRoutes(folder, Training(folder), uploads).routes()

    with running(load_models([tmp_path / "made.onnx"]), add_routes=add, token="a-secret-token") as server:
        assert ask(server, "GET", BASE)[0] == 401
        assert ask(server, "POST", BASE, {"name": "x"})[0] == 401
        known = {"Authorization": "Bearer a-secret-token"}
        assert ask(server, "GET", BASE, headers=known)[0] == 200
        assert ask(server, "POST", BASE, {"name": "x"}, headers={**known, "Origin": "https://example.org"})[0] == 403
        assert ask(server, "GET", BASE, headers={**known, "Host": "example.org"})[0] == 421
    assert [one.name for one in folder.projects()] == ["lamp"]


def test_a_full_disk(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_LEAST_FREE", 1 << 60)
    for path, body in ((BASE, {"name": "x"}), (f"{BASE}/lamp/sounds/takes?word=hey%20lamp&speaker=a", wav())):
        status, value = ask(server, "POST", path, body)
        assert (status, value["error"]) == (507, "the disk is nearly full; nothing more is saved until there is room")
