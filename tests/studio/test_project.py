"""A studio project is a folder that the command line reads too, and nothing that a client sends leads out of it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support.made_onnx import made_model
from wordspot.audio.files import read_audio, write_audio
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.files import write_json
from wordspot.runtime.kept_files import KeptFolder
from wordspot.runtime.review import review
from wordspot.studio import sounds
from wordspot.studio.kept import adopt_reviewed, find_kept, judge, keep_sound, kept_json
from wordspot.studio.project import MOST_WORDS, StudioFolder, StudioProject, TrainingSettings, can_resume
from wordspot.studio.serve import _own_token
from wordspot.studio.sounds import (
    LONGEST_TAKE,
    RATE,
    discard_sound,
    find_sound,
    list_sounds,
    restore_sound,
    save_background,
    save_take,
    trim_sound,
)
from wordspot.studio.versions import Version, add_version, list_versions
from wordspot.wakeword.project import Project
from wordspot.wakeword.takes import add_takes


@pytest.fixture
def project(tmp_path: Path) -> StudioProject:
    made = StudioFolder(tmp_path / "studio").create("lamp")
    made.add_word("hey lamp")
    return made


def recording(path: Path, seconds: float = 1.0, level: float = 0.3, rate: int = RATE) -> Path:
    """Half quiet, then a tone in the middle."""
    time = np.arange(round(seconds * rate)) / rate
    tone = level * np.sin(2 * np.pi * 440 * time) * (np.abs(time - seconds / 2) < min(seconds / 4, 0.3))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (tone + 1e-4 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32), rate)
    return path


def test_projects_and_their_words(tmp_path: Path) -> None:
    folder = StudioFolder(tmp_path / "studio")
    assert folder.projects() == []
    made = folder.create("My lamp")
    assert [one.name for one in folder.projects()] == [made.name]
    assert folder.project(made.name).path == made.path
    assert made.add_word("Hey Lamp") == "hey lamp"
    (made.takes / "by hand").mkdir()  # as the command line's user would
    assert made.words == ("by hand", "hey lamp")
    with pytest.raises(ConfigError, match="is one of this project's words already"):
        made.add_word("hey lamp")
    with pytest.raises(ConfigError, match="named MY LAMP already"):
        folder.create("MY LAMP")
    made.remove_word("hey lamp")
    assert made.words == ("by hand",)
    assert (made.discarded / "hey lamp").is_dir()


@pytest.mark.parametrize("name", ["", " ", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "_x", "con", "a\0b", "x" * 200])
def test_names_that_are_no_names(tmp_path: Path, project: StudioProject, name: str) -> None:
    with pytest.raises(ConfigError):
        StudioFolder(tmp_path / "studio").create(name)
    with pytest.raises(ConfigError):
        project.add_word(name)
    with pytest.raises(NotFoundError):
        StudioFolder(tmp_path / "studio").project(name)
    with pytest.raises(NotFoundError):
        project.word_folder(name)
    with pytest.raises(NotFoundError):
        find_sound(project.takes / "hey lamp", name)
    assert sorted(one.name for one in (tmp_path / "studio").iterdir()) == ["lamp"]


def test_at_most_so_many_words(project: StudioProject) -> None:
    for number in range(MOST_WORDS - 1):
        project.add_word(f"word {number}")
    with pytest.raises(ConfigError, match="at most 50 words"):
        project.add_word("one more")


def test_settings_are_kept_and_checked(project: StudioProject) -> None:
    assert project.settings() == TrainingSettings()
    changed = dataclasses.replace(TrainingSettings(), minutes=2, n_voices=50)
    project.write_settings(changed)
    assert project.settings() == changed


def test_a_project_of_the_version_before(project: StudioProject) -> None:
    """It had `n_rounds`, which nothing reads any more; other names that are not known are mistakes."""
    project.model.mkdir()
    write_json(project.path / "studio.json", {"minutes": 2.0, "n_rounds": 3})
    assert project.settings() == TrainingSettings(minutes=2)
    request = {"phrases": ["hey lamp"], **dataclasses.asdict(project.settings()), "n_rounds": 3}
    write_json(project.model / "new.json", {"request": request, "finished": ["speak", "round 1"]})
    assert can_resume(project, project.settings())
    assert can_resume(project, TrainingSettings(minutes=2, stream_minutes=5, false_accepts_per_hour=2))
    assert not can_resume(project, TrainingSettings(minutes=2, n_voices=50))
    write_json(project.path / "studio.json", {"minutes": 2.0, "n_round": 3})
    with pytest.raises(ConfigError, match="n_round"):
        project.settings()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"minute": 3},
        {"minutes": "3"},
        {"minutes": True},
        {"n_voices": 1.5},
        {"minutes": 0},
        {"minutes": 1e9},
        {"n_voices": 10**7},
        {"minutes": 10**400},
        {"language": 3},
        {"stream_minutes": 0},
        {"minutes": float("nan")},
    ],
)
def test_settings_that_cannot_be(value: Any) -> None:
    with pytest.raises(ConfigError):
        TrainingSettings.from_json(value)


def test_a_take_is_saved_as_the_command_line_reads_it(project: StudioProject, tmp_path: Path) -> None:
    folder = project.word_folder("hey lamp")
    first = save_take(folder, "ann", recording(tmp_path / "phone.wav", seconds=4, rate=48_000))
    second = save_take(folder, "ann", recording(tmp_path / "other.flac", level=0.2))
    assert [first.file, second.file] == ["ann_nohash_0.wav", "ann_nohash_1.wav"]
    assert first.seconds == pytest.approx(LONGEST_TAKE)
    audio, rate = read_audio(folder / first.file)
    assert rate == RATE
    loud = np.flatnonzero(np.abs(audio) > 0.1)
    assert abs((loud[0] + loud[-1]) / 2 - len(audio) / 2) < 0.05 * RATE  # the loud part of the long one, in the middle
    assert [one.file for one in list_sounds(folder)] == [first.file, second.file]
    assert max(first.peaks) == pytest.approx(30, abs=1)
    assert add_takes(Project(tmp_path / "new"), ["hey lamp"], project.takes / "hey lamp") == 2


def test_what_is_wrong_with_a_take(project: StudioProject, tmp_path: Path) -> None:
    folder = project.word_folder("hey lamp")
    assert save_take(folder, "a", recording(tmp_path / "fine.wav")).problem == ""
    assert save_take(folder, "a", recording(tmp_path / "quiet.wav", level=0.005)).problem == "too quiet"
    assert save_take(folder, "a", recording(tmp_path / "loud.wav", level=1.5)).problem == "too loud"
    middle = read_audio(recording(tmp_path / "m.wav", seconds=1))[0][: RATE // 2]
    write_audio(tmp_path / "cut.wav", middle, RATE)
    assert save_take(folder, "a", tmp_path / "cut.wav").problem == "cut off"
    (folder / "b_nohash_0.wav").write_bytes(b"no sound")
    assert list_sounds(folder)[-1].problem == "unreadable"


def test_recordings_that_are_refused(project: StudioProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.word_folder("hey lamp")
    for speaker in ("", "../a", "a b", "x" * 33):
        with pytest.raises(ConfigError, match="no name of a speaker"):
            save_take(folder, speaker, recording(tmp_path / "a.wav"))
    with pytest.raises(AudioError, match="expected at least 100 ms"):
        save_take(folder, "a", recording(tmp_path / "short.wav", seconds=0.05))
    with pytest.raises(AudioError, match="longer than 120 s"):
        save_background(project.backgrounds, recording(tmp_path / "long.wav", seconds=125))
    monkeypatch.setattr(sounds, "MOST_SOUNDS", 0)
    with pytest.raises(ConfigError, match="discard some first"):
        save_take(folder, "a", recording(tmp_path / "a.wav"))
    assert list_sounds(folder) == []


def test_a_trimmed_recording_is_a_part_of_it(project: StudioProject, tmp_path: Path) -> None:
    folder, aside = project.word_folder("hey lamp"), project.discarded / "hey lamp"
    before = save_take(folder, "ann", recording(tmp_path / "a.wav"))
    whole = read_audio(folder / before.file)[0]
    for start, stop in ((0.5, 0.5), (0.5, 0.2), (-0.1, 0.5), (0.0, 1.5)):
        with pytest.raises(ConfigError, match="cannot be cut"):
            trim_sound(folder, before.file, start, stop, aside)
    after = trim_sound(folder, before.file, 0.25, 0.75, aside)
    assert [one.file for one in list_sounds(folder)] == [after.file]
    np.testing.assert_array_equal(read_audio(folder / after.file)[0], whole[RATE // 4 : 3 * RATE // 4])
    np.testing.assert_array_equal(read_audio(aside / before.file)[0], whole)


def test_a_discarded_recording_is_moved(project: StudioProject, tmp_path: Path) -> None:
    folder, aside = project.word_folder("hey lamp"), project.discarded / "hey lamp"
    for level in (0.3, 0.2):  # the second has the name of the first, which was discarded
        saved = save_take(folder, "ann", recording(tmp_path / "a.wav", level=level))
        discard_sound(folder, saved.file, aside)
    assert list_sounds(folder) == []
    assert len(list(aside.iterdir())) == 2
    with pytest.raises(NotFoundError):
        discard_sound(folder, "ann_nohash_0.wav", aside)


def test_a_discarded_recording_comes_back(project: StudioProject, tmp_path: Path) -> None:
    folder, aside = project.word_folder("hey lamp"), project.discarded / "hey lamp"
    first, second = (save_take(folder, "ann", recording(tmp_path / "a.wav", level=level)) for level in (0.3, 0.2))
    assert restore_sound(folder, discard_sound(folder, first.file, aside), aside) == first
    assert list_sounds(folder) == [first, second]  # in the order in which they were recorded
    gone = discard_sound(folder, first.file, aside)
    third = save_take(folder, "ann", recording(tmp_path / "a.wav", level=0.1))
    assert third.file == first.file
    back = restore_sound(folder, gone, aside)
    assert (back.file, back.digest) == ("ann_nohash_2.wav", first.digest)
    assert list(aside.iterdir()) == []
    for name in (gone, "..", "../hey lamp/ann_nohash_1.wav"):
        with pytest.raises(NotFoundError):
            restore_sound(folder, name, aside)


def test_a_false_accept_and_a_missed_word_are_judged(project: StudioProject, tmp_path: Path) -> None:
    keep_sound(project, "hey lamp", 0.91, recording(tmp_path / "a.wav"), was_missed=False)
    keep_sound(project, "hey lamp", 0.0, recording(tmp_path / "b.wav", level=0.2), was_missed=True)
    false, missed = sorted(kept_json(project), key=lambda one: one["is_near"])
    assert (false["word"], false["score"], false["is_near"], missed["is_near"]) == ("hey lamp", 0.91, False, True)
    assert "/" not in false["path"]
    with pytest.raises(ConfigError, match="the answer must be one of"):
        judge(project, false["path"], "perhaps", "hey lamp")
    with pytest.raises(NotFoundError):
        judge(project, missed["path"], "meant", "another word")
    judge(project, false["path"], "not-meant", "")
    judge(project, missed["path"], "meant", "hey lamp")
    assert len(list_sounds(project.not_words)) == len(list_sounds(project.word_folder("hey lamp"))) == 1
    assert kept_json(project) == []
    for path in ("../studio.json", "/etc/passwd", false["path"]):
        with pytest.raises(NotFoundError):
            find_kept(project, path)


def test_what_the_command_line_kept_and_reviewed_is_taken_over(project: StudioProject) -> None:
    folder, sound = KeptFolder(project.kept), np.full(RATE, 0.1, np.float32)
    for label in ("hey lamp", "hey lamp", "other"):
        folder.write(folder.promise("kitchen", "20261130-120000", label, 0.7), sound, RATE)
    assert len(kept_json(project)) == 3
    answers = iter(["meant", "not-meant", "skip"])
    review(project.kept, lambda file, n_left: next(answers))
    adopt_reviewed(project)
    assert len(kept_json(project)) == 1
    assert len(list_sounds(project.word_folder("hey lamp"))) == len(list_sounds(project.not_words)) == 1


def test_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    (tmp_path / ".token").touch()  # as if writing it had been interrupted
    token = _own_token(tmp_path)
    assert len(token) >= 32
    assert _own_token(tmp_path) == token
    if os.name == "posix":
        assert (tmp_path / ".token").stat().st_mode & 0o777 == 0o600


def test_a_model_that_was_not_filed_to_the_end_is_not_offered(project: StudioProject, tmp_path: Path) -> None:
    """Its place is taken by the next one, whole."""
    esphome = tmp_path / "esphome"
    esphome.mkdir()
    for name in ("word.json", "word.tflite"):
        (esphome / name).write_bytes(b"whole")
    (tmp_path / "made.onnx").write_bytes(made_model())
    request = SimpleNamespace(phrases=("a", "b"))
    made: Any = SimpleNamespace(
        model=tmp_path / "made.onnx", esphome=SimpleNamespace(manifest=esphome / "word.json"), request=request, warnings=()
    )

    def killed(model: Path, before: Version | None) -> dict[str, Any]:
        raise SystemExit

    with pytest.raises(SystemExit):
        add_version(project, made, TrainingSettings(), killed)
    assert list_versions(project) == []
    assert add_version(project, made, TrainingSettings(), lambda model, before: {"measured": {}}) == 1
    (version,) = list_versions(project)
    assert set(version.read()["thresholds"]) == {"a", "b"}
    assert sorted(path.name for path in version.esphome.iterdir()) == ["word.json", "word.tflite"]
    assert sorted(path.name for path in project.versions.iterdir()) == ["1-esphome", "1.json", "1.onnx"]
