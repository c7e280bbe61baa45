"""`detect`, `label`, `classify`, `listen`, `info` and `verify` as Python calls, on hand-made models."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import wordspot as ws
from support.made_onnx import RATE, made_model
from support.made_recordings import recording_model
from support.made_streams import spoken
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.progress import Progress
from wordspot.runtime.batch import FailedFile
from wordspot.runtime.classify import classify
from wordspot.runtime.detect import detect
from wordspot.runtime.label import LabelScore, label, top_labels
from wordspot.runtime.listener import LiveDetection, listen
from wordspot.runtime.model import info, open_model, verify

MODEL = open_model(made_model(clip_samples=1600))
CLASSES = open_model(recording_model())


def wav(path: Path, audio: NDArray[Any], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)
    return path


def level(value: float, n_samples: int = 1600) -> NDArray[np.float32]:
    return np.full(n_samples, value, np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two streams with both words, one of them in a folder below, and a file that is no sound."""
    wav(tmp_path / "in" / "one.wav", spoken())
    wav(tmp_path / "in" / "deep" / "two.flac", spoken(44_100), 44_100)
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF nothing")
    return tmp_path / "in"


def test_the_public_names_are_these_functions() -> None:
    assert (ws.detect, ws.label, ws.classify, ws.listen) == (detect, label, classify, listen)
    assert (ws.info, ws.verify, ws.open_model) == (info, verify, open_model)


# ------------------------------------------------------------------------------------------------------------------ detect


def test_detect_iterates_over_the_detections_of_all_recordings(folder: Path) -> None:
    seen: list[tuple[str, str]] = []
    failed: list[FailedFile] = []
    steps: list[Progress] = []
    found = detect(
        folder,
        MODEL,
        on_detection=lambda name, one: seen.append((name, one.label)),
        on_failed=failed.append,
        progress=steps.append,
    )
    assert [one.label for one in found] == ["a", "b", "a", "b"]
    assert len(found) == 4
    assert [file.name for file in found.files] == ["deep/two.flac", "one.wav"]
    assert seen == [(file.name, one.label) for file in found.files for one in file]
    assert [one.name for one in failed] == ["bad.wav"] == [one.name for one in found.failed]
    assert [(step.done, step.total) for step in steps] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    value = json.loads(json.dumps(found.to_json()))
    assert value["files"][1]["detections"] == [one.to_json() for one in found.files[1].detections]
    assert value["files"][1]["seconds"] == pytest.approx(len(spoken()) / RATE)
    assert "bad.wav" in value["failed"][0]["error"]


def test_detect_of_one_recording(folder: Path, tmp_path: Path) -> None:
    found = detect(str(folder / "one.wav"), MODEL, threshold=0.99)
    assert (len(found), list(found)) == (0, [])
    with pytest.raises(AudioError, match=r"bad\.wav"):
        detect(folder / "bad.wav", MODEL)
    with pytest.raises(NotFoundError, match=r"none\.wav"):
        detect(folder / "none.wav", MODEL)
    with pytest.raises(ConfigError, match="use `classify`"):
        detect(folder / "one.wav", CLASSES)
    with pytest.raises(ConfigError, match="`chime`: there are 3 recordings; expected one"):
        detect(folder, MODEL, chime=tmp_path / "c.wav")


def test_detect_uses_the_channel_that_is_asked_for(tmp_path: Path) -> None:
    path = wav(tmp_path / "right.wav", np.stack([np.full_like(spoken(), 0.02), spoken()], axis=1))
    assert len(detect(path, MODEL)) == 0
    with pytest.raises(AudioError, match="there is no channel 2, the file has 2"):
        detect(path, MODEL, channel=2)
    left_is_silent = wav(tmp_path / "silent.wav", np.stack([np.zeros_like(spoken()), spoken()], axis=1))
    notes: list[str] = []
    assert [one.label for one in detect(left_is_silent, MODEL, on_note=notes.append)] == ["a", "b"]
    assert notes == [f"{left_is_silent}: its first channel is silent, so channel 1 (counted from 0) is used"]
    assert [one.label for one in detect(path, MODEL, channel=1)] == ["a", "b"]


