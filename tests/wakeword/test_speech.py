"""Which speech a wake word is told apart from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.samples import Samples
from wordspot.data.download import LIBRISPEECH, MARKER
from wordspot.data.voices.engine import Manners, Voice
from wordspot.data.voices.reading import text_for
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


def choose(project: Project, given: Path | None = None, quiet: bool = False) -> tuple[Heard, list[str], list[Progress]]:
    """What is chosen, and the notes and the progress meanwhile."""
    notes, steps = list[str](), list[Progress]()
    return choose_speech(project, REQUEST, given, steps.append, notes.append, quiet=quiet), notes, steps


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
    assert choose(project, quiet=True) == (heard, [], [])


def test_what_was_downloaded_is_used_unless_training_has_begun_with_voices(project: Project, tmp_path: Path) -> None:
    choose(project)
    folder = pretend_to_download(tmp_path / "cache")
    heard, notes, _ = choose(project)
    assert heard == Heard(folder, by_people=True)
    assert notes == [f"speech: {folder}, from `wordspot download speech`"]
    project.run.mkdir()
    assert choose(project)[0] == Heard(project.spoken, by_people=False)


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
