"""Models side by side on the same takes and hours; the models of `made_onnx` are computed by hand.

Their score of a constant c is 0.96 · c + 0.01 for the word "a", of -c for the word "b".
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wordspot as ws
from support.command_line import fails, run
from support.made_onnx import RATE, made_card, made_model
from wordspot.audio.files import write_audio
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.compare import compare, lowest_threshold
from wordspot.evaluation.curves import THRESHOLDS
from wordspot.intervals import poisson_interval, wilson_interval

CLIP = 1600


def model(path: Path, threshold: float, clip_samples: int = CLIP) -> Path:
    decoder = dataclasses.replace(made_card(clip_samples=clip_samples).decoder, threshold=threshold)
    path.write_bytes(made_model(clip_samples=clip_samples, decoder=decoder))
    return path


def constants(*parts: tuple[float, float]) -> NDArray[np.float32]:
    return np.concatenate([np.full(round(seconds * RATE), level, np.float32) for seconds, level in parts])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Takes of 0.3 s at 0.3, 0.5, 0.7 and 0.9; in 36 s of negatives sounds at 0.35, 0.45 and -0.6."""
    for level in (0.3, 0.5, 0.7, 0.9):
        (tmp_path / "takes").mkdir(exist_ok=True)
        write_audio(tmp_path / "takes" / f"{level}.wav", constants((0.3, level)), RATE)
    (tmp_path / "negatives").mkdir()
    for name, levels in (("one", (0.35, 0.45)), ("two", (-0.6,))):
        sounds = [part for level in levels for part in ((2.0, 0.0), (0.3, level))]
        rest = 18.0 - sum(seconds for seconds, _ in sounds)
        write_audio(tmp_path / "negatives" / f"{name}.wav", constants(*sounds, (rest, 0.0)), RATE)
    model(tmp_path / "low.onnx", 0.4)
    model(tmp_path / "high.onnx", 0.6)
    return tmp_path


def test_at_own_thresholds(folder: Path) -> None:
    result = ws.compare([folder / "low.onnx", folder / "high.onnx"], takes=folder / "takes", negatives=folder / "negatives")
    low, high = (one.own for one in result.models)
    assert (low.threshold, high.threshold) == (0.4, 0.6)
    assert (low.missed, high.missed) == (("0.3.wav",), ("0.3.wav", "0.5.wav"))  # the score of 0.5 is 0.49
    assert (low.found.count, low.found.n, high.found.count) == (3, 4, 2)
    assert (low.false_accepts.n, high.false_accepts.n) == (2, 0)  # 0.45 and 0.6: 0.442 and 0.586
    assert result.hours == pytest.approx(36 / 3600)
    assert low.found.interval == wilson_interval(3, 4)
    assert low.false_accepts.interval == pytest.approx([100 * end for end in poisson_interval(2)])
    assert result.only_missed_own == {str(folder / "low.onnx"): (), str(folder / "high.onnx"): ("0.5.wav",)}


@pytest.mark.parametrize(
    ("n_accepts", "between", "missed"),
    [(0, (0.585, 0.63), 2), (1, (0.441, 0.49), 1), (2, (0.345, 0.38), 1), (3, (0.01, 0.0125), 0)],
)
def test_at_the_threshold_that_the_wanted_rate_allows(
    folder: Path, n_accepts: int, between: tuple[float, float], missed: int
) -> None:
    """The negatives score 0.346, 0.442 and 0.586, quiet 0.01; the threshold is above the first that must not be."""
    result = compare(
        [folder / "low.onnx", folder / "high.onnx"],
        takes=folder / "takes",
        negatives=folder / "negatives",
        false_accepts_per_hour=100 * n_accepts + 50,
    )
    first, second = (one.wanted for one in result.models)
    assert first is not None
    assert first == second  # they differ in their own thresholds only
    assert first.threshold is not None
    assert between[0] <= first.threshold <= between[1]
    assert (first.false_accepts.n, len(first.missed)) == (n_accepts, missed)
    assert result.only_missed_wanted == {str(folder / "low.onnx"): (), str(folder / "high.onnx"): ()}


def test_the_folder_of_a_take_names_its_word(folder: Path) -> None:
    """An "a" in the folder of "b" is not found; in a folder of any other name both words count."""
    for name in ("A", "b", "anna"):
        (folder / "words" / name).mkdir(parents=True)
        write_audio(folder / "words" / name / "x.wav", constants((0.3, 0.9)), RATE)
    result = compare([folder / "low.onnx", folder / "high.onnx"], takes=folder / "words", negatives=folder / "negatives")
    assert [one.own.missed for one in result.models] == [("b/x.wav",)] * 2


def test_a_take_is_played_between_quiet(folder: Path) -> None:
    """A model with a clip of a second needs one before a take of 0.3 s; its mean is then 0.27, its score 0.269."""
    models = [model(folder / "long.onnx", 0.2, RATE), model(folder / "longer.onnx", 0.3, RATE)]
    result = compare(models, takes=folder / "takes" / "0.9.wav", negatives=folder / "negatives")
    assert [one.own.found.count for one in result.models] == [1, 0]
    assert list(result.only_missed_own.values()) == [(), (str(folder / "takes" / "0.9.wav"),)]


