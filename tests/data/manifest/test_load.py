"""Recordings in memory: what is decoded, what is skipped, and what is reported."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.files import read_audio
from wordspot.config import DataConfig, RecordingsConfig
from wordspot.data.manifest.load import labels_in, load_manifest, read_start
from wordspot.errors import ConfigError, DataError, NotFoundError

RATE = 8000
HALF = DataConfig(validation_percent=25, testing_percent=25)
PLAIN = RecordingsConfig()


def noise(seed: int, seconds: float = 0.2, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def save(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="PCM_16")
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Forty recordings of eight speakers, half of them by two machines, each of other samples."""
    lines = ["path,label,speaker,generator"]
    for number in range(40):
        speaker, machine = f"p{number % 8}", ("vits", "flite")[number // 8 % 2]
        label, generator = ("real", "") if number < 20 else ("fake", machine)
        save(tmp_path / label / f"{number}.wav", noise(number))
        lines.append(f"{label}/{number}.wav,{label},{speaker},{generator}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def add(listed: Path, *lines: str) -> None:
    with listed.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_every_recording_is_in_one_set_with_its_samples(listed: Path) -> None:
    calls: list[tuple[int, int]] = []
    loaded = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE, lambda step: calls.append((step.done, step.total)))
    assert calls == [(done, 40) for done in range(1, 41)]
    assert (loaded.labels, loaded.problems, loaded.warnings) == (("real", "fake"), (), ())
    assert sum(len(held) for held in loaded.sets.values()) == 40
    for held in loaded.sets.values():
        assert held.labels == ("real", "fake")
        assert held.truth.dtype == np.int64
        assert [held.labels[position] for position in held.truth] == [row.label for row in held.rows]
        for row, samples in zip(held.rows, held.audio, strict=True):
            assert samples.dtype == np.int16
            np.testing.assert_array_equal(samples, soundfile.read(row.file, dtype="int16")[0])


def test_the_order_of_the_labels_is_the_one_wanted(listed: Path) -> None:
    assert labels_in(listed) == ("fake", "real")
    assert load_manifest(listed, (), HALF, PLAIN, RATE).labels == ("fake", "real")
    assert load_manifest(listed, ("Real", "FAKE"), HALF, PLAIN, RATE).labels == ("real", "fake")


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (("real", "forged"), DataError, "no recordings of forged; the labels here are fake, real"),
        (("real", "REAL"), ConfigError, "each label must be named once"),
        (("real",), DataError, "real is the only label named; expected at least two of"),
    ],
)
def test_labels_that_cannot_be_had(listed: Path, words: tuple[str, ...], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        load_manifest(listed, words, HALF, PLAIN, RATE)


def test_other_labels_than_the_wanted_ones_are_left_out(listed: Path) -> None:
    for number in range(4):
        save(listed.parent / f"dog{number}.wav", noise(100 + number))
        add(listed, f"dog{number}.wav,dog,d{number},")
    loaded = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)
    assert loaded.warnings == ("recordings of dog are not used: these labels were not asked for",)
    assert sum(len(held) for held in loaded.sets.values()) == 40


def test_the_listing_names_every_recording_with_the_hash_of_its_file(listed: Path) -> None:
    loaded = load_manifest(listed, ("real", "fake"), HALF, RecordingsConfig(hold_out=("vits",)), RATE)
    rows = list(csv.DictReader(io.StringIO(loaded.listing_text())))
    assert list(rows[0]) == ["set", "label", "path", "speaker", "generator", "sha256"]
    held = [(name, row.path) for name, part in loaded.sets.items() for row in part.rows]
    assert sorted((row["set"], row["path"]) for row in rows) == sorted(held)
    assert 20 < len(rows) < 40  # what is held out of training is in no set
    for row in rows:
        assert row["sha256"] == hashlib.sha256((listed.parent / row["path"]).read_bytes()).hexdigest()
    assert {row["generator"] for row in rows if row["set"] != "testing"} == {"", "flite"}


