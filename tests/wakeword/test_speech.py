"""Which speech a wake word is told apart from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.samples import Samples
from wordspot.data.download import LIBRISPEECH, MARKER
from wordspot.data.voices.engine import Manners, Voice
from wordspot.data.voices.reading import text_for
from wordspot.errors import ConfigError, NotFoundError
from wordspot.files import write_json
from wordspot.progress import Progress
from wordspot.wakeword import speech
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.speech import READING, Heard, choose_speech

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

REQUEST = Request(("hey lamp",), engine="espeak-ng", n_voices=3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "lamp").mkdir()
    return Project(tmp_path / "lamp")


def choose(project: Project, given: Path | None = None) -> tuple[Heard, list[str], list[Progress]]:
    """What is chosen, and the notes and the progress meanwhile."""
    notes, steps = list[str](), list[Progress]()
    return choose_speech(project, REQUEST, given, steps.append, notes.append), notes, steps


def pretend_to_download(cache: Path) -> Path:
    """What `wordspot download speech` leaves behind."""
    write_json(cache / "librispeech" / MARKER, {"sha256": LIBRISPEECH.sha256})
    return cache / "librispeech"


def test_the_speech_of_the_user_is_used_without_a_word(project: Project, tmp_path: Path) -> None:
    assert choose(project, tmp_path) == (Heard(tmp_path, by_people=True), [], [])


def test_without_speech_voices_read_once(project: Project) -> None:
    heard, notes, steps = choose(project)
    assert heard == Heard(project.spoken, by_people=False)
    assert [(step.stage, step.done, step.total) for step in steps] == [(READING, number, 3) for number in (1, 2, 3)]
    assert len(list(project.spoken.rglob("*.wav"))) == 3
    (note,) = notes
    assert "`wordspot download speech` gets 5 hours of people (338 MB)" in note
    assert choose(project) == (heard, notes, [])


def test_a_run_goes_on_with_the_voices_it_was_begun_with(project: Project, tmp_path: Path) -> None:
    choose(project)
    project.run.mkdir()
    pretend_to_download(tmp_path / "cache")
    assert choose(project) == (Heard(project.spoken, by_people=False), [], [])


def test_a_new_run_uses_what_was_downloaded_and_goes_on_with_it(project: Project, tmp_path: Path) -> None:
    """Sentences that voices read for an earlier run are removed."""
    choose(project)
    folder = pretend_to_download(tmp_path / "cache")
    heard, notes, _ = choose(project)
    assert heard == Heard(folder, by_people=True)
    assert notes == [f"speech: {folder}, from `wordspot download speech`"]
    assert not project.spoken.exists()
    project.run.mkdir()
    assert choose(project) == (heard, [], [])


def test_a_run_goes_on_with_the_speech_of_the_user(project: Project, tmp_path: Path) -> None:
    pretend_to_download(tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    choose(project, tmp_path / "mine")
    project.run.mkdir()
    assert choose(project) == (Heard(tmp_path / "mine", by_people=True), [], [])
    (tmp_path / "mine").rename(tmp_path / "moved")
    with pytest.raises(NotFoundError, match=r"mine: no such folder; training was begun with it\. Give it as `speech`"):
        choose(project)
    assert choose(project, tmp_path / "moved")[0] == Heard(tmp_path / "moved", by_people=True)


def test_a_run_of_an_earlier_version_goes_on_without_speech(project: Project, tmp_path: Path) -> None:
    """It was begun with none, or with what the user gives again; other speech would be other recordings."""
    pretend_to_download(tmp_path / "cache")
    project.run.mkdir()
    assert choose(project) == (Heard(None, by_people=False), [], [])
    assert choose(project, tmp_path)[0] == Heard(tmp_path, by_people=True)


def test_a_damaged_record_of_the_speech(project: Project) -> None:
    project.run.mkdir()
    write_json(project.begun_with, {"people": 3})
    with pytest.raises(ConfigError, match=r"speech\.json is damaged; begin anew in another folder"):
        choose(project)


class French:
    """An engine with one voice, which speaks French only."""

    name, manners, concurrent = "piper", Manners(), False

    def voices(self, language: str) -> list[Voice]:
        return [Voice(self.name, "piper-jean", "jean", "fr")] if language == "fr" else []

    def languages(self) -> list[str]:
        return ["fr"]

    def reads(self, text: str, language: str) -> bool:
        return True

    def reset(self) -> None:
        pass

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        return 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32), 16_000


def test_voices_of_a_language_without_a_text_read_english(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "choose_engine", lambda request, note: "piper")
    monkeypatch.setattr(speech, "find_engines", lambda names, n_speakers: {"piper": French()})
    request = Request(("salut lampe",), language="fr", engine="piper", n_voices=2)
    choose_speech(project, request, None, lambda _: None, lambda _: None)
    assert {path.parent.name for path in project.spoken.rglob("*.wav")} == {"piper-jean"}
    assert all(path.read_text(encoding="utf-8") in text_for("en").sentences for path in project.spoken.rglob("*.txt"))


def test_an_interrupted_reading_is_begun_again(project: Project) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose_speech(project, REQUEST, None, stop, lambda _: None)
    assert list(project.path.iterdir()) == []
