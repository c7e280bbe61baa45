"""A scan finds what `detect` finds, and whatever stops it, nothing is lost and nothing is there twice."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed, so a scan has no result")

from support.made_archive import Inline, detections, expected, make_archive, rows
from support.made_onnx import made_model
from wordspot.archive import dataset
from wordspot.archive import scan as scanning
from wordspot.archive.scan import ScanResult, scan
from wordspot.archive.schedule import ScanProgress
from wordspot.archive.worker import FilesTask, PieceTask, Setup, Task
from wordspot.errors import AudioError, ConfigError, DataError, LockedError, NotFoundError
from wordspot.runtime.model import open_model

CONTENT = made_model(clip_samples=1600)
MODEL = open_model(CONTENT)


@pytest.fixture(scope="module")
def long_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a recording of five minutes, which is cut. Not to be written to."""
    return make_archive(tmp_path_factory.mktemp("long") / "in", long_seconds=300)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "in")


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Inline]:
    """The engines that scans use in this test: each runs in this process."""
    made: list[Inline] = []

    def start(engine: object, setup: Setup, *others: object) -> Inline:
        made.append(Inline(setup, seed=len(made)))
        return made[-1]

    monkeypatch.setattr(scanning, "_start", start)
    monkeypatch.setattr("wordspot.archive.schedule._LONG_BYTES", 0)
    return made


def scan_to(out: Path, *sources: object, **settings: Any) -> ScanResult:
    model = out.parent / "model.onnx"
    model.write_bytes(CONTENT)
    return scan([str(source) for source in sources], model, out=out, **{"piece_seconds": 20.0, **settings})


