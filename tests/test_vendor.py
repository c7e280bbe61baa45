"""The runtime of the web page: the pinned archive and nothing else comes in, whole or not at all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from wordspot.errors import DownloadError, MissingExtraError

ROOT = Path(__file__).resolve().parents[1]


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_web", ROOT / "tools" / "vendor_web.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()
CONTENT = {f"package/dist/{name}": f"content of {name}".encode() for name in TOOL.FILES}
OTHERS = {"package/package.json": b"{}", "package/dist/ort.webgpu.min.mjs": b"not needed"}


def make_archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def integrity_of(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def fetching(files: dict[str, bytes], calls: list[Path] | None = None) -> Callable[[Path], Path]:
    def fetch(folder: Path) -> Path:
        if calls is not None:
            calls.append(folder)
        return make_archive(folder / "package.tgz", files)

    return fetch


@pytest.fixture
def integrity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the archive of `CONTENT` and `OTHERS`; time stands still, since gzip notes it."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    return integrity_of(make_archive(tmp_path / "package.tgz", CONTENT | OTHERS))


def test_the_needed_files_and_the_licence_come_in_and_nothing_else(tmp_path: Path, integrity: str) -> None:
    target = tmp_path / "ort"
    assert TOOL.vendor(target, fetching(CONTENT | OTHERS), integrity)
    assert {path.name for path in target.iterdir()} == {*TOOL.FILES, TOOL.COMPRESSED, "LICENSE", "version.json"}
    for name in TOOL.FILES:
        assert (target / name).read_bytes() == CONTENT[f"package/dist/{name}"]
    assert gzip.decompress((target / TOOL.COMPRESSED).read_bytes()) == CONTENT[f"package/dist/{TOOL.FILES[2]}"]
    licence = (target / "LICENSE").read_text()
    assert "MIT License" in licence
    assert "Copyright (c) Microsoft Corporation" in licence


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(tmp_path: Path, integrity: str) -> None:
    target, calls = tmp_path / "ort", []
    fetch = fetching(CONTENT | OTHERS, calls)
    assert TOOL.vendor(target, fetch, integrity)
    assert not TOOL.vendor(target, fetch, integrity)
    assert len(calls) == 1
    (target / TOOL.FILES[0]).write_bytes(b"half of it")
    assert TOOL.vendor(target, fetch, integrity)
    (target / TOOL.FILES[2]).unlink()
    assert TOOL.vendor(target, fetch, integrity)
    (target / "version.json").write_text('{"files": 3}')
    assert TOOL.vendor(target, fetch, integrity)
    assert len(calls) == 4
    assert TOOL.is_complete(target, integrity)
    assert not TOOL.is_complete(target, "sha512-another")


def test_another_archive_is_not_used(tmp_path: Path, integrity: str) -> None:
    changed = CONTENT | OTHERS | {f"package/dist/{TOOL.FILES[0]}": b"something else"}
    with pytest.raises(DownloadError, match=r"package\.tgz: expected sha512-.*, got sha512-.*not the pinned package"):
        TOOL.vendor(tmp_path / "ort", fetching(changed), integrity)
    assert not (tmp_path / "ort").exists()


def test_the_pin_is_of_sha512() -> None:
    name, _, digest = TOOL.INTEGRITY.partition("-")
    assert name == "sha512"
    assert len(base64.b64decode(digest, validate=True)) == 64


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (CONTENT | {"../outside": b"x"}, "damaged or unsafe .*outside"),
        ({name: CONTENT[name] for name in list(CONTENT)[:2]}, f"expected package/dist/{TOOL.FILES[2]} in it"),
    ],
)
def test_an_archive_that_is_unsafe_or_lacks_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], match: str
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    digest = integrity_of(make_archive(tmp_path / "package.tgz", files))
    with pytest.raises(DownloadError, match=match):
        TOOL.vendor(tmp_path / "ort", fetching(files), digest)
    assert not (tmp_path / "ort").exists()
    assert not (tmp_path / "outside").exists()


def test_without_npm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"expected npm.*not installed; install npm"):
        TOOL.vendor(tmp_path / "ort")
    assert TOOL.main(tmp_path / "ort") == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("make web: expected npm")
    assert (shown.out, shown.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo 'npm error 404 not found' >&2; exit 1", "npm could not fetch onnxruntime-web@.*404 not found"),
        ("exit 0", "npm could not fetch onnxruntime-web@.*left 0 archives"),
        ("echo x > onnxruntime-web.tgz", "onnxruntime-web.tgz: expected sha512-q0y"),
    ],
)
def test_an_npm_that_fails_or_brings_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, match: str
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DownloadError, match=match):
        TOOL.vendor(tmp_path / "ort")
    assert not (tmp_path / "ort").exists()


def test_what_lies_in_the_checkout_is_the_pinned_version() -> None:
    if not TOOL.TARGET.is_dir():
        pytest.skip("the page's runtime is not here; `make web` fetches it")
    assert TOOL.is_complete(TOOL.TARGET)
    assert (TOOL.TARGET / "ort-wasm-simd-threaded.wasm").read_bytes()[:4] == b"\0asm"
    assert (TOOL.TARGET / "ort-wasm-simd-threaded.wasm.gz").stat().st_size < 4_000_000
