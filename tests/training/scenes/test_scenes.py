"""Scenes: where the words are, what their labels are, and what is left out of the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot.config import AugmentConfig, DataConfig, RunConfig, ScenesConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.data.speech import Speech
from wordspot.errors import ConfigError
from wordspot.labels import SILENCE, UNKNOWN
from wordspot.overrides import override
from wordspot.training.loss import IGNORED, SILENCE_OR_UNKNOWN
from wordspot.training.scenes.batches import SceneBatches
from wordspot.training.scenes.copies import Copies, Recording
from wordspot.training.scenes.excerpts import Excerpts
from wordspot.training.scenes.labels import label_windows
from wordspot.training.scenes.layout import Layout
from wordspot.training.scenes.speech import SpeechReader

RATE = 1000  # samples are milliseconds
PLAIN = {"augment.snr_db": (0.0, 0.0), "scenes.length_s": 4.0, "scenes.level_db": (0.0, 0.0), "features.high_hz": 400.0}


def make_config(**settings: Any) -> RunConfig:
    return override(RunConfig(("a", "b")), PLAIN | {"features.sample_rate": RATE} | settings)


def tone(label: int) -> Recording:
    """A word of 300 ms in a clip of 600, at the level of its label."""
    samples = np.zeros(600, np.int16)
    samples[100:400] = 1000 * label
    return Recording(samples, np.array([[100, 400, label]]))


def make_layout(config: RunConfig, speech: Recording | None = None) -> Layout:
    clips = Copies(lambda number: tone((2, 3, UNKNOWN)[number]), 3, config.augment, RATE, 0)
    of_speech = None if speech is None else Excerpts(lambda _: speech, 1, config.augment, RATE)
    return Layout(config, clips, np.array([1.0, 1.0, 0.5]), of_speech, [], 4000)


@pytest.mark.parametrize("whole_clips", [0.0, 0.94])
def test_words_are_where_the_scene_says(whole_clips: float) -> None:
    """The level of each word is that of its label, 1000 for each, of 32768. Nothing is mixed in except for a faint hiss."""
    layout, rng = make_layout(make_config(**{"scenes.whole_clips": whole_clips, "scenes.reading": 0.0})), np.random.default_rng(1)
    n_words = 0
    for _ in range(20):
        audio, words = layout.draw(rng)
        assert audio.shape == (4000,)
        assert np.abs(audio).max() < 0.11
        for first, stop, label in words:
            inside = audio[max(first, 0) : max(stop, 0)]
            np.testing.assert_allclose(inside, 1000 * label / 32768, atol=0.003)
            n_words += 1
        is_word = np.zeros(4000, bool)
        for first, stop, _ in words:
            is_word[max(first, 0) : max(stop, 0)] = True
        assert np.abs(audio[~is_word]).max(initial=0) < 0.003
    assert n_words > 40


def test_pauses_and_the_share_of_empty_scenes() -> None:
    layout, rng = (
        make_layout(make_config(**{"scenes.pause_s": (0.2, 0.5), "scenes.empty": 0.3, "scenes.whole_clips": 0.0})),
        np.random.default_rng(2),
    )
    scenes = [layout.draw(rng)[1] for _ in range(300)]
    assert np.mean([len(words) == 0 for words in scenes]) == pytest.approx(0.3, abs=0.08)
    pauses = np.concatenate([words[1:, 0] - words[:-1, 1] for words in scenes if len(words)])
    assert 200 <= pauses.min() < 230
    assert 460 < pauses.max() <= 500


def test_words_are_drawn_by_weight_and_some_backward() -> None:
    layout = make_layout(make_config(**{"augment.reversed_share": 0.5, "scenes.whole_clips": 0.0}))
    rng = np.random.default_rng(3)
    labels = np.concatenate([layout.draw(rng)[1][:, 2] for _ in range(200)])
    shares = [np.mean(labels == label) for label in (UNKNOWN, 2, 3)]
    # two fifths of each word and a fifth of unknown ones, half of the words turned into unknown ones
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.06)


def test_the_level_of_a_scene() -> None:
    config = make_config(**{"scenes.level_db": (-40.0, -20.0), "scenes.empty": 0.0})
    layout, rng = make_layout(config), np.random.default_rng(4)
    peaks = []
    for _ in range(100):
        audio, words = layout.draw(rng)
        if len(words):
            peaks.append(20 * np.log10(np.abs(audio).max() / (words[:, 2].max() * 1000 / 32768)))
    assert min(peaks) > -40.5
    assert max(peaks) < -19
    assert np.mean(np.array(peaks) > -26.7) > 0.4  # the loudest third comes more often


SPEECH = Recording(
    np.arange(3000, dtype=np.int16),
    np.array([[100, 500, UNKNOWN], [600, 900, IGNORED], [1000, 1400, UNKNOWN], [1500, 2900, UNKNOWN]]),
)


def test_fragments_of_speech_keep_the_places_of_their_words() -> None:
    """Sample n of the speech is n / 32768, so its place can be read from the scene."""
    config = make_config(**{"scenes.reading": 1.0, "scenes.empty": 0.0, "scenes.whole_clips": 0.0})
    layout, rng, found = make_layout(config, SPEECH), np.random.default_rng(5), set[tuple[int, int, int]]()
    for _ in range(60):
        audio, words = layout.draw(rng)
        for first, stop, label in words:
            if first >= 10 and stop <= 3990:
                middle = (first + stop) // 2
                original = round(float(audio[middle]) * 32768)
                nearest = min(SPEECH.words.tolist(), key=lambda word: abs((word[0] + word[1]) // 2 - original))
                if stop - first == nearest[1] - nearest[0]:
                    assert original == pytest.approx(middle - first + nearest[0], abs=3 + 60)  # a hiss of up to -65 dB
                    assert label == nearest[2]
                    found.add(tuple(nearest))
    assert len(found) == 4


def test_phrases_leave_out_words_that_do_not_count() -> None:
    config = make_config(**{"scenes.phrases": 1.0, "scenes.reading": 0.0, "scenes.empty": 0.0, "scenes.whole_clips": 0.0})
    layout, rng = make_layout(config, SPEECH), np.random.default_rng(6)
    labels = np.concatenate([layout.draw(rng)[1][:, 2] for _ in range(50)])
    assert set(labels.tolist()) <= {UNKNOWN, IGNORED}


def make_speech(texts: list[str], times: list[list[tuple[int, int]] | None]) -> Speech:
    n = len(texts)
    words = tuple(tuple(text.split()) for text in texts)
    bounds = tuple(range(0, 1000 * (n + 1), 1000))
    arrays = tuple(None if one is None else np.array(one) for one in times)
    return Speech(("x",) * n, ("",) * n, np.zeros(1000 * n, np.int16), bounds, words, arrays, RATE)


def test_a_phrase_of_several_words_in_speech_does_not_count() -> None:
    times = [(0, 100), (100, 200), (200, 300), (300, 400)]
    reader = SpeechReader(make_speech(["say hey lamp now", "hey lamp", "lamp hey"], [times, None, None]), ["hey lamp"])
    assert reader(0).words[:, 2].tolist() == [UNKNOWN, IGNORED, IGNORED, UNKNOWN]
    assert len(reader) == 2  # the second has no times


def test_speech_without_times_is_left_out_if_its_text_has_a_word_of_the_model() -> None:
    speech = make_speech(["turn it down please", "nothing here", "", "we know that"], [None] * 4)
    reader = SpeechReader(speech, ("down", "no"))
    assert len(reader) == 2
    for place in range(2):
        assert reader(place).words.tolist() == [[0, 1000, SILENCE_OR_UNKNOWN]]


def test_windows_in_which_a_word_of_the_model_is_said_have_no_label() -> None:
    speech = make_speech(["turn it down please"], [[(0, 100), (100, 200), (300, 500), (700, 900)]])
    recording = SpeechReader(speech, ("down",))(0)
    assert recording.words[:, 2].tolist() == [UNKNOWN, UNKNOWN, IGNORED, UNKNOWN]
    begins = np.array([-300, 0, 250, 320, 480])
    found = label_windows(recording.words[None], begins, 500, RATE)[0]
    # only "turn it"; "down" as the last word; "down" alone; its end is missing a tenth; it is over, "please" is inside
    assert found.tolist() == [UNKNOWN, IGNORED, IGNORED, IGNORED, UNKNOWN]


def test_copies_move_their_words_and_are_made_once() -> None:
    reads: list[int] = []

    def read(number: int) -> Recording:
        reads.append(number)
        return tone(2 + number)

    config = AugmentConfig(speed=0.4, room_frequency=0.5)
    copies, rng = Copies(read, 2, config, RATE, 7), np.random.default_rng(0)
    drawn = [copies.draw(0, rng) for _ in range(300)]
    assert reads == [0]
    assert 5 < len({id(one) for one in drawn}) <= 21
    for one in drawn:
        first, stop, label = one.words[0].tolist()
        assert label == 2
        speed = 600 / (len(one.samples) + 0.5)
        assert (first, stop) == (pytest.approx(100 / speed, abs=2), pytest.approx(400 / speed, abs=2))
    again = Copies(read, 2, config, RATE, 7)
    other = {one.samples.tobytes() for one in (again.draw(0, rng) for _ in range(300))}
    assert other & {one.samples.tobytes() for one in drawn if len(one.samples) != 600}


@pytest.mark.parametrize("room", [0.0, 1.0])
def test_a_part_of_a_recording_moves_its_words(room: float) -> None:
    """The word begins 100 and ends 400 samples after the cut, whose speed is the part's length over its own."""
    samples = np.zeros(2000, np.int16)
    samples[600:900] = 3000
    recording = Recording(samples, np.array([[100, 300, UNKNOWN], [600, 900, 2]]))
    config = AugmentConfig(speed=0.4, room_frequency=room, room_ms=100.0)
    excerpts, rng, lengths = Excerpts(lambda _: recording, 1, config, RATE), np.random.default_rng(0), set[int]()
    for _ in range(50):
        part, words = excerpts.cut(recording, 500, 1100, rng)
        speed = 600 / len(part)
        assert words.shape == (1, 3)
        assert words[0].tolist() == [pytest.approx(100 / speed, abs=3), pytest.approx(400 / speed, abs=3), 2]
        loud = np.flatnonzero(np.abs(part) > 1000)
        assert loud[0] == pytest.approx(100 / speed, abs=8)
        lengths.add(len(part))
    assert min(lengths) < 500 < 800 < max(lengths)


