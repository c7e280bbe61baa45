"""The streams on which thresholds are chosen and the model is measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import wordspot
from wordspot.audio.files import write_audio
from wordspot.data.truth import read_truth
from wordspot.wakeword import measuring
from wordspot.wakeword.measuring import make_streams
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.speech import Heard
from wordspot.wakeword.takes import TAKE, all_takes, copy_of, cut_long_copies

NO_SPEECH = Heard(None, by_people=False)


def clip_with_tone(path: Path, first_s: float, last_s: float) -> None:
    """A clip with a tone between two times, and faint noise."""
    times = np.arange(int(16 * CLIP_MS)) / 16_000
    audio = 1e-4 * np.random.default_rng(0).standard_normal(len(times))
    audio += np.where((times >= first_s) & (times < last_s), 0.3 * np.sin(2 * np.pi * 440 * times), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, audio.astype(np.float32), 16_000)


def test_streams_hold_the_phrase_to_its_end(tmp_path: Path) -> None:
    """Many of the clips, which last 1.5 s, say the phrase after the first second."""
    project = Project(tmp_path)
    for number in range(12):
        clip_with_tone(project.recordings / "hey lamp" / f"voice{number}_nohash_0.wav", 0.8, 1.4)
        clip_with_tone(project.recordings / "hey damp" / f"voice{number}_nohash_0.wav", 0.8, 1.4)
    (stream,) = make_streams(project, Request(("hey lamp",), stream_minutes=1), "testing", NO_SPEECH)
    spoken = [word for word in read_truth(stream.with_suffix(".csv")) if word.label == "hey lamp"]
    assert len(spoken) > 3
    lengths = [word.end_ms - word.start_ms for word in spoken if word.end_ms is not None]
    assert np.allclose(lengths, 600, atol=40)


def test_streams_without_near_misses(tmp_path: Path) -> None:
    """If no other text was spoken, or none by a voice of this set."""
    project = Project(tmp_path)
    for number in range(12):
        clip_with_tone(project.recordings / "hey lamp" / f"voice{number}_nohash_0.wav", 0.2, 0.9)
    clip_with_tone(project.recordings / "hey damp" / "voice0_nohash_0.wav", 0.2, 0.9)  # a training clip
    (stream,) = make_streams(project, Request(("hey lamp",), stream_minutes=1), "validation", NO_SPEECH)
    assert {word.label for word in read_truth(stream.with_suffix(".csv"))} == {"hey lamp"}


@pytest.mark.parametrize(
    ("n_speakers", "by_people", "n_streams", "has_near_misses"), [(30, True, 2, False), (30, False, 2, True), (1, True, 1, True)]
)
def test_near_misses_are_among_the_words_unless_people_speak(
    tmp_path: Path, n_speakers: int, by_people: bool, n_streams: int, has_near_misses: bool
) -> None:
    """Of one speaker nothing is held out, so nothing else would tell the phrase from what sounds like it."""
    project, spoken = Project(tmp_path / "lamp"), tmp_path / "spoken"
    for number in range(12):
        for word in ("hey lamp", "hey damp"):
            clip_with_tone(project.recordings / word / f"voice{number}_nohash_0.wav", 0.2, 0.9)
    for number in range(n_speakers):
        clip_with_tone(spoken / f"speaker{number}" / "0.wav", 0.2, 0.9)
    streams = make_streams(project, Request(("hey lamp",), stream_minutes=1), "testing", Heard(spoken, by_people))
    labels = {word.label for word in read_truth(streams[0].with_suffix(".csv"))}
    assert len(streams) == n_streams
    assert (labels != {"hey lamp"}) == has_near_misses


def test_recordings_are_new_whose_content_the_model_has_not_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long copy of an earlier version is cut into another file, which is no new recording."""
    project, request = Project(tmp_path), Request(("hey lamp",))
    long = project.recordings / "hey lamp" / f"{TAKE}1_nohash_0.flac"
    long.parent.mkdir(parents=True)
    write_audio(long, 0.1 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32), 16_000)
    known = {copy_of(path) for path in all_takes(project, request)}
    project.model(request.phrases).touch()
    monkeypatch.setattr(measuring, "Detector", lambda _: None)
    monkeypatch.setattr(measuring, "listen_to", lambda paths, *_: {path: {"hey lamp"} for path in paths})
    assert cut_long_copies(project, request) == 1
    clip_with_tone(long.with_name(f"{TAKE}2_nohash_0.wav"), 0.2, 0.9)
    measuring.measure_before(project, request, known, lambda _: None)
    before = measuring._read_before(project)
    assert before is not None
    assert (before.count, before.n) == (1, 1)
    known = {copy_of(path) for path in all_takes(project, request)}
    measuring.measure_before(project, request, known, lambda _: None)  # another change, which adds none
    assert measuring._read_before(project) is None


@pytest.mark.parametrize(("scores", "n_doubtful"), [([0.9, 0.8, 0.02, 0.7], 1), ([0.02, 0.8, 0.02, 0.01], 0)])
def test_recordings_that_may_not_hold_the_phrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float], n_doubtful: int
) -> None:
    """The model gives one no score; but if it gives most of them none, it is the model."""
    project = Project(tmp_path)
    for number in range(len(scores)):
        clip_with_tone(project.recordings / "hey lamp" / f"take-{number}_nohash_0.wav", 0.2, 0.9)
    clip_with_tone(project.recordings / "hey lamp" / "voice_nohash_0.wav", 0.2, 0.9)
    given = iter(scores)
    monkeypatch.setattr(measuring, "hear", lambda *_: ([], np.array([[0.5, 0.0], [0.1, next(given)]], np.float32)))
    detector: Any = SimpleNamespace(card=SimpleNamespace(labels=("_unknown_", "Hey lamp")))
    found = measuring._doubtful(project, Request(("hey lamp",)), detector, lambda _: None)
    assert [path.name for path in found] == ["take-2_nohash_0.wav"][:n_doubtful]


def test_recordings_that_cannot_be_read_are_not_doubtful(tmp_path: Path) -> None:
    """An earlier version copied them, and a killed program leaves a part of one."""
    folder = tmp_path / "recordings" / "hey lamp"
    folder.mkdir(parents=True)
    for name in ("take-1_nohash_0.wav", "take-2_nohash_0.part"):
        (folder / name).write_bytes(b"no sound")
    detector: Any = SimpleNamespace(card=SimpleNamespace(labels=("_unknown_", "Hey lamp")))
    assert measuring._doubtful(Project(tmp_path), Request(("hey lamp",)), detector, lambda _: None) == ()


def test_several_words_wait_for_the_best_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a single phrase is detected at once; that it is, `test_new` says of a finished model. None repeats within 1.5 s."""
    asked = []

    def tune(*_: Any, settings: Any, **__: Any) -> None:
        asked.append(settings)
        raise StopIteration

    monkeypatch.setattr(measuring, "tune", tune)
    ten_words = Path(wordspot.__file__).parent / "runtime" / "default.onnx"
    with pytest.raises(StopIteration):
        measuring.choose_thresholds(ten_words, [], 0.5, lambda _: None)
    assert asked == [{"refractory_ms": 1500.0}]