@pytest.mark.parametrize(("task", "after_ms"), [("trigger", 500), ("words", 0)])
def test_a_trigger_may_detect_its_word_after_the_end_of_a_recording(tmp_path: Path, task: str, after_ms: float) -> None:
    model = open_model(made_model(clip_samples=1600, config={"task": task}))
    path = wav(tmp_path / "cut.wav", spoken()[: RATE * 112 // 100])
    with_silence = wav(tmp_path / "long.wav", np.concatenate([spoken()[: RATE * 112 // 100], level(0, 8000)]))
    never_sure = dataclasses.replace(model.card.decoder, confirm_ms=10_000.0)
    (found,) = detect(path, model, decoder=never_sure)
    assert found.emitted_ms == 1120 + after_ms
    if after_ms:
        words = open_model(made_model(clip_samples=1600))
        assert list(detect(path, model)) == list(detect(with_silence, words))


# ------------------------------------------------------------------------------------------------------------------- label


def test_label_iterates_over_clips(tmp_path: Path) -> None:
    wav(tmp_path / "x.wav", level(0.75))
    wav(tmp_path / "y.wav", np.concatenate([level(-0.75), level(0, 100)]))
    found = label(tmp_path, MODEL, top=2)
    assert [(clip.name, clip.label, clip.is_cropped) for clip in found] == [("x.wav", "a", False), ("y.wav", "b", True)]
    assert len(found) == 2
    assert found.clips[0].score == pytest.approx(0.73, abs=1e-3)
    assert json.loads(json.dumps(found.to_json()))["clips"][0]["labels"][0] == {"label": "a", "score": 0.73}
    with pytest.raises(ConfigError, match="`top` must be at least 1, got 0"):
        label(tmp_path, MODEL, top=0)
    with pytest.raises(AudioError, match=r"is 1\.0 s long; this model takes clips of 0\.1 s"):
        label(wav(tmp_path / "long.wav", level(0, RATE)), MODEL)


def test_the_likeliest_labels_come_first() -> None:
    found = top_labels(("a", "b", "c", "d"), np.array([0.25, 0.5, 0.25, 0]), 3)
    assert found == (LabelScore("b", 0.5), LabelScore("c", 0.25), LabelScore("a", 0.25))
    assert len(top_labels(("a",), np.array([1.0]), 3)) == 1


# ---------------------------------------------------------------------------------------------------------------- classify


def test_classify_iterates_over_recordings(tmp_path: Path) -> None:
    wav(tmp_path / "p.wav", level(0.5, 3200))
    wav(tmp_path / "q.wav", level(0, 3200))
    found = classify(tmp_path, CLASSES)
    assert [(one.name, one.label, one.result.is_silent) for one in found] == [
        ("p.wav", "person", False),
        ("q.wav", found.recordings[1].label, True),
    ]
    assert found.recordings[0].result.judged_seconds == found.recordings[0].result.seconds == 0.2
    assert json.loads(json.dumps(found.to_json()))["recordings"][0]["file"] == "p.wav"
    with pytest.raises(ConfigError, match="the model does not classify entire recordings"):
        classify(tmp_path, MODEL)


# ------------------------------------------------------------------------------------------------------------------ listen


def pcm(audio: NDArray[np.float32]) -> io.BytesIO:
    return io.BytesIO((audio * 32767).astype("<i2").tobytes())


def test_listen_yields_detections_while_the_stream_goes_on() -> None:
    source, levels = pcm(spoken()), list[float]()
    stream: Iterator[LiveDetection] = listen(MODEL, source, on_level=levels.append)
    assert (source.tell(), levels) == (16, [])  # the beginning says whether it is a sound file
    first = next(stream)
    assert (first.label, first.is_ignored, first.saved) == ("a", False, None)
    assert source.tell() < 2 * 1.5 * RATE
    assert [one.label for one in stream] == ["b"]
    assert len(levels) == len(spoken()) // (RATE // 50)
    assert max(levels) == pytest.approx(float(np.abs(spoken()).max()), abs=1e-3)


def test_listen_checks_everything_before_it_starts(tmp_path: Path) -> None:
    for arguments, match in (
        ({"source": io.BytesIO(), "microphone": "x"}, "`microphone` names a microphone"),
        ({"source": io.BytesIO(), "fast": True}, "`fast` is for a file"),
        ({"sample_rate": 16_000}, "`sample_rate` is for raw samples"),
        ({"source": io.BytesIO(), "command": "'"}, "`command`: .* cannot be split into a program"),
        ({"source": io.BytesIO(bytes(100)), "gate": MODEL}, "`gate`: the model: the model does not classify"),
    ):
        with pytest.raises(ConfigError, match=match):
            listen(MODEL, **arguments)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- info, verify


def test_info_and_verify() -> None:
    card = info()
    assert card.model == "default.onnx"
    assert card.to_json()["labels"] == list(card.card.labels)
    found = verify()
    assert found.passed
    assert found.to_json()["difference"] == found.result.difference <= 1e-4
