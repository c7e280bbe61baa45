"""The detector against a model whose scores can be computed by hand, and its streams against whole recordings."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.made_onnx import LABELS, RATE, STEP, hand_scores, made_card, made_model, stream_graph
from support.made_streams import spoken
from wordspot.audio.resample import StreamResampler, resample
from wordspot.config import DecoderConfig
from wordspot.errors import AudioError, CardError, ConfigError, NotFoundError
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Classifier, Detector, Scorer
from wordspot.runtime.model import Model, open_model
from wordspot.runtime.modelfile.card import most_at_once, with_card
from wordspot.runtime.streams import StreamRunner

CLIP = 1600  # a tenth of a second: quick
SHORT = made_model(clip_samples=CLIP)
SHORT_CLIPS = made_model("clip", clip_samples=CLIP)


def noise(n_samples: int, seed: int = 1, level: float = 0.3) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.uniform(-1, 1, n_samples // 800 + 1), 800)[:n_samples]  # so that means are not all near 0
    return (level * (slow + rng.standard_normal(n_samples) / 3)).astype(np.float32).clip(-1, 1)


def expected(audio: NDArray[Any], ends: NDArray[np.int64], clip: int = CLIP) -> NDArray[np.float64]:
    """The scores of the clips that end at these samples, from sums in float64."""
    sums = np.concatenate([[0.0], audio.astype(np.float64).cumsum()])
    return hand_scores((sums[ends] - sums[ends - clip]) / clip)


def in_chunks(scorer: Scorer, audio: NDArray[Any], sizes: list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    scores, ends, start, turn = [], [], 0, 0
    while start < len(audio):
        size = sizes[turn % len(sizes)]
        rows, end_ms = scorer.feed(audio[start : start + size])
        scores.append(rows)
        ends.append(end_ms)
        start, turn = start + size, turn + 1
    rows, end_ms = scorer.flush()
    return np.concatenate([*scores, rows]), np.concatenate([*ends, end_ms])


# ------------------------------------------------------------------------------------------------------------------ scores


def test_a_stream_gives_the_score_of_the_clip_that_ends_at_each_hop() -> None:
    audio = noise(8000)
    scores, end_ms = Scorer(SHORT).feed(audio)
    ends = np.arange(CLIP, 8001, STEP)
    assert scores.dtype == np.float32
    assert end_ms.tolist() == (ends / 16).tolist()
    np.testing.assert_allclose(scores, expected(audio, ends), atol=2e-7)


def test_a_clip_model_gives_the_score_of_a_window_every_30_ms() -> None:
    audio = noise(50_000)  # more windows than one call takes
    scores, end_ms = Scorer(SHORT_CLIPS).feed(audio)
    ends = np.arange(CLIP, 50_001, 480)
    assert end_ms.tolist() == (ends / 16).tolist()
    np.testing.assert_allclose(scores, expected(audio, ends), atol=2e-7)
    other, _ = Scorer(SHORT_CLIPS, stride_ms=100).feed(audio)
    np.testing.assert_allclose(other, expected(audio, np.arange(CLIP, 50_001, 1600)), atol=2e-7)


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
@pytest.mark.parametrize("sizes", [[1], [7, 0, 160, 320], [159, 161], [320], [1120], [4001, 3]], ids=str)
def test_chunks_change_nothing(model: bytes, sizes: list[int]) -> None:
    audio = noise(9000 if sizes != [1] else 2500)
    whole, whole_ms = Scorer(model).feed(audio)
    scores, end_ms = in_chunks(Scorer(model), audio, sizes)
    assert end_ms.tolist() == whole_ms.tolist()
    np.testing.assert_allclose(scores, whole, atol=1e-6)  # sums of other lengths round otherwise


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=12), seed=st.integers(0, 100))
def test_any_chunks_give_the_scores_by_hand(sizes: list[int], seed: int) -> None:
    audio = noise(sum(sizes), seed)
    scorer = Scorer(SHORT_MODEL)
    rows = [scorer.feed(part) for part in np.split(audio, np.cumsum(sizes)[:-1])]
    ends = np.arange(CLIP, len(audio) + 1, STEP)
    assert np.concatenate([end_ms for _, end_ms in rows]).tolist() == (ends / 16).tolist()
    np.testing.assert_allclose(np.concatenate([scores for scores, _ in rows]), expected(audio, ends), atol=1e-6)


SHORT_MODEL = open_model(SHORT)


class CountingSession:
    """A session that counts its calls and the buffers that are prepared for them."""

    def __init__(self, session: Any) -> None:
        self.session, self.n_calls, self.bindings = session, 0, weakref.WeakSet[Any]()

    def io_binding(self) -> Any:
        binding = self.session.io_binding()
        self.bindings.add(binding)
        return binding

    def run_with_iobinding(self, binding: Any) -> None:
        self.n_calls += 1
        self.session.run_with_iobinding(binding)


def test_a_long_feed_runs_in_bounded_calls() -> None:
    audio = noise(300_000)
    whole, _ = Scorer(SHORT_MODEL).feed(audio)
    session = CountingSession(SHORT_MODEL.session)
    runner = StreamRunner(Model(SHORT_MODEL.card, session), block_seconds=0.05)
    assert runner.most_hops == 5
    scores, ends = runner.feed(audio)
    assert session.n_calls == 300_000 // STEP // 5
    assert ends.tolist() == list(range(CLIP, 300_001, STEP))
    np.testing.assert_allclose(scores, whole, atol=1e-6)
    unbounded = StreamRunner(SHORT_MODEL, block_seconds=1000.0)
    assert unbounded.most_hops == most_at_once(SHORT_MODEL.card)  # `read_card` has checked no longer calls


def test_buffers_of_many_lengths_are_not_kept() -> None:
    session = CountingSession(SHORT_MODEL.session)
    scorer = Scorer(Model(SHORT_MODEL.card, session))
    audio = noise(STEP * sum(range(1, 40)))
    scores, _ = in_chunks(scorer, audio, [STEP * n for n in range(1, 40)])
    np.testing.assert_allclose(scores, expected(audio, np.arange(CLIP, len(audio) + 1, STEP)), atol=1e-6)
    assert len(session.bindings) <= 2 * 8  # one for each direction between the two sets of states


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
def test_no_detection_before_an_entire_clip_was_fed(model: bytes) -> None:
    scorer = Scorer(model)
    for _ in range(9):
        scores, end_ms = scorer.feed(np.full(STEP, 0.5, np.float32))
        assert scores.shape == (0, 4)
        assert end_ms.shape == (0,)
    scores, end_ms = scorer.feed(np.full(STEP, 0.5, np.float32))
    assert end_ms.tolist() == [100.0]
    np.testing.assert_allclose(scores, hand_scores(np.array([0.5])), atol=1e-6)


def test_entire_numbers_and_doubles_score_as_floats() -> None:
    whole = np.random.default_rng(3).integers(-32768, 32768, 4000).astype(np.int16)
    as_float = whole.astype(np.float32) / 32768
    scores, _ = Scorer(SHORT_MODEL).feed(as_float)
    assert (Scorer(SHORT_MODEL).feed(whole)[0] == scores).all()
    assert (Scorer(SHORT_MODEL).feed(as_float.astype(np.float64))[0] == scores).all()
    assert (Scorer(SHORT_MODEL).feed(as_float.tolist())[0] == scores).all()


def test_what_is_given_out_is_not_overwritten() -> None:
    scorer = Scorer(SHORT_MODEL)
    first, _ = scorer.feed(np.full(CLIP, 0.5, np.float32))
    kept = first.copy()
    for _ in range(4):
        scorer.feed(np.full(CLIP, -0.5, np.float32))
    assert (first == kept).all()


def test_samples_given_are_neither_changed_nor_needed_later() -> None:
    audio = noise(4000)
    before = audio.copy()
    scorer = Scorer(SHORT_MODEL)
    buffer = np.empty(330, np.float32)
    rows = []
    for start in range(0, 3960, 330):  # a buffer that is used again, as a microphone's may be
        buffer[:] = audio[start : start + 330]
        rows.append(scorer.feed(buffer)[0])
        buffer[:] = 9.0
    assert (audio == before).all()
    np.testing.assert_allclose(np.concatenate(rows), expected(audio, np.arange(CLIP, 3961, STEP)), atol=1e-6)


@pytest.mark.parametrize("end", ["reset", "flush"])
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_after_the_end_a_new_stream_begins_at_zero(end: str, rate: int) -> None:
    scorer = Scorer(SHORT_MODEL, sample_rate=rate)
    audio = noise(12_345)
    scorer.feed(noise(7001, seed=2))
    getattr(scorer, end)()
    scores, end_ms = scorer.feed(audio)
    fresh, fresh_ms = Scorer(SHORT_MODEL, sample_rate=rate).feed(audio)
    assert end_ms.tolist() == fresh_ms.tolist()
    assert (scores == fresh).all()


def test_streams_that_share_a_model_do_not_meet() -> None:
    a, b = Scorer(SHORT_MODEL), Scorer(SHORT_MODEL)
    high, low = np.full(1600, 0.5, np.float32), np.full(1600, -0.5, np.float32)
    for _ in range(3):
        (rows_a, _), (rows_b, _) = a.feed(high), b.feed(low)
    np.testing.assert_allclose(rows_a[-1], hand_scores(np.array([0.5]))[0], atol=1e-6)
    np.testing.assert_allclose(rows_b[-1], hand_scores(np.array([-0.5]))[0], atol=1e-6)


def test_hours_of_silence_keep_their_time() -> None:
    scorer = Scorer(SHORT_MODEL)
    for _ in range(2):
        runner: Any = scorer._runner
        runner._n_hops = 30 * 3600 * 100  # as after thirty hours
        scores, end_ms = scorer.feed(np.zeros(STEP, np.int16))
        assert end_ms.tolist() == [30 * 3_600_000.0 + 10.0]
        np.testing.assert_allclose(scores, hand_scores(np.array([0.0])), atol=1e-7)


# -------------------------------------------------------------------------------------------------------- other sample rates


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48_000, 16_000), (44_100, 16_000), (8000, 16_000), (22_050, 16_000)])
@pytest.mark.parametrize("size", [1, 441, 5000])
def test_resampling_a_stream_is_resampling_the_whole(from_rate: int, to_rate: int, size: int) -> None:
    audio = noise(from_rate // (20 if size == 1 else 2))
    stream = StreamResampler(from_rate, to_rate)
    parts = [stream.feed(audio[start : start + size]) for start in range(0, len(audio), size)]
    joined = np.concatenate([*parts, stream.flush()])
    whole = resample(audio, from_rate, to_rate)
    assert abs(len(joined) - len(whole)) <= 1
    n = min(len(joined), len(whole))
    np.testing.assert_allclose(joined[:n], whole[:n], atol=1e-6)


def test_a_tone_stays_where_it_is_in_time() -> None:
    """48 kHz → 16 kHz of a 1 kHz tone, against the tone itself, away from the ends."""
    time = np.arange(48_000) / 48_000
    stream = StreamResampler(48_000, 16_000)
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    out = np.concatenate([*(stream.feed(part) for part in np.split(tone, 50)), stream.flush()])
    true = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(out[1000:15_000], true[1000:15_000], atol=1e-4)


def test_the_resampler_lags_by_no_more_than_it_says() -> None:
    for rate, most_ms in ((48_000, 37), (44_100, 41), (8000, 116)):
        stream, n_out, lag = StreamResampler(rate, 16_000), 0, 0.0
        for n in range(1, 101):
            n_out += len(stream.feed(np.zeros(rate // 50, np.float32)))
            lag = max(lag, 20 * n - n_out / 16)
        assert lag <= most_ms


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_scores_of_a_resampled_stream_are_those_of_the_resampled_recording(rate: int) -> None:
    audio = noise(rate, level=0.2)
    whole = resample(audio, rate, RATE)
    for sizes in ([rate // 50], [1000, 17]):
        scores, end_ms = in_chunks(Scorer(SHORT_MODEL, sample_rate=rate), audio, sizes)
        ends = (end_ms * 16).astype(np.int64)
        assert ends.tolist() == list(range(CLIP, len(whole) + 1, STEP))[: len(ends)]
        assert len(ends) >= (len(whole) - CLIP) // STEP
        np.testing.assert_allclose(scores, expected(whole, ends), atol=1e-5)


@pytest.mark.parametrize("rate", [0, 999, 2_000_000, -16_000])
def test_a_rate_that_no_sound_has_is_rejected(rate: int) -> None:
    with pytest.raises(AudioError, match="the sample rate must lie between 1000 and 1000000 Hz, got"):
        Scorer(SHORT_MODEL, sample_rate=rate)


# ----------------------------------------------------------------------------------------------------------------- bad input


def bad(value: float) -> NDArray[np.float32]:
    samples = np.zeros(100, np.float32)
    samples[7] = value
    return samples


@pytest.mark.parametrize("rate", [RATE, 48_000])
@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (bad(np.nan), "1 of 100 samples are NaN or infinite"),
        (bad(-np.inf), "1 of 100 samples are NaN or infinite"),
        (bad(12_000), r"the samples reach 1.2e\+04; expected at most 1. Divide them by 32768, or pass them as int16"),
        (bad(-9).astype(np.float64), r"the samples reach 9;"),
        (np.zeros((2, 100), np.float32), r"the shape \(2, 100\); expected mono samples \[samples\]"),
        (np.float32(0.5), r"the shape \(\); expected mono samples \[samples\]"),
        (np.zeros(10, np.int32), "the samples are int32; expected float32, float64 or int16"),
        (np.zeros(10, np.uint8), "the samples are uint8; expected float32, float64 or int16"),
        (np.array(["a"]), "expected float32, float64 or int16"),
        (np.zeros(3, complex), "the samples are complex128; expected float32, float64 or int16"),
    ],
)
def test_bad_samples_are_rejected_and_the_stream_goes_on_as_before(samples: Any, match: str, rate: int) -> None:
    audio = noise(9000)
    scorer, undisturbed = Scorer(SHORT_MODEL, sample_rate=rate), Scorer(SHORT_MODEL, sample_rate=rate)
    scorer.feed(audio[:5001])
    undisturbed.feed(audio[:5001])
    with pytest.raises(AudioError, match=match):
        scorer.feed(samples)
    scores, end_ms = scorer.feed(audio[5001:])
    others, other_ms = undisturbed.feed(audio[5001:])
    assert end_ms.tolist() == other_ms.tolist()
    assert (scores == others).all()
    assert len(scores) > 0


def test_a_bad_sample_late_in_a_long_feed_is_rejected_before_anything_is_taken() -> None:
    scorer = Scorer(SHORT_MODEL)
    audio = np.zeros(200_000, np.float32)
    audio[-1] = np.nan
    with pytest.raises(AudioError, match="1 of 200000 samples are NaN"):
        scorer.feed(audio)
    assert scorer.feed(np.zeros(CLIP, np.float32))[1].tolist() == [100.0]


def test_empty_chunks_of_any_kind_are_nothing() -> None:
    scorer = Scorer(SHORT_MODEL, sample_rate=48_000)
    for nothing in ([], np.zeros(0, np.float32), np.zeros(0, np.int16), np.zeros(0)):
        assert scorer.feed(nothing)[0].shape == (0, 4)


# --------------------------------------------------------------------------------------------------------------------- files


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.onnx: no such file; expected a model file"):
        Detector(tmp_path / "none.onnx")
    with pytest.raises(NotFoundError, match="is a folder; expected a model file"):
        Detector(tmp_path)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "words.onnx"
    for content in (b"", b"hello", b"\0" * 1000, SHORT[: len(SHORT) // 2]):
        path.write_bytes(content)
        with pytest.raises(CardError, match=rf"^{path}: "):
            Detector(path)
    with pytest.raises(CardError, match=r"^the model: (?!the model)"):
        Detector(b"hello")


@pytest.mark.slow
def test_a_file_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 33)  # a sparse file of 8 GB
    with pytest.raises(CardError, match=r"large\.onnx: the file is too large; an exported model has at most 64 MB"):
        Detector(path)


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_a_file_whose_self_test_fails_is_rejected(kind: str) -> None:
    card = made_card(kind, CLIP)
    rows = card.self_test.log_posteriors
    wrong = np.log(0.9 * np.exp(rows[1]) + 0.025)
    test = dataclasses.replace(card.self_test, log_posteriors=(rows[0], tuple(wrong.tolist())))
    broken = made_model(kind, CLIP, self_test=test)
    with pytest.raises(CardError, match=r"its self-test failed: .* differ by \d[.\d]* .* 0\.0001 is allowed"):
        Scorer(broken)
    assert Scorer(broken, self_test=False).feed(np.zeros(CLIP, np.float32))[0].shape == (1, 4)


def test_a_graph_that_cannot_run_is_rejected() -> None:
    card = dataclasses.replace(made_card("stream", CLIP), step_samples=80)  # the graph takes multiples of 160
    with pytest.raises(CardError, match=r"^the model: "):
        Scorer(with_card(stream_graph(CLIP), card))


def test_weights_that_are_not_finite_fail_the_self_test() -> None:
    graph = stream_graph(CLIP)
    scale = np.float32(0.96).tobytes()
    assert graph.count(scale) == 1
    broken = with_card(graph.replace(scale, np.float32(np.nan).tobytes()), made_card("stream", CLIP))
    with pytest.raises(CardError, match=r"its self-test failed: .* differ by 1 from"):
        Scorer(broken)


def test_the_model_that_comes_with_wordspot_or_a_line_that_says_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("wordspot.runtime.model.FOLDER", tmp_path)
    with pytest.raises(NotFoundError, match=r"default\.onnx: the model that comes with wordspot is missing"):
        Detector()
    (tmp_path / "default.onnx").write_bytes(SHORT)
    assert Detector().card.labels == LABELS
    assert Classifier().card.labels == LABELS
    assert Scorer().card.labels == LABELS


# ------------------------------------------------------------------------------------------------------------------ detector


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
@pytest.mark.parametrize("rate", [RATE, 48_000, 44_100])
def test_each_word_is_detected_once_and_in_its_time(model: bytes, rate: int) -> None:
    audio = spoken(rate)
    whole = Detector(model, sample_rate=rate)
    found = whole.feed(audio) + whole.flush()
    assert [detection.label for detection in found] == ["a", "b"]
    assert 1100 <= found[0].time_ms <= 1360
    assert 2400 <= found[1].time_ms <= 2660
    assert all(detection.score > 0.7 for detection in found)
    live, heard = Detector(model, sample_rate=rate), []
    for start in range(0, len(audio), rate // 50):
        heard += live.feed(audio[start : start + rate // 50])
    heard += live.flush()
    assert [(d.label, d.time_ms) for d in heard] == [(d.label, d.time_ms) for d in found]
    assert all(d.emitted_ms >= d.time_ms for d in heard)


def test_a_stream_that_stalls_goes_on_where_it_was() -> None:
    """Only samples are time: nothing depends on when they come."""
    detector, audio = Detector(SHORT_MODEL), spoken()
    found = detector.feed(audio[:17_000])
    for _ in range(100):
        found += detector.feed([])
    found += detector.feed(audio[17_000:]) + detector.flush()
    other = Detector(SHORT_MODEL)
    assert found == other.feed(audio) + other.flush()


def test_a_word_at_the_end_comes_with_flush_and_the_next_stream_is_fresh() -> None:
    detector = Detector(SHORT_MODEL)
    audio = spoken()[: int(1.12 * RATE)]
    for _ in range(2):
        found = detector.feed(audio)
        found += detector.flush()
        assert [detection.label for detection in found] == ["a"]
        assert found[0].time_ms <= 1120
    assert detector.flush() == []


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_scores_come_along_with_the_detections(model: bytes, rate: int) -> None:
    audio = spoken(rate)
    detector, plain, scorer = (make(model, sample_rate=rate) for make in (Detector, Detector, Scorer))
    parts = [detector.feed_scored(part) for part in np.array_split(audio, 7)]
    parts.append(detector.flush_scored())
    assert [one for found, _, _ in parts for one in found] == plain.feed(audio) + plain.flush()
    scores, end_ms = in_chunks(scorer, audio, [len(part) for part in np.array_split(audio, 7)])
    assert (np.concatenate([rows for _, rows, _ in parts]) == scores).all()
    assert np.concatenate([ends for _, _, ends in parts]).tolist() == end_ms.tolist()


def test_a_detection_as_json_and_one_threshold_for_all_words() -> None:
    detection = Detection("yes", 1234.56789, 0.87654321, 1300.0)
    assert detection.to_json() == {"label": "yes", "time_ms": 1234.568, "score": 0.876543, "emitted_ms": 1300.0}
    config = DecoderConfig(threshold=0.4, thresholds={"a": 0.9}, confirm_ms=30)
    assert config.with_threshold(0.7) == DecoderConfig(threshold=0.7, confirm_ms=30)
    assert config.with_threshold(None) is config
    with pytest.raises(ConfigError, match="threshold"):
        config.with_threshold(1.5)


def test_the_decoder_is_the_cards_or_the_given_one() -> None:
    deaf = DecoderConfig(average_ms=50, threshold=0.99)
    assert Detector(SHORT_MODEL, deaf).feed(spoken()) == []
    card = made_model(clip_samples=CLIP, decoder=deaf)
    assert Detector(card).feed(spoken()) == []
    with pytest.raises(ConfigError, match="there are thresholds for c, which are not labels of the model"):
        Detector(SHORT_MODEL, DecoderConfig(thresholds={"c": 0.5}))


# ---------------------------------------------------------------------------------------------------------------- classifier


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
def test_clips_are_judged_each_for_itself(model: bytes) -> None:
    classifier = Classifier(model)
    clips = np.stack([np.full(CLIP, level, np.float32) for level in (0.5, -0.25, 0.0)] * 20)
    posteriors = classifier.classify(clips)
    assert posteriors.shape == (60, 4)
    np.testing.assert_allclose(posteriors, hand_scores(np.array([0.5, -0.25, 0.0] * 20)), atol=1e-6)
    np.testing.assert_allclose(classifier.classify(clips[1]), posteriors[1:2], atol=1e-7)
    in_int16 = (clips * 32768).astype(np.int16)
    np.testing.assert_allclose(classifier.classify(in_int16), posteriors, atol=1e-6)
    assert classifier.classify(np.zeros((0, CLIP), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
def test_clips_are_judged_in_bounded_calls(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stream in calls of 3 of its 10 steps, of clips 3 at a time."""
    clips = noise(7 * CLIP).reshape(7, CLIP)
    whole = Classifier(model).classify(clips)
    monkeypatch.setattr("wordspot.runtime.modelfile.session.most_at_once", lambda card: 3)
    np.testing.assert_allclose(Classifier(model).classify(clips), whole, atol=1e-6)