def test_other_rates_and_channels(listed: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32) * 0.5
    save(listed.parent / "high.wav", np.stack([tone, np.zeros_like(tone)], axis=1), 44_100)
    add(listed, "high.wav,real,p0,")
    loaded = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)
    (found,) = [
        audio for held in loaded.sets.values() for row, audio in zip(held.rows, held.audio, strict=True) if row.path == "high.wav"
    ]
    assert len(found) == RATE
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found[400:-400] / 32768, expected[400:-400], atol=2e-4)  # the first channel, not the mean


def test_no_more_of_a_recording_is_kept_than_wanted(listed: Path) -> None:
    save(listed.parent / "long.wav", noise(7, seconds=3))
    add(listed, "long.wav,real,p0,")

    def longest(config: RecordingsConfig, clip_ms: float = 500) -> int:
        loaded = load_manifest(listed, ("real", "fake"), HALF, config, RATE, clip_ms=clip_ms)
        return max(len(audio) for held in loaded.sets.values() for audio in held.audio)

    assert longest(PLAIN) == 3 * RATE
    assert longest(RecordingsConfig(longest_s=1.5)) == 1.5 * RATE
    assert longest(RecordingsConfig(whole=True)) == 0.5 * RATE
    assert longest(RecordingsConfig(whole=True, longest_s=0.25)) == 0.25 * RATE


@pytest.mark.parametrize(("rate", "seconds"), [(8000, 0.5), (22_050, 0.5), (44_100, 1.0)])
def test_a_start_is_the_start_of_the_whole(tmp_path: Path, rate: int, seconds: float) -> None:
    """What comes after the cut does not change what comes before it, but for the resampler's last few samples."""
    path = save(tmp_path / "long.flac", noise(3, seconds=12, rate=rate), rate)
    whole, _ = read_audio(path, RATE, channel=0)
    start = read_start(path, RATE, seconds)
    assert len(start) == round(seconds * RATE)
    np.testing.assert_allclose(start, whole[: len(start)], atol=1e-4)
    np.testing.assert_array_equal(read_start(path, RATE, float("inf")), whole)


def test_what_cannot_be_used_is_reported_and_left_out(listed: Path) -> None:
    whole = (listed.parent / "real" / "0.wav").read_bytes()
    (listed.parent / "cut.wav").write_bytes(whole[:1000])
    (listed.parent / "text.wav").write_text("no sound")
    save(listed.parent / "zero.wav", np.zeros(RATE, np.float32))
    add(listed, "cut.wav,real,p0,", "text.wav,real,p0,", "zero.wav,fake,p1,", "gone.wav,fake,p1,")
    loaded = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)
    assert sum(len(held) for held in loaded.sets.values()) == 40
    assert len(loaded.problems) == 4
    for line, part in zip(
        loaded.problems,
        ("line 45: gone.wav: there is no such file", "truncated", "cannot be read", "digital silence"),
        strict=True,
    ):
        assert part in line
    assert "gone.wav" not in loaded.listing_text()
    assert "cut.wav" not in loaded.listing_text()


def test_missing_and_damaged_count_together_against_a_tenth(listed: Path) -> None:
    for number in range(3):
        (listed.parent / f"bad{number}.wav").write_bytes(b"RIFF")
    add(listed, *(f"bad{number}.wav,real,p0," for number in range(3)), "gone0.wav,real,p0,")
    assert len(load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE).problems) == 4  # of 44
    add(listed, "gone1.wav,real,p0,")
    with pytest.raises(DataError, match=r"5 of 45 recordings cannot be used; the limit is 10%.*gone0\.wav"):
        load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)


def test_a_label_that_no_recording_is_left_of(listed: Path) -> None:
    for number in range(2):
        (listed.parent / f"dog{number}.wav").write_bytes(b"RIFF")
    add(listed, "dog0.wav,dog,p0,", "dog1.wav,dog,p0,")
    with pytest.raises(DataError, match=r"none of the recordings of dog can be used: .*dog0\.wav"):
        load_manifest(listed, (), HALF, PLAIN, RATE)
    save(listed.parent / "dog1.wav", noise(200))
    with pytest.raises(DataError, match="only one recording of 'dog'"):
        load_manifest(listed, (), HALF, PLAIN, RATE)


