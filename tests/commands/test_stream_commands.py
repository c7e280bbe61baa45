"""`wordspot test-stream` and `wordspot tune` as a user runs them, on a model and streams small enough to know by hand."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile

from support.command_line import fails, run
from support.made_onnx import made_card, made_model
from wordspot.config import DecoderConfig
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.modelfile.card import read_card

RATE = 16_000
#: (start s, value): constant sound of a second. The model's score for "a" is its mean over the last second, for "b" the
#: mean of the negative, so it peaks where the sound ends.
SOUNDS = ((3, 0.9), (8, -0.8), (14, 0.35), (20, 0.6), (25, -0.7))
CSV = "label,start_ms,end_ms\na,3000,4000\nb,8000,9000\na,14000,15000\nbed,20000,21000\n"
CLASSIC = "a, 3000\nb, 8000\na, 14000\n_unknown_, 20000\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    (folder / "model.onnx").write_bytes(made_model())
    audio = np.zeros(30 * RATE, np.float32)
    for start, value in SOUNDS:
        audio[start * RATE : (start + 1) * RATE] = value
    soundfile.write(folder / "stream.wav", audio, RATE)
    soundfile.write(folder / "quiet.wav", np.zeros(60 * RATE, np.float32), RATE)
    (folder / "stream.csv").write_text(CSV)
    (folder / "stream.txt").write_text(CLASSIC)
    (folder / "empty.txt").write_text("")
    return folder


def measured(capsys: pytest.CaptureFixture[str], files: Path, *args: object, truth: str = "stream.csv") -> dict[str, Any]:
    status, out, _ = run(
        capsys, "test-stream", files / "model.onnx", files / "stream.wav", "--truth", files / truth, "--json", *args
    )
    assert status == 0
    value: dict[str, Any] = json.loads(out)
    return value


# --- test-stream -------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_stream(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    """Threshold 0.4: "a" at 14 s reaches 0.35 and is missed; "bed" sounds like an "a" of 0.6, and nobody said "b" at 25 s."""
    measures = measured(capsys, files)
    assert measures["hours"] == pytest.approx(30 / 3600)
    assert (measures["n_words"], measures["n_hits"], measures["n_misses"], measures["n_false_accepts"]) == (3, 2, 1, 2)
    assert measures["miss_rate"] == pytest.approx(1 / 3)
    assert measures["false_accepts_per_hour"] == pytest.approx(240)
    assert measures["false_accepts_per_hour_high"] == pytest.approx(120 * 7.224687667723961)
    assert measures["false_accepts_by_kind"] == {"repeat": 0, "keyword": 0, "other word": 1, "no word": 1}
    assert measures["triggered_by"] == {"bed": 1}
    assert measures["per_word"]["a"]["miss_rate"] == 0.5
    assert measures["per_word"]["b"]["miss_rate"] == 0
    (events,) = measures["events"]
    assert [hit["word"]["start_ms"] for hit in events["hits"]] == [3000, 8000]
    assert [miss["start_ms"] for miss in events["misses"]] == [14_000]
    assert [one["detection"]["label"] for one in events["false_accepts"]] == ["a", "b"]
    assert measures["classic"] == {
        "n_truth": 4, "n_matched": 3, "n_correct": 2, "n_wrong": 1, "n_false_positive": 1,
        "matched": 0.75, "correct": 0.5, "wrong": 0.25, "false_positive": 0.25,
    }  # fmt: skip
    assert [hit["detection"]["time_ms"] for hit in events["hits"]] == pytest.approx([4020, 9020])  # the mean lags by 25 ms
    latencies = [hit["latency_ms"] for hit in events["hits"]]
    assert latencies == [hit["detection"]["emitted_ms"] - hit["word"]["end_ms"] for hit in events["hits"]]
    assert all(20 < latency <= 20 + 100 + 10 for latency in latencies)  # confirmed after 100 ms
    assert measures["latency_ms"]["median"] == pytest.approx(np.median(latencies))
    assert measures["decoder"]["threshold"] == 0.4  # as the card says
    assert measures["operating_points"][0]["miss_rate"] == pytest.approx(1 / 3)  # above bed's 0.6: 0.9 and 0.8 stay


def test_the_detections_are_those_of_the_device(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    (events,) = measured(capsys, files)["events"]
    audio, _ = soundfile.read(files / "stream.wav", dtype="float32")
    detector = Detector(files / "model.onnx")
    found = [one for start in range(0, len(audio), 700) for one in detector.feed(audio[start : start + 700])]
    told = [one["detection"] for one in (*events["hits"], *events["false_accepts"])]
    own = [dataclasses.asdict(one) for one in (*found, *detector.flush())]
    assert sorted(own, key=lambda one: one["time_ms"]) == sorted(told, key=lambda one: one["time_ms"])


def test_a_classic_truth_has_no_latency(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    measures = measured(capsys, files, truth="stream.txt")
    assert measures["latency_ms"] == {"n": 0, "median": None, "quantile_90": None}
    assert measures["n_hits"] == 2
    _, _, error = run(capsys, "test-stream", files / "model.onnx", files / "stream.wav", "--truth", files / "stream.txt")
    assert "no latency: the annotations do not say where words end" in error


def test_tables(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    status, out, error = run(capsys, "test-stream", files / "model.onnx", files / "stream.wav", "--truth", files / "stream.csv")
    assert status == 0
    assert re.search(r"^ *all +3 +1 +33\.3 +2 +240 \(29\.1 to 867\)", out, re.MULTILINE)
    assert "false accepts by what was spoken: other word 1, no word 1 (on: bed 1)" in out
    assert "classic streaming test: 75.0 % matched, 50.0 % correct, 25.0 % wrong, 25.0 % false positive (of 4 words" in out
    assert "expects other words to be detected as _unknown_" in out
    assert "33.3 % of 3 words missed" in out
    assert "2 false accepts in 0.00833 hours: 240 per hour (95 % interval 29.1 to 867)" in out
    assert "does not list its training data" in error


def test_flags_override_the_card(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    assert measured(capsys, files, "--threshold", "0.3")["n_hits"] == 3
    assert measured(capsys, files, "--thresholds", "a=0.95")["n_hits"] == 1
    assert measured(capsys, files, "--thresholds", "a=0.95", "--threshold", "0.75")["per_word"]["b"]["n_hits"] == 1
    assert measured(capsys, files, "--time-tolerance-ms", "0", "--threshold", "0.1")["decoder"]["threshold"] == 0.1


def test_the_classic_decoder_comes_with_the_classic_tests_settings(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    decoder = measured(capsys, files, "--decoder", "classic")["decoder"]
    assert {name: decoder[name] for name in ("average_ms", "threshold", "suppression_ms", "minimum_count", "stride_ms")} == {
        "average_ms": 500,
        "threshold": 0.7,
        "suppression_ms": 1500,
        "minimum_count": 3,
        "stride_ms": 30,
    }
    assert measured(capsys, files, "--decoder", "classic", "--average-ms", "200")["decoder"]["average_ms"] == 200
    assert measured(capsys, files, "--decoder", "micro")["decoder"]["suppression_ms"] == 1500


def test_several_streams_add_up(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    status, out, _ = run(
        capsys, "test-stream", files / "model.onnx", files / "stream.wav", files / "quiet.wav", "--truth",
        files / "stream.csv", "--truth", files / "empty.txt", "--json",
    )  # fmt: skip
    measures = json.loads(out)
    assert status == 0
    assert measures["hours"] == pytest.approx(90 / 3600)
    assert measures["false_accepts_per_hour"] == pytest.approx(80)
    assert [stream["n_spoken"] for stream in measures["streams"]] == [4, 0]


def test_a_stream_without_words_has_only_false_accepts(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    status, out, _ = run(
        capsys,
        "test-stream",
        files / "model.onnx",
        files / "stream.wav",
        "--no-words",
        "--json",
        "--report",
        files / "none.html",
    )
    measures = json.loads(out)
    assert status == 0
    assert (measures["n_words"], measures["miss_rate"], measures["n_false_accepts"]) == (0, None, 4)
    assert measures["false_accepts_by_kind"]["no word"] == 4
    (point,) = measures["operating_points"]  # none, above the loudest of 0.9 * 0.96 + 0.01 and below the next threshold
    assert 0.8 < point["threshold"] < 0.9
    assert point["miss_rate"] is None
    assert measures["classic"]["correct"] is None
    _, out, _ = run(capsys, "test-stream", files / "model.onnx", files / "quiet.wav", "--no-words")
    assert "no word of the model is spoken; 0 false accepts in 0.0167 hours: 0 per hour (95 % interval 0 to 221)" in out


@pytest.mark.parametrize(
    ("match", "args"),
    [
        ("got both --truth and --no-words", ("--truth", "stream.csv", "--no-words")),
        ("between 0 and 60000", ("--truth", "stream.csv", "--time-tolerance-ms", "-1")),
        ("threshold must lie between 0 and 1", ("--truth", "stream.csv", "--threshold", "1.5")),
        ("threshold must be a number", ("--truth", "stream.csv", "--threshold", "high")),
        ("there are thresholds for zebra", ("--truth", "stream.csv", "--thresholds", "zebra=0.5")),
        (r"late\.csv: a at 31000 ms lies after the end of .* at 30000 ms", ("--truth", "late.csv")),
        ("no such file", ("--truth", "missing.csv")),
    ],
)
def test_mistakes_are_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], files: Path, match: str, args: tuple[str, ...]
) -> None:
    (files / "late.csv").write_text("label,start_ms\na,31000\n")
    named = [files / arg if arg.endswith((".csv", ".txt")) else arg for arg in args]
    fails(capsys, match, "test-stream", files / "model.onnx", files / "stream.wav", *named)


def test_the_truth_beside_a_stream_is_taken(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    told = []
    for truth in ((), ("--truth", files / "stream.csv")):
        status, out, _ = run(capsys, "test-stream", files / "model.onnx", files / "stream.wav", *truth, "--json")
        assert status == 0
        told.append(json.loads(out))
    assert told[0] == told[1]
    assert told[0]["streams"][0]["truth"] == str(files / "stream.csv")
    alone = tmp_path / "alone.wav"
    alone.write_bytes((files / "stream.wav").read_bytes())
    fails(
        capsys,
        "got 0 files of annotations for 1 streams; expected one --truth per stream",
        "test-stream",
        files / "model.onnx",
        alone,
    )


def test_a_bad_ground_truth_is_reported_before_the_first_stream_is_scored(
    capsys: pytest.CaptureFixture[str], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "bad.csv").write_text("label,start_ms\na,3000\nb,soon\n")
    monkeypatch.setattr("wordspot.evaluation.streams.score_stream", None)  # a call would fail otherwise
    fails(
        capsys, r"bad\.csv, line 3: 'soon' is not a number", "test-stream", files / "model.onnx",
        files / "stream.wav", files / "quiet.wav", "--truth", files / "stream.csv", "--truth", files / "bad.csv",
    )  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_reported(
    capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path, bad: float
) -> None:
    audio = np.zeros(3 * RATE, np.float32)
    audio[2 * RATE + 5] = bad
    soundfile.write(tmp_path / "bad.wav", audio, RATE, subtype="FLOAT")
    fails(capsys, r"bad\.wav", "test-stream", files / "model.onnx", tmp_path / "bad.wav", "--no-words")


def test_a_stream_that_is_cut_short_is_reported(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """Within a sample, and by more than the tenth of a second that may be missing."""
    (tmp_path / "cut.wav").write_bytes((files / "stream.wav").read_bytes()[:-10_005])
    fails(capsys, r"cut\.wav", "test-stream", files / "model.onnx", tmp_path / "cut.wav", "--no-words")


def test_a_truth_of_other_words_is_reported(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    (files / "other.csv").write_text("label,start_ms\nzebra,3000\n")
    _, _, error = run(capsys, "test-stream", files / "model.onnx", files / "stream.wav", "--truth", files / "other.csv", "--json")
    assert "contain none of the model's words (a, b)" in error


# --- the page ----------------------------------------------------------------------------------------------------------


def test_page(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    measured(capsys, files, "--report", files / "page.html")
    page = (files / "page.html").read_text(encoding="utf-8")
    assert "missed: a, its best posterior was 0.35" in page
    assert "false accept: a, score 0.5" in page
    assert "while bed was spoken" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "")  # all in one file
    strips = re.findall(r'<svg class="strip".*?</svg>', page)
    assert len(strips) == 1
    titles = [element.text or "" for element in ET.fromstring(strips[0]).iter() if element.tag == "title"]
    assert sorted(title.split(" ", 1)[1].split(":")[0] for title in titles) == [
        "false accept",
        "false accept",
        "hit",
        "hit",
        "missed",
    ]
    anchors = re.findall(r'href="#(event-\d+)"', page)
    assert len(anchors) == 5
    assert all(f'<li id="{anchor}">' in page for anchor in anchors)
    sounds = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert len(sounds) == 5
    accept, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0])), dtype="float32")  # of "bed", at 20 to 21 s
    assert rate == RATE
    assert len(accept) / rate == pytest.approx(2.0, abs=0.01)
    assert accept.max() == pytest.approx(0.6, abs=1e-3)


# --- tune --------------------------------------------------------------------------------------------------------------


def tuned(capsys: pytest.CaptureFixture[str], files: Path, out: Path, *args: object) -> tuple[dict[str, Any], str]:
    status, text, error = run(
        capsys, "tune", files / "model.onnx", files / "stream.wav", "--truth", files / "stream.csv", "--out", out, "--json",
        *args,
    )  # fmt: skip
    assert status == 0, error
    return json.loads(text), error


def test_tune_writes_thresholds_into_a_copy(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """Without a false accept, "a" must stay above bed's 0.58 and "b" above 0.68: 0.9 and 0.8 are heard."""
    out = tmp_path / "tuned.onnx"
    measures, error = tuned(capsys, files, out, "--false-accepts-per-hour", 0.5)
    card = read_card(out)
    assert dataclasses.replace(card, decoder=made_card().decoder) == dataclasses.replace(
        read_card(files / "model.onnx"), decoder=made_card().decoder
    )
    assert 0.58 < card.decoder.thresholds["a"] < 0.88
    assert 0.68 < card.decoder.thresholds["b"] < 0.78
    assert card.decoder == DecoderConfig(**measures["after"]["decoder"])
    assert (measures["before"]["n_hits"], measures["before"]["n_false_accepts"]) == (2, 2)
    assert (measures["after"]["n_hits"], measures["after"]["n_false_accepts"]) == (2, 0)
    assert "0.00833 hours cannot show 0.5 false accepts per hour: even with none at all the true rate may be 443" in error
    assert "At least 7.38 hours" in error
    audio, _ = soundfile.read(files / "stream.wav", dtype="float32")
    detector = Detector(out)
    heard: list[Detection] = [*detector.feed(audio), *detector.flush()]
    assert [one.label for one in heard] == ["a", "b"]


