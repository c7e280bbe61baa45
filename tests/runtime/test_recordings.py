"""Whole recordings judged by a model whose posteriors are computed by hand, in memory and from files block by block."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.made_onnx import RATE, made_model
from support.made_recordings import CLIP, STRIDE, THREE, TWO, recording_model, window_scores
from wordspot.audio.resample import resample
from wordspot.errors import AudioError, CardError, ConfigError, NotFoundError
from wordspot.runtime import recordings as recording_scores
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.runtime.recordings import RecordingClassifier
from wordspot.runtime.windows import WindowCutter, combine, cut_windows, find_sound

MODEL = recording_model()


def steps(*levels: float, n: int = CLIP) -> NDArray[np.float32]:
    """`n` samples of each level, end to end."""
    return np.repeat(np.array(levels, np.float32), n)


def noise(n_samples: int, seed: int = 1) -> NDArray[np.float32]:
    """Sound whose mean wanders, so that windows differ."""
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.uniform(-0.6, 0.6, n_samples // 1000 + 1), 1000)[:n_samples]
    return (slow + 0.1 * rng.standard_normal(n_samples)).clip(-1, 1).astype(np.float32)


# ----------------------------------------------------------------------------------------------------------------- windows


def test_windows_stand_a_stride_apart_and_the_last_one_ends_with_the_recording() -> None:
    audio = np.arange(21, dtype=np.float32)
    windows = cut_windows(audio, 10, 4)
    assert windows[:, 0].tolist() == [0, 4, 8, 11]
    assert windows[:, -1].tolist() == [9, 13, 17, 20]
    assert cut_windows(audio[:18], 10, 4)[:, 0].tolist() == [0, 4, 8]  # the grid's last ends there: none twice
    assert cut_windows(audio[:10], 10, 4).tolist() == [audio[:10].tolist()]


def test_a_short_recording_is_repeated() -> None:
    assert cut_windows(np.arange(3, dtype=np.float32), 8, 4).tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]


def test_a_stride_beyond_a_window_skips_no_audio() -> None:
    assert cut_windows(np.arange(12, dtype=np.float32), 4, 99)[:, 0].tolist() == [0, 4, 8]


def test_a_entire_recording_is_one_window_with_zeros_after_it() -> None:
    audio = np.arange(1, 6, dtype=np.float32)
    assert cut_windows(audio, 8, 4, whole=True).tolist() == [[1, 2, 3, 4, 5, 0, 0, 0]]
    assert cut_windows(audio, 3, 1, whole=True).tolist() == [[1, 2, 3]]


def test_entire_numbers_are_scaled() -> None:
    windows = cut_windows(np.array([-32768, 16384], np.int16), 2, 1)
    assert windows.dtype == np.float32
    assert windows.tolist() == [[-1.0, 0.5]]


def test_no_samples_are_rejected() -> None:
    with pytest.raises(AudioError, match="the recording holds no samples"):
        cut_windows(np.zeros(0, np.float32), 8, 4)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    clip=st.integers(1, 40),
    stride=st.integers(1, 40),
    at_once=st.integers(1, 5),
)
@pytest.mark.slow
def test_blocks_give_the_windows_of_the_whole(sizes: list[int], clip: int, stride: int, at_once: int) -> None:
    stride, audio = min(stride, clip), np.arange(1, sum(sizes) + 2, dtype=np.float32)
    cutter, parts, start = WindowCutter(clip, stride, at_once), [], 0
    for size in (*sizes, 1):
        parts += [windows.copy() for windows in cutter.feed(audio[start : start + size])]
        assert all(len(windows) == at_once for windows in parts)  # so that scores do not hang on the blocks
        start += size
    parts += list(cutter.finish())
    assert max(len(windows) for windows in parts) <= at_once
    assert np.concatenate(parts).tolist() == cut_windows(audio, clip, stride).tolist()


def test_a_long_recording_is_not_kept() -> None:
    cutter = WindowCutter(1000, 100, 8)
    for _ in range(500):
        for _windows in cutter.feed(np.zeros(777, np.float32)):
            pass
        assert sum(len(piece) for piece in cutter._pieces) < 1000 + 9 * 100 + 777


# ----------------------------------------------------------------------------------------------------------------- pooling


def test_posteriors_are_pooled_by_their_logarithms() -> None:
    rows = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    odds = math.exp((math.log(9) + 0 + math.log(0.25)) / 3)  # of two labels: the geometric mean of the odds
    expected = [odds / (1 + odds), 1 / (1 + odds)]
    np.testing.assert_allclose(combine(rows, np.ones(3, bool)), expected)
    np.testing.assert_allclose(combine(rows, np.array([True, False, False])), rows[0])
    np.testing.assert_allclose(combine(rows, np.zeros(3, bool)), expected, err_msg="where none has sound, all count")


def test_three_labels_are_pooled_too() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.4, 0.1, 0.5]])
    roots = np.sqrt(rows[0] * rows[1])
    np.testing.assert_allclose(combine(rows, np.ones(2, bool)), roots / roots.sum())


def test_one_window_without_doubt_is_no_veto() -> None:
    rows = np.array([[0.0, 1.0], *[[0.95, 0.05]] * 9], np.float32)
    pooled = combine(rows, np.ones(10, bool))
    assert np.isfinite(pooled).all()
    assert pooled[0] > 0.7


def test_windows_forty_decibels_below_the_loudest_hold_no_sound() -> None:
    windows = np.ones((4, 100), np.float32) * np.float32([[1.0], [0.0101], [0.0099], [0.0]])
    assert find_sound(windows).tolist() == [True, True, False, False]
    assert find_sound(np.zeros((3, 10), np.float32)).tolist() == [False] * 3


# ----------------------------------------------------------------------------------------------------------- a recording


def test_a_recording_by_hand() -> None:
    audio = steps(0.5, -0.25)
    result = RecordingClassifier(MODEL).classify(audio, RATE)
    rows = window_scores(np.array([0.5, 0.3125, 0.125, -0.0625, -0.25]))  # windows a quarter apart
    np.testing.assert_allclose(result.window_posteriors, rows, atol=1e-6)
    odds = np.exp(np.log(rows[:, 0] / rows[:, 1]).mean())
    np.testing.assert_allclose(result.posteriors, [odds / (1 + odds), 1 / (1 + odds)], atol=1e-6)
    assert (result.label, result.score) == ("person", result.posteriors[0])
    np.testing.assert_allclose(result.times_s, (800 + 400 * np.arange(5)) / RATE)
    assert (result.has_sound.tolist(), result.seconds) == ([True] * 5, 0.2)
    assert (result.start_s, result.stop_s) == (0.0, (400 + CLIP) / RATE)  # the two windows above the mean


def test_what_is_silent_does_not_count() -> None:
    result = RecordingClassifier(MODEL).classify(steps(0, 0, 0.5, 0, 0), RATE)
    heard = window_scores(np.array([0.125, 0.25, 0.375, 0.5, 0.375, 0.25, 0.125]))
    odds = np.exp(np.log(heard[:, 0] / heard[:, 1]).mean())
    assert result.has_sound.sum() == 7
    assert result.posteriors[0] == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert (result.start_s, result.stop_s) == pytest.approx((0.175, 0.325))  # the windows of 0.375, 0.5 and 0.375


def test_silence_alone_counts() -> None:
    result = RecordingClassifier(MODEL).classify(np.zeros(3 * CLIP), RATE)
    assert not result.has_sound.any()
    assert (result.label, result.posteriors.tolist()) == ("person", [0.5, 0.5])
    assert (result.start_s, result.stop_s) == (0, 0.3)


def test_a_short_recording_by_hand() -> None:
    result = RecordingClassifier(MODEL).classify(steps(-0.5, n=100), RATE)
    np.testing.assert_allclose(result.window_posteriors, window_scores(np.array([-0.5])), atol=1e-6)
    assert (result.label, result.score) == ("machine", pytest.approx(0.74, abs=1e-6))
    assert (result.start_s, result.stop_s, result.seconds) == (0, 100 / RATE, 100 / RATE)
    assert result.times_s.tolist() == [50 / RATE]


def test_a_model_of_entire_recordings_uses_the_beginning() -> None:
    classifier = RecordingClassifier(recording_model(whole=True))
    short = classifier.classify(steps(0.5, n=400), RATE)
    np.testing.assert_allclose(short.posteriors, window_scores(np.array([0.125]))[0], atol=1e-6)  # zeros after it
    assert (short.start_s, short.stop_s) == (0, 400 / RATE)
    long = classifier.classify(steps(0.5, -1, -1), RATE)
    np.testing.assert_allclose(long.posteriors, window_scores(np.array([0.5]))[0], atol=1e-6)
    assert (len(long.times_s), long.start_s, long.stop_s, long.seconds) == (1, 0, 0.1, pytest.approx(0.3))


@pytest.mark.parametrize(("threshold", "label", "score"), [(0.74, "person", 0.74), (0.75, "machine", 0.26)])
def test_the_threshold_is_that_of_the_card(threshold: float, label: str, score: float) -> None:
    own = RecordingClassifier(recording_model(thresholds={"person": threshold - 1e-6}))
    given_one = RecordingClassifier(MODEL, threshold=threshold - 1e-6)
    for classifier in (own, given_one):
        result = classifier.classify(steps(0.5), RATE)
        assert (result.label, result.score) == (label, pytest.approx(score, abs=1e-6))


def test_three_labels_need_no_threshold() -> None:
    result = RecordingClassifier(recording_model(THREE)).classify(steps(-0.5), RATE)
    np.testing.assert_allclose(result.posteriors, [0.234, 0.666, 0.1], atol=1e-6)
    assert result.label == "machine"
    with pytest.raises(ConfigError, match="decides between two labels, but the model has 3"):
        RecordingClassifier(recording_model(THREE), threshold=0.5)


def test_the_stretch_goes_through_silence_and_may_be_all() -> None:
    classifier = RecordingClassifier(recording_model(stride_ms=100))  # windows side by side
    through = classifier.classify(steps(-0.5, 0.5, 0, 0.5, -0.5), RATE)
    assert (through.start_s, through.stop_s) == pytest.approx((0.1, 0.4))
    machine = classifier.classify(steps(0.25, -0.5, -0.5, 0.25, -0.6), RATE)
    assert machine.label == "machine"
    assert (machine.start_s, machine.stop_s) == pytest.approx((0.1, 0.3))
    even = classifier.classify(steps(0, 0.5, 0.5, 0.5, 0), RATE)
    assert (even.start_s, even.stop_s) == pytest.approx((0.1, 0.4))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_no_stretch_has_a_larger_sum(values: list[int]) -> None:
    log_odds = np.array(values, float)
    first, last = recording_scores._stretch(log_odds, np.ones(len(values), bool))
    excess = log_odds - log_odds.mean()
    sums = [excess[a : b + 1].sum() for a in range(len(values)) for b in range(a, len(values))]
    assert excess[first : last + 1].sum() == pytest.approx(max(sums), abs=1e-5)


# ------------------------------------------------------------------------------------------------------------------- files


def same(one: Any, other: Any) -> None:
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("rate", [RATE, 44_100, 8000])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seconds", [0.02, 3.37])
def test_a_file_gives_what_its_samples_give(tmp_path: Path, rate: int, whole: bool, seconds: float) -> None:
    audio, classifier = noise(int(seconds * rate)), RecordingClassifier(recording_model(whole=whole))
    path = tmp_path / "s.wav"
    soundfile.write(path, audio, rate, subtype="FLOAT")
    result = classifier.classify_file(path)
    same(result, classifier.classify(audio, rate))
    same(result, classifier.classify(audio.astype(np.float64), rate))
    assert result.seconds == pytest.approx(seconds, abs=2 / rate)
    whole_audio = resample(audio, rate, RATE)
    windows = cut_windows(whole_audio, CLIP, STRIDE, whole)
    assert len(windows) == len(result.window_posteriors)
    np.testing.assert_allclose(result.window_posteriors, window_scores(windows.mean(axis=1)), atol=1e-4)  # soxr's blocks


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=10), rate=st.sampled_from([RATE, 22_050]))
def test_blocks_of_any_size_give_the_same(sizes: list[int], rate: int) -> None:
    audio, classifier = noise(sum(sizes)), RecordingClassifier(MODEL, self_test=False)
    bounds = np.cumsum([0, *sizes])
    blocks = (audio[start:stop] for start, stop in itertools.pairwise(bounds))
    result, whole = classifier._classify(blocks, rate), classifier.classify(audio, rate)
    np.testing.assert_allclose(result.window_posteriors, whole.window_posteriors, atol=1e-6)
    np.testing.assert_allclose(result.posteriors, whole.posteriors, atol=1e-6)
    assert (result.label, result.seconds) == (whole.label, whole.seconds)


def test_of_several_channels_the_first_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "s.wav"
    soundfile.write(path, np.stack([steps(0.5, 0.5), steps(-0.5, -0.5)], axis=1), RATE)
    assert RecordingClassifier(MODEL).classify_file(path).posteriors[0] == pytest.approx(0.74, abs=1e-4)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    classifier = RecordingClassifier(MODEL)
    with pytest.raises(NotFoundError, match="no such file"):
        classifier.classify_file(tmp_path / "none.wav")
    path = tmp_path / "s.flac"
    soundfile.write(path, noise(50_000), RATE)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(AudioError, match=r"s\.flac: (truncated|damaged)"):
        classifier.classify_file(path)


def test_samples_that_are_no_recording_are_rejected() -> None:
    classifier = RecordingClassifier(MODEL)
    with pytest.raises(AudioError, match="holds no samples"):
        classifier.classify(np.zeros(0), RATE)
    with pytest.raises(AudioError, match="2 of 1600 samples are NaN or infinite"):
        classifier.classify(np.where(np.arange(1600) < 2, np.nan, 0), RATE)
    with pytest.raises(AudioError, match="mono samples"):
        classifier.classify(np.zeros((2, 1600)), RATE)
    with pytest.raises(AudioError, match="the sample rate must lie between 1000 and 1000000 Hz, got 0"):
        classifier.classify(np.zeros(1600), 0)


def test_models_of_other_tasks_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"does not classify entire recordings, but detects _silence_, _unknown_, a, b"):
        RecordingClassifier(made_model("clip"))
    with pytest.raises(ConfigError, match=r"`threshold` must lie between 0 and 1, got 1\.5"):
        RecordingClassifier(MODEL, threshold=1.5)


@pytest.mark.parametrize("strange", [{"stride_ms": -1}, {"stride_ms": "x"}, {"holes": 1}, 7])
def test_a_card_with_strange_settings_is_rejected(strange: Any) -> None:
    card = read_card(MODEL)
    hostile = with_card(MODEL, dataclasses.replace(card, config={**card.config, "recordings": strange}))
    with pytest.raises(CardError, match=r"the settings in the model's card cannot be used.*export it again"):
        RecordingClassifier(hostile)


def test_posteriors_that_are_none_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = RecordingClassifier(MODEL)
    monkeypatch.setattr(recording_scores, "judge_clips", lambda _session, _card, clips: np.full((len(clips), 2), np.nan))
    with pytest.raises(CardError, match="the model gives NaN or infinity"):
        classifier.classify(noise(5000), RATE)


@pytest.mark.slow
def test_a_streaming_network_judges_windows_too() -> None:
    """The same network, exported as one that streams: a window is a clip fed to it from a zero state."""
    torch = pytest.importorskip("torch")
    from wordspot.config import FeatureConfig, ModelConfig, RecordingsConfig, RunConfig
    from wordspot.export.run import export_network
    from wordspot.features import make_front_end
    from wordspot.models import make_model

    torch.manual_seed(1)
    for name in ("residual_1d", "tiny_conv"):
        features = FeatureConfig(kind="logmel", clip_ms=1000)
        config = RunConfig(
            words=TWO,
            task="recordings",
            features=features,
            model=ModelConfig(name=name),
            recordings=RecordingsConfig(stride_ms=500),
        )
        network = make_model(config.model, features.n_frames, features.n_features, 2).eval()
        exported = export_network(network, config)
        audio = noise(50_000)
        result = RecordingClassifier(exported.model).classify(audio, RATE)
        with torch.no_grad():
            windows = torch.from_numpy(cut_windows(audio, 16_000, 8000))
            expected = network(make_front_end(features)(windows)).softmax(dim=1).numpy()
        np.testing.assert_allclose(result.window_posteriors, expected, atol=1e-4)


def test_nothing_of_torch_is_needed() -> None:
    code = "import sys, wordspot.runtime.recordings, wordspot.runtime.gate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