def test_a_scan_finds_what_detect_finds(long_archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    progress: list[ScanProgress] = []
    result = scan_to(tmp_path / "hits", long_archive, progress=progress.append)
    wanted = expected(long_archive, MODEL)
    assert len(wanted) > 100
    assert detections(tmp_path / "hits") == wanted
    assert (result.n_files, result.n_done_before, result.n_detections) == (9, 0, len(wanted))
    assert [one.name for one in result.failed] == [str(long_archive / "b" / "bad.wav")]
    assert sum(isinstance(task, PieceTask) for task in engines[0].tasks) == 15
    assert engines[0].n_most == 2 * engines[0].n_workers
    files = rows(tmp_path / "hits", "files")
    assert {row["file"]: row["n_detections"] for row in files if not row["error"]} == {
        row["file"]: sum(one[0] == row["file"] for one in wanted) for row in files if not row["error"]
    }
    assert sum(row["seconds"] for row in files) == pytest.approx(result.audio_seconds)
    assert progress[-1].n_files == progress[-1].n_all == 9
    assert progress[-1].n_bytes == pytest.approx(progress[-1].n_all_bytes, abs=20)
    assert progress[-1].seconds_left == pytest.approx(0, abs=0.01)
    assert json.loads(json.dumps(result.to_json()))["n_files"] == 9


def test_the_columns_are_those_of_the_documentation(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    import hashlib

    scan_to(tmp_path / "hits", archive / "a")
    row = rows(tmp_path / "hits", "detections")[0]
    page = (Path(__file__).parents[2] / "docs" / "archives.md").read_text(encoding="utf-8")
    for name in {*row, *rows(tmp_path / "hits", "files")[0]}:
        assert f"`{name}`" in page
    assert row["end_ms"] - row["start_ms"] == 100.0
    assert row["content"] == hashlib.sha256(Path(row["file"]).read_bytes()).hexdigest()
    assert row["model"] == hashlib.sha256(CONTENT).hexdigest()


def test_the_same_scan_again_does_only_what_is_left(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    hits = tmp_path / "hits"
    assert scan_to(hits, archive / "a").n_done_before == 0
    second = scan_to(hits, archive)
    assert (second.n_files, second.n_done_before) == (8, 4)
    assert detections(hits) == expected(archive, MODEL)
    again = scan_to(hits, archive)
    assert (again.n_done_before, again.audio_seconds, len(again.failed)) == (7, 0.0, 1)  # what was damaged is tried again
    (archive / "b" / "bad.wav").unlink()
    assert len(engines) == 3
    assert scan_to(hits, archive).n_done_before == 7
    assert len(engines) == 3  # nothing to do, so no engine


def test_a_changed_recording_replaces_its_old_detections(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    hits = tmp_path / "hits"
    scan_to(hits, archive)
    (archive / "a" / "0.wav").write_bytes((archive / "a" / "1.wav").read_bytes())
    (archive / "b" / "bad.wav").write_bytes((archive / "a" / "2.wav").read_bytes())
    os.utime(archive / "b" / "0.wav", (1, 1))  # another time, but the same content
    result = scan_to(hits, archive)
    assert (result.n_done_before, result.failed) == (5, ())
    assert detections(hits) == expected(archive, MODEL)
    assert len(rows(hits, "files")) == 8
    assert scan_to(hits, archive).n_done_before == 8  # the new time is known, so nothing is read again


def test_settings_and_models_have_rows_of_their_own(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    hits = tmp_path / "hits"
    scan_to(hits, archive / "a")
    assert scan_to(hits, archive / "a", threshold=0.99).n_done_before == 0
    assert scan_to(hits, archive / "a", gain=6.0).n_done_before == 0
    assert scan_to(hits, archive / "a", threshold=0.99).n_done_before == 4
    assert {row["settings"] for row in rows(hits, "detections")} == {"", '{"gain": 6.0}'}
    assert len(rows(hits, "files")) == 12


def test_workers_that_are_lost_at_random_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, n_lost = make_archive(tmp_path / "in", long_seconds=60), 0
    wanted = expected(archive, MODEL)
    monkeypatch.setattr("wordspot.archive.schedule._LONG_BYTES", 0)
    monkeypatch.setattr("wordspot.archive.schedule._MOST_FILES", 2)

    def lose(task: Task, rng: Any) -> bool:
        nonlocal n_lost
        is_lost = bool(rng.random() < 0.3)
        n_lost += is_lost
        return is_lost

    for seed in range(20):
        monkeypatch.setattr(scanning, "_start", lambda engine, setup, *others, seed=seed: Inline(setup, seed, lose))
        hits = tmp_path / f"hits {seed}"
        while len(scan_to(hits, archive).failed) > 1:  # one is damaged; another was lost three times, and is tried again
            pass
        assert detections(hits) == wanted
        assert len(rows(hits, "files")) == 9
    assert n_lost > 40


def test_a_recording_that_kills_its_worker_is_reported_and_no_other(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(task: Task, rng: Any) -> bool:
        return isinstance(task, FilesTask) and any(file.name.endswith("2.wav") for file in task.files)

    monkeypatch.setattr(scanning, "_start", lambda engine, setup, *others: Inline(setup, 0, lose))
    result = scan_to(tmp_path / "hits", archive / "a")
    assert [one.message for one in result.failed] == [f"{archive / 'a' / '2.wav'}: could not be scanned, three times killed"]
    assert len([row for row in rows(tmp_path / "hits", "files") if not row["error"]]) == 3


def test_a_long_recording_that_is_damaged_gets_the_error_of_one_pass(
    long_archive: Path, tmp_path: Path, engines: list[Inline]
) -> None:
    whole = (long_archive / "long.flac").read_bytes()
    path = tmp_path / "damaged.flac"
    path.write_bytes(whole[: len(whole) // 2] + bytes(20_000) + whole[len(whole) // 2 + 20_000 :])
    with pytest.raises(AudioError) as error:
        expected(path, MODEL)
    result = scan_to(tmp_path / "hits", path)
    assert [one.message for one in result.failed] == [str(error.value)]
    assert any(isinstance(task, PieceTask) for task in engines[0].tasks)
    assert rows(tmp_path / "hits", "detections") == []


def test_a_scan_that_is_killed_at_any_write_goes_on(
    archive: Path, tmp_path: Path, engines: list[Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, rename and removal of the result is a step; the process ends before it, and cleans nothing up."""
    monkeypatch.setattr("wordspot.archive.schedule._FLUSH_SECONDS", (0.0, 0.0))
    monkeypatch.setattr("wordspot.archive.schedule._MOST_FILES", 3)
    original = (archive / "a" / "0.wav").read_bytes()
    real_write, real_unlink, n_steps, step = dataset._write_table, Path.unlink, 0, 0

    def count() -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps > step:
            raise KeyboardInterrupt

    def write(path: Path, *args: Any) -> None:
        count()
        real_write(path, *args)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name in ("files", "detections") and not path.name.startswith("."):
            count()
        real_unlink(path, missing_ok)

    while True:
        hits = tmp_path / f"hits {step}"
        (archive / "a" / "0.wav").write_bytes(original)
        scan_to(hits, archive / "a")
        (archive / "a" / "0.wav").write_bytes((archive / "a" / "1.wav").read_bytes() + b"  ")
        n_steps = 0
        with monkeypatch.context() as patched:
            patched.setattr(dataset, "_write_table", write)
            patched.setattr(Path, "unlink", unlink)
            try:
                scan_to(hits, archive)
                break
            except KeyboardInterrupt:
                (hits / "files" / ".part-0123.0123.parquet").write_bytes(b"half")  # what a killed write leaves
        scan_to(hits, archive)
        assert detections(hits) == expected(archive, MODEL)
        assert len(rows(hits, "files")) == 8
        assert list(hits.glob("*/.part*")) == []
        step += 1
    assert step >= 6


def test_a_full_disk_leaves_what_was_written(
    archive: Path, tmp_path: Path, engines: list[Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = tmp_path / "hits"
    scan_to(hits, archive / "a")
    before = detections(hits)
    with monkeypatch.context() as patched:

        def full(*args: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(dataset, "_write_table", full)
        with pytest.raises(OSError, match="No space left"):
            scan_to(hits, archive)
    assert detections(hits) == before
    scan_to(hits, archive)
    assert detections(hits) == expected(archive, MODEL)


def test_two_scans_do_not_write_into_one_folder(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    setup = Setup(CONTENT, MODEL.card.decoder)
    with dataset.Dataset(tmp_path / "hits", setup, MODEL.card), pytest.raises(LockedError, match="another scan is writing there"):
        scan_to(tmp_path / "hits", archive)
    assert scan_to(tmp_path / "hits", archive).n_files == 8


def test_a_damaged_part_is_named(archive: Path, tmp_path: Path, engines: list[Inline]) -> None:
    scan_to(tmp_path / "hits", archive)
    (part,) = (tmp_path / "hits" / "files").glob("part-*")
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{part.name} is damaged .*; remove .*/files/{part.name}, and the"):
        scan_to(tmp_path / "hits", archive)
    part.unlink()
    scan_to(tmp_path / "hits", archive)
    assert detections(tmp_path / "hits") == expected(archive, MODEL)


def test_a_name_that_is_not_utf8_is_reported_and_the_others_are_scanned(
    archive: Path, tmp_path: Path, engines: list[Inline]
) -> None:
    odd = os.fsencode(archive / "a") + b"/gr\xfcn.wav"
    try:
        Path(os.fsdecode(odd)).write_bytes((archive / "a" / "0.wav").read_bytes())
    except OSError:
        pytest.skip("this file system accepts only UTF-8 in names")
    for n_done_before in (0, 7):
        result = scan_to(tmp_path / "hits", archive)
        assert (result.n_files, result.n_done_before) == (9, n_done_before)
        assert sorted("not UTF-8" in one.message for one in result.failed) == [False, True]
    os.remove(odd)  # noqa: PTH107 - a name of bytes
    assert detections(tmp_path / "hits") == expected(archive, MODEL)


def test_wrong_settings(archive: Path, tmp_path: Path) -> None:
    for settings, match in (
        ({"engine": "spark"}, "`engine` must be ray or processes, got 'spark'"),
        ({"engine": "processes", "address": "auto"}, "`address` is for `engine` ray"),
        ({"engine": "processes", "workers": 0}, "`workers` must be at least 1, got 0"),
        ({"gain": 99.0}, "`gain` must"),
        ({"threshold": 2.0}, "threshold"),
    ):
        with pytest.raises(ConfigError, match=match):
            scan_to(tmp_path / "hits", archive, **settings)
    with pytest.raises(NotFoundError, match="none"):
        scan_to(tmp_path / "hits", tmp_path / "none")
