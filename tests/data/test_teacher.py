"""Where the teacher's files come from: a server on loopback, or installed packages. The real address is never asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.file_server import FileServer, published, serve_files

from wordspot.commands.main import main
from wordspot.data import teacher
from wordspot.data.teacher import FILES, download_teacher, find_teacher
from wordspot.errors import ConfigError, DownloadError, NotFoundError

BODIES = {"config.json": b"{}", "model.bin": bytes(range(200)) * 40}
PACKAGES = ("made_teacher_part1", "made_teacher_part2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    monkeypatch.delenv("WORDSPOT_TEACHER", raising=False)
    monkeypatch.setattr(teacher, "_PACKAGES", PACKAGES)
    files = tuple(published(name, body) for name, body in BODIES.items())
    monkeypatch.setattr(teacher, "FILES", files)
    monkeypatch.setattr(download_teacher, "__kwdefaults__", {**(download_teacher.__kwdefaults__ or {}), "files": files})
    with serve_files(dict(BODIES), monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Two installed packages that hold half of the network each."""
    model, folders = BODIES["model.bin"], []
    for number, (name, half) in enumerate(zip(PACKAGES, (model[:3000], model[3000:]), strict=True), start=1):
        folder = tmp_path / "site" / name / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise SystemExit('packages are only read')")
        (folder / f"model.bin.part{number}").write_bytes(half)
        folders.append(folder)
    (folders[0] / "config.json").write_bytes(BODIES["config.json"])
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folders


def below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_downloaded_is_found(server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_teacher() is None
    server.cut = {"model.bin": 1000}
    assert main(["download", "teacher", "--url", server.base]) == 0
    printed = capsys.readouterr()
    assert "licence: MIT" in printed.out
    assert "complete; next: wordspot new" in printed.out
    assert "connection lost after 1000" in printed.err
    assert ("model.bin", "bytes=1000-") in server.asked
    assert find_teacher() == tmp_path / "cache" / "teacher"
    assert below(tmp_path / "cache" / "teacher") == BODIES
    assert download_teacher().was_complete
    assert len(server.asked) == 3


def test_without_network_it_says_so_in_one_line(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "teacher"]) == 1  # the publisher's address is that of a port where nothing listens
    *notes, error = capsys.readouterr().err.splitlines()
    assert len(notes) == 4
    assert error.startswith("wordspot: http://127.0.0.1:9/config.json: no response")
    assert "run the same command again" in error


def test_installed_packages_are_joined_without_network(server: FileServer, packages: list[Path], tmp_path: Path) -> None:
    done = download_teacher()
    assert done.from_packages
    assert below(done.out) == BODIES
    assert server.asked == []
    assert not download_teacher(tmp_path / "other", url=server.base).from_packages


def test_damaged_packages_leave_nothing(server: FileServer, packages: list[Path], tmp_path: Path) -> None:
    part = packages[1] / "model.bin.part2"
    part.write_bytes(b"other")
    with pytest.raises(DownloadError, match=r"model\.bin of the packages .* is not the published file"):
        download_teacher()
    part.unlink()
    with pytest.raises(DownloadError, match="part2 is missing; install the packages"):
        download_teacher()
    assert set(below(tmp_path / "cache" / "teacher")) == {"config.json"}


def test_a_folder_that_is_named(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_TEACHER", str(tmp_path / "mine"))
    with pytest.raises(NotFoundError, match=r"mine holds no complete config\.json; WORDSPOT_TEACHER expects"):
        find_teacher()
    download_teacher(tmp_path / "mine", url=server.base)
    assert find_teacher() == tmp_path / "mine"
    (tmp_path / "mine" / "model.bin").write_bytes(BODIES["model.bin"][:-1])
    with pytest.raises(NotFoundError, match=r"mine holds no complete model\.bin"):
        find_teacher()


def test_space_is_needed_only_for_what_is_missing(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = list[float]()
    monkeypatch.setattr(teacher, "check_space", lambda _, n_bytes: needed.append(n_bytes))
    (tmp_path / "model.bin").write_bytes(BODIES["model.bin"])
    download_teacher(tmp_path, url=server.base)
    download_teacher(tmp_path, url=server.base, force=True)
    assert needed == [2, 8002]


def test_wrong_arguments(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`url` must begin with http"):
        download_teacher(tmp_path, url="ftp://example.org")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file; expected a folder"):
        download_teacher(tmp_path / "file", url=server.base)


def test_the_published_files_are_pinned() -> None:
    """Sizes and SHA-256 as other projects have published them for Systran/faster-whisper-base."""
    assert {file.name: (file.size, file.sha256[:8]) for file in FILES} == {
        "config.json": (2_309, "56a6d811"),
        "tokenizer.json": (2_203_239, "fb7b6319"),
        "vocabulary.txt": (459_861, "34ce3fe1"),
        "model.bin": (145_217_532, "d01c3014"),
    }
