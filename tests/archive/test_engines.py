"""Real worker processes, on this machine and on simulated nodes of a Ray cluster, killed while they work."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed, so a scan has no result")

from support.made_archive import detections, expected, make_archive, rows
from support.made_onnx import made_model
from wordspot.archive import scan as scanning
from wordspot.archive.processes import ProcessEngine
from wordspot.archive.scan import scan
from wordspot.archive.worker import Setup
from wordspot.runtime.model import open_model

pytestmark = pytest.mark.slow

CONTENT = made_model(clip_samples=1600)
MODEL = open_model(CONTENT)
N_FILES = 9


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short recordings, and a long one that is cut. Not to be written to."""
    return make_archive(tmp_path_factory.mktemp("engines") / "in", long_seconds=240)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("wordspot.archive.schedule._MOST_FILES", 2)
    path = tmp_path / "model.onnx"
    path.write_bytes(CONTENT)
    return path


def check(hits: Path, archive: Path) -> None:
    assert detections(hits) == expected(archive, MODEL)
    assert len(rows(hits, "files")) == N_FILES


def test_processes_that_are_killed_are_replaced(
    archive: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ProcessEngine(Setup(CONTENT, MODEL.card.decoder), 2)
    monkeypatch.setattr(scanning, "_start", lambda *args: engine)
    monkeypatch.setattr("wordspot.archive.schedule._LONG_BYTES", 0)
    rng, is_over = random.Random(1), threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 4 and not is_over.wait(rng.uniform(0.1, 0.6)):
            pid = engine.pids[len(killed) % 2]
            with contextlib.suppress(ProcessLookupError):  # the scan has just ended
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    while len(scan(archive, model, out=tmp_path / "hits", piece_seconds=10.0).failed) > 1:
        engine = ProcessEngine(Setup(CONTENT, MODEL.card.decoder), 2)
    is_over.set()
    killer.join()
    assert killed
    check(tmp_path / "hits", archive)


def test_a_bug_in_a_worker_ends_the_scan(archive: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ProcessEngine(Setup(b"no model", MODEL.card.decoder), 1)
    monkeypatch.setattr(scanning, "_start", lambda *args: engine)
    with pytest.raises(RuntimeError, match="a worker of the scan failed"):
        scan(archive, model, out=tmp_path / "hits")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_command_that_is_stopped_goes_on(archive: Path, model: Path, tmp_path: Path, number: int, status: int) -> None:
    """In a process group of its own, all of which Ctrl-C reaches, as in a terminal."""
    hits = tmp_path / "hits"
    options = ["--model", model, "--out", hits, "--engine", "processes", "--workers", "1"]
    command = [sys.executable, "-m", "wordspot", "scan", archive, *options]
    process = subprocess.Popen(list(map(str, command)), start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (hits / "files").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, error = process.communicate(timeout=120)
    assert process.returncode in (status, 0)  # 0: a fast machine had finished
    assert "Traceback" not in error
    result = scan(archive, model, out=hits, engine="processes", workers=1)
    assert result.n_files == N_FILES
    check(hits, archive)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray with two nodes of one core each, on this machine."""
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'wordspot[cluster]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=small)
    made.add_node(num_cpus=1, object_store_memory=100 << 20)
    ray.init(made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own: sockets and files that it leaves to the garbage collector
def test_a_node_of_a_ray_cluster_goes(
    cluster: Any, archive: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.archive.schedule._LONG_BYTES", 0)
    spare = cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    is_gone = False

    def progress(now: object) -> None:
        nonlocal is_gone
        if not is_gone:
            is_gone = True
            cluster.remove_node(spare, allow_graceful=False)

    while len(scan(archive, model, out=tmp_path / "hits", engine="ray", piece_seconds=10.0, progress=progress).failed) > 1:
        pass
    assert is_gone
    check(tmp_path / "hits", archive)
