"""Sound that is kept for review: what is written, under which names, and that it stays below its size."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from support.made_onnx import RATE, made_model
from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.samples import to_int16
from wordspot.errors import ConfigError
from wordspot.runtime.detector import Detector
from wordspot.runtime.keep import Keeper
from wordspot.runtime.kept_files import KeptFolder, list_kept, satellite_folder
from wordspot.runtime.listener import listen
from wordspot.runtime.model import open_model

CLIP = 1600  # a threshold of 0.4; the score of a constant c is 0.96 · c + 0.01
MODEL = made_model(clip_samples=CLIP)


def constants(*parts: tuple[float, float]) -> NDArray[np.float32]:
    """(seconds, level) each, with a little noise of a fixed seed, so that every sample tells where it was."""
    steps = np.concatenate([np.full(round(seconds * RATE), level) for seconds, level in parts])
    return (steps + np.random.default_rng(0).uniform(-0.01, 0.01, len(steps))).astype(np.float32)


def feed(audio: NDArray[np.float32], folder: Path, size: int, *, notes: list[str] | None = None) -> list[tuple[str, float]]:
    """Detect and keep; the detections as (label, time in ms)."""
    detector, found = Detector(MODEL), []
    card = detector.card
    keeper = Keeper(KeptFolder(folder), card, card.decoder, RATE, on_note=None if notes is None else notes.append)
    for start in range(0, len(audio), size):
        detections, scores, end_ms = detector.feed_scored(audio[start : start + size])
        keeper.feed(audio[start : start + size], detections, scores, end_ms)
        keeper.keep_wanted(detections)
        found += detections
    detections, scores, end_ms = detector.flush_scored()
    keeper.keep_wanted(detections)
    keeper.finish(detections, scores, end_ms)
    return [(one.label, one.time_ms) for one in [*found, *detections]]


@pytest.mark.parametrize("size", [160, 8000, 16_000, 1 << 20])
def test_a_detection_and_what_nearly_was_one(tmp_path: Path, size: int) -> None:
    """A loud "a", a faint "b" (0.25: above half of 0.4, below 0.4), and a fainter "a" (0.15), which is nothing."""
    audio = constants((3.0, 0.0), (0.3, 0.8), (3.0, 0.0), (0.3, -0.25), (3.0, 0.0), (0.3, 0.15), (2.0, 0.0))
    ((label, time_ms),) = feed(audio, tmp_path, size)
    woke, near = sorted(list_kept(tmp_path), key=lambda one: one.is_near)
    assert (label, woke.label, woke.is_near, near.label, near.is_near) == ("a", "a", False, "b", True)
    assert (woke.path.parent, near.path.parent) == (tmp_path, tmp_path / "nearly")
    assert near.score == pytest.approx(0.25, abs=0.011)
    kept, rate = read_audio(woke.path)
    start, stop = round((time_ms - 2000) * RATE / 1000), round((time_ms + 500) * RATE / 1000)
    assert rate == RATE
    assert soundfile.info(woke.path).subtype == "PCM_16"
    np.testing.assert_array_equal(to_int16(kept), to_int16(audio[start:stop]))
    faint, _ = read_audio(near.path)
    assert len(faint) == 2.5 * RATE
    position = np.flatnonzero(to_int16(faint) < -0.2 * 32768)  # the word's 0.3 s, which began 6.3 s into the stream
    assert position[-1] - position[0] + 1 == 0.3 * RATE
    assert position[-1] < 2.3 * RATE  # its end is inside, with sound after it


def test_what_is_beside_a_detection_is_not_kept_twice(tmp_path: Path) -> None:
    """A word that rises slowly is nearly detected before it is detected."""
    audio = constants((2.0, 0.0), (0.4, 0.3), (0.3, 0.8), (0.4, 0.3), (3.0, 0.0))
    assert [label for label, _ in feed(audio, tmp_path, 320)] == ["a"]
    assert [one.is_near for one in list_kept(tmp_path)] == [False]


def test_a_stream_that_ends_early_leaves_what_there_is(tmp_path: Path) -> None:
    audio = constants((0.5, 0.0), (0.3, 0.8), (0.1, 0.0))
    source = io.BytesIO(to_int16(audio).astype("<i2").tobytes())
    (found,) = listen(MODEL, source, save=tmp_path)
    assert found.saved is not None
    assert len(read_audio(found.saved)[0]) == len(audio)


def test_listening_that_is_stopped_writes_what_it_promised(tmp_path: Path) -> None:
    source = io.BytesIO(to_int16(constants((1.0, 0.0), (0.3, 0.8), (3.0, 0.0))).astype("<i2").tobytes())
    stream = listen(MODEL, source, save=tmp_path)
    found = next(stream)
    assert found.saved is not None
    assert not found.saved.exists()  # half a second is still to come
    stream.close()  # type: ignore[attr-defined]
    assert 1.2 * RATE < len(read_audio(found.saved)[0]) < 1.8 * RATE


def test_names_suit_any_system_and_never_collide(tmp_path: Path) -> None:
    folder, audio = KeptFolder(tmp_path), np.zeros(50, np.float32)
    paths = [folder.promise("", "20261129-181530", label, 0.5) for label in ("a:b?", "汪汪", "a:b?", "..")]
    assert len(set(paths)) == 4
    assert all(re.fullmatch(r"\d{8}-\d{6}-(a_b_|汪汪|__)-0\.50(-\d)?\.wav", path.name) for path in paths), paths
    paths.append(folder.promise("nearly", "20261129-181530", "𠀋" * 200, 0.5))  # four bytes each; a name has 255
    for path in paths:
        folder.write(path, audio, RATE)
    assert {one.path for one in list_kept(tmp_path)} == set(paths)


def test_files_of_one_second_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = KeptFolder(tmp_path)
    paths = [folder.promise("", "20261129-181530", "a", 0.5) for _ in range(11)]
    for path in reversed(paths):
        folder.write(path, np.zeros(50, np.float32), RATE)
    assert paths[-1].name == "20261129-181530-a-0.50-11.wav"
    assert [one.path for one in list_kept(tmp_path)] == paths


@pytest.mark.parametrize(
    ("name", "folder"),
    [("Kitchen", "Kitchen"), ("192.168.1.7", "192.168.1.7"), ("../../etc", "_._._._._etc"), ("Meant", "Meant_"), ("", "_")],
)
def test_a_satellites_folder_is_below_ours(name: str, folder: str) -> None:
    assert satellite_folder(name) == folder


def test_the_oldest_of_ours_go_and_nothing_else(tmp_path: Path) -> None:
    audio = np.zeros(100_000, np.float32)  # 200,044 bytes: four in a megabyte, not five
    others = [tmp_path / "holiday.wav", tmp_path / "meant" / "a" / "20200101-000000-a-0.90.wav", tmp_path / "notes" / "a.wav"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, audio, RATE)
    folder, written = KeptFolder(tmp_path, 1.0), []
    for second, place in enumerate(("", "nearly", "kitchen", "kitchen/nearly", "", "nearly", "")):
        written.append(folder.promise(place, f"20261129-18153{second}", "a", 0.5))
        folder.write(written[-1], audio, RATE)
        os.utime(written[-1], (9e8 - second, 9e8 - second))  # its name says when, not its date
    assert [path.exists() for path in written] == [second >= 3 for second in range(7)]
    assert sum(path.stat().st_size for path in written if path.exists()) <= 1e6
    assert all(path.is_file() for path in others)
    again = KeptFolder(tmp_path, 1.0)  # another run counts what is there
    newest = again.promise("", "20261129-181540", "a", 0.5)
    again.write(newest, audio, RATE)
    assert sum(one.path.stat().st_size for one in list_kept(tmp_path)) <= 1e6
    assert newest.is_file()


def test_files_that_were_reviewed_make_room(tmp_path: Path) -> None:
    folder, audio = KeptFolder(tmp_path, 1.0), np.zeros(200_000, np.float32)
    first = [folder.promise("", f"20261129-18153{second}", "a", 0.5) for second in range(2)]
    for path in first:
        folder.write(path, audio, RATE)
    first[1].rename(tmp_path / "elsewhere.wav")
    folder.write(folder.promise("", "20261129-181532", "a", 0.5), audio, RATE)
    assert first[0].is_file()  # two of 0.4 MB fit, since one of the first two is no longer there
    folder.write(folder.promise("", "20261129-181533", "a", 0.5), audio, RATE)
    assert [one.time[-2:] for one in list_kept(tmp_path)] == ["32", "33"]
    assert (tmp_path / "elsewhere.wav").is_file()


def test_a_folder_that_cannot_be_used_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file: sound cannot be saved there: .*; use another folder as `save`"):
        listen(MODEL, io.BytesIO(), save=tmp_path / "file")
    for size in (0.5, 2e6, float("nan")):
        with pytest.raises(ConfigError, match=rf"`save_mb` must lie between 1 and 1e\+06, got {re.escape(f'{size:g}')}"):
            listen(MODEL, io.BytesIO(), save=tmp_path / "new", save_mb=size)


def test_a_file_that_cannot_be_written_does_not_end_listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, audio: NDArray[np.float32], sample_rate: int) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("wordspot.audio.files.write_audio", full)
    notes: list[str] = []
    audio = constants((1.0, 0.0), (0.3, 0.8), (2.0, 0.0), (0.3, -0.8), (1.0, 0.0))
    assert [label for label, _ in feed(audio, tmp_path, 320, notes=notes)] == ["a", "b"]
    assert [note.startswith("not saved: [Errno 28] No space left on device") for note in notes] == [True, True]


def test_nothing_is_kept_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = io.BytesIO(to_int16(constants((1.0, 0.0), (0.3, 0.8), (1.0, 0.0))).astype("<i2").tobytes())
    assert [one.saved for one in listen(MODEL, source)] == [None]
    assert list(tmp_path.iterdir()) == []


def test_only_the_words_that_count_are_kept(tmp_path: Path) -> None:
    model = open_model(MODEL)
    detector, decoder = Detector(model), model.card.decoder
    keeper = Keeper(KeptFolder(tmp_path), model.card, decoder, RATE, place="den", wanted=lambda label: label == "b")
    audio = constants(
        (1.0, 0.0), (0.3, 0.8), (2.5, 0.0), (0.3, 0.25), (2.5, 0.0), (0.3, -0.8), (2.5, 0.0), (0.3, -0.25), (2.5, 0.0)
    )
    detections, scores, end_ms = detector.feed_scored(audio)
    keeper.feed(audio, detections, scores, end_ms)
    keeper.keep_wanted(detections)
    keeper.finish()
    assert sorted((str(one.path.parent.relative_to(tmp_path)), one.label) for one in list_kept(tmp_path)) == [
        ("den", "b"),
        ("den/nearly", "b"),
    ]
