"""The folder of a wake word: what is remembered, and which recordings are copied into it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordspot.audio.files import write_audio
from wordspot.errors import ConfigError, DataError, ExportError, LockedError, MissingExtraError, NotFoundError
from wordspot.locks import hold_lock
from wordspot.progress import ignore, ignore_note
from wordspot.wakeword import making, thresholds
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.takes import add_false_accepts, add_takes, remove_missing, weigh_takes
from wordspot.wakeword.training import Callbacks


def tone(path: Path, hertz: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (0.3 * np.sin(2 * np.pi * hertz * np.arange(8000) / 16_000)).astype(np.float32), 16_000)
    return path


def test_what_was_asked_for_and_what_is_finished_is_remembered(tmp_path: Path) -> None:
    project, request = Project(tmp_path), Request(("hey lamp", "hey radio"), language="de", excluded=("hey lump",), minutes=3)
    assert project.read() is None
    project.write(request, ["speak", "round 1"])
    assert project.read() == (request, ["speak", "round 1"])
    assert project.model(request.phrases).name == "hey-lamp.onnx"


def test_a_project_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text('{"request": {"phrases": ["hey lamp"], "n_rounds": 3}, "finished": ["speak"]}')
    assert Project(tmp_path).read() == (Request(("hey lamp",)), ["speak"])


@pytest.mark.parametrize("content", ["{}", '{"request": {"words": 3}, "finished": []}', '{"request": 5, "finished": []}'])
def test_a_damaged_project(tmp_path: Path, content: str) -> None:
    (tmp_path / "new.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"new\.json is damaged .*; begin anew in another folder"):
        Project(tmp_path).read()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_voices": 0}, "`n_voices` must be 1 to 100000, got 0"),
        ({"n_near_misses": -1}, "`n_near_misses` must be 0 to 10000, got -1"),
        ({"minutes": 0}, "`minutes` must be more than 0, got 0"),
        ({"false_accepts_per_hour": 0}, "`false_accepts_per_hour` must be more than 0, got 0"),
    ],
)
def test_numbers_out_of_range(given: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Request(("hey lamp",), **given)  # type: ignore[arg-type]


def test_takes_are_named_by_their_content(tmp_path: Path) -> None:
    """A recording under another name is the same recording: it stays in its set."""
    project = Project(tmp_path / "lamp")
    tone(tmp_path / "takes" / "one.wav", 300)
    tone(tmp_path / "takes" / "sub" / "two.wav", 400)
    assert add_takes(project, ["hey lamp"], tmp_path / "takes") == 2
    before = sorted((project.recordings / "hey lamp").iterdir())
    (tmp_path / "takes" / "one.wav").rename(tmp_path / "takes" / "renamed.wav")
    assert add_takes(project, ["hey lamp"], tmp_path / "takes") == 0
    assert sorted((project.recordings / "hey lamp").iterdir()) == before
    assert all(path.name.startswith("take-") and path.name.endswith("_nohash_0.wav") for path in before)


def test_takes_of_several_phrases_have_a_folder_each(tmp_path: Path) -> None:
    project = Project(tmp_path / "lamp")
    tone(tmp_path / "takes" / "hey lamp" / "a.wav", 300)
    with pytest.raises(NotFoundError, match="hey radio: no such folder; expected recordings in it"):
        add_takes(project, ["hey lamp", "hey radio"], tmp_path / "takes")
    tone(tmp_path / "takes" / "hey radio" / "a.wav", 500)
    (tmp_path / "takes" / "hey fan").mkdir()  # a phrase that nobody has recorded
    assert add_takes(project, ["hey lamp", "hey radio", "hey fan"], tmp_path / "takes") == 2
    assert len(list((project.recordings / "hey radio").iterdir())) == 1


def test_recordings_that_are_gone_are_removed(tmp_path: Path) -> None:
    project, phrases = Project(tmp_path / "lamp"), ["hey lamp", "hey radio"]
    kept = tone(tmp_path / "takes" / "hey lamp" / "kept.wav", 300)
    gone = tone(tmp_path / "takes" / "hey lamp" / "gone.wav", 400)
    false = tone(tmp_path / "false" / "a.wav", 500)
    (tmp_path / "takes" / "hey radio").mkdir()
    add_takes(project, phrases, tmp_path / "takes")
    add_false_accepts(project, false.parent)
    voice = tone(project.recordings / "hey lamp" / "voice_nohash_0.wav", 600)
    weigh_takes(project, Request(("hey lamp", "hey radio"), n_voices=8))
    assert remove_missing(project, phrases, tmp_path / "takes", false.parent) == 0
    gone.unlink()
    assert remove_missing(project, phrases, tmp_path / "takes", None) == 2
    left = {path.read_bytes() for path in project.recordings.rglob("*.wav")}
    assert left == {kept.read_bytes(), voice.read_bytes()}


def test_a_folder_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken: none of the 1 recordings can be read; .*a\.wav"):
        add_false_accepts(Project(tmp_path / "lamp"), tmp_path / "broken")


def test_a_folder_without_recordings(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no recordings found; expected sound files, at any depth"):
        add_false_accepts(Project(tmp_path / "lamp"), tmp_path / "empty")


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    Project(tmp_path).write(Request(("hey lamp",)), [])
    value = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    assert value["request"]["phrases"] == ["hey lamp"]
    assert value["finished"] == []


def test_force_uses_nothing_of_an_earlier_project(tmp_path: Path) -> None:
    """Else `new` would go on with the earlier run, or train on the earlier phrase."""
    project = Project(tmp_path / "wake")
    project.write(Request(("hey lamp",)), ["speak", "train"])
    earlier = [tone(folder / "hey lamp" / "1.wav", 300) for folder in (project.recordings, project.run, project.streams)]
    earlier += [project.before, project.begun_with]
    for file in earlier[3:]:
        file.write_text("{}", encoding="utf-8")
    own = tone(project.path / "speech" / "1.wav", 300)
    assert making._begin(project, Request(("hey radio",)), resume=False) == []
    assert project.read() == (Request(("hey radio",)), [])
    assert not any(path.exists() for path in earlier)
    assert own.exists()


def test_a_project_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    Project(tmp_path).write(Request(("hey lamp",)), ["speak"])
    own = tone(Project(tmp_path).recordings / "hey lamp" / "1.wav", 300)
    with pytest.raises(ConfigError, match="`resume` to go on with it, or `force`"):
        making.new("hey radio", out=tmp_path)
    assert own.exists()


def test_nothing_is_written_where_there_is_nothing_to_resume(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match="holds no project of `new`; leave out `resume`"):
        making.new("hey lamp", out=tmp_path / "wake", resume=True)
    assert not (tmp_path / "wake").exists()


@pytest.mark.parametrize("how", [{"resume": True}, {"force": True}])
def test_two_do_not_work_in_one_project(tmp_path: Path, how: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(making, "check_phrases", lambda *_: None)
    project, begun = Project(tmp_path / "wake"), Request(("hey lamp",))
    project.write(begun, ["speak"])
    with hold_lock(project.lock), pytest.raises(LockedError, match="another `new` is running there; wait for it"):
        making.new("hey lamp", out=project.path, **how)  # type: ignore[arg-type]
    assert project.read() == (begun, ["speak"])


@pytest.mark.parametrize("name", ["takes", "false_accepts", "speech", "backgrounds"])
def test_folders_that_new_makes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """`force` could remove them."""
    own = tone(tmp_path / "wake" / "read-aloud" / "1.wav", 300)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="read-aloud belongs to what `new` makes in wake; keep recordings elsewhere"):
        making.new("hey lamp", out="wake", force=True, **{name: own.parent})  # type: ignore[arg-type]
    assert own.exists()


def test_force_removes_nothing_from_a_folder_that_is_no_project(tmp_path: Path) -> None:
    own = tone(tmp_path / "recordings" / "hey lamp" / "1.wav", 300)
    making._begin(Project(tmp_path), Request(("hey lamp",)), resume=False)
    assert own.exists()


def test_what_is_done_anew_anyway_may_change(tmp_path: Path) -> None:
    """A first look at few minutes goes on with more; what was spoken and trained stays."""
    project = Project(tmp_path)
    project.write(Request(("hey lamp",), stream_minutes=5), ["speak", "train"])
    longer = Request(("hey lamp",), stream_minutes=20, false_accepts_per_hour=1)
    assert making._begin(project, longer, resume=True) == ["speak", "train"]
    assert project.read() == (longer, ["speak", "train"])
    with pytest.raises(ConfigError, match=r"begun with other arguments \(`seed` 0\); repeat them"):
        making._begin(project, Request(("hey lamp",), seed=1), resume=True)


def test_without_files_for_esphome_the_exported_file_has_its_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 bits may lose too much; the files of an earlier export do not fit the new network."""
    pytest.importorskip("torch")
    project, tuned = Project(tmp_path), SimpleNamespace(after=SimpleNamespace(detections="figures"))
    tone(project.esphome / "earlier.wav", 300)

    def fail(*_: object, **__: object) -> None:
        raise ExportError("8 bits change 9 % of the decisions")

    monkeypatch.setattr("wordspot.export.esphome.export_esphome", fail)
    chosen: list[Path] = []
    monkeypatch.setattr(thresholds.measuring, "choose_thresholds", lambda model, *_: chosen.append(model) or tuned)
    request, model = Request(("hey lamp",), preset="microcontroller"), tmp_path / "hey-lamp.onnx"
    made = thresholds.tune_wake_word(project, request, model, [], lambda _: None)
    assert chosen == [made.decides] == [model]
    assert (made.metrics, made.files) == ("figures", None)
    (problem,) = made.problems
    assert problem.startswith(
        "no files for ESPHome: 8 bits change 9 % of the decisions. To accept the loss, run wordspot export "
    )
    assert not project.esphome.exists()