def test_tune_spends_its_budget_where_it_gains(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """One false accept (of 30 s: 120 an hour) buys the "a" of 0.35 for that of "bed"; "b" has nothing to gain."""
    measures, _ = tuned(capsys, files, tmp_path / "x.onnx", "--false-accepts-per-hour", 120)
    after = measures["after"]
    assert (after["n_hits"], after["n_false_accepts"]) == (3, 1)
    assert after["decoder"]["thresholds"]["a"] < 0.35 < 0.68 < after["decoder"]["thresholds"]["b"]


def test_tune_tables_say_before_and_after(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    status, out, error = run(
        capsys, "tune", files / "model.onnx", files / "stream.wav", "--truth", files / "stream.csv",
        "--false-accepts-per-hour", 0, "--out", tmp_path / "x.onnx",
    )  # fmt: skip
    assert status == 0
    assert re.search(r"^ *a +0\.4 +0\.\d+ +2 +50\.0 +50\.0 +1 +0", out, re.MULTILINE)
    assert re.search(r"before: 33\.3 % of 3 words missed .* 240 per hour \(95 % interval 29\.1 to 867\)", out)
    assert re.search(r"after: 33\.3 % of 3 words missed .* 0 per hour \(95 % interval 0 to 443\)", out)
    assert "test" in out.splitlines()[-1]
    assert "does not list its training data" in error


def test_classic_tuning_changes_the_classic_settings(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    out = tmp_path / "classic.onnx"
    measures, error = tuned(capsys, files, out, "--decoder", "classic")
    decoder = read_card(out).decoder
    assert decoder.kind == "classic"
    assert decoder.stride_ms == 30
    assert measures["before"]["decoder"]["threshold"] == 0.7
    classic = measures["after"]["classic"]
    assert (classic["n_wrong"], classic["n_false_positive"]) == (0, 0)
    assert classic["n_correct"] == 2
    assert "no settings keep" not in error


def test_what_tune_rejects(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    base = ("tune", files / "model.onnx", files / "stream.wav", "--truth", files / "stream.csv")
    new = ("--out", tmp_path / "x.onnx")
    fails(capsys, "--false-accepts-per-hour is missing", *base, *new)
    fails(capsys, "between 0 and 3600, got -1", *base, *new, "--false-accepts-per-hour", -1)
    fails(capsys, "between 0 and 3600, got nan", *base, *new, "--false-accepts-per-hour", "nan")
    fails(capsys, "is for the decoders peak and esphome", *base, *new, "--false-accepts-per-hour", 1, "--decoder", "classic")
    fails(capsys, r"must end in \.onnx", *base, "--out", tmp_path / "x.txt", "--false-accepts-per-hour", 1)
    fails(capsys, "already exists", *base, "--out", files / "model.onnx", "--false-accepts-per-hour", 1)
    fails(
        capsys, "a, b: none of these words is annotated in the streams", "tune", files / "model.onnx", files / "stream.wav",
        "--no-words", *new, "--false-accepts-per-hour", 1,
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_tune_says_what_it_cannot_do(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """A false accept of 0.97, where no threshold below helps but those above, and a word that is never spoken."""
    audio = np.zeros(10 * RATE, np.float32)
    audio[3 * RATE : 4 * RATE] = 0.5
    soundfile.write(tmp_path / "s.wav", audio, RATE)
    (tmp_path / "s.csv").write_text("label,start_ms\na,3000\n")
    status, _, error = run(
        capsys, "tune", files / "model.onnx", tmp_path / "s.wav", "--truth", tmp_path / "s.csv", "--out",
        tmp_path / "x.onnx", "--false-accepts-per-hour", 1,
    )  # fmt: skip
    assert status == 0
    assert "never spoken in these streams, so not tuned for misses: b" in error
    assert read_card(tmp_path / "x.onnx").decoder.thresholds["b"] == 0.4  # as before
