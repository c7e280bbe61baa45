"""Several processes on one port: their metrics add up, and one that is killed is replaced."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.made_server import made_models
from wordspot.errors import ConfigError
from wordspot.server.counters import Counters
from wordspot.server.serve import serve
from wordspot.server.workers import read_snapshots, share_counters

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers share a port on Linux only")


def value(text: str, name: str) -> float:
    """The sum of a family over its labels, or the value with the labels that `name` ends in."""
    found = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, flags=re.M)
    assert found, text
    return sum(map(float, found))


def test_counters_of_several_processes_add_up(tmp_path: Path) -> None:
    """By hand: 3 + 4 requests, a message of 3 ms and two of 0.3 s; the gauges of a process that has ended do not count."""
    first, second = Counters(), Counters()
    for counters, n, seconds in ((first, 3, [0.003]), (second, 4, [0.3, 0.3])):
        counters.count("requests_total", n)
        counters.count("detections_total", n, label=f"word {n}")
        counters.gauge("streams", lambda n=n: n)  # type: ignore[misc]
        for one in seconds:
            counters.answered(one)
    share_counters(first, tmp_path, "0")
    share_counters(second, tmp_path, "1")
    deadline = time.monotonic() + 30
    while len(read_snapshots(tmp_path, tmp_path / "2.json")) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    for counters in (first, second):
        text = counters.text()
        assert value(text, "wordspot_requests_total") == 7
        assert value(text, "wordspot_streams") == 7
        assert value(text, 'wordspot_detections_total{label="word 3"}') == 3
        assert value(text, 'wordspot_detections_total{label="word 4"}') == 4
        assert value(text, 'wordspot_answer_seconds_bucket{le="0.005"}') == 1
        assert value(text, 'wordspot_answer_seconds_bucket{le="0.5"}') == 3
        assert value(text, "wordspot_answer_seconds_count") == 3
        assert value(text, "wordspot_answer_seconds_sum") == pytest.approx(0.603)
    (tmp_path / "1.ended").touch()
    assert value(first.text(), "wordspot_streams") == 3
    assert value(first.text(), "wordspot_requests_total") == 7
    (tmp_path / "1.json").write_text("half")  # no file of ours, but nothing to fail on
    assert value(first.text(), "wordspot_requests_total") == 3


@LINUX
def test_wrong_settings(tmp_path: Path) -> None:
    model = made_models(tmp_path)[0]
    path = tmp_path / f"{model.name}.onnx"
    with pytest.raises(ConfigError, match="`workers` must lie between 1 and 256, got 0"):
        serve(path, port=0, workers=0)
    with pytest.raises(ConfigError, match="serve `wyoming_port` by another server"):
        serve(path, port=0, workers=2, wyoming_port=0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`wordspot serve` with two workers, and its port."""
    made_models(tmp_path)
    command = [sys.executable, "-u", "-m", "wordspot", "serve", str(tmp_path / "words.onnx"), "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found, process.stderr and process.stderr.read()
        yield process, int(found[1])
        process.kill()


def ask(port: int, path: str) -> str:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def children(pid: int) -> list[int]:
    """The worker processes: those that were spawned, without the one that tracks shared resources."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


@LINUX
@pytest.mark.slow
def test_workers_share_a_port_and_are_replaced(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    before = children(process.pid)
    assert len(before) == 2
    assert all(ask(port, "/healthz") == '{"status":"ok"}' for _ in range(20))
    deadline = time.monotonic() + 60
    while value(ask(port, "/metrics"), "wordspot_requests_total") < 22 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2.5)  # until both have written their counters
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (len(children(process.pid)) < 2 or before[0] in children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(children(process.pid)) == 2
    text = ""
    while not text and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # a connection that the system had given to the one that was killed
            text = ask(port, "/metrics")
    assert value(text, "wordspot_requests_total") >= 22  # those of the worker that was killed, too
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert re.search(r"worker 0 ended with status -9; another is started", error)
