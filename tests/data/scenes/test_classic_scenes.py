"""Streams: where the words are, what may go in, and that a seed decides all of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.effects import add_ramped, loop_noise, reverberate, room_impulse
from wordspot.audio.speech import speech_bounds
from wordspot.commands import make_stream
from wordspot.config import DataConfig
from wordspot.data.folders import Recording
from wordspot.data.scenes.classic import classic_stream
from wordspot.data.scenes.material import StreamMaterial, load_material, stream_samples
from wordspot.data.scenes.soundscape import (
    SoundscapeConfig,
    _add_word,
    edit_distance,
    make_soundscape,
    near_miss_weights,
)
from wordspot.data.split import which_set
from wordspot.data.truth import read_truth
from wordspot.errors import ConfigError, DataError

RATE = 16_000


@pytest.fixture(scope="module")
def material(tone_folder: Path) -> StreamMaterial:
    return load_material(tone_folder, ("low", "high"), data=DataConfig(validation_percent=20, testing_percent=30))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_only_the_set_goes_in(material: StreamMaterial, tone_folder: Path) -> None:
    used = [clip for clips in material.clips.values() for clip in clips] + list(material.unknown)
    assert {which_set(clip.path, 20, 30) for clip in used} == {"testing"}
    assert {clip.word for clip in material.unknown} == {"middle", "other"}
    # the last 30 % of a noise of 30 s
    assert material.noise == (("_background_noise_/hiss.wav", 21 * RATE, 30 * RATE),)
    noise, _ = soundfile.read(tone_folder / "_background_noise_" / "hiss.wav", dtype="float32")
    for seed in range(20):
        piece = material.cut_noise(1000, rng(seed))
        places = np.flatnonzero(noise == piece[0])
        found = [place for place in places if np.array_equal(noise[place : place + 1000], piece)]
        assert len(found) == 1
        assert found[0] >= 21 * RATE


def test_noise_that_is_too_short_is_looped(material: StreamMaterial) -> None:
    stretch = material.cut_noise(9 * RATE, rng())
    piece = material.cut_noise(20 * RATE, rng())
    period, fade = int(8.5 * RATE), RATE // 2
    assert np.array_equal(piece[:period], stretch[:period])
    assert np.array_equal(piece[period + fade : 2 * period], stretch[fade:period])
    angle = np.arange(fade) / fade * np.pi / 2
    seam = stretch[period:] * np.cos(angle) + stretch[:fade] * np.sin(angle)
    np.testing.assert_allclose(piece[period : period + fade], seam, atol=1e-6)
    np.testing.assert_allclose(piece[2 * period : 2 * period + fade], seam, atol=1e-6)


def test_a_loop_keeps_the_level_of_noise_and_has_no_click() -> None:
    hum = np.sin(2 * np.pi * 100.3 * np.arange(3 * RATE) / RATE).astype(np.float32)
    assert np.abs(np.diff(loop_noise(hum, 20 * RATE, RATE))).max() < 1.5 * np.abs(np.diff(hum)).max()
    hiss = rng().standard_normal(RATE).astype(np.float32)
    looped = loop_noise(hiss, 30 * RATE, RATE)
    assert len(looped) == 30 * RATE
    level = 10 * np.log10(np.square(looped.reshape(-1, RATE // 5)).mean(axis=1))
    assert np.abs(level).max() < 0.7  # of 3200 samples: within four standard errors
    assert np.array_equal(loop_noise(hiss, RATE, RATE), hiss)
    for length in (1, 2, 3):
        assert len(loop_noise(hiss[:length], 10, RATE)) == 10


def test_classic_places_a_word_in_every_slot(material: StreamMaterial) -> None:
    scene = classic_stream(material, 600, rng())
    assert scene.audio.dtype == np.float32
    assert len(scene.audio) == 600 * RATE
    assert len(scene.words) == 200
    offsets = np.array([word.start_ms for word in scene.words]) - 3000 * np.arange(200)
    assert offsets.min() >= 0
    assert offsets.max() < 2000
    assert offsets.mean() == pytest.approx(1000, abs=4 * 2000 / math.sqrt(12 * 200))  # four standard errors
    labels = [word.label for word in scene.words]
    assert set(labels) == {"low", "high", "_unknown_"}
    assert labels.count("_unknown_") == pytest.approx(60, abs=4 * math.sqrt(200 * 0.3 * 0.7))
    assert labels.count("low") == pytest.approx(70, abs=4 * math.sqrt(200 * 0.35 * 0.65))


def test_classic_stream_is_its_clips_with_ramps(material: StreamMaterial, tone_folder: Path) -> None:
    scene = classic_stream(material, 30, rng(), noise_volume=0)
    expected = np.zeros(30 * RATE)
    ramp = np.minimum(np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 500, 1)
    for word in scene.words:
        clip, _ = soundfile.read(tone_folder / word.clip)
        start = round(word.start_ms * 16)
        expected[start : start + RATE] += clip * ramp
        first, stop = speech_bounds(clip.astype(np.float32), RATE)
        assert word.end_ms == word.start_ms + stop / 16
        assert first < stop
    np.testing.assert_allclose(scene.audio, expected, atol=1e-6)


def test_classic_noise_has_the_energy_of_its_ramps_and_volumes(material: StreamMaterial) -> None:
    """A slot's 1000 ms at full and 500 ms of ramps (a third of the power) every second; the mean square of U(0, v) is v²/3."""
    scene = classic_stream(material, 300, rng(3), noise_volume=0.5)
    between = np.ones(len(scene.audio), bool)
    between[:RATE] = False
    for word in scene.words:
        between[round(word.start_ms * 16) :][:RATE] = False
    power = float(np.square(scene.audio[between].astype(float)).mean())
    assert power == pytest.approx(0.1**2 * (1 + 0.5 / 3) * 0.5**2 / 3, rel=0.21)  # of 300 volumes: four standard errors


