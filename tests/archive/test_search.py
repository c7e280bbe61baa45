"""What `search` finds in the result of a scan, and the clips that it cuts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyarrow", reason="pyarrow is not installed, so a scan has no result")

from support.command_line import fails, run
from support.made_archive import Inline, make_archive
from support.made_onnx import RATE, made_model
from support.made_streams import spoken
from wordspot.archive import dataset
from wordspot.archive import scan as scanning
from wordspot.archive.scan import scan
from wordspot.archive.search import search
from wordspot.audio.files import read_audio
from wordspot.errors import ConfigError, DataError, NotFoundError
from wordspot.runtime.detect import detect
from wordspot.runtime.model import open_model

MODEL = made_model(clip_samples=1600)


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_start", lambda engine, setup, *others: Inline(setup))


@pytest.fixture
def hits(tmp_path: Path) -> Path:
    """Of 7 recordings with an "a" and a "b" each, three of which have the "b" only in part, and of a Vorbis with both."""
    archive = make_archive(tmp_path / "in")
    soundfile.write(archive / "both.ogg", np.concatenate([spoken(), spoken()]), RATE)
    (tmp_path / "model.onnx").write_bytes(MODEL)
    scan(archive, tmp_path / "model.onnx", out=tmp_path / "hits")
    return tmp_path / "hits"


def test_search_finds_what_detect_found(hits: Path, tmp_path: Path) -> None:
    found = search(hits)
    wanted = [
        (str(tmp_path / "in" / file.name), one.label, one.time_ms, one.score)
        for file in detect(tmp_path / "in", open_model(MODEL)).files for one in file.detections
    ]  # fmt: skip
    assert sorted((hit.file, hit.word, hit.end_ms, hit.score) for hit in found) == sorted(wanted)
    assert [(hit.file, hit.end_ms) for hit in found] == sorted((hit.file, hit.end_ms) for hit in found)
    assert {hit.word for hit in search(hits, words=["b"])} == {"b"}
    assert len(search(hits, words=["a"])) + len(search(hits, words=["b"])) == len(found)
    assert {Path(hit.file).name for hit in search(hits, file="both")} == {"both.ogg"}
    best = search(hits, limit=3)
    assert [hit.score for hit in best] == sorted((hit.score for hit in found), reverse=True)[:3]
    assert search(hits, min_score=best[0].score)[0].score == best[0].score
    assert json.loads(json.dumps(best[0].to_json()))["word"] == best[0].word


def test_what_two_scans_found_is_listed_once(hits: Path, tmp_path: Path) -> None:
    before = search(hits)
    scan(tmp_path / "in", tmp_path / "model.onnx", out=hits, threshold=0.3)
    after = search(hits)
    assert len({(hit.file, hit.word, hit.end_ms) for hit in after}) == len(after) >= len(before)
    assert {(hit.file, hit.end_ms, hit.word, hit.score, hit.settings) for hit in before} <= {
        (hit.file, hit.end_ms, hit.word, hit.score, hit.settings) for hit in after
    }


def test_detections_that_an_interrupted_scan_left_do_not_count(hits: Path) -> None:
    (part,) = (hits / "detections").glob("*.parquet")
    n_found = len(search(hits))
    part.with_name("part-0000000000000000.parquet").write_bytes(part.read_bytes())
    assert len(search(hits)) == n_found > 0


def test_a_part_that_was_replaced_does_not_count(hits: Path) -> None:
    (part,) = (hits / "files").glob("*.parquet")
    found = search(hits)
    detections = dataset.read_part(hits / "detections" / part.name)
    for data, rows in (("detections", detections), ("files", dataset.read_part(part))):
        dataset._write_table(hits / data / "part-0000000000000000.parquet", rows, data, replaces=part.stem)
    assert search(hits) == found


def test_a_damaged_part_is_named(hits: Path) -> None:
    (part,) = (hits / "detections").glob("*.parquet")
    part.write_bytes(b"damaged")
    with pytest.raises(DataError, match=rf"detections.{part.name} is damaged .*; remove .*files.{part.name}, and the"):
        search(hits)


def test_clips_are_cut_from_two_seconds_before_to_half_a_second_after(hits: Path, tmp_path: Path) -> None:
    for name in ("a/1.wav", "both.ogg"):
        out = tmp_path / f"clips {name[0]}"
        found = search(hits, file=name, clips=out)
        audio, rate = read_audio(tmp_path / "in" / name)
        clips = sorted(out.rglob("*.wav"))
        assert len(clips) == len(found) >= 2
        assert {clip.parent.name for clip in clips} == {"a", "b"}
        for hit in found:
            (clip,) = (out / hit.word).glob(f"*-{round(hit.end_ms):010d}.wav")
            end = round(hit.end_ms * rate / 1000)
            wanted = audio[max(end - 2 * rate, 0) : end + rate // 2]
            np.testing.assert_allclose(read_audio(clip)[0], wanted, atol=1 / 32767)


def test_wrong_settings(hits: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no result of a scan there"):
        search(tmp_path)
    with pytest.raises(ConfigError, match="`min_score` must lie between 0 and 1, got 2"):
        search(hits, min_score=2)
    with pytest.raises(ConfigError, match="`limit` must be at least 1, got 0"):
        search(hits, limit=0)
    (tmp_path / "model.onnx").write_bytes(made_model(clip_samples=3200))
    scan(tmp_path / "in" / "a", tmp_path / "model.onnx", out=hits)
    with pytest.raises(ConfigError, match=r"detections of 2 models; choose one with `model`: \w{64}, \w{64}") as raised:
        search(hits)
    names = re.findall(r"\w{64}", str(raised.value))
    assert [{hit.model for hit in search(hits, model=name[:20])} for name in names] == [{name} for name in names]


def test_the_commands(hits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", tmp_path / "model.onnx", "--out", hits)
    status, out, error = run(capsys, "scan", tmp_path / "in", *model)
    assert status == 0
    assert out.startswith("1 recordings, 0.00 h, in ")
    assert "8 were scanned before\n0 detections: " in out
    assert "could not be read: " in error
    assert run(capsys, "scan", tmp_path / "in", *model, "--strict")[0] == 1
    status, out, _ = run(capsys, "scan", tmp_path / "in" / "a", *model, "--json")
    assert (status, json.loads(out)["n_done_before"]) == (0, 4)
    fails(capsys, "none: no such file or folder", "scan", tmp_path / "none", *model)
    status, out, _ = run(capsys, "search", hits, "--word", "a", "--limit", 2)
    assert (status, out.count("  a (score = 0.")) == (0, 2)
    status, out, _ = run(capsys, "search", hits, "--csv", "--file", "both")
    assert (status, out.splitlines()[0]) == (0, "file,time_ms,label,score")
    assert len(out.splitlines()) == 5
    (tmp_path / "in" / "both.ogg").unlink()
    status, out, error = run(capsys, "search", hits, "--json", "--file", "both", "--clips", tmp_path / "clips")
    assert (status, len(out.splitlines())) == (1, 4)
    assert "both.ogg: no such file" in error
    fails(capsys, r"expected the folder that `wordspot scan --out` wrote", "search", tmp_path)
    fails(capsys, "--min-score must lie between 0 and 1", "search", hits, "--min-score", 3)
