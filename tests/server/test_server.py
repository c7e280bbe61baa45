"""The server over HTTP, by real sockets: what it serves, which requests it rejects, and what no client can make it do."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route, WebSocketRoute

from support.made_onnx import RATE
from support.made_server import Running, made_models, running, wait_until
from wordspot.errors import ConfigError, NotFoundError
from wordspot.runtime.detector import Classifier
from wordspot.runtime.recordings import RecordingClassifier
from wordspot.server.app import make_app
from wordspot.server.config import ServerSettings
from wordspot.server.guard import HEADERS
from wordspot.server.label import DEFAULT_TOP, MAX_TOP
from wordspot.server.record import MAX_SECONDS, MAX_TAKE, clean_word
from wordspot.server.serve import Serving, serve
from wordspot.server.served import ServedModel
from wordspot.server.web_server import WebServer

CLIP = RATE // 10


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    return made_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of our own, so that these tests know every byte."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "index.html").write_text("<!doctype html><title>wordspot</title>" + "<p>word</p>" * 500)
    (folder / "app.js").write_text("export {};")
    (folder / "secret.py").write_text("no page")
    (folder / ".hidden.js").write_text("no page")
    (folder / "vendor" / "ort").mkdir(parents=True)
    (folder / "vendor" / "ort" / "ort.wasm").write_bytes(bytes(300_000))
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "data"


@pytest.fixture(scope="module")
def server(models: list[ServedModel], page: Path, records: Path) -> Iterator[Running]:
    limits: dict[str, Any] = {"max_upload_bytes": 1 << 20, "max_upload_seconds": 5.0, "upload_seconds": 1.0}
    with running(models, folder=page, record_dir=records, request_seconds=1.0, send_seconds=1.0, **limits) as server:
        yield server


def wav(value: float = 0.5, seconds: float = 0.1, rate: int = RATE, channels: int = 1, **options: Any) -> bytes:
    out = io.BytesIO()
    samples = np.full((int(seconds * rate), channels), value, np.float32)
    soundfile.write(out, samples, rate, **{"format": "WAV", "subtype": "PCM_16", **options})
    return out.getvalue()


def problem(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    text = json.loads(answer[2])["error"]
    assert "\n" not in text
    assert "/tmp" not in text
    assert "Traceback" not in text
    return answer[0], text


# The page and the models


def test_the_page_and_its_files(server: Running, page: Path) -> None:
    status, headers, body = server.ask("GET", "/")
    assert (status, body) == (200, (page / "index.html").read_bytes())
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert server.ask("GET", "/app.js")[1]["content-type"].startswith("text/javascript")
    status, _, body = server.ask("HEAD", "/")
    assert (status, body) == (200, b"")


def test_what_is_compressed_and_kept(server: Running) -> None:
    plain = server.ask("GET", "/vendor/ort/ort.wasm")
    status, headers, body = server.ask("GET", "/vendor/ort/ort.wasm?v=1", headers={"Accept-Encoding": "gzip, br"})
    assert (status, headers["content-encoding"], headers["content-type"]) == (200, "gzip", "application/wasm")
    assert len(body) < 3000
    assert gzip.decompress(body) == plain[2] == bytes(300_000)
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain[1]["cache-control"] == "no-cache"
    assert server.ask("GET", "/?v=1")[1]["cache-control"] == "no-cache"
    again = server.ask("GET", "/vendor/ort/ort.wasm", headers={"If-None-Match": plain[1]["etag"]})
    assert (again[0], again[2]) == (304, b"")
    refused = server.ask("GET", "/vendor/ort/ort.wasm", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused[1]


def test_a_compressed_copy_is_sent_unless_it_is_older(models: list[ServedModel], tmp_path: Path) -> None:
    """What ``make web`` writes beside the runtime, which takes long to compress."""
    (tmp_path / "ort.wasm").write_bytes(bytes(5000))
    (tmp_path / "ort.wasm.gz").write_bytes(gzip.compress(b"the copy"))
    asking = {"Accept-Encoding": "gzip"}
    with running(models, folder=tmp_path) as server:
        status, headers, body = server.ask("GET", "/ort.wasm", headers=asking)
        assert (status, headers["content-encoding"], headers["content-type"]) == (200, "gzip", "application/wasm")
        assert gzip.decompress(body) == b"the copy"
        assert "Accept-Encoding" in headers["vary"]
        again = server.ask("GET", "/ort.wasm", headers={**asking, "If-None-Match": headers["etag"]})
        assert (again[0], again[2]) == (304, b"")
        assert server.ask("GET", "/ort.wasm", headers={"If-None-Match": headers["etag"]})[2] == bytes(5000)
        assert server.ask("GET", "/ort.wasm.gz")[0] == 404
        os.utime(tmp_path / "ort.wasm.gz", ns=(1, 1))
        assert gzip.decompress(server.ask("GET", "/ort.wasm", headers=asking)[2]) == bytes(5000)


def test_a_model_is_not_sent_again(server: Running) -> None:
    for path in ("/models/words.onnx", "/models.json"):
        first = server.ask("GET", path)
        again = server.ask("GET", path, headers={"If-None-Match": f'"x", W/{first[1]["etag"]}'})
        assert (again[0], again[2], again[1]["etag"]) == (304, b"", first[1]["etag"])
        assert server.ask("HEAD", path)[2] == b""
        zipped = server.ask("GET", path, headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(zipped[2]) == first[2]


def test_a_file_that_changes_is_read_again(models: list[ServedModel], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    with running(models, folder=tmp_path) as server:
        assert server.ask("GET", "/")[2] == b"old"
        (tmp_path / "index.html").write_text("new")
        os.utime(tmp_path / "index.html", ns=(1, 1))
        assert server.ask("GET", "/")[2] == b"new"


@pytest.mark.parametrize(
    "path",
    [
        "/secret.py", "/.hidden.js", "/nothing.html", "/vendor", "/vendor/ort/", "/../secret.py", "/%2e%2e/pyproject.toml",
        "/..%2f..%2fetc/passwd", "//etc/passwd", "/vendor/ort/../../secret.py", "/models/../words.onnx", "/models/words",
        "/models/..%2fwords.onnx", "/app.js%00.html", "/C:/windows/win.ini", "/index.html/", "/v1/nothing", "/v1/record.onnx",
    ],
)  # fmt: skip
def test_nothing_else_of_the_disk_can_be_asked_for(server: Running, path: str) -> None:
    status, message = problem(server.ask("GET", path))
    assert (status, message[:7]) == (404, "no such")


@given(st.text(st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_address_is_answered(server: Running, text: str) -> None:
    from urllib.parse import quote

    assert server.ask("GET", f"/{quote(text)}")[0] in (200, 404)


def test_the_models(server: Running, models: list[ServedModel]) -> None:
    listing = server.get_json("/models.json")
    assert [one["name"] for one in listing["models"]] == ["words", "clips", "person"]
    assert (listing["record"], listing["token"]) == (True, False)
    for entry, model in zip(listing["models"], models, strict=True):
        status, headers, body = server.ask("GET", f"/{entry['file']}")
        assert (status, body) == (200, model.data)
        assert entry["bytes"] == len(body)
        assert entry["card"]["labels"] == entry["labels"] == list(model.card.labels)
        assert headers["cache-control"] == "no-cache"
    assert [one["task"] for one in listing["models"]] == ["words", "words", "recordings"]
    short = server.get_json("/v1/models")["models"]
    assert [{name: one[name] for name in short[0]} for one in listing["models"]] == short


def test_health_and_metrics(server: Running) -> None:
    assert server.get_json("/healthz") == {"status": "ok"}
    _, headers, body = server.ask("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(rb"^wordspot_connections [1-9]", body, re.M)
    assert all(re.match(rb"#|[a-z_]+(\{[^}]*\})? [-+.e0-9]+$", line) for line in body.splitlines())


# Who may use it


def test_every_answer_carries_the_headers_of_safety(server: Running) -> None:
    answers = [
        server.ask("GET", "/"),
        server.ask("GET", "/nothing"),
        server.ask("POST", "/healthz"),
        server.ask("GET", "/models.json"),
        server.ask("GET", "/", headers={"Host": "evil.example"}),
        server.ask("POST", "/v1/label", b""),
    ]
    assert [answer[0] for answer in answers] == [200, 404, 405, 200, 421, 422]
    for _, headers, _ in answers:
        assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS
        assert "server" not in headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "'wasm-unsafe-eval'" in policy


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8765",
        "localhost@evil.example",
        "[::1",
        "..",
        "127.0.0.1.evil.example",
    ],
)
def test_a_name_that_is_not_the_servers(server: Running, host: str) -> None:
    """A page elsewhere makes its name point here: the browser then calls it the same origin."""
    status, message = problem(server.ask("GET", "/healthz", headers={"Host": host, "Origin": f"http://{host}"}))
    assert status == 421
    assert "allow_origins" in message


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:99", "127.0.0.1:1", "192.168.1.7:8765", "[::1]:8765", socket.gethostname(), "localhost."],
)
def test_names_that_are(server: Running, host: str) -> None:
    assert server.ask("GET", "/healthz", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:1",
        "https://localhost",
        "file://",
        "http://localhost@evil.example",
        "x",
    ],
)
def test_pages_from_elsewhere_may_not_ask(server: Running, origin: str) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/label"), ("POST", "/v1/record"), ("GET", "/healthz")):
        headers = {"Host": f"localhost:{server.port}", "Origin": origin}
        assert server.ask(method, path, b"x" if method == "POST" else None, headers)[0] == 403


def test_the_servers_own_page_and_allowed_ones_may(server: Running, models: list[ServedModel]) -> None:
    own = {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"}
    assert server.ask("GET", "/v1/models", headers=own)[0] == 200
    proxied = {"Host": "house.example", "Origin": "https://house.example"}
    with running(models, allow_origins=("https://House.example",)) as other:
        assert other.ask("GET", "/v1/models", headers=proxied)[0] == 200
        foreign = {"Origin": "https://house.example"}
        status, headers, _ = other.ask("GET", "/v1/models", headers=foreign)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://house.example")
        wish = {**foreign, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        assert other.ask("OPTIONS", "/v1/label", headers=wish)[0] == 200
        assert other.ask("GET", "/v1/models", headers={"Origin": "http://house.example"})[0] == 403
    assert "access-control-allow-origin" not in server.ask("GET", "/v1/models", headers=own)[1]


def test_the_token(models: list[ServedModel], page: Path) -> None:
    token = "correct-horse"
    with running(models, folder=page, token=token) as server:
        for path in ("/", "/models.json", "/healthz", "/models/words.onnx"):
            assert server.ask("GET", path)[0] == 200
        assert server.get_json("/models.json")["token"] is True
        for given_ in (
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer correct-hors"},
            {"Authorization": f"Basic {token}"},
        ):
            status, headers, _ = server.ask("GET", "/v1/models", headers=given_)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert server.ask("GET", f"/v1/models?token={token}")[0] == 401  # an address ends up in logs
        assert server.ask("POST", "/v1/label", wav())[0] == 401
        assert server.ask("GET", "/v1/nothing")[0] == 401
        assert server.ask("GET", "/V1/models")[0] == 404
        right = {"Authorization": f"Bearer {token}"}
        assert server.ask("GET", "/v1/models", headers=right)[0] == 200
        assert server.ask("POST", "/v1/label?model=clips", wav(), right)[0] == 200


def test_the_token_is_compared_in_constant_time(models: list[ServedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: (compared.append(b), compare(a, b))[1])
    with running(models, token="correct-horse") as server:
        assert server.ask("GET", "/v1/models", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert compared == [b"correct-horse"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "wordspot.server"]


def test_every_rejected_client_leaves_one_line_in_the_log(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    limits: dict[str, Any] = {"max_upload_bytes": 1 << 10, "upload_seconds": 0.2}
    asked: list[tuple[str, str, dict[str, str], str]] = [
        ("GET", "/healthz", {"Host": "evil.example"}, "not known by that name"),
        ("GET", "/healthz", {"Origin": "https://evil.example"}, "pages of https://evil.example may not use"),
        ("GET", "/healthz", {"Origin": "\x9b31m"}, "pages of ?31m may not use"),
        ("GET", "/v1/models", {"Authorization": "Bearer wrong"}, "the server's token is missing"),
        (
            "POST",
            "/v1/label",
            {"Authorization": "Bearer correct-horse", "Content-Length": "9999"},
            "larger than 1024 bytes",
        ),
        ("POST", "/v1/label", {"Authorization": "Bearer correct-horse", "Content-Length": "9"}, "within 0.2 s"),
    ]
    with running(models, token="correct-horse", **limits) as server:
        for method, path, headers, message in asked:
            caplog.clear()
            with server.raw() as raw:
                lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
                lines[1:1] = [] if "Host" in headers else ["Host: localhost"]
                raw.sendall("\r\n".join(lines).encode("latin-1"))
                assert raw.recv(20).startswith(b"HTTP/1.1 4")
                (line,) = warnings(caplog)
                assert line.startswith(f"refused 127.0.0.1:{raw.getsockname()[1]}: ")
                assert message in line
                assert "correct-horse" not in line


def test_what_is_logged_on_request(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "wordspot.server"), running(models) as server:
        server.ask("POST", "/v1/label?model=x&token=secret", b"")
    assert [line.partition(" ")[2] for line in warnings(caplog)] == [
        "POST /v1/label: 404, there is no model 'x'; the models are words, clips, person"
    ]


# Sound files


def test_the_labels_of_a_clip(server: Running, models: list[ServedModel]) -> None:
    status, _, body = server.ask("POST", "/v1/label?model=clips", wav(0.6))
    assert status == 200
    answer = json.loads(body)
    assert answer["model"] == "clips"
    assert [one["label"] for one in answer["labels"]] == ["a", "_silence_", "b"]
    audio = soundfile.read(io.BytesIO(wav(0.6)), dtype="float32")[0]
    expected = np.sort(Classifier(models[1].model).classify(audio)[0])[::-1][:3]
    assert [one["score"] for one in answer["labels"]] == pytest.approx(expected.tolist(), abs=1e-6)
    flac = json.loads(server.ask("POST", "/v1/label?model=clips&top=2", wav(0.6, format="FLAC"))[2])
    assert [one["label"] for one in flac["labels"]] == ["a", "_silence_"]
    other_rate = json.loads(server.ask("POST", "/v1/label?model=clips&top=1", wav(0.6, rate=48_000))[2])
    assert [one["label"] for one in other_rate["labels"]] == ["a"]
    longer = server.ask("POST", "/v1/label?model=clips", wav(0.6, seconds=0.15))
    assert json.loads(longer[2]) == answer


def test_the_class_of_a_recording(server: Running, models: list[ServedModel], tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(wav(0.8, seconds=2))
    expected = RecordingClassifier(models[2].model).classify_file(tmp_path / "talk.wav")
    answer = json.loads(server.ask("POST", "/v1/label?model=person", wav(0.8, seconds=2))[2])
    assert (answer["label"], answer["seconds"]) == ("person", 2.0)
    assert answer["score"] == pytest.approx(expected.score, abs=1e-6)
    assert [one["label"] for one in answer["labels"]] == ["person", "machine"]


def bomb() -> bytes:
    """A FLAC of an hour of silence: a few kilobytes."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 8000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8000, np.int16))
    return out.getvalue()


