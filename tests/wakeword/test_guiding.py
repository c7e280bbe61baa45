"""The teacher's targets for a project. Here it is a spectrum; the phrase is dark noise, everything else bright noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from support.teacher import OTHER, PHRASE, spectrum, write_hiss
from wordspot.data.guidance import Guidance, read_guidance
from wordspot.errors import ConfigError, NotFoundError
from wordspot.wakeword import guiding, making
from wordspot.wakeword.guiding import check_teacher, guide, targets_of
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.speech import Heard
from wordspot.wakeword.takes import add_takes
from wordspot.wakeword.training import Callbacks

REQUEST = Request(("hey lamp",), n_voices=100)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """60 clips of the phrase by voices and 20 joined from people, as many of another; three takes; ten speakers."""
    made = Project(tmp_path / "lamp")
    for number in range(80):
        name = f"voice{number}_nohash_p100-0.wav" if number < 60 else f"reader{number % 10}_nohash_people{number}.wav"
        write_hiss(made.recordings / "hey lamp" / name, PHRASE, number)
        write_hiss(made.recordings / "hey ramp" / name, OTHER, 1000 + number)
    for number in range(3):
        write_hiss(tmp_path / "takes" / f"{number}.wav", PHRASE, 200 + number)
    assert add_takes(made, ["hey lamp"], tmp_path / "takes") == 3
    for number in range(10):
        write_hiss(tmp_path / "speech" / f"{number}" / "chapter" / f"{number}-a.wav", OTHER, 300 + number, seconds=20)
        write_hiss(tmp_path / "speech" / f"{number}" / "chapter" / f"{number}-said.wav", PHRASE, 400 + number, seconds=20)
        text = f"{number}-a THE LAMP\n{number}-said HEY THERE IS A LAMP\n"
        (tmp_path / "speech" / f"{number}" / "chapter" / "of.trans.txt").write_text(text)
    return made


def made_for(project: Project, tmp_path: Path) -> Guidance:
    notes = list[str]()
    guide(project, REQUEST, tmp_path / "speech", spectrum, lambda _: None, notes.append)
    made = read_guidance(project.recordings)
    assert made is not None
    assert notes == [f"the teacher's targets are computed, for {len(made.paths)} recordings and pieces of speech"]
    return made


def test_the_phrase_has_high_targets_and_everything_else_low_ones(project: Project, tmp_path: Path) -> None:
    made = made_for(project, tmp_path)
    folders = np.array([path.partition("/")[0] for path in made.paths])
    is_speech = made.starts >= 0
    phrase, other = made.targets[folders == "hey lamp", 0], made.targets[(folders == "hey ramp") | is_speech, 0]
    assert phrase.min() > other.max()
    assert -10 <= other.min() <= phrase.max() <= 8
    assert (made.lengths == 24_000).sum() == 2500
    short = made.lengths[is_speech & (made.lengths < 24_000)] / 16_000
    assert len(short) == 1500
    assert 0.35 <= short.min() < 0.4
    assert 0.95 < short.max() <= 1.0
    assert not any("-said" in path for path in made.paths[is_speech])  # its text has all words of the phrase
    takes = [path for path in made.paths if "/take" in path]
    assert len({path.partition("_nohash_")[0] for path in takes}) == len(takes)  # without the repeats
    shares = {"speech": is_speech, "people": ~is_speech & np.array(["_nohash_people" in path for path in made.paths])}
    assert float(made.weights[shares["speech"]].sum()) == pytest.approx(0.4, abs=1e-4)
    assert 0.2 < float(made.weights[shares["people"]].sum()) <= 0.38


def test_held_out_recordings_are_not_asked_about(project: Project, tmp_path: Path) -> None:
    """The layer must not learn from voices on which thresholds are chosen."""
    from wordspot.config import DataConfig
    from wordspot.data.few_recordings import split_recordings
    from wordspot.data.folders import list_recordings

    made = made_for(project, tmp_path)
    listing = list_recordings(project.recordings)
    sets = split_recordings(listing, DataConfig(), {"hey lamp"}).sets
    held_out = {clip.path for clip, name in zip(listing.clips, sets, strict=True) if name != "training"}
    assert held_out
    assert not held_out & set(made.paths[made.starts < 0].tolist())


def test_it_is_asked_again_only_about_other_recordings(project: Project, tmp_path: Path) -> None:
    made_for(project, tmp_path)
    written = project.guidance.stat().st_mtime_ns

    guide(project, REQUEST, tmp_path / "speech", lambda audio: pytest.fail("asked again"), lambda _: None, pytest.fail)
    assert project.guidance.stat().st_mtime_ns == written
    for number in range(10):  # at least one of them is for training
        write_hiss(project.recordings / "hey ramp" / f"more{number}_nohash_p100-0.wav", OTHER, 5000 + number)
    made_for(project, tmp_path)
    assert project.guidance.stat().st_mtime_ns != written


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guiding, "check_packages", lambda *_: None)
    assert check_teacher(tmp_path) == tmp_path
    with pytest.raises(NotFoundError, match="`taught` needs the teacher, Whisper base; run: wordspot download teacher"):
        check_teacher(None)
    with pytest.raises(ConfigError, match="`taught` does not go with `preset` microcontroller"):
        Request(("hey lamp",), taught=True, preset="microcontroller")


def test_speech_by_people_is_needed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without being taught, targets of before are not learned."""
    callbacks = Callbacks(lambda _: None, pytest.fail, pytest.fail, lambda: False)
    taught = dataclasses.replace(REQUEST, taught=True)
    with pytest.raises(NotFoundError, match="`taught` needs speech by people; give `speech`, or run: wordspot download speech"):
        making._learn_from_people(project, taught, Heard(project.spoken, by_people=False), callbacks)
    project.guidance.touch()
    making._learn_from_people(project, REQUEST, Heard(project.spoken, by_people=False), callbacks)
    assert not project.guidance.exists()