def test_loud_sums_are_clamped(material: StreamMaterial) -> None:
    loud = dataclasses.replace(material)
    object.__setattr__(loud, "read_clip", lambda _: np.full(RATE, 3, np.float32))
    scene = classic_stream(loud, 12, rng())
    assert scene.audio.max() == 1
    assert np.isfinite(scene.audio).all()


@pytest.mark.parametrize("kind", ["classic", "scene"])
def test_a_seed_decides_every_sample(material: StreamMaterial, kind: str) -> None:
    def make(seed: int) -> tuple[bytes, object]:
        if kind == "classic":
            scene = classic_stream(material, 20, rng(seed))
        else:
            scene = make_soundscape(material, 20, rng(seed), SoundscapeConfig(gap_s=(0.5, 3)))
        return scene.audio.tobytes(), scene.words

    assert make(5) == make(5)
    assert make(5)[0] != make(6)[0]


def test_ramps_and_ends() -> None:
    audio = np.zeros(10, np.float32)
    add_ramped(audio, np.ones(6, np.float32), 1, 2)
    assert audio.tolist() == [0, 0, 0.5, 1, 1, 0.5, 0, 0, 0, 0]
    add_ramped(audio, np.ones(6, np.float32), 8, 0)
    assert audio.tolist()[7:] == [0, 1, 1]
    before = audio.copy()
    add_ramped(audio, np.ones(6, np.float32), 12, 2)
    assert np.array_equal(audio, before)


def test_soundscape_words_are_where_its_truth_says(material: StreamMaterial) -> None:
    config = SoundscapeConfig(snr_db=(10, 20), gap_s=(0.5, 4), rooms=0, babble=0)
    scene = make_soundscape(material, 120, rng(1), config)
    assert len(scene.words) > 20
    end, differences = 0.0, []
    for word in scene.words:
        assert word.end_ms is not None
        assert word.snr_db is not None
        assert 500 <= word.start_ms - end + 0.1 <= 4000.2
        end = word.end_ms
        start, stop = round(word.start_ms * 16), round(word.end_ms * 16)
        spoken = float(np.square(scene.audio[start:stop]).mean())
        before = float(np.square(scene.audio[max(start - 4000, 0) : start - 1000]).mean())
        # of noise at this level as before: the sum of both powers
        differences.append(10 * math.log10(spoken / before) - 10 * math.log10(1 + 10 ** (word.snr_db / 10)))
    # but where the background changes just there
    assert np.median(np.abs(differences)) < 0.6
    assert abs(np.median(differences)) < 0.3
    assert end <= 120_000


