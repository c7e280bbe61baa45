"""Fetching an archive from servers that break off, lie, and serve the wrong thing. All of them on loopback."""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import io
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wordspot.commands import download as command
from wordspot.commands.main import main
from wordspot.data import fetch as module
from wordspot.data.download import (
    ARCHIVES,
    LIBRISPEECH,
    MARKER,
    Archive,
    download,
    download_speech,
    find_speech,
    is_complete,
)
from wordspot.data.fetch import fetch
from wordspot.errors import ConfigError, DownloadError
from wordspot.progress import Progress

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Each request is answered by the next of the server's behaviours, the last one for ever."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        behaviours = self.server.behaviours
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        self.close_connection = True
        behaviour(self, self.server.body)

    def reply(self, status: int, headers: dict[str, object], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: bytes, behaviours: list[Behaviour]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.behaviours, self.requests = body, behaviours, list[dict[str, str]]()
        self.base = f"http://127.0.0.1:{self.server_address[1]}/data"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the client hung up: it does so on purpose here


def honest(handler: Handler, body: bytes, *, cut: int | None = None) -> None:
    """As a good server does; `cut` breaks off after so many bytes of the answer."""
    start = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
    headers: dict[str, object] = {"Content-Length": len(body) - int(start)}
    if int(start) >= len(body):
        handler.reply(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": 0})
    elif int(start):
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.reply(206, headers, body[int(start) :][:cut])
    else:
        handler.reply(200, headers, body[:cut])


def cut_after(n_bytes: int) -> Behaviour:
    return lambda handler, body: honest(handler, body, cut=n_bytes)


def ignores_range(handler: Handler, body: bytes) -> None:
    handler.reply(200, {"Content-Length": len(body)}, body)


def says_length(length: int) -> Behaviour:
    return lambda handler, body: handler.reply(200, {"Content-Length": length}, body)


def without_length(extra: bytes) -> Behaviour:
    return lambda handler, body: handler.reply(200, {}, body + extra)


def status(code: int) -> Behaviour:
    return lambda handler, body: handler.reply(code, {"Content-Length": 0})


def wrong_range(handler: Handler, body: bytes) -> None:
    handler.reply(206, {"Content-Range": f"bytes 5-{len(body) - 1}/{len(body)}"}, body[5:])


class Served(NamedTuple):
    archive: Archive
    body: bytes
    files: dict[str, bytes]


def make_archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def archive_of(body: bytes, *, known_size: bool = True) -> Archive:
    return Archive("words.tar.gz", hashlib.sha256(body).hexdigest(), len(body) if known_size else None)


@pytest.fixture(scope="module")
def served() -> Served:
    noise = np.random.default_rng(0).bytes(300_000)  # does not compress: the archive is about as long
    files = {"yes/a_nohash_0.wav": noise, "no/a_nohash_0.wav": b"no", "validation_list.txt": b""}
    body = make_archive(files)
    return Served(archive_of(body), body, files)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, served: Served) -> Iterator[Callable[..., Server]]:
    """Starts servers that behave as told, without pauses between attempts and without a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    monkeypatch.setattr("wordspot.data.fetch.time.sleep", lambda seconds: None)
    servers: list[Server] = []

    def start_server(*behaviours: Behaviour, body: bytes | None = None) -> Server:
        server = Server(served.body if body is None else body, list(behaviours))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start_server
    for server in servers:
        server.shutdown()
        server.server_close()


def get(archive: Archive, part: Path, base: str) -> list[str]:
    """Fetch an archive from a server; gives the notes."""
    notes: list[str] = []
    fetch(f"{base}/{archive.name}", part, archive.sha256, archive.size, lambda _: None, notes.append)
    return notes


def stop_at(stage: str, done: int = 0) -> Callable[[Progress], None]:
    """A callback that interrupts a stage after so many bytes."""

    def stop(step: Progress) -> None:
        if step.stage == stage and step.done > done:
            raise KeyboardInterrupt

    return stop


def below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_entire_download(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server, out = start(honest), tmp_path / "sub" / "out"
    steps: list[Progress] = []
    assert not download(out, version=served.archive, url=server.base, progress=steps.append).was_complete
    assert below(out) == served.files
    assert names(out.parent) == {"out"}
    assert is_complete(out, served.archive)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["downloading", "checking", "unpacking"]
    downloaded = [step.done for step in steps if step.stage == "downloading"]
    assert downloaded == sorted(downloaded)
    assert (downloaded[-1], steps[0].total) == (len(served.body), len(served.body))
    assert download(out, version=served.archive, url=server.base).was_complete
    assert len(server.requests) == 1


def test_a_trailing_slash_of_the_base_makes_no_difference(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    download(tmp_path / "out", version=served.archive, url=start(honest).base + "/")
    assert below(tmp_path / "out") == served.files


def test_a_kept_archive_is_used_again_and_never_removed(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server, out = start(honest), tmp_path / "out"
    download(out, version=served.archive, url=server.base, keep_archive=True)
    assert names(tmp_path) == {"out", "words.tar.gz"}
    shutil.rmtree(out)
    download(out, version=served.archive, url=server.base)
    assert below(out) == served.files
    assert names(tmp_path) == {"out", "words.tar.gz"}
    assert len(server.requests) == 1
    shutil.rmtree(out)
    (tmp_path / "words.tar.gz").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="its SHA-256 differs; move it away"):
        download(out, version=served.archive, url=server.base)
    assert (tmp_path / "words.tar.gz").read_bytes() == b"mine"


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server = start(cut_after(100_000), cut_after(50_000), honest)
    notes: list[str] = []
    download(tmp_path / "out", version=served.archive, url=server.base, on_note=notes.append)
    assert below(tmp_path / "out") == served.files
    assert [request.get("Range") for request in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert len(notes) == 2
    assert f"connection lost after 100000 of {len(served.body)} bytes" in notes[0]


def test_attempts_are_bounded_and_the_next_run_goes_on(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server, out = start(cut_after(1000)), tmp_path / "out"
    with pytest.raises(DownloadError, match=r"connection lost .*5000 bytes are kept.*run the same command again"):
        download(out, version=served.archive, url=server.base)
    assert len(server.requests) == module.ATTEMPTS == 5
    assert not out.exists()
    assert (tmp_path / "words.tar.gz.part").read_bytes() == served.body[:5000]
    server.behaviours[:] = [honest]
    download(out, version=served.archive, url=server.base)
    assert server.requests[-1]["Range"] == "bytes=5000-"
    assert below(out) == served.files
    assert names(tmp_path) == {"out"}


def test_attempts_that_get_further_are_not_counted(
    tmp_path: Path, served: Served, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MIN_GAIN", 20_000)
    server = start(cut_after(20_000))
    download(tmp_path / "out", version=served.archive, url=server.base)
    assert len(server.requests) == -(-len(served.body) // 20_000) > module.ATTEMPTS


def test_an_interrupted_download_leaves_no_folder_and_goes_on(
    tmp_path: Path, served: Served, start: Callable[..., Server]
) -> None:
    server, out = start(honest), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        download(out, version=served.archive, url=server.base, progress=stop_at("downloading", 100_000))
    assert names(tmp_path) == {"words.tar.gz.part"}
    done = (tmp_path / "words.tar.gz.part").stat().st_size
    assert done > 100_000
    download(out, version=served.archive, url=server.base)
    assert server.requests[-1]["Range"] == f"bytes={done}-"
    assert below(out) == served.files


def test_an_interrupted_unpacking_leaves_no_folder(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server, out = start(honest), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        download(out, version=served.archive, url=server.base, progress=stop_at("unpacking"))
    assert names(tmp_path) == {"words.tar.gz.part"}
    download(out, version=served.archive, url=server.base)
    assert len(server.requests) == 1
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("second", [ignores_range, wrong_range, status(204), status(416)])
def test_a_server_without_ranges_starts_again(
    tmp_path: Path, served: Served, start: Callable[..., Server], second: Behaviour
) -> None:
    server = start(cut_after(100_000), second, ignores_range)
    download(tmp_path / "out", version=served.archive, url=server.base)
    assert below(tmp_path / "out") == served.files


@pytest.mark.parametrize("first", [status(404), status(403), says_length(5000), says_length(10**12)])
def test_a_server_that_has_another_file_or_none_is_asked_once(
    tmp_path: Path, served: Served, start: Callable[..., Server], first: Behaviour
) -> None:
    server = start(first)
    with pytest.raises(DownloadError, match=r"the server (responded 40|offers a file of)"):
        download(tmp_path / "out", version=served.archive, url=server.base)
    assert len(server.requests) == 1
    assert names(tmp_path) == set()


def test_a_server_that_is_not_there(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadError, match=r"no response .*refused.* 0 bytes are kept"):
            get(served.archive, tmp_path / "other", f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server = start(status(503), status(429), honest)
    get(served.archive, tmp_path / "part", server.base)
    assert (tmp_path / "part").read_bytes() == served.body
    with pytest.raises(DownloadError, match="503 Service Unavailable"):
        get(served.archive, tmp_path / "other", start(status(503)).base)


def test_a_server_that_stalls_times_out(
    tmp_path: Path, served: Served, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    released = threading.Event()

    def stalls(handler: Handler, body: bytes) -> None:
        handler.reply(200, {"Content-Length": len(body)}, body[:100_000])
        released.wait(10)

    server = start(stalls, honest)
    notes = get(served.archive, tmp_path / "part", server.base)
    released.set()
    assert [note for note in notes if "timed out" in note]
    assert server.requests[1]["Range"] == "bytes=100000-"
    assert (tmp_path / "part").read_bytes() == served.body


def test_a_redirect_is_followed(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    good = start(honest)
    moved = start(lambda handler, body: handler.reply(302, {"Location": f"{good.base}/x", "Content-Length": 0}))
    get(served.archive, tmp_path / "part", moved.base)
    assert (tmp_path / "part").read_bytes() == served.body
    elsewhere = start(lambda handler, body: handler.reply(302, {"Location": "file:///etc/passwd", "Content-Length": 0}))
    with pytest.raises(DownloadError, match="302"):
        get(served.archive, tmp_path / "other", elsewhere.base)


def test_never_more_is_written_than_the_archive_holds(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server = start(without_length(b"more" * 100_000))
    get(served.archive, tmp_path / "part", server.base)
    assert (tmp_path / "part").read_bytes() == served.body


@pytest.mark.parametrize("length", [0, 299_000, 301_000, 10**13])
def test_a_length_that_is_not_the_published_one_is_rejected(
    tmp_path: Path, served: Served, start: Callable[..., Server], length: int
) -> None:
    server = start(says_length(length))
    with pytest.raises(DownloadError, match=f"the server offers a file of {length} bytes, expected {len(served.body)}"):
        get(served.archive, tmp_path / "part", server.base)
    assert len(server.requests) == 1


def test_a_body_shorter_than_promised_is_an_error(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server = start(says_length(len(served.body)), body=served.body[:-1])
    with pytest.raises(DownloadError, match=f"connection lost after {len(served.body) - 1} of {len(served.body)} bytes"):
        download(tmp_path / "out", version=served.archive, url=server.base)
    assert len(server.requests) == module.ATTEMPTS
    assert not (tmp_path / "out").exists()


def test_the_wrong_archive_is_removed(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    wrong = bytearray(served.body)
    wrong[200_000] ^= 1
    server = start(honest, body=bytes(wrong))
    with pytest.raises(DownloadError, match=r"has the SHA-256 \w{64}, expected \w{64}; the download was deleted"):
        download(tmp_path / "out", version=served.archive, url=server.base)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("extra", [b"", b"x", b"x" * 1000])
def test_a_full_but_wrong_part_starts_again(tmp_path: Path, served: Served, start: Callable[..., Server], extra: bytes) -> None:
    part = tmp_path / "part"
    part.write_bytes(bytes(len(served.body)) + extra)
    server = start(honest)
    get(served.archive, part, server.base)
    assert "Range" not in server.requests[0]
    assert part.read_bytes() == served.body


class TestUnknownSize:
    """Version 0.01: its length is whatever the server says, within a bound."""

    @pytest.fixture
    def archive(self, served: Served) -> Archive:
        return archive_of(served.body, known_size=False)

    def test_it_is_fetched_and_resumed(
        self, tmp_path: Path, archive: Archive, served: Served, start: Callable[..., Server]
    ) -> None:
        server = start(cut_after(100_000), honest)
        steps: list[Progress] = []
        download(tmp_path / "out", version=archive, url=server.base, progress=steps.append)
        assert steps[0].total == len(served.body)
        assert server.requests[1]["Range"] == "bytes=100000-"
        assert below(tmp_path / "out") == served.files

    def test_a_whole_part_is_recognised(
        self, tmp_path: Path, archive: Archive, served: Served, start: Callable[..., Server]
    ) -> None:
        server = start(honest)
        (tmp_path / "part").write_bytes(served.body)
        get(archive, tmp_path / "part", server.base)
        assert (tmp_path / "part").read_bytes() == served.body
        assert len(server.requests) == 1

    def test_a_whole_but_wrong_part_is_removed(
        self, tmp_path: Path, archive: Archive, served: Served, start: Callable[..., Server]
    ) -> None:
        server, part = start(honest), tmp_path / "part"
        part.write_bytes(bytes(len(served.body)))
        with pytest.raises(DownloadError, match="SHA-256"):
            get(archive, part, server.base)
        assert not part.exists()
        part.write_bytes(bytes(len(served.body) + 1))  # longer than what the server has
        get(archive, part, server.base)
        assert part.read_bytes() == served.body

    def test_without_any_length_the_checksum_decides(
        self, tmp_path: Path, archive: Archive, served: Served, start: Callable[..., Server]
    ) -> None:
        get(archive, tmp_path / "part", start(without_length(b"")).base)
        assert (tmp_path / "part").read_bytes() == served.body
        with pytest.raises(DownloadError, match="SHA-256"):
            get(archive, tmp_path / "other", start(without_length(b"more")).base)

    @pytest.mark.parametrize("lie", [without_length(b""), says_length(10**13), says_length(200_001)])
    def test_it_is_bounded(
        self,
        tmp_path: Path,
        archive: Archive,
        start: Callable[..., Server],
        monkeypatch: pytest.MonkeyPatch,
        lie: Behaviour,
    ) -> None:
        monkeypatch.setattr(module, "MAX_BYTES", 200_000)
        with pytest.raises(DownloadError, match=r"expected at most 200000|SHA-256"):
            get(archive, tmp_path / "part", start(lie).base)
        assert not (tmp_path / "part").exists()


def test_a_small_disk_is_rejected_before_anything_is_written(
    tmp_path: Path, served: Served, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    needed = int(len(served.body) * 2.5)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 2))
    with pytest.raises(DownloadError, match=r"0\.0 GB of free disk.*another disk"):
        download(tmp_path / "out", version=served.archive, url=start(honest).base)
    assert names(tmp_path) == set()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed + 2))
    download(tmp_path / "out", version=served.archive, url=start(honest).base)
    assert below(tmp_path / "out") == served.files


def test_room_for_the_recordings_is_checked_too(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.tar.gz").write_bytes(served.body)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=len(served.body)))
    with pytest.raises(DownloadError, match="free disk"):
        download(tmp_path / "out", version=served.archive)
    assert names(tmp_path) == {"words.tar.gz"}


def test_an_unsafe_archive_leaves_no_folder(tmp_path: Path, start: Callable[..., Server]) -> None:
    body = make_archive({"yes/a.wav": b"x", "../escaped": b"x"})
    with pytest.raises(DownloadError, match="unsafe"):
        download(tmp_path / "out", version=archive_of(body), url=start(honest, body=body).base)
    assert not [name for name in names(tmp_path) if "part" not in name]
    assert not (tmp_path.parent / "escaped").exists()


def test_a_folder_in_use_is_rejected_or_written_into(tmp_path: Path, served: Served, start: Callable[..., Server]) -> None:
    server, out = start(honest), tmp_path / "out"
    (out / "mine").mkdir(parents=True)
    (out / "mine" / "take.wav").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"contains files.*`force`"):
        download(out, version=served.archive, url=server.base)
    assert server.requests == []
    download(out, version=served.archive, url=server.base, force=True)
    assert below(out) == {**served.files, "mine/take.wav": b"mine"}
    (out / "no" / "a_nohash_0.wav").unlink()
    download(out, version=served.archive, url=server.base, force=True)
    assert below(out) == {**served.files, "mine/take.wav": b"mine"}
    with pytest.raises(KeyboardInterrupt):
        download(out, version=served.archive, url=server.base, force=True, progress=stop_at("unpacking"))
    assert not is_complete(out, served.archive)
    download(out, version=served.archive, url=server.base, force=True)
    with pytest.raises(ConfigError, match="the recordings of another archive"):
        download(out, version=Archive("other.tar.gz", "0" * 64), url=server.base, force=True)


def test_an_empty_folder_and_the_current_one_are_filled(
    tmp_path: Path, served: Served, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, out, here = start(honest), tmp_path / "out", tmp_path / "here"
    out.mkdir()
    download(out, version=served.archive, url=server.base)
    assert below(out) == served.files
    here.mkdir()
    monkeypatch.chdir(here)
    download(Path(), version=served.archive, url=server.base)
    assert below(here) == served.files
    assert Path.cwd().samefile(here)


@pytest.mark.parametrize("base", ["file:///etc", "ftp://example.org/", "example.org/data", "", "https://"])
def test_base_urls_are_checked(tmp_path: Path, served: Served, base: str) -> None:
    with pytest.raises(ConfigError, match="http://"):
        download(tmp_path / "out", version=served.archive, url=base)


def test_the_published_archives() -> None:
    """As Google published them; the command's choices are their names."""
    assert {name: (archive.size, archive.sha256[:8]) for name, archive in ARCHIVES.items()} == {
        "0.01": (None, "74393542"),
        "0.02": (2428923189, "af14739e"),
        "test": (112563277, "cc2a00c1"),
    }
    assert all(len(archive.sha256) == 64 for archive in ARCHIVES.values())
    assert tuple(ARCHIVES) == command.VERSIONS
    with pytest.raises(ConfigError, match=r"`version` must be one of 0\.01, 0\.02, test, got '3'"):
        download("out", version="3")


def test_the_command(
    tmp_path: Path,
    served: Served,
    start: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(ARCHIVES, "test", served.archive)
    server = start(cut_after(100_000), honest)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    line = ["speech-commands", "--version", "test", "--out", str(tmp_path / "out"), "--url", server.base]
    command.run(parser.parse_args(line))
    printed = capsys.readouterr()
    assert "complete" in printed.out
    assert "connection lost after 100000" in printed.err
    assert below(tmp_path / "out") == served.files
    command.run(parser.parse_args(line))
    assert "already complete" in capsys.readouterr().out
    assert len(server.requests) == 2


@pytest.fixture
def librispeech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Served:
    """An archive with the layout of LibriSpeech's dev-clean, instead of the published one; its publisher does not answer."""
    files = {
        "LibriSpeech/LICENSE.TXT": b"CC BY 4.0",
        "LibriSpeech/dev-clean/84/121123/84-121123.trans.txt": b"84-121123-0000 GO\n",
        "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac": b"sound",
    }
    body = make_archive(files)
    archive = dataclasses.replace(LIBRISPEECH, sha256=hashlib.sha256(body).hexdigest(), size=len(body), url="http://127.0.0.1:9")
    monkeypatch.setattr("wordspot.data.download.LIBRISPEECH", archive)
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    return Served(archive, body, files)


def test_sentences_by_people(
    tmp_path: Path, librispeech: Served, start: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    """The speakers' folders come out on top, as `data.speech` wants them."""
    server, folder = start(cut_after(50), honest, body=librispeech.body), tmp_path / "cache" / "librispeech"
    assert find_speech() is None
    assert main(["download", "speech", "--url", server.base]) == 0
    printed = capsys.readouterr()
    assert "licence: CC BY 4.0" in printed.out
    assert "complete; next: wordspot new" in printed.out
    assert "trying again" in printed.err
    assert set(below(folder)) == {"LICENSE.TXT", "84/121123/84-121123.trans.txt", "84/121123/84-121123-0000.flac"}
    assert find_speech() == folder
    assert not download_speech(tmp_path / "mine", url=server.base).was_complete
    assert download_speech(url=server.base).was_complete
    assert main(["download", "speech", "--version", "0.01"]) == 1
    assert "speech has no --version" in capsys.readouterr().err


def test_without_network_it_says_so_in_one_line(
    librispeech: Served, start: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "speech"]) == 1
    *notes, error = capsys.readouterr().err.splitlines()
    assert len(notes) == 4
    assert error.startswith("wordspot: http://127.0.0.1:9/dev-clean.tar.gz: no response")


def test_the_published_sentences() -> None:
    """Size and checksum as other projects have published them beside OpenSLR's MD5."""
    assert (LIBRISPEECH.size, LIBRISPEECH.sha256[:8]) == (337_926_286, "76f87d09")
    assert f"{LIBRISPEECH.url}/{LIBRISPEECH.name}" == "https://www.openslr.org/resources/12/dev-clean.tar.gz"