def test_recordings_at_other_rates(folder: Path) -> None:
    write_audio(folder / "takes" / "at48.wav", np.full(14_400, 0.9, np.float32), 48_000)
    result = compare([folder / "low.onnx", folder / "high.onnx"], takes=folder / "takes", negatives=folder / "negatives")
    assert all("at48.wav" not in one.own.missed for one in result.models)
    assert result.n_takes == 5


def test_what_cannot_be_shown_is_said(folder: Path) -> None:
    (folder / "takes" / "broken.wav").write_bytes(b"RIFF")
    result = compare([folder / "low.onnx", folder / "high.onnx"], takes=folder / "takes", negatives=folder / "negatives")
    left_out, hours, training = result.warnings
    assert left_out.startswith(f"left out: {folder / 'takes' / 'broken.wav'}")
    assert hours == (
        "0.01 hours of negatives cannot show 0.5 false accepts per hour: even with none at all the true rate may be 369 (95 %); "
        "at least 7.38 hours are needed"
    )
    assert "training data" in training
    assert result.n_takes == 4


def test_a_model_that_is_sure_of_a_negative_has_no_threshold() -> None:
    """A score of 1 is above the highest threshold that is tried, 0.999994."""
    card, end_ms = made_card(), 100.0 + 10 * np.arange(200)
    for loudest, threshold in ((1.0, None), (0.0, THRESHOLDS[0])):
        scores = np.zeros((200, 4), np.float32)
        scores[50:60, 2] = loudest
        bench = Bench((ScoredStream(scores, end_ms, (), 36_000.0),), card.labels, 100.0, 0.0)
        config = dataclasses.replace(card.decoder, average_ms=0.0)
        assert lowest_threshold(bench, config, 50.0) == threshold  # 0.01 hours: none is allowed


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [folder / "low.onnx", folder / "high.onnx"]
    given = {"takes": folder / "takes", "negatives": folder / "negatives"}
    with pytest.raises(ConfigError, match=r"`models` must be at least two different files, got .*low\.onnx"):
        compare(both[:1], **given)
    with pytest.raises(ConfigError, match="`models` must be at least two different files"):
        compare([both[0], both[0]], **given)
    for per_hour in (-1, math.nan, 1e5):
        with pytest.raises(ConfigError, match="`false_accepts_per_hour` must lie between 0 and 3600"):
            compare(both, **given, false_accepts_per_hour=per_hour)
    (folder / "bad").mkdir()
    (folder / "bad" / "x.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"none of the 1 negatives could be read; expected sound files: left out: .*x.wav"):
        compare(both, takes=folder / "takes", negatives=folder / "bad")


def test_mistakes_with_a_network_without_a_manifest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    both, other = [folder / "low.onnx", folder / "high.onnx"], folder / "other.tflite"
    given = {"takes": folder / "takes", "negatives": folder / "negatives"}
    command = ("compare", both[0], other, "--takes", folder / "takes", "--negatives", folder / "negatives")
    fails(capsys, r"other\.tflite: no such file; expected the network of a wake word for ESPHome", *command)
    other.write_bytes(b"")
    needed = r"other\.tflite: a network without its cut-off and window; name the manifest \(\.json\) beside it, or give both as"
    fails(capsys, f"{needed} --cutoff and --window", *command)
    fails(capsys, needed, *command, "--cutoff", 0.9)
    for cutoff, window in ((1.5, 5), (0.9, 0), (math.nan, 5)):
        fails(capsys, "--cutoff must be 0 to 1, and --window 1 to 1000", *command, "--cutoff", cutoff, "--window", window)
    for unused in (("--cutoff", 0.9, "--window", 5), ("--cutoff", 0.9), ("--window", 5)):
        fails(capsys, "--cutoff and --window are for networks without a manifest", "compare", *both, *command[3:], *unused)
    fails(capsys, r"other\.tflite: not a TensorFlow Lite file", *command, "--cutoff", 0.9, "--window", 5)
    with pytest.raises(ConfigError, match=r"other\.tflite: a network without its cut-off and window; open it with"):
        compare([both[0], other], **given)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (folder / "low.onnx", folder / "high.onnx", "--takes", folder / "takes", "--negatives", folder / "negatives")
    status, out, error = run(capsys, "compare", *given)
    assert status == 0
    assert "cannot show 0.5 false accepts per hour" in error
    assert "Own thresholds: 4 takes, 0.01 hours of negatives" in out
    lines = [line.split() for line in out.splitlines()]
    (low, *_), (high, *_) = ([line for line in lines if line and line[0].endswith(name)] for name in ("low.onnx", "high.onnx"))
    assert low[1:] == ["0.4", "3", "75.0", "(30.1", "to", "95.4)", "2", "200", "(24.2", "to", "722)"]
    assert high[1:] == ["0.6", "2", "50.0", "(15.0", "to", "85.0)", "0", "0", "(0", "to", "369)"]
    assert f"only {folder / 'high.onnx'} misses 1: 0.5.wav" in out
    status, out, _ = run(capsys, "compare", *given, "--false-accepts-per-hour", "100", "--json")
    value = json.loads(out)
    assert (status, value["n_takes"], value["false_accepts_per_hour"]) == (0, 4, 100)
    assert value["models"][1]["own"]["missed"] == ["0.3.wav", "0.5.wav"]
    assert value["models"][0]["wanted"]["n_false_accepts"] == 1
    assert value["only_missed_own"][str(folder / "high.onnx")] == ["0.5.wav"]