def with_promise(data: bytes, n_bytes: int) -> bytes:
    """A WAV whose header says that its samples have so many bytes."""
    return data[:40] + n_bytes.to_bytes(4, "little") + data[44:]


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        ("", b"", 422, "the request's body is empty"),
        ("", b"no sound at all", 422, "cannot be read"),
        ("", with_promise(wav(), 1 << 20), 422, "truncated"),
        ("", with_promise(wav(), 0x7FFF0000), 422, "truncated"),
        ("", wav(seconds=0.3), 422, "longer than 0.2 s"),
        ("", bomb(), 422, "longer than 0.2 s"),
        ("?model=person", bomb(), 422, "longer than 5 s"),
        ("?model=person", wav(seconds=6.5), 422, "longer than 5 s"),
        ("?model=person", wav(seconds=5.5), 422, "longer than 5 s"),
        ("", wav(rate=200_000, seconds=0.01), 422, "192000 Hz"),
        ("", wav(channels=9), 422, "at most 8 at 192000 Hz"),
        ("", wav(np.nan, subtype="FLOAT"), 422, "NaN"),
        ("", bytes((1 << 20) + 1), 413, "larger than 1048576 bytes"),
        ("?model=nothing", wav(), 404, "the models are words"),
        ("?model=../words", wav(), 404, "the models are words"),
        ("?top=0", wav(), 422, "top must be a number from 1"),
        ("?top=9999999999999999999999", wav(), 422, "top must be a number from 1"),
        ("?top=x", wav(), 422, "top must be a number from 1"),
    ],
)
def test_files_that_cannot_be_used(server: Running, query: str, body: bytes, status: int, message: str) -> None:
    answer = problem(server.ask("POST", f"/v1/label{query}", body))
    assert answer[0] == status
    assert message in answer[1]


