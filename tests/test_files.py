"""A reader sees the old file or the new one; whatever goes wrong on the way leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wordspot.errors import ConfigError, NotFoundError, WordspotError
from wordspot.files import atomic_folder, atomic_path, prepare_out, read_json, remove_leftovers, write_json, write_text

as_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and limits of POSIX")
FAILURES = [ValueError("wrong"), KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOSPC, "No space left on device")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask() -> Iterator[int]:
    """A umask that lets the group read, restored afterwards."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


# ------------------------------------------------------------------------------------------------------------ single files


def test_a_new_file_and_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.json"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent  # on the same disk, so that it can be renamed
        assert temporary.suffix == ".json"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["c.json"]


def test_a_reader_with_the_old_file_open_keeps_it(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with target.open(encoding="utf-8") as reader:
        with atomic_path(target) as temporary:
            temporary.write_text("new", encoding="utf-8")
            assert target.read_text(encoding="utf-8") == "old"
        assert target.read_text(encoding="utf-8") == "new"
        assert reader.read() == "old"


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_a_failure_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise error

    target = tmp_path / "a.txt"
    write_text(target, "old")
    stamp = target.stat()
    with pytest.raises(type(error)):
        write_half()
    assert target.read_text(encoding="utf-8") == "old"
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_a_failure_makes_no_new_file(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), atomic_path(tmp_path / "a.txt"):
        raise error
    assert names(tmp_path) == []


def test_a_target_that_is_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").is_dir()
    assert names(tmp_path) == ["a"]


@on_posix
def test_permissions_follow_the_umask_not_the_private_temporary_file(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


@on_posix
def test_threads_that_write_at_once_leave_the_umask_alone(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def set_by_a_thread(mask: int) -> int:
        raise AssertionError("reading the umask means setting it, for all threads: two of them can leave it at 0")

    with monkeypatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(os, "umask", set_by_a_thread)
        list(pool.map(lambda number: write_text(tmp_path / f"{number}.txt", "text"), range(50)))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
    assert os.umask(umask) == umask


def test_an_error_of_the_system_names_the_target(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space") as caught, atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")  # as write() raises it: without a name
    assert caught.value.filename == str(target)
    with pytest.raises(OSError, match="denied") as caught, atomic_path(target) as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert caught.value.filename == str(target)


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.txt"):
        source.read_text(encoding="utf-8")
    assert caught.value.filename == str(source)
    with pytest.raises(NotFoundError, match=r"^my words$"), atomic_path(tmp_path / "a.txt"):
        raise NotFoundError("my words")


@as_root
def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    with pytest.raises(PermissionError) as caught:
        write_text(folder / "a.txt", "text")
    assert caught.value.filename == str(folder / "a.txt")
    with pytest.raises(PermissionError), atomic_folder(folder / "b"):
        pass
    assert names(folder) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from wordspot.files import atomic_folder, write_text

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_text(folder / "a.txt", "x" * 50_000)
except OSError as error:
    print(error.filename)
try:
    with atomic_folder(folder / "b") as temporary:
        (temporary / "small").write_bytes(b"x")
        (temporary / "large").write_bytes(b"x" * 50_000)
except OSError as error:
    print("folder")
"""


@on_posix
def test_a_disk_that_is_full_half_way(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    run = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, timeout=60)
    assert (run.stdout.splitlines(), run.stderr) == ([str(tmp_path / "a.txt"), "folder"], "")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


KILLED = """
import os, signal, sys, time
from pathlib import Path
from wordspot.files import atomic_path

with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@on_posix
def test_a_kill_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    run = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.txt"], capture_output=True, timeout=60)
    assert run.returncode < 0
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"


def test_a_reader_never_sees_half(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    texts = {"a" * 100_000, "b" * 50_000}
    write_text(target, min(texts))
    stop = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(target.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for text in sorted(texts) * 20:
        write_text(target, text)
    stop.set()
    reader.join()
    assert seen
    assert seen <= texts


# ----------------------------------------------------------------------------------------------------------------- folders


def test_a_new_folder(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with atomic_folder(target) as temporary:
        (temporary / "x").write_bytes(b"1")
        assert not target.exists()
    assert names(target) == ["x"]
    assert names(tmp_path / "a") == ["b"]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_a_failure_leaves_no_folder(tmp_path: Path, error: BaseException) -> None:
    def make_half() -> None:
        with atomic_folder(tmp_path / "a") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "x").write_bytes(b"1")
            raise error

    with pytest.raises(type(error)):
        make_half()
    assert names(tmp_path) == []


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    with atomic_folder(target) as slow:
        (slow / "x").write_bytes(b"slow")
        with atomic_folder(target) as fast:
            (fast / "x").write_bytes(b"fast")
    assert (target / "x").read_bytes() == b"fast"
    assert names(tmp_path) == ["cache"]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"file")
    with pytest.raises(OSError, match="a"), atomic_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_bytes() == b"file"
    assert names(tmp_path) == ["a"]


RACER = """
import sys, time
from pathlib import Path
from wordspot.files import atomic_folder

folder, name = Path(sys.argv[1]), sys.argv[2]
with atomic_folder(folder / "cache") as temporary:
    for part in ("x", "y"):
        (temporary / part).write_text(name)
    (folder / f"ready-{name}").touch()
    deadline = time.monotonic() + 30
    while len(list(folder.glob("ready-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
"""


def test_two_processes_that_make_the_same_folder(tmp_path: Path) -> None:
    racers = [subprocess.Popen([sys.executable, "-c", RACER, tmp_path, name]) for name in ("one", "two")]
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0]
    assert names(tmp_path) == ["cache", "ready-one", "ready-two"]
    assert names(tmp_path / "cache") == ["x", "y"]
    assert (tmp_path / "cache" / "x").read_text() == (tmp_path / "cache" / "y").read_text()  # one of them, whole


# ----------------------------------------------------------------------------------------------------------- text and JSON


def test_json_is_readable_utf_8(tmp_path: Path) -> None:
    value = {"词": ["汪汪叫", 1.5, None, True]}
    write_json(tmp_path / "a.json", value)
    raw = (tmp_path / "a.json").read_bytes()
    assert raw.decode("utf-8") == '{\n  "词": [\n    "汪汪叫",\n    1.5,\n    null,\n    true\n  ]\n}\n'
    assert read_json(tmp_path / "a.json") == value


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == 1
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{'a': 1}", b'"\xff"', b"[" * 100_000, b"9" * 5_000, b"\x00\x01", json.dumps({}).encode("utf-16")],
    ids=["empty", "open", "quotes", "no UTF-8", "deep", "digits", "binary", "UTF-16"],
)
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(WordspotError, match=r"a.json is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_json_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "a.json")


# ------------------------------------------------------------------------------------------------------------------- --out


def test_an_output_folder_that_is_new_or_empty(tmp_path: Path) -> None:
    prepare_out(tmp_path / "a" / "b", force=False)
    assert (tmp_path / "a" / "b").is_dir()
    prepare_out(tmp_path / "a" / "b", force=False)


def test_an_output_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".hidden").touch()
    with pytest.raises(ConfigError, match=r"out contains files; expected a new or empty folder. .* set `force` to write"):
        prepare_out(tmp_path / "out", force=False)
    with pytest.raises(ConfigError, match=r"or --resume$"):
        prepare_out(tmp_path / "out", force=False, hint="--resume")
    prepare_out(tmp_path / "out", force=True)
    assert names(tmp_path / "out") == [".hidden"]


@pytest.mark.parametrize("force", [False, True])
def test_an_output_folder_that_is_a_file(tmp_path: Path, force: bool) -> None:
    (tmp_path / "out").write_bytes(b"file")
    with pytest.raises(ConfigError, match=r"out is a file; expected a folder"):
        prepare_out(tmp_path / "out", force=force)
    assert (tmp_path / "out").read_bytes() == b"file"


def test_what_a_killed_program_left_is_removed(tmp_path: Path) -> None:
    """The program writes half a file, a folder and a folder of clips, and is killed."""
    kept = [tmp_path / "run" / ".config", tmp_path / ".a.b.txt", tmp_path / "run" / "a.0123456789ab.txt"]
    (tmp_path / "run").mkdir()
    for path in kept:
        path.touch()
    program = f"""
import os, signal, tempfile
from pathlib import Path
from wordspot.files import PREFIX, atomic_folder, atomic_path
out = Path({str(tmp_path)!r}) / "run"
with atomic_path(out / "a.txt") as file, atomic_folder(out / "b") as folder, tempfile.TemporaryDirectory(dir=out, prefix=PREFIX):
    file.write_text("half")
    (folder / "c").touch()
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode != 0
    assert len(list((tmp_path / "run").iterdir())) == 5
    remove_leftovers(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert names(tmp_path) == sorted([".a.b.txt", "run"])
    assert len(list((tmp_path / "run").iterdir())) == 2