def make_batches(folder: Path, **settings: Any) -> SceneBatches:
    small = {"scenes.length_s": 3.0, "augment.snr_db": (0.0, 20.0), "training.batch_size": 8}
    config = override(RunConfig(("low", "middle", "high")), small | settings)
    decoded = decode_folder(list_recordings(folder), 16_000, config.features.clip_samples)
    return SceneBatches(config, decoded, build_sets(decoded.listing, config.words, config.data)["training"], None)


def test_a_batch_depends_on_its_step_alone(tone_folder: Path) -> None:
    """3 s hold 3 - 1 = 2 s of windows, 40 ms apart: 51."""
    batches = make_batches(tone_folder)
    audio, labels = batches.draw(3)
    assert (audio.shape, labels.shape) == ((8, 48_000), (8, 51))
    assert {SILENCE, UNKNOWN, 2, 3, 4} <= set(labels.flatten().tolist())
    batches.draw(4)
    for again in (batches.draw(3), make_batches(tone_folder).draw(3)):
        np.testing.assert_array_equal(again[0], audio)
        np.testing.assert_array_equal(again[1], labels)
    assert not np.array_equal(batches.draw(4)[0], audio)


def test_few_recordings_of_one_speaker_without_noise(tmp_path: Path) -> None:
    from support.made import make_tone_folder

    folder = make_tone_folder(tmp_path / "few", n_speakers=4, noise_seconds=0)
    audio, labels = make_batches(folder, **{"augment.speed": 0.1, "augment.made_noise": 0.5}).draw(1)
    assert np.isfinite(audio).all()
    assert (labels > UNKNOWN).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenes.length_s": 0.5}, "shorter than a clip"),
        ({"scenes.length_s": 61}, "length_s must lie between 0 and 60"),
        ({"scenes.stride_ms": 0}, "stride_ms"),
        ({"scenes.pause_s": "2,1"}, "pause_s"),
        ({"scenes.level_db": "0,50"}, "level_db"),
        ({"scenes.empty": 0.8, "scenes.reading": 0.5}, "together must be at most 1"),
        ({"augment.snr_db": ()}, "needs augment.snr_db"),
        ({"training.loss": "squared_error"}, "needs training.loss cross_entropy"),
        ({"training.average": 1.0}, "average must lie between"),
        ({"augment.colour_db": -1.0}, "colour_db"),
    ],
)
def test_settings_have_bounds(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(**settings)


def test_scenes_are_off_by_default() -> None:
    assert ScenesConfig().length_s == 0
    assert DataConfig().balance == 0
    assert RunConfig(("a",)).training.average == 0