def test_an_exported_model_is_no_sound_and_is_not_loaded(server: Running, models: list[ServedModel]) -> None:
    before = server.get_json("/v1/models")
    assert problem(server.ask("POST", "/v1/label", models[0].data))[0] == 422
    assert server.get_json("/v1/models") == before


@pytest.mark.parametrize("path", ["/v1/label", "/v1/record?word=a&session=a&take=0"])
def test_a_form_is_rejected_with_the_way_to_send_a_file(server: Running, path: str) -> None:
    body = b'--xyz\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + wav() + b"\r\n--xyz--\r\n"
    answer = problem(server.ask("POST", path, body, {"Content-Type": "multipart/form-data; boundary=xyz"}))
    assert answer[0] == 415
    assert "curl --data-binary @FILE" in answer[1]


@given(st.binary(max_size=300), st.sampled_from(["", "multipart/form-data; boundary=b", "audio/wav", 'x; boundary="']))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_answered(server: Running, body: bytes, kind: str) -> None:
    assert problem(server.ask("POST", "/v1/label", body, {"Content-Type": kind}))[0] in (415, 422)


def test_no_upload_leaves_a_file(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other servers use the machine's folder at the same time
    server.ask("POST", "/v1/label?model=clips", wav())
    server.ask("POST", "/v1/label?model=clips", b"bad")
    assert list(tmp_path.iterdir()) == []


def send_slowly(server: Running, head: bytes, seconds: float = 6.0) -> bytes:
    """What the server answers to someone who sends a byte now and then after `head`."""
    with server.raw() as raw:
        raw.sendall(head)
        raw.settimeout(0.1)
        received, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                raw.sendall(b"x")
                chunk = raw.recv(1000)
                if not chunk:
                    return received
                received += chunk
            except TimeoutError:
                continue
            except OSError:
                return received
    raise AssertionError("the server waits for ever")


@pytest.mark.slow
def test_who_sends_slowly_is_dropped(server: Running) -> None:
    head = b"POST /v1/label HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    assert send_slowly(server, head).startswith(b"HTTP/1.1 408")
    assert send_slowly(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ") in (b"", None)
    endless = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    assert send_slowly(server, endless).startswith(b"HTTP/1.1 200")
    assert server.get_json("/healthz")["status"] == "ok"


@pytest.mark.slow
def test_who_asks_nothing_is_dropped(server: Running) -> None:
    with server.raw() as raw:
        raw.settimeout(5)
        assert raw.recv(10) == b""
    assert server.counted('wordspot_refused_total{reason="no_request"}') >= 1


@pytest.mark.slow
def test_who_does_not_read_the_answer_is_dropped(models: list[ServedModel], tmp_path: Path) -> None:
    """And what waits for him is a piece, not the whole file."""
    (tmp_path / "index.html").write_bytes(os.urandom(1 << 24))
    with running(models, folder=tmp_path, send_seconds=1.0) as server, server.raw(4096) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server.web.most_unread > 0)
        assert server.web.most_unread < 1 << 18
        wait_until(lambda: server.counted('wordspot_refused_total{reason="slow_reader"}') == 1)
        wait_until(lambda: server.counted("wordspot_connections") == 1)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200),
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"a" * 100_000,
        b"POST /v1/label HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/label HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffffffffffffffff\r\n",
    ],
)
@pytest.mark.slow
def test_what_is_no_http(server: Running, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with server.raw() as raw:
        raw.settimeout(5)
        received = b""
        try:
            raw.sendall(data)
            while chunk := raw.recv(1000):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert b"200 OK" not in received
    assert server.get_json("/healthz")["status"] == "ok"
    wait_until(lambda: len(warnings(caplog)) == 1)
    assert re.match(
        r"refused 127\.0\.0\.1:\d+: (it did not send a valid HTTP request|the file did not arrive within)",
        warnings(caplog)[0],
    )


def test_more_connections_than_allowed_are_closed_at_once(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    with running(models, max_connections=3) as server:
        held = [server.raw() for _ in range(3)]
        wait_until(lambda: server.web.n_connections == 3)
        with server.raw() as fourth:
            fourth.settimeout(2)
            assert fourth.recv(1) == b""
            line = f"refused 127.0.0.1:{fourth.getsockname()[1]}: all 3 connections (max_connections) are in use"
            assert warnings(caplog) == [line]
        held.pop().close()
        wait_until(lambda: server.web.n_connections == 2)
        assert server.get_json("/healthz")["status"] == "ok"
        for one in held:
            one.close()


def test_more_uploads_than_allowed_wait_their_turn(models: list[ServedModel]) -> None:
    with running(models, max_uploads=1, upload_seconds=10) as server, server.raw() as slow:
        slow.sendall(b"POST /v1/label HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        wait_until(lambda: server.ask("POST", "/v1/label?model=clips", wav())[0] == 503)
        slow.close()
        wait_until(lambda: server.ask("POST", "/v1/label?model=clips", wav())[0] == 200)


def test_a_failure_is_reported_without_its_reason(
    models: list[ServedModel], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret of the server")

    monkeypatch.setattr("wordspot.server.label.read_bounded", fail)
    with running(models) as server:
        answer = server.ask("POST", "/v1/label", wav())
        assert problem(answer) == (500, "the server failed; see its log")
        assert answer[1]["x-content-type-options"] == "nosniff"
        assert server.counted("wordspot_errors_total") == 1
    assert "secret of the server" in caplog.text


# Recordings


def test_recordings_are_saved_as_training_reads_them(server: Running, records: Path) -> None:
    from wordspot.data.folders import list_recordings

    for take in range(2):
        answer = server.ask("POST", f"/v1/record?word=%E5%B0%8F%E7%81%AF&session=ab12&take={take}", wav(0.25, rate=48_000))
        assert (answer[0], json.loads(answer[2])) == (201, {"file": f"小灯/ab12_nohash_{take}.wav"})
    server.ask("POST", "/v1/record?word=turn%20on&session=zz&take=7", wav())
    assert sorted(path.relative_to(records).as_posix() for path in records.rglob("*.wav")) == [
        "turn on/zz_nohash_7.wav",
        "小灯/ab12_nohash_0.wav",
        "小灯/ab12_nohash_1.wav",
    ]
    with wave.open(str(records / "小灯" / "ab12_nohash_0.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnframes()) == (48_000, 2, 4800)
        assert set(np.frombuffer(file.readframes(4800), "<i2")) == {8192}
    assert len(list_recordings(records).clips) == 3
    assert server.counted("wordspot_recordings_total") == 3


def test_no_recording_is_overwritten(server: Running, records: Path) -> None:
    address = "/v1/record?word=once&session=a&take=0"
    assert server.ask("POST", address, wav(0.1))[0] == 201
    before = (records / "once" / "a_nohash_0.wav").read_bytes()
    assert problem(server.ask("POST", address, wav(0.2))) == (
        409,
        "once/a_nohash_0.wav exists already; use another number for take",
    )
    assert (records / "once" / "a_nohash_0.wav").read_bytes() == before


@pytest.mark.parametrize(
    "query",
    [
        "word=..&session=a&take=0", "word=../x&session=a&take=0", "word=%2Fetc&session=a&take=0", "word=a%5Cb&session=a&take=0",
        "word=.hidden&session=a&take=0", "word=_background_noise_&session=a&take=0", "word=&session=a&take=0",
        "word=%00&session=a&take=0", "word=a%0Ab&session=a&take=0", "word=con&session=a&take=0", "word=a:b&session=a&take=0",
        f"word={'w' * 101}&session=a&take=0", "word=%ff&session=a/../b&take=0", "word=x&session=..&take=0",
        "word=x&session=a_nohash_b&take=0",
        "word=x&session=&take=0", f"word=x&session={'a' * 33}&take=0", "word=x&session=a&take=-1", "word=x&session=a&take=1e3",
        "word=x&session=a&take=10000", "word=x&session=a&take=%D9%A1", "word=x&session=a", "word=x&take=1",
        "session=a&take=1", "",
    ],
)  # fmt: skip
def test_names_that_would_lead_elsewhere(server: Running, records: Path, query: str) -> None:
    before = sorted(records.parent.rglob("*"))
    assert problem(server.ask("POST", f"/v1/record?{query}", wav()))[0] == 422
    assert sorted(records.parent.rglob("*")) == before


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_word_is_rejected_or_stays_one_folder(text: str) -> None:
    try:
        word = clean_word(text)
    except ConfigError:
        return
    assert len(Path(word).parts) == 1
    assert not Path(word).is_absolute()
    assert word not in (".", "..")
    assert not set(word) & set('/\\:*?"<>|\0\n')


@pytest.mark.parametrize(
    "body", [wav(subtype="FLOAT"), wav(subtype="PCM_24"), wav(channels=2), wav(format="FLAC"), b"RIFF", wav(seconds=31)]
)
def test_recordings_that_are_no_such_wav(server: Running, records: Path, body: bytes) -> None:
    assert problem(server.ask("POST", "/v1/record?word=bad&session=a&take=0", body))[0] in (413, 422)
    assert not (records / "bad").exists() or not any((records / "bad").iterdir())


def test_a_folder_that_cannot_hold_recordings_is_rejected_at_the_start(models: list[ServedModel], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link", "file/below"):
        with pytest.raises(ConfigError, match=f"{name}: recordings cannot be saved there: .*use another `record_dir`"):
            WebServer(models, ServerSettings(port=0, record_dir=tmp_path / name))
    with pytest.raises(ConfigError, match="recordings cannot be saved there"):
        serve(record_dir=Path("/proc/nowhere"), port=0)


def test_a_folder_that_is_lost_later_is_no_failure_of_the_server(models: list[ServedModel], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running(models, record_dir=folder) as server:
        assert list(folder.iterdir()) == []
        folder.rmdir()
        folder.write_text("")
        answer = problem(server.ask("POST", "/v1/record?word=a&session=a&take=0", wav()))
        assert (answer[0], answer[1][:31]) == (507, "a/a_nohash_0.wav cannot be save")
        assert server.counted("wordspot_errors_total") == 0


def test_saving_has_an_end_and_needs_leave(models: list[ServedModel], tmp_path: Path) -> None:
    with running(models, record_dir=tmp_path, max_recordings=1) as server:
        assert server.ask("POST", "/v1/record?word=a&session=a&take=0", wav())[0] == 201
        assert problem(server.ask("POST", "/v1/record?word=a&session=a&take=1", wav()))[0] == 507
    with running(models) as server:
        assert server.ask("POST", "/v1/record?word=a&session=a&take=0", wav())[0] in (404, 405)
        assert server.get_json("/models.json")["record"] is False


# The description


def test_the_description_lists_the_routes(models: list[ServedModel], tmp_path: Path, server: Running) -> None:
    described = server.get_json("/openapi.json")
    paths = {(path, method) for path, methods in described["paths"].items() for method in methods}
    routes = {("/", "get")}  # the page itself is a file of the page
    for route in make_app(models, ServerSettings(record_dir=tmp_path)).routes:
        if isinstance(route, WebSocketRoute):
            routes.add((route.path, "get"))
        else:
            assert isinstance(route, Route)
            path = route.path.replace("{path:path}", "{path}")
            routes |= {(path, method.lower()) for method in route.methods or () if method != "HEAD"}
    assert paths == routes
    secured = {path for path, methods in described["paths"].items() for one in methods.values() if "security" in one}
    assert secured == {path for path, _ in paths if path.startswith("/v1/")}


def test_the_description_names_the_default_limits(server: Running) -> None:
    described, defaults = server.get_json("/openapi.json"), ServerSettings()
    label, record = (described["paths"][path]["post"] for path in ("/v1/label", "/v1/record"))
    top = next(one["schema"] for one in label["parameters"] if one["name"] == "top")
    assert (top["maximum"], top["default"]) == (MAX_TOP, DEFAULT_TOP)
    limits = f"{defaults.max_upload_bytes >> 20} MiB and {defaults.max_upload_seconds:g} s"
    assert limits in label["description"]
    take = next(one["schema"] for one in record["parameters"] if one["name"] == "take")
    assert take["maximum"] == MAX_TAKE
    assert f"{MAX_SECONDS:g} s" in record["description"]


def fits(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether a value is as its schema says: the part of JSON Schema that the description uses."""
    if "$ref" in schema:
        return fits(value, schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "allOf" in schema:
        return all(fits(value, one, schemas) for one in schema["allOf"])
    if "anyOf" in schema:
        return any(fits(value, one, schemas) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if not isinstance(value, kinds[schema["type"]]):
        return False
    if schema["type"] == "array":
        return all(fits(one, schema["items"], schemas) for one in value)
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        present = all(name in value for name in schema.get("required", []))
        return present and all(fits(value[name], one, schemas) for name, one in properties.items() if name in value)
    return True


def test_answers_are_as_described(server: Running) -> None:
    described = server.get_json("/openapi.json")
    schemas = described["components"]["schemas"]
    asked = [
        ("GET", "/models.json", "/models.json", None), ("GET", "/v1/models", "/v1/models", None),
        ("GET", "/healthz", "/healthz", None), ("GET", "/openapi.json", "/openapi.json", None),
        ("POST", "/v1/label?model=clips", "/v1/label", wav()), ("POST", "/v1/label?model=person", "/v1/label", wav()),
        ("POST", "/v1/label", "/v1/label", b"x"), ("POST", "/v1/label?model=x", "/v1/label", b"x"),
        ("POST", "/v1/label", "/v1/label", bytes(1 << 21)), ("POST", "/v1/label", "/v1/label", b""),
        ("POST", "/v1/record?word=d&session=d&take=0", "/v1/record", wav()), ("GET", "/v1/listen", "/v1/listen", None),
        ("POST", "/v1/record?word=d&session=d&take=0", "/v1/record", wav()), ("GET", "/no", "/{path}", None),
        ("GET", "/models/no.onnx", "/models/{name}.onnx", None), ("GET", "/models/no.bin", "/models/{name}.bin", None),
        ("GET", "/engine/no.js", "/engine/{name}", None),
    ]  # fmt: skip
    for method, address, path, body in asked:
        status, headers, content = server.ask(method, address, body)
        answer = described["paths"][path][method.lower()]["responses"][str(status)]
        if "$ref" in answer:
            answer = described["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        schema = answer["content"][headers["content-type"]]["schema"]
        assert fits(json.loads(content), schema, schemas), address
    assert not fits({"models": [{}]}, {"$ref": "#/components/schemas/Model"}, schemas)
    assert not fits({"error": 3}, {"$ref": "#/components/schemas/Error"}, schemas)


# TLS and the command


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem",
    ]  # fmt: skip
    if shutil.which(command[0]) is None:
        pytest.skip("openssl is not installed")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.slow
def test_https(models: list[ServedModel], page: Path, certificate: tuple[Path, Path]) -> None:
    secure = ssl.create_default_context(cafile=str(certificate[0]))
    with running(models, folder=page, tls=certificate, secure=secure) as server:
        assert server.web.url == f"https://localhost:{server.port}/"
        assert server.ask("GET", "/")[0] == 200
        own = {"Host": f"localhost:{server.port}", "Origin": f"https://localhost:{server.port}"}
        assert server.ask("GET", "/v1/models", headers=own)[0] == 200
        from wordspot.client import detect

        heard = list(detect(server.ws, [np.zeros(RATE, np.float32), np.full(4000, 0.6, np.float32)], ssl=secure))
        assert [one.label for one in heard] == ["a"]


def test_what_cannot_be_bound(models: list[ServedModel], certificate: tuple[Path, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1, port {port}: .*use another `port`"):
            WebServer(models, ServerSettings(port=port))
    with pytest.raises(ConfigError, match="cannot listen on 203"):
        WebServer(models, ServerSettings(host="203.0.113.9", port=0))
    with pytest.raises(ConfigError, match="certificate and its key"):
        WebServer(models, ServerSettings(port=0), tls=(certificate[1], certificate[1]))


def run(*args: str, **environment: str) -> subprocess.Popen[str]:
    from wordspot.commands.main import COMMANDS

    if "serve" not in COMMANDS:
        pytest.skip("the command line does not know serve yet")
    return subprocess.Popen(
        [sys.executable, "-m", "wordspot", "serve", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("more", [[], ["--verbose"]])
@pytest.mark.slow
def test_the_command_says_where_the_page_is_and_ends_quietly(tmp_path: Path, models: list[ServedModel], more: list[str]) -> None:
    (tmp_path / "lamp.onnx").write_bytes(models[0].data)
    command = [str(tmp_path / "lamp.onnx"), "--port", "0", "--wyoming-port", "0", *more]
    process = run(*command, WORDSPOT_TOKEN="correct-horse")
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
        reader.start()
        wait_until(lambda: any("tcp://" in line for line in lines), 30)
        wyoming = re.search(r"tcp://127\.0\.0\.1:([1-9]\d*)", lines[-1])
        assert wyoming, lines
        socket.create_connection(("127.0.0.1", int(wyoming[1]))).close()
        assert any("lamp" in line for line in lines)
        found = re.search(r"http://localhost:(\d+)/", lines[0])
        assert found, lines
        port = int(found[1])
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"GET /v1/models?token=secretsecret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 401")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        reader.join(5)
        errors = process.stderr.read()
        assert "Traceback" not in errors
        assert len(re.findall(r"refused 127\.0\.0\.1:\d+: the server's token is missing", errors)) == 1
        assert ("disconnected" in errors) == ("--verbose" in more)
        assert "secretsecret" not in errors + "".join(lines)
        assert "correct-horse" not in errors + "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_the_command_names_flags(capsys: pytest.CaptureFixture[str]) -> None:
    from wordspot.commands.main import main

    assert main(["serve", "--port", "99999"]) == 1
    assert main(["serve", "--tls-key", "key.pem"]) == 1
    assert main(["serve", "--zeroconf"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "wordspot: --port must lie between 0 and 65535, got 99999",
        "wordspot: --tls-cert and --tls-key belong together; give both",
        "wordspot: --zeroconf announces the port of the Wyoming protocol; set --wyoming-port too",
    ]


def test_serving_from_python(tmp_path: Path, models: list[ServedModel]) -> None:
    """`on_start` is called when everything has started; what it raises ends the server."""
    (tmp_path / "lamp.onnx").write_bytes(models[0].data)
    seen: list[Serving] = []

    def on_start(serving: Serving) -> None:
        seen.append(serving)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(
            str(tmp_path / "lamp.onnx"),
            port=0,
            wyoming_port=0,
            on_start=on_start,
            record_dir=str(tmp_path / "data"),
            allow_origins="https://example.org",
        )
    assert (tmp_path / "data").is_dir()
    (serving,) = seen
    value = json.loads(json.dumps(serving.to_json()))
    assert re.fullmatch(r"http://localhost:\d+/", value["url"])
    assert [one["name"] for one in value["models"]] == ["lamp"]
    assert value["wyoming"] == ["127.0.0.1", serving.wyoming[1] if serving.wyoming else 0]
    assert value["announced"] is None
    with pytest.raises(TypeError, match="max_stream"):
        serve(port=0, max_stream=3)
    with pytest.raises(NotFoundError, match=r"no\.pem: expected a PEM file"):
        serve(tls_cert="no.pem", tls_key="no.pem")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.onnx"], "nowhere.onnx"),
        (["--port", "99999"], "`port` must lie between"),
        (["--token", "x"], "token"),
        (["--tls-cert", "cert.pem"], "belong together"),
        (["--tls-cert", "no.pem", "--tls-key", "no.pem"], "no.pem: expected a PEM file"),
        (["--allow-origin", "example.org"], "is no origin"),
        (["--host", "203.0.113.9"], "cannot listen on 203.*use another `port` or `host`"),
        (["--port", "0", "--wyoming-port", "99999"], "port 99999: .*use another `wyoming_port` or `wyoming_host`"),
    ],
)
def test_the_command_rejects_what_makes_no_sense(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    from wordspot.commands import serve
    from wordspot.errors import WordspotError

    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    with pytest.raises(WordspotError, match=message):
        serve.run(parser.parse_args(args))
    assert capsys.readouterr().out == ""
