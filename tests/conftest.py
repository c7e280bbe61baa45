"""Fixtures shared by the tests."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' arrays are small, and two workers share the cores

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# The environment of the lowest versions (`make test-lowest`) holds what runs a model, not what trains one.
if importlib.util.find_spec("torch") is None:
    collect_ignore = [
        "features",
        "models",
        "training",
        "export",
        "commands",
        "benchmarks",
        "reports",
        "test_old_files.py",
        "test_run.py",
        "test_examples.py",
    ]
    collect_ignore += [
        "data/checks/test_agreement.py",
        "test_dev_hearing.py",
        "audio/test_noise.py",
        "evaluation/test_shortcuts_heard.py",
        "test_doctests.py",
        "test_wheel.py",
    ]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, where the machine has it."""
    folder = Path(os.environ.get("WORDSPOT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real recordings are not here ({folder}); set WORDSPOT_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's own cache of decoded clips, nor asks the user's teacher."""
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("WORDSPOT_TEACHER", raising=False)


@pytest.fixture(autouse=True)
def _without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a folder holds does not depend on what is installed; tests of `audio.convert` bring their own program."""
    monkeypatch.setattr("wordspot.audio.convert._find_ffmpeg", lambda path: None)


@pytest.fixture(scope="session")
def tone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four "words" that are tones, 30 speakers, and one noise. Not to be written to."""
    from support.made import make_tone_folder

    return make_tone_folder(tmp_path_factory.mktemp("tones") / "data")
