"""Which recordings folders, patterns, lists and URLs name, each once."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import soundfile

from support.made_onnx import RATE, made_model
from support.made_streams import spoken
from wordspot.archive.sources import SourceFile, list_files, opened
from wordspot.archive.worker import FileResult, FilesTask, Setup, run_task
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.runtime.model import open_model

MODEL = made_model(clip_samples=1600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("one.wav", "deep/two.flac", "deep/three.wav"):
        soundfile.write(tmp_path / "in" / name, spoken(), RATE)
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    return tmp_path / "in"


def names(folder: Path, *sources: object, lists: tuple[str, ...] = ()) -> list[str]:
    return [Path(file.name).relative_to(folder).as_posix() for file in list_files([str(one) for one in sources], lists)]


def test_folders_patterns_and_files_name_each_recording_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = ["deep/three.wav", "deep/two.flac", "one.wav"]
    assert names(folder, folder) == everything
    assert names(folder, folder / "one.wav", folder, folder / "deep") == everything
    assert names(folder, folder / "**" / "*.wav") == ["deep/three.wav", "one.wav"]
    assert names(folder, folder / "*") == ["one.wav"]  # nothing but recordings
    assert names(folder, folder / "notes.txt") == ["notes.txt"]  # named, so it is tried
    monkeypatch.chdir(folder)
    assert names(folder, "deep") == everything[:2]  # an absolute path, wherever the scan runs


def test_a_pattern_lists_a_folder_once_if_links_lead_in_circles(folder: Path) -> None:
    try:
        (folder / "deep" / "up").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert names(folder, folder / "**" / "*.wav") == ["deep/three.wav", "one.wav"]


def test_lists_have_a_source_on_each_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list.txt").write_text(f"# ours\n{folder}/one.wav\n\n{folder}/deep\n")
    assert len(names(folder, lists=(str(folder / "list.txt"),))) == 3
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder}/deep/*.flac\n"))
    assert names(folder, lists=("-",)) == ["deep/two.flac"]
    with pytest.raises(NotFoundError, match=r"none\.txt: no such file"):
        list_files([], [str(folder / "none.txt")])


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name what to scan"):
        list_files([])
    with pytest.raises(NotFoundError, match="none: no such file or folder"):
        list_files([str(folder), str(tmp_path / "none")])
    with pytest.raises(NotFoundError, match="no recordings there"):
        list_files([str(folder / "*.mp3")])


def test_a_changed_file_has_another_fingerprint(folder: Path) -> None:
    (before,) = list_files([str(folder / "one.wav")])
    (folder / "one.wav").write_bytes((folder / "one.wav").read_bytes() + b"  ")
    (after,) = list_files([str(folder / "one.wav")])
    assert before.fingerprint != after.fingerprint


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    """The same files on a remote file system."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed, so there are no remote files")
    system = fsspec.filesystem("memory")
    for path in folder.rglob("*.*"):
        system.pipe(f"/bucket/{path.relative_to(folder).as_posix()}", path.read_bytes())
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_remote_files_are_listed_and_scanned(memory: str) -> None:
    found = list_files([memory, f"{memory}/**/*.wav"])
    assert [file.name for file in found] == [
        f"memory:///bucket/{name}" for name in ("deep/three.wav", "deep/two.flac", "one.wav")
    ]
    assert all(file.is_remote and file.n_bytes > 1000 for file in found)
    setup = Setup(MODEL, open_model(MODEL).card.decoder)
    results = run_task(setup, FilesTask(tuple(found)))
    assert isinstance(results, list)
    assert [[one.label for one in result.detections] for result in results] == [["a", "b"]] * 3
    assert not any(result.error for result in results)


def test_errors_of_remote_files_name_the_url(memory: str) -> None:
    import fsspec

    with pytest.raises(NotFoundError, match=r"memory://bucket/none\.wav: no such file"):
        list_files([f"{memory}/none.wav"])
    with pytest.raises(ConfigError, match=r"nowhere://x: cannot be listed \(Protocol not known: nowhere\)"):
        list_files(["nowhere://x"])
    (file,) = list_files([f"{memory}/notes.txt"])
    setup = Setup(MODEL, open_model(MODEL).card.decoder)
    (result,) = run_task(setup, FilesTask((file,)))  # type: ignore[misc]
    assert isinstance(result, FileResult)
    assert result.error.startswith("memory:///bucket/notes.txt: the file cannot be read")
    assert "remote" not in result.error  # the name of the copy
    fsspec.filesystem("memory").mv("/bucket/notes.txt", "/remote-mic/my-remote.txt")
    renamed = SourceFile("memory://remote-mic/my-remote.txt", 0, "", is_remote=True)
    with (
        pytest.raises(AudioError, match=r"^memory://remote-mic/my-remote\.txt: my-remote\.txt"),
        opened(renamed) as copy,
    ):
        raise AudioError(f"{copy}: {copy.name}")
    fsspec.filesystem("memory").rm("/remote-mic/my-remote.txt")
    with pytest.raises(AudioError, match=r"notes\.txt: cannot be fetched"), opened(file):
        pass


def test_whatever_a_file_system_raises_is_a_line(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of S3 and Google raise exceptions of their own, such as botocore's, whose only base is `Exception`."""
    import fsspec

    (file,) = list_files([f"{memory}/one.wav"])

    def fail(*args: object, **kwargs: object) -> None:
        raise Exception("Could not connect\nto the endpoint")

    with monkeypatch.context() as broken:
        for name in ("info", "isdir", "open"):
            broken.setattr(type(fsspec.filesystem("memory")), name, fail)
        with pytest.raises(ConfigError, match=r"one\.wav: cannot be listed \(Could not connect to the endpoint\)"):
            list_files([f"{memory}/one.wav"])
        with pytest.raises(AudioError, match=r"one\.wav: cannot be fetched \(Could not connect to the endpoint\)"), opened(file):
            pass


def test_a_signed_url_may_be_longer_than_a_file_name(memory: str) -> None:
    import fsspec

    name = f"/bucket/one.wav?signature={'x' * 300}"
    fsspec.filesystem("memory").pipe(name, b"content")
    with opened(SourceFile(f"memory:/{name}", 0, "", is_remote=True)) as path:
        assert (path.suffix, path.read_bytes()) == (".wav", b"content")


@pytest.mark.slow
def test_recordings_on_a_web_server(folder: Path) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed, so fsspec has no https://")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (file,) = list_files([f"http://127.0.0.1:{server.server_port}/one.wav"])
        with opened(file) as path:
            assert path.read_bytes() == (folder / "one.wav").read_bytes()
        server.shutdown()
