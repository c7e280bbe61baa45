"""Scenes of one word: where its pieces lie, that only the word tells, and the course's own recipe and labels."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from support.made_trigger import HALF, RATE, make_trigger_folder, rng, take, word
from wordspot.audio.effects import change_speed, fade
from wordspot.config import TriggerConfig
from wordspot.data.bank import Bank, TriggerMaterial
from wordspot.data.scenes.soundscape import Piece
from wordspot.data.scenes.trigger import fragment, label_track, make_scene, scene_at
from wordspot.data.trigger import load_trigger_data
from wordspot.data.truth import SpokenWord

__all__ = ["folder"]
SCENE = 10 * RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trigger_folder(tmp_path_factory.mktemp("trigger") / "data")


@pytest.fixture(scope="module")
def material(folder: Path) -> TriggerMaterial:
    return load_trigger_data(folder, TriggerConfig(), HALF, RATE).of("training")


@pytest.fixture(scope="module")
def whole(folder: Path) -> TriggerMaterial:
    return load_trigger_data(folder, TriggerConfig(scenes="classic"), HALF, RATE).of("training")


def bank(*pieces: np.ndarray, label: str = "deep") -> Bank:
    starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    speech = np.array([(0, len(piece)) for piece in pieces], np.int64).reshape(-1, 2)
    samples = np.concatenate([np.zeros(0, np.int16), *pieces]).astype(np.int16)
    paths = tuple(f"{label}/{number}.wav" for number in range(len(pieces)))
    return Bank(samples, starts, speech, paths, (label,) * len(pieces))


CLASSIC = TriggerConfig(scenes="classic", label_steps=50)


@pytest.mark.parametrize("kind", ["soundscape", "classic"])
@pytest.mark.slow
def test_the_same_numbers_make_the_same_scene(material: TriggerMaterial, kind: str) -> None:
    config = TriggerConfig(scenes=kind)
    first, again = (scene_at(material, SCENE, (3, 1, 7), config, "deep") for _ in range(2))
    assert np.array_equal(first.audio, again.audio)
    assert first.words == again.words
    for other in ((3, 1, 8), (3, 2, 7), (4, 1, 7)):
        assert not np.array_equal(scene_at(material, SCENE, other, config, "deep").audio, first.audio)
    assert first.audio.dtype == np.float32
    assert len(first.audio) == SCENE
    assert np.abs(first.audio).max() <= 1


def test_words_and_others_come_as_often_as_asked(material: TriggerMaterial) -> None:
    config = TriggerConfig(negative_share=0.6, fragments=0.25, near_misses=0, babble=0, rooms=0)
    words = make_scene(material, 600 * RATE, rng(), config, "deep").words
    kinds = [
        "positive" if one.label == "deep" else "fragment" if one.clip.endswith(".wav (part)") else "negative" for one in words
    ]
    assert {one.label for one in words} == {"deep", "_unknown_"}
    assert len(words) > 250
    for kind, share in (("positive", 0.4), ("fragment", 0.6 * 0.25), ("negative", 0.6 * 0.75)):
        error = 4 * math.sqrt(share * (1 - share) / len(words))
        assert kinds.count(kind) / len(words) == pytest.approx(share, abs=error)
    for before, after in itertools.pairwise(words):
        assert before.end_ms is not None
        assert 300 <= after.start_ms - before.end_ms + 0.1 <= 4000.2
    for one, kind in zip(words, kinds, strict=True):
        assert one.end_ms is not None
        length = (one.end_ms - one.start_ms) / 1000
        if kind == "fragment":  # at least a quarter is missing
            assert 0.05 < length < 0.76 * 0.53 / 0.9
        else:
            usual = 0.5 if kind == "positive" else 0.3
            assert usual / 1.1 - 0.03 <= length <= usual / 0.9 + 0.03


def test_the_ground_truth_is_where_the_word_is_audible(material: TriggerMaterial) -> None:
    config = TriggerConfig(snr_db=(25, 30), babble=0, rooms=0, fragments=0, gap_s=(1, 3))
    scene = make_scene(material, 60 * RATE, rng(1), config, "deep")
    for one in scene.words:
        assert one.end_ms is not None
        start, stop = round(one.start_ms * 16), round(one.end_ms * 16)
        inside = np.square(scene.audio[start + 320 : stop - 320]).mean()
        for outside in (scene.audio[start - 4000 : start - 2400], scene.audio[stop + 2400 : stop + 4000]):
            if len(outside) == 1600:
                assert inside > 30 * np.square(outside).mean()  # but for the word's level, 25 dB


def test_near_misses_are_spelled_alike(material: TriggerMaterial) -> None:
    config = TriggerConfig(negative_share=1, fragments=0, near_misses=1, babble=0, rooms=0)
    words = make_scene(material, 300 * RATE, rng(), config, "yess").words
    share = sum("/yes/" in one.clip for one in words) / len(words)
    # "yes" is 1 letter away, "no" 4; recordings share that by the root of how many there are
    n_yes, n_no = (len(material.negatives.by_word[name]) for name in ("yes", "no"))
    weights = np.array([0.5 * math.sqrt(n_yes), 0.5**4 * math.sqrt(n_no)])
    assert share == pytest.approx(weights[0] / weights.sum(), abs=4 * math.sqrt(0.25 / len(words)))


def test_without_negatives_or_positives(material: TriggerMaterial) -> None:
    nothing = bank()
    alone = dataclasses.replace(material, negatives=nothing)
    words = make_scene(alone, 60 * RATE, rng(), TriggerConfig(), "deep").words
    assert {one.label for one in words} == {"deep", "_unknown_"}
    assert all(one.clip.startswith("positives/") for one in words)
    others = dataclasses.replace(material, positives=nothing)
    assert {one.label for one in make_scene(others, 60 * RATE, rng(), TriggerConfig(), "deep").words} == {"_unknown_"}
    quiet = dataclasses.replace(material, backgrounds=nothing)
    assert np.square(make_scene(quiet, SCENE, rng(), TriggerConfig(babble=0), "deep").audio).mean() > 0
    for kind in ("positives", "negatives", "backgrounds"):
        assert make_scene(dataclasses.replace(material, **{kind: nothing}), SCENE, rng(), CLASSIC, "deep").audio.any()


def test_a_scene_begins_and_ends_as_loud_as_it_goes_on(material: TriggerMaterial) -> None:
    config = TriggerConfig(babble=0, gap_s=(3000, 3600))
    scenes = [make_scene(material, SCENE, rng(seed), config, "deep") for seed in range(40)]
    assert not any(scene.words for scene in scenes)
    levels = np.array([np.square(scene.audio.reshape(100, -1)).mean(axis=1) for scene in scenes])
    levels = 10 * np.log10(levels / np.median(levels, axis=1, keepdims=True))
    assert np.abs(np.median(levels, axis=0)[[0, 1, -2, -1]]).max() < 1


def test_an_insertion_is_no_step(material: TriggerMaterial) -> None:
    """What a piece brings along fades in and out: no sample of its hiss stands at full level at once."""
    loud = rng(1).standard_normal(RATE) * 3000
    hiss = dataclasses.replace(bank(loud), speech=np.array([[4000, 12_000]]))
    alone = dataclasses.replace(material, positives=hiss, backgrounds=bank())
    config = TriggerConfig(negative_share=0, babble=0, rooms=0, snr_db=(60, 60), speed=0)
    scene = make_scene(alone, SCENE, rng(2), config, "deep")
    one = scene.words[0]
    start, stop = round(one.start_ms * 16), round((one.end_ms or 0) * 16)
    level = float(np.square(scene.audio[start:stop]).mean())
    changed = np.flatnonzero(np.square(scene.audio[: stop + 4000]) > 1e-4 * level)
    assert 0.02 * RATE < start - changed[0] < 0.15 * RATE
    assert np.square(scene.audio[changed[0] : changed[0] + 80]).mean() < 0.01 * level
    assert np.square(scene.audio[changed[-1] - 80 : changed[-1]]).mean() < 0.01 * level


def piece(length: int = 8000, margin: int = 1600) -> Piece:
    audio = np.ones(length + 2 * margin, np.float32)
    return Piece("_unknown_", "deep/0.wav", audio, margin, margin + length)


def test_fragments_lack_a_quarter_and_have_no_click() -> None:
    kinds = set()
    for seed in range(200):
        part = fragment(piece(), RATE, rng(seed))
        length = part.stop - part.first
        assert 0.06 * RATE - 321 <= length <= 0.75 * 8000
        assert np.abs(np.diff(part.audio)).max() < 0.006  # a raised cosine of 320 samples at its steepest
        has_head, has_tail = part.first == 1600, len(part.audio) - part.stop == 1600
        kinds.add((has_head, has_tail))
        if not has_tail:
            assert abs(part.audio[-1]) < 0.001
        if not has_head:
            assert abs(part.audio[0]) < 0.001
    assert kinds == {(True, False), (False, True), (True, True)}
    for length in (1, 5, 50, 500):
        for seed in range(20):
            assert np.isfinite(fragment(piece(length, 0), RATE, rng(seed)).audio).all()


def test_fades() -> None:
    audio = np.ones(100, np.float32)
    fade(audio, 10, 20)
    assert audio[0] == 0
    assert audio[5] == pytest.approx(0.5)
    assert audio[10:80].tolist() == [1.0] * 70
    assert audio[89] == pytest.approx(0.5, abs=0.1)
    assert audio[-1] == 0
    fade(audio[:3], 10, 10)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.07])
def test_speed_moves_a_tone(factor: float) -> None:
    time = np.arange(RATE)
    tone = np.sin(0.2 * time).astype(np.float32)
    fast = change_speed(tone, factor)
    assert len(fast) == pytest.approx(RATE / factor, abs=2)
    expected = np.sin(0.2 * factor * np.arange(len(fast)))
    assert np.abs(fast - expected)[3:-3].max() < 0.001
    assert len(change_speed(tone[:2], factor)) == 2


def test_classic_scenes_follow_the_recipe(whole: TriggerMaterial) -> None:
    n_positives, n_negatives, n_whole = [], [], 0
    for number in range(60):
        scene = scene_at(whole, SCENE, (number,), CLASSIC, "deep")
        rms = math.sqrt(float(np.square(scene.audio, dtype=np.float64).mean()))
        if np.abs(scene.audio).max() < 1:
            assert 20 * math.log10(rms) == pytest.approx(-20, abs=1e-4)
            n_whole += 1
        assert 20 * math.log10(rms) < -19.99  # clipped samples take away from it
        n_positives.append(sum(one.label == "deep" for one in scene.words))
        n_negatives.append(sum(one.label != "deep" for one in scene.words))
        places = sorted((one.start_ms, one.end_ms or 0) for one in scene.words)
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(places))
        assert all(start >= 0 and end < 10_000 for start, end in places)
    assert set(n_positives) == {0, 1, 2, 3, 4}
    assert set(n_negatives) == {0, 1, 2}
    assert n_whole >= 2  # those without a word at least
    assert np.mean(n_positives) == pytest.approx(2, abs=4 * math.sqrt(2 / 60))
    assert np.mean(n_negatives) == pytest.approx(1, abs=4 * math.sqrt(2 / 3 / 60))


def test_classic_scene_is_its_parts(whole: TriggerMaterial) -> None:
    """Recordings as they are, on a background 20 dB down, all times one gain."""
    ramp = np.linspace(1000, 3000, 10 * RATE)
    material = dataclasses.replace(whole, backgrounds=bank(ramp))
    scene = next(
        scene for scene in (scene_at(material, SCENE, (number,), CLASSIC, "deep") for number in range(20)) if len(scene.words) > 2
    )
    expected = 0.1 * ramp / 32768
    for one in scene.words:
        source = material.positives if one.label == "deep" else material.negatives
        recording = source.audio(source.paths.index(one.clip))
        start = round(one.start_ms * 16)
        assert one.end_ms == one.start_ms + len(recording) / 16 - 1  # its last millisecond
        expected[start : start + len(recording)] += recording
    expected *= 0.1 / math.sqrt(np.square(expected).mean())
    np.testing.assert_allclose(scene.audio, np.clip(expected, -1, 1), atol=2e-5)


def test_classic_words_that_find_no_place_are_left_out(whole: TriggerMaterial) -> None:
    long = dataclasses.replace(whole, positives=bank(*[rng().standard_normal(6 * RATE) * 3000] * 2))
    counts = [sum(one.label == "deep" for one in scene_at(long, SCENE, (number,), CLASSIC, "deep").words) for number in range(20)]
    assert max(counts) == 1  # two of six seconds never fit into ten
    endless = dataclasses.replace(whole, positives=bank(rng().standard_normal(11 * RATE) * 3000))
    assert all(one.label != "deep" for one in scene_at(endless, SCENE, (1,), CLASSIC, "deep").words)


def test_longer_classic_scenes_hold_as_many_words_for_each_ten_seconds(whole: TriggerMaterial) -> None:
    scene = scene_at(whole, 300 * RATE, (1,), CLASSIC, "deep")
    n = sum(one.label == "deep" for one in scene.words)
    assert n == pytest.approx(60, abs=4 * math.sqrt(2 * 30))
    assert max(one.start_ms for one in scene.words) > 200_000


def said(*ends_ms: float, label: str = "deep") -> list[SpokenWord]:
    return [SpokenWord(label, end - 500, end) for end in ends_ms]


def test_classic_labels_are_the_course_s() -> None:
    """Its own example: a word that ends at 9700 ms and one at 4251 ms, 1375 answers."""
    ends = (np.arange(1375) * 4 * 80 + 14 * 80 + 200) / 44.1
    track = label_track(said(9700, 4251), "deep", 1375, ends, CLASSIC)
    expected = np.zeros(1375)
    for end in (9700, 4251):
        segment_end_y = int(end * 1375 / 10_000.0)
        for i in range(segment_end_y + 1, segment_end_y + 51):
            if i < 1375:
                expected[i] = 1
    assert track.dtype == np.int8
    assert track.tolist() == expected.tolist()
    assert track[584] == 0
    assert track[585] == 1
    assert track.sum() == 50 + 41
    assert not label_track(said(4251, label="_unknown_"), "deep", 1375, ends, CLASSIC).any()
    given = label_track(said(4251), "deep", 1000, ends[:1000], CLASSIC, scene_ms=10_000)
    assert np.flatnonzero(given)[0] == int(4251 * 1000 / 10_000) + 1


def test_labels_in_milliseconds() -> None:
    ends = np.arange(1, 101) * 10.0
    config = TriggerConfig(label_ms=50)
    track = label_track(said(300, 975), "deep", 100, ends, config)
    assert ends[track == 1].tolist() == [310, 320, 330, 340, 350, 980, 990, 1000]
    assert label_track(said(305), "deep", 100, ends, config).sum() == 5
    assert not label_track(said(1000, 5000), "deep", 100, ends, config).any()
    assert label_track([SpokenWord("deep", 5.0)], "deep", 100, ends, config).sum() == 0
    assert label_track(said(300), "deep", 0, ends[:0], CLASSIC).shape == (0,)


def test_a_short_background_is_looped(material: TriggerMaterial) -> None:
    short = dataclasses.replace(material, backgrounds=bank(np.arange(RATE) % 100))
    pieces = [short.cut_background(SCENE, rng(seed)) for seed in range(5)]
    assert {len(piece) for piece in pieces} == {SCENE}
    assert len({piece.tobytes() for piece in pieces}) == 5  # begun anywhere


def test_a_fragment_of_an_overlong_positive_is_not_taken() -> None:
    """Where the word was not found, its parts might hold all of it."""
    words = [word(0.5) * 30_000 for _ in range(5)]
    material = bank(*words, take(0.5, 0.5, seconds=2) * 30_000)
    assert material.fragmentable.tolist() == [0, 1, 2, 3, 4]


def test_scenes_at_the_rate_of_the_course(folder: Path) -> None:
    sources = load_trigger_data(folder, CLASSIC, HALF, 44_100, only=("testing",))
    scene = scene_at(sources.of("testing"), 441_000, (0,), CLASSIC, "deep")
    assert scene.sample_rate == 44_100
    assert len(scene.audio) == 441_000
    better = scene_at(sources.of("testing"), 441_000, (0,), TriggerConfig(), "deep")
    assert len(better.audio) == 441_000
