"""A lock is held by one, keeps threads and processes apart, and is free as soon as its holder is dead."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wordspot.errors import LockedError
from wordspot.locks import hold_lock, is_locked

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from wordspot.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import time; print('held', flush=True); time.sleep(60)"], close_fds=False)
    child.wait()
"""

LOOKER = """
import sys, time
from pathlib import Path
from wordspot.locks import is_locked
print(flush=True)
while True:
    is_locked(Path(sys.argv[1]))
    time.sleep(0.001)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock, and whose child outlives it."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_holder_releases_its_lock(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_locked(path)
    with pytest.raises(LockedError, match="lock is locked by another process; wait"), hold_lock(path):
        pass
    with pytest.raises(LockedError, match=r"^somebody trains$"), hold_lock(path, "somebody trains"):
        pass
    holder.kill()
    holder.wait()
    assert not is_locked(path)
    with hold_lock(path):
        assert is_locked(path)


def test_a_lock_keeps_parts_of_one_process_apart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    assert not is_locked(path)
    with hold_lock(path):
        assert is_locked(path)
        with pytest.raises(LockedError), hold_lock(path.parent / ".." / "folder" / "lock"):
            pass
        probe = [sys.executable, "-c", "import sys; from pathlib import Path; from wordspot.locks import is_locked; "
                 "sys.exit(0 if is_locked(Path(sys.argv[1])) else 1)", str(path)]  # fmt: skip
        assert subprocess.run(probe, check=False).returncode == 0  # looking at it above did not release it
    assert not is_locked(path)


def test_looking_at_a_lock_does_not_disturb_who_takes_it(tmp_path: Path) -> None:
    path, done, seen = tmp_path / "lock", threading.Event(), list[bool]()
    path.touch()
    process = subprocess.Popen([sys.executable, "-c", LOOKER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()

    def watch() -> None:
        while not done.is_set():
            seen.append(is_locked(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(30):
            with hold_lock(path):
                pass
    finally:
        done.set()
        watcher.join()
        process.kill()
        process.wait()
        process.stdout.close()
    assert seen
