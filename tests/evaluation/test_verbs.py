"""What `wordspot evaluate`, `test-stream` and `tune` do, from Python: plain arguments, frozen results, library errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import wordspot as ws
from support.made_onnx import RATE, made_model
from wordspot.config import DecoderConfig
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.results import WordsResult
from wordspot.evaluation.tuning import StreamTuning
from wordspot.progress import Progress
from wordspot.reports.text import Table, describe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``stream.onnx``, whose score for "a" grows with the level, and ``stream.wav`` with one "a" and one "b"."""
    root = tmp_path_factory.mktemp("data")
    (root / "stream.onnx").write_bytes(made_model())
    stream = np.zeros(20 * RATE, np.float32)
    stream[3 * RATE : 4 * RATE], stream[8 * RATE : 9 * RATE] = 0.9, -0.9
    soundfile.write(root / "stream.wav", stream, RATE)
    (root / "stream.csv").write_text("label,start_ms,end_ms\nA,3000,4000\nb,8000,9000\n")
    return root


def is_frozen(result: Any) -> bool:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.model = "another"
    return True


def test_a_stream_is_tested(folder: Path) -> None:
    seen: list[Progress] = []
    result = ws.test_stream(str(folder / "stream.onnx"), [str(folder / "stream.wav")], progress=seen.append)
    assert (result.miss_rate, result.false_accepts_per_hour) == (0, 0)
    assert result.hours == pytest.approx(20 / 3600)
    assert result.metrics.detections.per_word["a"].n_words == 1
    assert "'A' as 'a'" in result.warnings[0]
    assert {one.stage for one in seen} == {"scoring stream.wav", "trying thresholds"}
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["miss_rate"] == 0
    assert is_frozen(result)
    strict = ws.test_stream(
        folder / "stream.onnx", [folder / "stream.wav"], decoder=DecoderConfig(), settings={"threshold": "0.95"}
    )
    assert strict.metrics.decoder.threshold == 0.95
    assert strict.miss_rate == 1
    single = ws.test_stream(folder / "stream.onnx", str(folder / "stream.wav"), truth=str(folder / "stream.csv"))
    assert single.to_json() == result.to_json()
    with pytest.raises(ConfigError, match="`streams` is empty"):
        ws.test_stream(folder / "stream.onnx", [])
    with pytest.raises(ConfigError, match="`decoder` must be one of peak, classic, micro, esphome, got 'best'"):
        ws.test_stream(folder / "stream.onnx", [folder / "stream.wav"], decoder="best")


def test_a_model_is_tuned(folder: Path, tmp_path: Path) -> None:
    result = ws.tune(folder / "stream.onnx", [folder / "stream.wav"], out=tmp_path / "tuned.onnx", false_accepts_per_hour=600)
    assert isinstance(result, StreamTuning)
    assert result.after.detections.all_words.miss_rate == 0
    assert ws.test_stream(result.out, [folder / "stream.wav"]).metrics.decoder == result.after.decoder
    with pytest.raises(ConfigError, match=r"tuned\.onnx already exists; choose another `out`, or `force`"):
        ws.tune(folder / "stream.onnx", [folder / "stream.wav"], out=result.out, false_accepts_per_hour=600)
    with pytest.raises(ConfigError, match="`false_accepts_per_hour` is missing"):
        ws.tune(folder / "stream.onnx", [folder / "stream.wav"], out=tmp_path / "x.onnx")


@pytest.mark.slow
def test_a_report_is_written(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = ws.test_stream(folder / "stream.onnx", [folder / "stream.wav"])
    ws.write_report(result, tmp_path / "r.html")
    assert "<h2>Scores over time</h2>" in (tmp_path / "r.html").read_text(encoding="utf-8")
    parts = describe(result)
    assert isinstance(parts[0], Table)
    assert str(parts[-1]).startswith("0.0 % of 2 words missed")
    with pytest.raises(TypeError, match="an object of type int is no result"):
        describe(3)


@pytest.mark.slow
def test_a_file_is_evaluated(tone_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
    result = ws.evaluate(model, tone_folder, split="all")
    assert isinstance(result, WordsResult)
    assert result.accuracy is not None
    assert result.interval[0] < result.accuracy <= result.interval[1]
    assert result.overlap is None
    assert "too optimistic" in result.warnings[-1]
    assert is_frozen(result)
    ws.write_report(result, tmp_path / "r.html")
    assert (tmp_path / "r.html").is_file()
    with pytest.raises(ConfigError, match="`split` must be one of training, validation, testing, all, got 'test'"):
        ws.evaluate(model, tone_folder, split="test")
    with pytest.raises(ConfigError, match="`checkpoint` is for the folder of a run"):
        ws.evaluate(model, tone_folder, checkpoint=3)


def test_an_empty_set_has_no_metrics(tone_folder: Path, tmp_path: Path) -> None:
    for word in ("low", "high"):  # one speaker, who falls into one set
        (tmp_path / "one" / word).mkdir(parents=True)
        source = tone_folder / word / "sp0_nohash_0.wav"
        (tmp_path / "one" / word / source.name).write_bytes(source.read_bytes())
    model = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
    errors = []
    for split in ("training", "validation", "testing"):
        try:
            ws.evaluate(model, tmp_path / "one", split=split)
        except DataError as error:
            errors.append(str(error))
    assert errors
    assert all("set is empty" in error for error in errors)


def test_an_empty_set_has_no_summary_in_training() -> None:
    pytest.importorskip("torch")
    from wordspot.training.tasks.recordings import RecordingEvaluation
    from wordspot.training.tasks.words import ClipEvaluation

    clips = ClipEvaluation(step=7, set="validation", accuracy=0.0, n=0, cross_entropy=0.0, confusion=[])
    recordings = RecordingEvaluation(step=7, set="validation", eer=float("nan"), accuracy=0.0, cross_entropy=0.0, n=0)
    for record in (clips, recordings):
        assert record.summary() == "Step 7: the validation set is empty, so nothing is measured on it"