@pytest.mark.parametrize("babble", [0.0, 1.0])
def test_soundscape_is_never_digital_silence(material: StreamMaterial, babble: float) -> None:
    quiet = dataclasses.replace(material, noise=())
    scene = make_soundscape(quiet, 30, rng(2), SoundscapeConfig(babble=babble, gap_s=(1, 5)))
    level = 10 * np.log10(np.square(scene.audio.reshape(-1, RATE // 10)).mean(axis=1))
    assert level.min() > -77
    if babble:
        assert np.median(level) > -65


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.0])
@pytest.mark.parametrize("start", [10, 5000])
def test_a_word_is_added_at_its_ratio(snr_db: float, start: int) -> None:
    background = 0.02 * rng().standard_normal(12_000).astype(np.float32)
    piece = rng(1).uniform(-1, 1, 3000).astype(np.float32)
    audio = background.copy()
    got = _add_word(audio, piece, slice(800, 2400), start, snr_db)
    added = (audio - background)[start : start + 1600]
    ratio = 10 * math.log10(float(np.square(added).mean() / np.square(background[start : start + 1600]).mean()))
    assert ratio == pytest.approx(snr_db, abs=0.01)
    assert got == pytest.approx(snr_db, abs=0.01)
    assert np.corrcoef(added, piece[800:2400])[0, 1] > 0.9999
    changed = np.flatnonzero(audio != background)
    assert changed[0] == max(start - 800, 0)
    assert changed[-1] == start + 2199


def test_no_word_is_inaudible_or_deafening() -> None:
    piece = rng(1).uniform(-1, 1, 3000).astype(np.float32)
    for noise, level in ((1e-6, -45), (0.5, -15)):
        background = noise * rng().standard_normal(12_000).astype(np.float32)
        audio = background.copy()
        snr = _add_word(audio, piece, slice(0, 3000), 0, 10)
        added = float(np.square((audio - background)[:3000].astype(float)).mean())
        assert 10 * math.log10(added) == pytest.approx(level, abs=0.1)
        assert snr == pytest.approx(level - 10 * math.log10(np.square(background[:3000]).mean()), abs=0.1)


def test_a_room_is_a_convolution_that_dies_away() -> None:
    audio, impulse = rng(0).standard_normal(3000).astype(np.float32), room_impulse(RATE, rng(1))
    np.testing.assert_allclose(reverberate(audio, impulse), np.convolve(audio, impulse), atol=1e-4)
    for seed in range(20):
        impulse = room_impulse(RATE, rng(seed))
        rt60 = len(impulse) / RATE
        assert 0.15 - 1e-3 <= rt60 <= 0.6
        assert impulse[0] == 1
        assert not impulse[1:32].any()  # the first reflection travels two milliseconds more
        reflections = float(np.square(impulse[1:]).sum())
        assert 0.1 - 1e-3 <= reflections <= 1 + 1e-3
        early, late = (np.square(impulse[int(a * len(impulse)) :][: len(impulse) // 10]).mean() for a in (0.1, 0.8))
        assert 10 * math.log10(early / late) == pytest.approx(0.7 * 60, abs=3)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("on", "one", 1), ("four", "forward", 4), ("kitten", "sitting", 3), ("go", "", 2), ("no", "on", 2)],
)
def test_edit_distance(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == distance


def test_near_misses_are_words_spelled_alike() -> None:
    unknown = tuple(Recording(f"{word}/{i}.wav", word, 0, 0) for word in ("tree", "house") for i in range(4))
    weights = near_miss_weights(["three", "no"], [clip.word for clip in unknown])
    assert weights.sum() == pytest.approx(1)
    # "tree" is 1 letter from "three", "house" 4 from either
    assert weights[0] / weights[-1] == pytest.approx(2**3)
    rare = (*unknown, Recording("trees/0.wav", "trees", 0, 0))
    weights = near_miss_weights(["three"], [clip.word for clip in rare])
    assert weights[-1] / weights[:4].sum() == pytest.approx(0.5**2 / (0.5 * math.sqrt(4)))


def test_near_misses_come_more_often(material: StreamMaterial) -> None:
    weights = near_miss_weights(list(material.clips), [clip.word for clip in material.unknown])
    likely = max(material.unknown, key=lambda clip: weights[material.unknown.index(clip)]).word
    config = SoundscapeConfig(unknown_percent=100, near_misses=1, gap_s=(0.2, 0.5), babble=0, rooms=0)
    words = make_soundscape(material, 150, rng(), config).words
    assert {word.label for word in words} == {"_unknown_"}
    expected = sum(weight for weight, clip in zip(weights, material.unknown, strict=True) if clip.word == likely)
    share = sum(word.clip.startswith(f"{likely}/") for word in words) / len(words)
    assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / len(words)))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"snr_db": (20, 0)}, r"LOW,HIGH with -60 <= LOW <= HIGH <= 120, got \(20, 0\)"),
        ({"snr_db": (math.nan, 3)}, "LOW,HIGH"),
        ({"gap_s": (0, 1)}, "0 < LOW <= HIGH <= 3600"),
        ({"rooms": 1.5}, "`rooms` must lie between 0 and 1, got 1.5"),
        ({"near_misses": math.nan}, "`near_misses` must lie"),
    ],
)
def test_soundscapes_that_cannot_be(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        SoundscapeConfig(**settings)  # type: ignore[arg-type]


def test_streams_that_cannot_be(material: StreamMaterial, tone_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"must hold a clip and a gap, 3 s, got 2\.5 s"):
        classic_stream(material, 2.5, rng())
    with pytest.raises(ConfigError, match="longer than 0 and at most 120 minutes, got 121; make several"):
        stream_samples(121 * 60, RATE)
    with pytest.raises(ConfigError, match=r"longer than 0 and at most .* minutes, got nan"):
        stream_samples(math.nan, RATE)
    with pytest.raises(ConfigError, match="`unknown_percent` must lie between 0 and 100, got 101"):
        classic_stream(material, 10, rng(), unknown_percent=101)
    with pytest.raises(ConfigError, match="`noise_volume` must lie between 0 and 1, got -1"):
        classic_stream(material, 10, rng(), noise_volume=-1)
    with pytest.raises(ConfigError, match="too short for a word after its gap"):
        make_soundscape(material, 1, rng(), SoundscapeConfig(gap_s=(60, 60)))
    with pytest.raises(DataError, match=r"no recordings of other words in this set.*set `unknown_percent` to 0"):
        classic_stream(dataclasses.replace(material, unknown=()), 10, rng())
    with pytest.raises(DataError, match="no recordings of low, high are in the validation set"):
        load_material(tone_folder, ("low", "high"), "validation", DataConfig(validation_percent=0))
    with pytest.raises(ConfigError, match="`split` must be one of training, validation, testing, got 'test'"):
        load_material(tone_folder, ("low", "high"), "test")
    with pytest.raises(DataError, match="no recordings of loud; the folders here are high, low, middle, other"):
        load_material(tone_folder, ("low", "loud"))


def test_without_unknown_words_or_noise(material: StreamMaterial) -> None:
    bare = dataclasses.replace(material, unknown=(), noise=())
    scene = classic_stream(bare, 30, rng(), unknown_percent=0)
    assert {word.label for word in scene.words} == {"low", "high"}
    assert make_soundscape(bare, 60, rng(), SoundscapeConfig(unknown_percent=0)).words


def make(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    make_stream.add_arguments(parser)
    make_stream.run(parser.parse_args([str(argument) for argument in arguments]))


def test_command_writes_the_stream_and_three_truths(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "stream.v1.wav"
    flags = ("--words", "low,high", "--minutes", 0.5, "--seed", 3, "--set", "data.testing_percent=40")
    make(tone_folder, *flags, "--out", out)
    assert "0.5 minutes, 10 words of the testing set" in capsys.readouterr().out
    names = ["stream.v1.audacity.txt", "stream.v1.csv", "stream.v1.txt", "stream.v1.wav"]
    assert sorted(path.name for path in out.parent.iterdir()) == names
    assert soundfile.info(out).frames == 30 * RATE
    truths = [read_truth(out.parent / name) for name in names[:3]]
    assert len({tuple((word.label, round(word.start_ms, 2)) for word in truth) for truth in truths}) == 1
    assert {which_set(word.clip, 10, 40) for word in truths[1]} == {"testing"}

    with pytest.raises(ConfigError, match="the file exists; choose another `out`, or use `force`"):
        make(tone_folder, *flags, "--out", out)
    before = out.read_bytes()
    make(tone_folder, *flags, "--out", out, "--force", "--json")
    assert out.read_bytes() == before
    report = json.loads(capsys.readouterr().out)
    assert sum(report["words"].values()) == 10
    assert report["seconds"] == 30


def test_command_takes_the_length_of_a_clip(tone_folder: Path, tmp_path: Path) -> None:
    flags = ("--words", "low,high", "--minutes", 0.5, "--set", "data.testing_percent=40")
    lengths = {}
    for clip_ms in (1000, 400):
        make(tone_folder, *flags, "--out", tmp_path / f"{clip_ms}.wav", "--clip-ms", clip_ms)
        words = read_truth(tmp_path / f"{clip_ms}.csv")
        lengths[clip_ms] = max(word.end_ms - word.start_ms for word in words if word.end_ms is not None)
    assert lengths[400] <= 400 < lengths[1000] <= 1000
    with pytest.raises(ConfigError, match="`clip_ms` must lie between 10 and 60000, got 0"):
        make(tone_folder, *flags, "--out", tmp_path / "none.wav", "--clip-ms", 0)


def test_command_tells_of_noise_that_is_not_there(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--words", "low", "--minutes", 0.1, "--set", "data.testing_percent=40")
    make(tone_folder, *flags, "--out", tmp_path / "with.wav")
    assert "noise" not in capsys.readouterr().err
    monkeypatch.setattr("wordspot.data.scenes.material.split_noise", lambda *_: {"testing": []})
    make(tone_folder, *flags, "--out", tmp_path / "without.wav")
    assert "no background noise for the testing set, so the stream has none" in capsys.readouterr().err


def test_command_makes_scenes(tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--words", "low", "--kind", "scene", "--minutes", 1, "--set", "data.testing_percent=40")
    make(
        tone_folder, *flags, "--out", tmp_path / "s.flac", "--snr-db", "5,5", "--gap-s", "1,3",
        "--rooms", 1, "--babble", 0, "--near-misses", 1, "--unknown-percent", 50,
    )  # fmt: skip
    words = read_truth(tmp_path / "s.csv")
    assert {word.label for word in words} == {"low", "_unknown_"}
    assert {word.snr_db for word in words if word.snr_db is not None and word.snr_db < 5.1} == {5.0}
    assert "next: wordspot test-stream MODEL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (("--out", "s.mp3"), r"`out` must end in \.wav, \.flac or \.ogg, got s\.mp3"),
        (("--out", "s.wav", "--snr-db", "0,3"), "`snr_db` is for streams of `kind` scene, but the kind is classic"),
        (("--out", "s.wav", "--kind", "scene", "--noise-volume", 1), "`noise_volume` is for streams of `kind` classic"),
        (("--out", "s.wav", "--gap-s", "1,2"), "--gap-s needs one number here, got '1,2'"),
        (("--out", "s.wav", "--kind", "scene", "--gap-s", "x"), "--gap-s needs LOW,HIGH here, got 'x'"),
        (("--out", "s.wav", "--set", "training.seed=1"), r"--set needs data\.FIELD=VALUE here"),
        (("--out", "s.wav", "--seed", "-1"), "`seed` must be a whole number from 0 on, got -1"),
        (("--out", "s.wav", "--minutes", "0"), "longer than 0 and at most 120 minutes, got 0"),
        (("--out", "s.wav", "--words", ""), "a word must .* not be empty"),
    ],
)
def test_command_rejects(
    tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[object, ...], match: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=match):
        make(tone_folder, "--words", "low,high", *flags)
    assert not any(tmp_path.iterdir())


def test_command_names_the_folders_where_the_usual_words_are_not(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the wanted words with `words`; the folders here are high, low, middle, other"):
        make(tone_folder, "--out", tmp_path / "s.wav")


def test_command_leaves_nothing_half_done(tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wordspot.data.scenes.make_stream.write_truth", full)
    with pytest.raises(OSError, match="No space"):
        make(tone_folder, "--words", "low,high", "--minutes", 0.2, "--out", tmp_path / "s.wav")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_ten_minutes_of_real_words(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(shared_data / "speech_commands", "--out", tmp_path / "stream.wav", "--json")
    report = json.loads(capsys.readouterr().out)
    assert sum(report["words"].values()) == 200
    words = read_truth(tmp_path / "stream.csv")
    assert {which_set(word.clip, 10, 10) for word in words} == {"testing"}
    audio, _ = soundfile.read(tmp_path / "stream.wav", dtype="float32")
    spoken = [audio[round(word.start_ms * 16) : round((word.end_ms or 0) * 16)] for word in words]
    between = [audio[round(word.start_ms * 16) - 1600 :][:1500] for word in words[1:]]
    assert np.median([np.square(each).mean() for each in spoken]) > 100 * np.median([np.square(each).mean() for each in between])