def test_targets_by_hand() -> None:
    """Log odds of 3, 1.5 and -30 become 2 · 3 - 3 = 3, 0 and the least, -10; those of something else at most -2."""
    odds = np.array([3.0, 1.5, -30.0, 3.0, 0.2])
    log_posteriors = np.stack([-np.log1p(np.exp(odds)), -np.log1p(np.exp(-odds))], axis=1).astype(np.float32)
    np.testing.assert_allclose(
        targets_of(log_posteriors, np.array([1, 1, 1, 0, 0])), [[3.0], [0.0], [-10.0], [-2.0], [-2.6]], atol=1e-4
    )


def test_targets_of_two_phrases_by_hand() -> None:
    """Posteriors of 0.2, 0.5 and 0.3: log odds of 0.5 : 0.5 and 0.3 : 0.7; of a phrase in the other at most -2."""
    given = np.log(np.array([[0.2, 0.5, 0.3]], np.float32))
    np.testing.assert_allclose(targets_of(given, np.array([1])), [[-3.0, 2 * np.log(3 / 7) - 3]], atol=1e-4)
    sure = np.log(np.array([[0.01, 0.98, 0.01]], np.float32))
    np.testing.assert_allclose(targets_of(sure, np.array([2])), [[-2.0, -10.0]], atol=1e-4)


def test_by_default_the_teacher_is_asked_if_all_it_needs_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, speech = Project(tmp_path / "fresh"), tmp_path / "speech"
    monkeypatch.setattr(making, "has_teacher", lambda: True)
    monkeypatch.setattr(making, "find_speech", lambda: None)
    assert making._is_taught(None, fresh, "default", speech, resume=False)
    assert not making._is_taught(None, fresh, "default", None, resume=False)
    assert not making._is_taught(None, fresh, "microcontroller", speech, resume=False)
    assert not making._is_taught(False, fresh, "default", speech, resume=False)
    monkeypatch.setattr(making, "find_speech", lambda: speech)
    assert making._is_taught(None, fresh, "default", None, resume=False)
    monkeypatch.setattr(making, "has_teacher", lambda: False)
    assert not making._is_taught(None, fresh, "default", speech, resume=False)
    assert making._is_taught(True, fresh, "default", speech, resume=False)


@pytest.mark.parametrize("begun", [True, False])
def test_a_project_that_is_resumed_is_taught_as_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    made = Project(tmp_path / "lamp")
    made.write(dataclasses.replace(REQUEST, taught=begun), [])
    monkeypatch.setattr(making, "has_teacher", lambda: not begun)
    settings = {"n_voices": 200, "taught": making._is_taught(None, made, "default", tmp_path, resume=True)}
    resumed = making._request(made, None, settings, resume=True)
    assert (resumed.taught, resumed.n_voices) == (begun, 200)
    other = making._request(made, None, {**settings, "taught": not begun}, resume=True)
    assert "`taught`" in made.read()[0].changes_of(other)  # type: ignore[index]


def test_pieces_of_speech_are_the_same_for_every_phrase(project: Project, tmp_path: Path) -> None:
    """So that what the teacher gave for them can be kept."""
    from wordspot.config import DataConfig
    from wordspot.data.speech import load_speech

    speech = load_speech(tmp_path / "speech", 16_000, DataConfig())
    places = []
    for phrase in ("hey lamp", "good evening"):
        made = guiding._pieces_of(speech, Request((phrase,)))
        places.append([(piece.path, piece.start, piece.length) for piece in made])
    assert [len(each) for each in places] == [4000, 4000]
    assert set(places[0]) & set(places[1])
    first, second = ([place for place in each if place[2] == 24_000 and "-said" not in place[0]] for each in places)
    assert 0 < len(second) < len(first) == 2500  # the text of "-said" has all words of the first phrase
    assert second == first[: len(second)]