@pytest.mark.parametrize("model", [SHORT, SHORT_CLIPS], ids=["stream", "clip"])
def test_a_short_clip_is_followed_by_zeros(model: bytes) -> None:
    posteriors = Classifier(model).classify(np.full(CLIP // 4, 0.8, np.float32))
    np.testing.assert_allclose(posteriors, hand_scores(np.array([0.2])), atol=1e-6)


@pytest.mark.parametrize(
    ("clips", "match"),
    [
        (np.zeros(CLIP + 1, np.float32), "the clips have 1601 samples; expected at most 1600 at 16000 Hz"),
        (np.zeros((1, 2, 3), np.float32), r"has the shape \(1, 2, 3\); expected clips \[n, samples\] or one clip"),
        (bad(np.nan), "1 of 100 samples are NaN"),
        (np.stack([bad(0), bad(99)]), "the samples reach 99"),
        (np.zeros(5, np.int64), "the samples are int64"),
    ],
)
def test_clips_that_cannot_be_judged(clips: NDArray[Any], match: str) -> None:
    with pytest.raises(AudioError, match=match):
        Classifier(SHORT_MODEL).classify(clips)


@pytest.mark.parametrize("stride_ms", [0, 101, -5, 1e9])
def test_a_stride_that_makes_no_sense(stride_ms: float) -> None:
    with pytest.raises(ConfigError, match="`stride_ms` must lie between a sample and a clip of 100 ms"):
        Scorer(SHORT_CLIPS, stride_ms=stride_ms)


# -------------------------------------------------------------------------------------------------------------- what it costs


def test_it_loads_without_torch_and_what_else_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(SHORT)
    code = (
        "import sys; from wordspot.runtime.detector import Detector; d = Detector(sys.argv[1]); d.feed([0.0] * 1600);"
        "print([m for m in ('torch', 'onnx', 'soxr', 'soundfile', 'rich', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.onnx")], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")
