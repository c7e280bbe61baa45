"""When a model of whole recordings says that it cannot tell, and why."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.made_onnx import RATE
from support.made_recordings import CLIP, THREE, recording_model
from wordspot.audio.condition import Condition
from wordspot.commands.main import main
from wordspot.errors import CardError, ConfigError
from wordspot.limits import Limits, limits_from_json, limits_to_json
from wordspot.runtime.decoder import Detection
from wordspot.runtime.doubts import distance, doubts_about, doubts_about_scores
from wordspot.runtime.gate import Gate
from wordspot.runtime.modelfile.card import read_card, to_json, with_card
from wordspot.runtime.recordings import RecordingClassifier

GOOD = Condition(level_db=-20, floor_db=-60, lead_ms=0, tail_ms=0, sound_s=3, bandwidth_hz=7000)
LIMITS = Limits(margin=1, least_s=2, least_snr_db=20, least_bandwidth_hz=5000)


def limited(limits: Limits, labels: tuple[str, ...] = ("person", "machine")) -> bytes:
    model = recording_model(labels)
    return with_card(model, dataclasses.replace(read_card(model), limits=limits))


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"sound_s": 1.96}, "short", "too short: 2.0 s of sound; the model was tuned on recordings of 2.0 s"),
        ({"floor_db": -28}, "noisy", "too noisy: the sound is 8 dB above the noise; the model was tuned on recordings of 20 dB"),
        (
            {"bandwidth_hz": 3400},
            "narrow",
            "too narrow: the sound reaches 3.4 kHz; the model was tuned on recordings that reach 5.0 kHz",
        ),
    ],
)
def test_what_is_wrong_with_a_recording(change: dict[str, float], code: str, reason: str) -> None:
    assert list(doubts_about(GOOD, LIMITS)) == []
    (doubt,) = doubts_about(dataclasses.replace(GOOD, **change), LIMITS)
    assert doubt.to_json() == {"code": code, "reason": f"{reason} or more"}
    assert list(doubts_about(dataclasses.replace(GOOD, **change), Limits())) == []
    assert [one.code for one in doubts_about(dataclasses.replace(GOOD, is_silent=True, **change), LIMITS)] == ["silent"]


def test_silence_is_the_only_doubt_without_limits() -> None:
    result = RecordingClassifier(recording_model()).classify(np.zeros(3 * CLIP, np.float32), RATE)
    assert [doubt.code for doubt in result.doubts] == ["silent"]
    assert RecordingClassifier(recording_model()).classify(np.full(3 * CLIP, 0.001, np.float32), RATE).doubts == ()


def test_distances_by_hand() -> None:
    assert distance(np.array([0.8, 0.2]), 0.5) == pytest.approx(math.log(4))
    assert distance(np.array([0.8, 0.2]), 0.8) == pytest.approx(0)
    assert distance(np.array([0.2, 0.8]), 0.5) == pytest.approx(math.log(4))
    assert distance(np.array([0.1, 0.6, 0.3]), None) == pytest.approx(math.log(2))
    assert distance(np.array([1.0, 0.0]), 0.0) < math.inf


def test_scores_that_are_too_close() -> None:
    (doubt,) = doubts_about_scores(np.array([0.6, 0.4]), ("person", "machine"), 0.5, LIMITS)
    assert doubt.to_json() == {"code": "close", "reason": "the score of person, 0.60, is too close to the threshold, 0.50"}
    (doubt,) = doubts_about_scores(np.array([0.2, 0.45, 0.35]), THREE, None, LIMITS)
    assert doubt.reason == "too close: machine (0.45), radio (0.35)"
    assert list(doubts_about_scores(np.array([0.74, 0.26]), ("person", "machine"), 0.5, LIMITS)) == []  # ln 2.85 > 1


def test_the_command_says_that_it_cannot_tell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(limited(Limits(margin=1)))
    for name, level in (("close", 0.2), ("sure", 0.9)):  # 0.596 and 0.932
        soundfile.write(tmp_path / f"{name}.wav", np.full(2 * CLIP, level), RATE)
    assert main(["classify", str(tmp_path / "model.onnx"), str(tmp_path)]) == 0
    close, sure = capsys.readouterr().out.splitlines()
    assert close == (
        "close.wav: cannot tell: the score of person, 0.60, is too close to the threshold, 0.50  (nearest: person, score = 0.60)"
    )
    assert sure.startswith("sure.wav: person (score = 0.93)")
    assert main(["classify", str(tmp_path / "model.onnx"), str(tmp_path), "--csv"]) == 0
    header, close, sure = capsys.readouterr().out.splitlines()
    assert (header.split(",")[-1], close.split(",")[-1], sure.split(",")[-1]) == ("doubts", "close", "")


def test_a_gate_accepts_what_it_cannot_tell() -> None:
    """Levels of 0.2, -0.2 and -0.9 score 0.596, 0.404 and 0.068."""
    for limits, expected in ((Limits(), (True, False, False)), (Limits(margin=1, least_s=9), (True, True, False))):
        gate = Gate(limited(limits), RATE)
        gate.feed(np.repeat(np.array([0.2, -0.2, -0.9], np.float32), CLIP))
        judged = [gate.judge(Detection("a", 100.0 * n, 0.9, 100.0 * n + 100)) for n in (1, 2, 3)]
        assert tuple(one.is_target for one in judged) == expected
        assert [one.is_certain for one in judged] == [limits == Limits(), limits == Limits(), True]


def test_info_shows_the_limits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(limited(LIMITS))
    assert main(["info", str(tmp_path / "model.onnx")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "log-odds within 1.00 of the threshold's, less than 2.0 s of sound, less than 20 dB above the noise" in shown
    assert "nothing above 5.0 kHz" in shown


def test_limits_travel_in_the_file() -> None:
    assert read_card(limited(LIMITS)).limits == LIMITS
    assert "limits" not in to_json(read_card(recording_model()))  # so that older versions read it


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"margin": -1}, "margin must lie between 0 and 100"),
        ({"margin": True}, "margin must be a number"),
        ({"margin": None}, "margin must be a number"),
        ({"other": 1}, "limits must be a JSON object with"),
    ],
)
def test_wrong_limits_are_rejected(wrong: dict[str, object], match: str) -> None:
    value = {**limits_to_json(LIMITS), **wrong}
    with pytest.raises(ConfigError, match=match):
        limits_from_json(value)
    model = recording_model()
    text = json.dumps({**to_json(read_card(model)), "limits": value})
    from wordspot.runtime.modelfile import graph

    with pytest.raises(CardError, match=f"the card's limits are invalid: {match}"):
        read_card(graph.with_metadata(model, "wordspot", text))
