"""Cutting recordings to their loudest second: where the cut is, and what the new folder holds."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wordspot.audio.speech import loudest_window
from wordspot.commands import align as command
from wordspot.data.align import AlignedFolder, align
from wordspot.errors import ConfigError, DataError, NotFoundError
from wordspot.progress import Progress

RATE = 16_000


def burst(start: float, end: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """A tone of amplitude 0.5 from `start` to `end` seconds amid digital silence."""
    time = np.arange(round(seconds * rate)) / rate
    return np.where((time >= start) & (time < end), 0.5 * np.sin(2 * np.pi * 500 * time), 0).astype(np.float32)


def save(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype=subtype)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    save(root / "yes" / "a_nohash_0.flac", burst(2.0, 2.4, 4.0))
    save(root / "yes" / "b_nohash_0.wav", burst(0.1, 0.3, 0.6))
    save(root / "汪汪叫" / "c_nohash_0.WAV", burst(0.2, 0.8, 1.0))
    save(root / "_background_noise_" / "hum.flac", burst(0, 5, 5.0))
    (root / "_background_noise_" / "README.md").write_text("hum")
    return root


def test_a_hand_computed_window() -> None:
    """Without its mean of 1 the signal is -1 1 -1 1 -1 -1 2 0: squares 1 1 1 1 1 1 4 0; three samples hold
    3 3 3 3 6 5, most from sample 4 on."""
    audio = np.array([0, 2, 0, 2, 0, 0, 3, 1], np.float32)
    assert loudest_window(audio, 3) == 4


@pytest.mark.parametrize(("length", "size", "expected"), [(5, 5, 0), (5, 6, 0), (5, 100, 0), (6, 5, 0), (9, 4, 3)])
def test_short_and_silent_recordings(length: int, size: int, expected: int) -> None:
    """Of nothing the middle is kept; a recording that fits stays whole."""
    assert abs(loudest_window(np.zeros(length, np.float32), size) - expected) <= (length > size)


def test_a_word_amid_silence_is_centred() -> None:
    start = loudest_window(burst(2.0, 2.4, 4.0), RATE)
    assert start == pytest.approx(1.7 * RATE, abs=20)


def test_an_offset_does_not_count() -> None:
    audio = burst(2.0, 2.4, 4.0)
    assert loudest_window(audio + np.float32(0.3), RATE) == pytest.approx(loudest_window(audio, RATE), abs=200)


@settings(max_examples=200, deadline=None)
@given(
    audio=hnp.arrays(np.float32, st.integers(1, 60), elements=st.integers(-3, 3).map(float)),
    size=st.integers(1, 60),
)
@pytest.mark.slow
def test_no_window_holds_more(audio: np.ndarray, size: int) -> None:
    start = loudest_window(audio, size)
    if len(audio) <= size:
        assert start == 0
        return
    squares = (audio.astype(float) - audio.astype(float).mean()) ** 2
    energies = [squares[i : i + size].sum() for i in range(len(audio) - size + 1)]
    assert energies[start] == pytest.approx(max(energies))


def test_a_folder_is_aligned(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "sub" / "out"
    for name in ("validation", "testing"):
        (root / f"{name}_list.txt").write_text("yes/a_nohash_0.flac\r\n汪汪叫/c_nohash_0.WAV\n", encoding="utf-8")
    (root / "LICENSE").write_text("CC BY 4.0")
    (root / "notes.txt").write_text("")
    steps: list[Progress] = []
    aligned = align(root, out, progress=steps.append)
    assert aligned == AlignedFolder(out, 3, 1000)
    assert aligned.to_json() == {"out": str(out), "n_clips": 3, "clip_ms": 1000, "problems": []}
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        "yes/a_nohash_0.wav",
        "yes/b_nohash_0.wav",
        "汪汪叫/c_nohash_0.wav",
        "_background_noise_/hum.flac",
        "_background_noise_/README.md",
        "validation_list.txt",
        "testing_list.txt",
        "LICENSE",
    }
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    cut, rate = soundfile.read(out / "yes" / "a_nohash_0.wav", dtype="float32")
    assert (len(cut), rate) == (RATE, RATE)
    np.testing.assert_allclose(cut[round(0.3 * RATE) - 20 :][:6440].std(), 0.5 / 2**0.5, rtol=0.02)
    short, _ = soundfile.read(out / "yes" / "b_nohash_0.wav", dtype="int16")
    np.testing.assert_array_equal(short, soundfile.read(root / "yes" / "b_nohash_0.wav", dtype="int16")[0])
    noise = "_background_noise_/hum.flac"
    assert (out / noise).read_bytes() == (root / noise).read_bytes()
    assert (out / "testing_list.txt").read_text(encoding="utf-8") == "yes/a_nohash_0.wav\n汪汪叫/c_nohash_0.wav\n"


def test_another_rate_and_length(root: Path, tmp_path: Path) -> None:
    save(root / "yes" / "d_nohash_0.wav", burst(0.5, 0.9, 2.0, 44_100), 44_100)
    align(root, tmp_path / "out", sample_rate=8000, clip_ms=500)
    for name in ("a_nohash_0", "d_nohash_0"):
        cut, rate = soundfile.read(tmp_path / "out" / "yes" / f"{name}.wav")
        assert (len(cut), rate) == (4000, 8000)
        assert np.abs(cut[:200]).max() < 0.05 < np.abs(cut[1500:2500]).max()


def test_damaged_recordings_are_left_out_and_named(root: Path, tmp_path: Path) -> None:
    whole = (root / "yes" / "b_nohash_0.wav").read_bytes()
    (root / "yes" / "header.wav").write_bytes(whole[:44])
    (root / "yes" / "cut.wav").write_bytes(whole[:3000])
    (root / "yes" / "text.wav").write_text("no sound at all")
    save(root / "yes" / "nan.wav", np.full(100, np.nan, np.float32), subtype="FLOAT")
    problems = {line.split(":")[0]: line for line in align(root, tmp_path / "out").problems}
    assert set(problems) == {f"yes/{name}.wav" for name in ("header", "cut", "text", "nan")}
    assert "truncated" in problems["yes/cut.wav"]
    assert "NaN" in problems["yes/nan.wav"]
    assert len(list((tmp_path / "out" / "yes").iterdir())) == 2


def test_two_recordings_that_would_share_a_name(root: Path, tmp_path: Path) -> None:
    save(root / "yes" / "b_nohash_0.flac", burst(0.0, 0.1, 0.2))
    problems = align(root, tmp_path / "out").problems
    assert problems == ("yes/b_nohash_0.wav: left out, yes/b_nohash_0.flac has the same name except for its suffix",)
    assert soundfile.info(tmp_path / "out" / "yes" / "b_nohash_0.wav").frames == 3200


def test_nothing_is_left_where_nothing_could_be_read(tmp_path: Path) -> None:
    (tmp_path / "data" / "yes").mkdir(parents=True)
    (tmp_path / "data" / "yes" / "a.wav").write_text("text")
    with pytest.raises(DataError, match="none of the 1 recordings can be read"):
        align(tmp_path / "data", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_interruption_leaves_nothing(root: Path, tmp_path: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(root, tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_in_use_is_rejected_or_written_into(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    align(root, out)  # an empty one is fine
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"contains files.*`force`"):
        align(root, out)
    align(root, out, clip_ms=200, force=True)
    assert (out / "mine.txt").read_text() == "mine"
    assert soundfile.info(out / "yes" / "a_nohash_0.wav").frames == 3200


def test_the_current_folder_is_filled(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    align(root, Path())
    assert len(list(Path("yes").iterdir())) == 2


def test_what_is_rejected(root: Path, tmp_path: Path) -> None:
    before = sorted(root.rglob("*"))
    for out in (root, root / "out", root / "yes"):
        with pytest.raises(ConfigError, match=r"lies in .*, whose folders are words"):
            align(root, out, force=True)
    with pytest.raises(NotFoundError, match="no such folder"):
        align(tmp_path / "nowhere", tmp_path / "out")
    for options in ({"sample_rate": 10}, {"clip_ms": 0.0}, {"clip_ms": 1e9}):
        with pytest.raises(ConfigError, match="must"):
            align(root, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert sorted(root.rglob("*")) == before
    assert not (tmp_path / "out").exists()


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "yes" / "text.wav").write_text("no sound at all")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(root), "--out", str(tmp_path / "out"), "--clip-ms", "250"]))
    printed = capsys.readouterr()
    assert "3 clips of at most 250 ms, 1 left out" in printed.out
    assert "left out: yes/text.wav: the file cannot be read" in printed.err
    assert soundfile.info(tmp_path / "out" / "yes" / "a_nohash_0.wav").frames == 4000