def test_the_same_samples_under_two_labels_are_rejected(listed: Path) -> None:
    samples = soundfile.read(listed.parent / "real" / "3.wav", dtype="int16")[0]
    save(listed.parent / "copy.flac", samples)
    add(listed, "copy.flac,fake,p3,")
    with pytest.raises(DataError, match=r"same recording under two labels: real/3\.wav \(real\), copy\.flac \(fake\)"):
        load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)


def test_the_same_samples_in_two_sets_are_reported(listed: Path) -> None:
    sets = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE).sets
    first = next(row for row in sets["training"].rows if row.label == "real")
    other = sets["testing"].rows[0].speaker
    samples = soundfile.read(first.file, dtype="int16")[0]
    save(listed.parent / "copy.flac", samples)
    add(listed, f"copy.flac,real,{other},")
    (warning,) = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE).warnings
    assert warning == f"the same recording in two sets: {first.path} (training), copy.flac (testing); keep one"
    within = listed.read_text().replace(f"copy.flac,real,{other},", f"copy.flac,real,{first.speaker},")
    listed.write_text(within)
    assert load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE).warnings == ()


def test_a_speaker_in_two_sets_of_the_lists_own_split_is_reported(listed: Path) -> None:
    lines = listed.read_text().splitlines()
    sets = ["training", "training", "validation", "testing"]
    split = [f"{line},{sets[number % 8 // 2] if number != 8 else 'testing'}" for number, line in enumerate(lines[1:])]
    listed.write_text("\n".join([f"{lines[0]},split", *split]) + "\n")
    loaded = load_manifest(listed, ("real", "fake"), HALF, PLAIN, RATE)
    assert loaded.warnings == ("speaker p0 is in the sets training and testing; results on them will be too optimistic",)
    assert {row.path for row in loaded.sets["testing"].rows} >= {"real/6.wav", "real/8.wav"}


def test_sets_that_lack_a_label_are_reported(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / "real" / f"p{number}_nohash_0.wav", noise(number))
        save(tmp_path / "fake" / "engine" / f"voice_nohash_{number}.wav", noise(10 + number))
    loaded = load_manifest(tmp_path, ("real", "fake"), DataConfig(), PLAIN, RATE)
    assert loaded.warnings == (
        "the validation set holds no recordings of fake: no threshold can be chosen; add recordings of more speakers",
        "the testing set holds no recordings of fake: nothing can be measured; add recordings of more speakers",
    )
    assert {row.generator for row in loaded.sets["training"].rows} == {None, "engine"}
    not_wanted = DataConfig(validation_percent=0, testing_percent=0)
    assert load_manifest(tmp_path, ("real", "fake"), not_wanted, PLAIN, RATE).warnings == ()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expected a CSV file or a folder of classes"):
        load_manifest(tmp_path / "gone.csv", (), HALF, PLAIN, RATE)


def test_the_shared_recordings(shared_data: Path) -> None:
    path = shared_data / "real_or_synthetic" / "labels.csv"
    config = RecordingsConfig(n_folds=6, fold=2, hold_out=("vits",))
    loaded = load_manifest(path, ("real", "synthetic"), DataConfig(), config, 16_000)
    assert (loaded.problems, loaded.warnings) == ((), ())
    assert {name: np.bincount(held.truth).tolist() for name, held in loaded.sets.items()} == {
        "training": [20, 40],
        "validation": [5, 10],
        "testing": [5, 5],
    }
    held = loaded.sets["testing"]
    seconds = [len(audio) / 16_000 for audio in held.audio]
    assert seconds == pytest.approx([soundfile.info(row.file).duration for row in held.rows], abs=1e-4)