def test_what_is_not_installed_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnx" else find_spec(name, *more))
    with pytest.raises(MissingExtraError, match=r"`new` needs onnx, which is not installed; run: .*wordspot\[export\]"):
        making.new("hey lamp", out=tmp_path / "wake")
    assert not (tmp_path / "wake").exists()


def test_a_wrong_folder_of_the_teacher_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "check_packages", lambda *_: None)
    monkeypatch.setenv("WORDSPOT_TEACHER", str(tmp_path))
    with pytest.raises(NotFoundError, match=r"holds no complete config\.json; WORDSPOT_TEACHER expects"):
        making.new("hey lamp", out=tmp_path / "wake")
    assert not (tmp_path / "wake").exists()


def test_a_folder_with_files_is_noticed_before_voices_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(making, "check_packages", lambda *_: None)
    monkeypatch.setattr(making, "check_phrases", lambda *_: pytest.fail("voices speak"))
    with pytest.raises(ConfigError, match="contains files; expected a new or empty folder"):
        making.new("hey lamp", out=tmp_path)


def test_a_wrong_folder_undoes_no_training(tmp_path: Path) -> None:
    """Whatever is wrong with a folder: the project is as it was, and the next `--resume` trains nothing again."""
    project, request = Project(tmp_path / "wake"), Request(("hey lamp",))
    project.run.mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    callbacks = Callbacks(ignore, ignore_note, lambda _: None, lambda: False)
    finished = ["speak", "train"]
    brought = making.Brought(tmp_path / "empty", None, None, mirror=False)
    with pytest.raises(DataError, match="no recordings found"):
        making._gather(project, request, finished, brought, callbacks)
    making._gather(project, request, finished, making.Brought(None, None, None, mirror=False), callbacks)
    assert finished == ["speak", "train"]
    assert project.run.is_dir()
