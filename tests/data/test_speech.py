"""Folders of speech: which recordings are for training, and what is known of their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.config import DataConfig
from wordspot.data.sound_alikes import sounds_alike
from wordspot.data.speech import Speech, load_speech
from wordspot.data.split import which_set
from wordspot.errors import DataError, NotFoundError

RATE = 16_000


def record(path: Path, seconds: float = 1.0, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * RATE), level, np.float32), RATE, subtype="PCM_16")


def load(folder: Path, **settings: float) -> Speech:
    return load_speech(folder, RATE, DataConfig(**settings))  # type: ignore[arg-type]


def test_speakers_are_split_by_the_hash_of_their_folder(tmp_path: Path) -> None:
    speakers = [str(number) for number in range(30)]
    for number, speaker in enumerate(speakers):
        record(tmp_path / speaker / "chapter" / f"{speaker}-1.flac", 0.1, level=(number + 1) / 100)
        record(tmp_path / speaker / "chapter" / f"{speaker}-2.flac", 0.2, level=(number + 1) / 100)
    speech = load(tmp_path, validation_percent=30, testing_percent=20)
    training = [speaker for speaker in speakers if which_set(speaker, 30, 20) == "training"]
    assert 5 < len(training) < 25
    assert speech.paths == tuple(f"{speaker}/chapter/{speaker}-{take}.flac" for speaker in sorted(training) for take in (1, 2))
    for number, path in enumerate(speech.paths):
        assert len(speech.samples(number)) == RATE * int(path[-6]) // 10
        assert speech.samples(number)[0] == pytest.approx((int(path.partition("/")[0]) + 1) / 100 * 32768, abs=1)


@pytest.mark.parametrize("above", ["", "LibriSpeech/dev-clean/"])
def test_the_speaker_of_each_recording_is_known_below_folders_that_all_share(tmp_path: Path, above: str) -> None:
    speakers = [str(number) for number in range(12)]
    for speaker in speakers:
        record(tmp_path / f"{above}{speaker}" / "chapter" / f"{speaker}-1.flac", 0.1)
    speech = load(tmp_path, validation_percent=30, testing_percent=20)
    training = sorted(speaker for speaker in speakers if which_set(speaker, 30, 20) == "training")
    assert 2 < len(training) < 12
    assert speech.speakers == tuple(training)


def test_without_folders_of_speakers_a_name_says_who_speaks(tmp_path: Path) -> None:
    for name in ("part/anna_nohash_0.wav", "part/anna_nohash_1.wav", "part/ben_nohash_0.wav", "part/book.wav"):
        record(tmp_path / name)
    speech = load(tmp_path, validation_percent=0, testing_percent=0)
    assert speech.speakers == ("anna", "anna", "ben", "book.wav")


def test_a_single_recording_is_for_training(tmp_path: Path) -> None:
    record(tmp_path / "book.wav")
    assert len(load(tmp_path, validation_percent=50, testing_percent=50)) == 1


def test_times_come_before_lists_and_lists_before_texts(tmp_path: Path) -> None:
    for name in ("timed", "listed", "beside", "unknown"):
        record(tmp_path / f"{name}.wav")
        if name != "unknown":
            (tmp_path / f"{name}.txt").write_text("beside it")
    (tmp_path / "a.trans.txt").write_text("listed IN A LIST\ntimed IN A LIST\n")
    (tmp_path / "words.csv").write_text("utterance,word,start_ms,end_ms\ntimed,there,500,2000\ntimed,Hello,100,400\n")
    speech = load(tmp_path, validation_percent=0, testing_percent=0)
    known = dict(zip((path[:-4] for path in speech.paths), zip(speech.texts, speech.times, strict=True), strict=True))
    assert known["listed"] == (("in", "a", "list"), None)
    assert known["beside"] == (("beside", "it"), None)
    assert known["unknown"] == ((), None)
    words, times = known["timed"]
    assert words == ("hello", "there")
    assert times is not None
    assert times.tolist() == [[1600, 6400], [8000, RATE]]  # not beyond its end
    assert "1 with the times of their words" in speech.describe()


def test_apostrophes_belong_to_a_word(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("Don't go, she said; naïve—and 2 more.")
    assert load(tmp_path).texts == (("don't", "go", "she", "said", "naïve", "and", "2", "more"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("utterance,word,start,end_ms\n", "no column start_ms"),
        ("utterance,word,start_ms,end_ms\na,hello,soon,2\n", "line 2: expected a word with its start and end"),
        ("utterance,word,start_ms,end_ms\na,hello,2,1\n", "line 2"),
        ("utterance,word,start_ms,end_ms\na,hello,nan,nan\n", "line 2"),
        ("utterance,word,start_ms,end_ms\na,hello\n", "line 2"),
    ],
)
def test_damaged_times(tmp_path: Path, text: str, message: str) -> None:
    record(tmp_path / "a.wav")
    (tmp_path / "words.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_missing_folders_and_recordings(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expected recordings of speech"):
        load(tmp_path / "none")
    with pytest.raises(DataError, match="no recordings found"):
        load(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="none of the 1 recordings could be read"):
        load(tmp_path)


def test_a_damaged_recording_is_left_out(tmp_path: Path) -> None:
    record(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    speech = load(tmp_path, validation_percent=0, testing_percent=0)
    assert speech.paths == ("good.wav",)
    assert len(speech.problems) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("down", True), ("DOWN", True), ("downs", True), ("know", True), ("knows", True), ("oh", True), ("write", True),
        ("stopped", True), ("stopping", True), ("goes", True), ("going", True), ("up's", True),
        ("town", False), ("gown", False), ("not", False), ("now", False), ("god", False), ("upper", False), ("one", False),
        ("", False),
    ],
)  # fmt: skip
def test_which_words_sound_alike(text: str, expected: bool) -> None:
    assert sounds_alike(text, ["down", "no", "right", "stop", "go", "up"]) == expected
