"""Measures on streams: the classic golden case, ours by hand, and curves that are what the decoder gives."""

from __future__ import annotations

import dataclasses
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.stats import chi2

from wordspot.config import DecoderConfig
from wordspot.data.truth import SpokenWord
from wordspot.evaluation.bench import Bench, ScoredStream, measure_bench
from wordspot.evaluation.curves import THRESHOLDS, make_curves, operating_points, sweep, total_curve
from wordspot.evaluation.false_accepts import measure_detections
from wordspot.evaluation.matching import count_words, match_words, pair_times, words_of
from wordspot.evaluation.streaming_accuracy import ClassicCounts, classic_truth, count_classic, found_words
from wordspot.evaluation.thresholds import choose_thresholds, hours_needed, tune_classic, tune_words
from wordspot.intervals import EventRate, poisson_interval
from wordspot.metrics import StreamCurve
from wordspot.presets import CLASSIC_DECODER
from wordspot.runtime.decoder import Detection, make_decoder

LABELS = ("_silence_", "_unknown_", "a", "b")
WORDS = ("a", "b")


def heard(label: str, time_ms: float, emitted_ms: float | None = None, score: float = 0.9) -> Detection:
    return Detection(label, time_ms, score, time_ms if emitted_ms is None else emitted_ms)


# --- counts of rare events ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 30, 100, 1234])
def test_the_poisson_interval_is_that_of_chi_square(n: int) -> None:
    low, high = poisson_interval(n)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * n) / 2 if n else 0, rel=1e-9)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * n + 2) / 2, rel=1e-9)


def test_no_event_leaves_the_logarithm_of_forty() -> None:
    """exp(-mean) = 0.025 at mean = ln 40."""
    assert poisson_interval(0) == (0, pytest.approx(math.log(40), rel=1e-12))
    with pytest.raises(ValueError, match="at least 0, got -1"):
        poisson_interval(-1)


def test_a_rate_is_told_with_its_hours() -> None:
    rate = EventRate(3, 1.5)
    assert rate.per_hour == 2
    assert rate.interval == pytest.approx((0.618672 / 1.5, 8.767273 / 1.5), abs=1e-6)  # Garwood's table for 3 events
    assert math.isnan(EventRate(0, 0).per_hour)
    assert all(math.isnan(end) for end in EventRate(0, 0).interval)


def test_hours_that_a_target_takes() -> None:
    assert hours_needed(0.5) == pytest.approx(2 * math.log(40))
    assert hours_needed(0) == math.inf


# --- the classic figures -----------------------------------------------------------------------------------------------


def test_classic_golden_case() -> None:
    figures = count_classic([("a", 1200), ("b", 5000), ("a", 8700)], [("a", 1000), ("b", 9000)], 500)
    assert figures == ClassicCounts(n_truth=2, n_matched=2, n_correct=1, n_wrong=1, n_false_positive=1)
    assert figures.to_json() == {
        "n_truth": 2, "n_matched": 2, "n_correct": 1, "n_wrong": 1, "n_false_positive": 1,
        "matched": 1.0, "correct": 0.5, "wrong": 0.5, "false_positive": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "truth", "counts"),
    [
        # the second "a" is nearer to the second entry, yet takes the first within reach, which is matched
        ([("a", 1000), ("a", 1400)], [("a", 1000), ("a", 1500)], (2, 1, 1, 1, 0)),
        # a word that was taken by another label stays matched: the right label comes too late
        ([("b", 900), ("a", 1000)], [("a", 1000)], (1, 1, 0, 2, 0)),
        # the tolerance belongs to it, a little more does not
        ([("a", 500), ("a", 1500.5)], [("a", 1000)], (1, 1, 1, 0, 1)),
        # the file's order decides, not time
        ([("a", 1200)], [("b", 1400), ("a", 1200)], (2, 1, 0, 1, 0)),
        ([], [("a", 1000)], (1, 0, 0, 0, 0)),
        ([("a", 1000)], [], (0, 0, 0, 0, 1)),
    ],
)
def test_classic_matching_by_hand(
    found: list[tuple[str, float]], truth: list[tuple[str, float]], counts: tuple[int, ...]
) -> None:
    assert dataclasses.astuple(count_classic(found, truth, 500)) == counts


def test_classic_figures_of_no_truth_have_no_rates() -> None:
    assert count_classic([("a", 0)], [], 500).to_json()["false_positive"] is None
    assert ClassicCounts(1, 1, 1, 0, 0) + ClassicCounts(2, 1, 0, 1, 3) == ClassicCounts(3, 2, 1, 1, 3)


def test_found_words_stand_at_the_start_of_their_window() -> None:
    assert found_words([heard("a", 1700, emitted_ms=1900)], 1000) == [("a", 700)]


def test_classic_truth_knows_unknown_words_and_no_silence() -> None:
    truth = [SpokenWord("bed", 100, 400), SpokenWord("_silence_", 0, None), SpokenWord("b", 50, None)]
    assert classic_truth(truth, LABELS) == [("_unknown_", 100), ("b", 50)]
    assert words_of(LABELS) == WORDS


# --- ours --------------------------------------------------------------------------------------------------------------

TRUTH = (
    SpokenWord("a", 1000, 1400), SpokenWord("b", 4000, None), SpokenWord("bed", 8000, 8500), SpokenWord("a", 12_000, 12_600),
    SpokenWord("_silence_", 20_000, 21_000),
)  # fmt: skip


@pytest.mark.parametrize(
    ("time", "is_hit"), [(999.9, False), (1000, True), (2150, True), (2150.1, False)]
)  # [start, 1400 + 750]
def test_a_hit_lies_from_the_start_to_the_tolerance_after_the_end(time: float, is_hit: bool) -> None:
    matching = match_words([heard("a", time)], TRUTH[:1], WORDS, 1000, 750)
    assert len(matching.hits) == is_hit
    assert len(matching.misses) == len(matching.false_accepts) == (not is_hit)


def test_a_word_without_an_end_is_as_long_as_a_clip() -> None:
    assert match_words([heard("b", 5750)], TRUTH, WORDS, 1000, 750).hits[0].word == TRUTH[1]
    assert not match_words([heard("b", 5750.1)], TRUTH, WORDS, 1000, 750).hits
    assert match_words([heard("b", 5750)], TRUTH, WORDS, 1000, 750).hits[0].latency_ms is None


def test_every_false_accept_has_its_kind() -> None:
    detections = [
        heard("a", 1500, 1600), heard("a", 1900), heard("b", 2000), heard("a", 4500), heard("b", 8100), heard("a", 20_500),
        heard("_unknown_", 12_100), heard("a", 11_000),
    ]  # fmt: skip
    matching = match_words(detections, TRUTH, WORDS, 1000, 750)
    assert [(hit.word, hit.detection, hit.latency_ms) for hit in matching.hits] == [(TRUTH[0], detections[0], 200)]
    assert matching.misses == (TRUTH[1], TRUTH[3])
    assert [(one.detection.time_ms, one.kind, one.heard) for one in matching.false_accepts] == [
        (1900, "repeat", "a"), (2000, "keyword", "a"), (4500, "keyword", "b"), (8100, "other word", "bed"),
        (11_000, "no word", ""), (20_500, "no word", ""),
    ]  # fmt: skip


def test_of_two_words_there_its_own_explains_a_detection_before_the_later_one() -> None:
    truth = [SpokenWord("a", 0, 400), SpokenWord("b", 500, 900), SpokenWord("bed", 800, 1000)]
    matching = match_words([heard("a", 400), heard("a", 950), heard("a", 1500)], truth, WORDS, 1000, 750)
    assert [(one.kind, one.heard) for one in matching.false_accepts] == [("repeat", "a"), ("other word", "bed")]


def test_close_words_take_a_detection_each() -> None:
    """Both detections lie in both spans; the first word, whose span ends first, takes the first."""
    truth = [SpokenWord("a", 0, 400), SpokenWord("a", 500, 900)]
    matching = match_words([heard("a", 1100), heard("a", 600)], truth, WORDS, 1000, 750)
    assert [(hit.word.start_ms, hit.detection.time_ms) for hit in matching.hits] == [(0, 600), (500, 1100)]
    assert not matching.misses


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=8).map(
    lambda pairs: sorted((start, start + length) for start, length in pairs)
)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=8).map(sorted), spans)
def test_pairs_are_as_many_as_there_can_be(times: list[int], found: list[tuple[int, int]]) -> None:
    pairs = pair_times(times, found)
    assert all(found[span][0] <= times[time] <= found[span][1] for time, span in pairs)
    assert len({time for time, _ in pairs}) == len({span for _, span in pairs}) == len(pairs)
    inside = np.array([[start <= time <= end for start, end in found] for time in times], int).reshape(
        len(times), len(found)
    )
    most = int((maximum_bipartite_matching(csr_array(inside)) >= 0).sum()) if inside.size else 0
    assert len(pairs) == most


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*LABELS, "bed"]), st.integers(0, 9000)), max_size=12),
    st.lists(st.tuples(st.sampled_from([*WORDS, "bed", "_silence_"]), st.integers(0, 9000), st.none() | st.integers(1, 900)),
             max_size=12),
)  # fmt: skip
def test_counts_are_those_of_the_matching(
    found: list[tuple[str, int]], spoken: list[tuple[str, int, int | None]]
) -> None:
    detections = [heard(label, time) for label, time in found]
    truth = [SpokenWord(label, start, None if length is None else start + length) for label, start, length in spoken]
    matching = match_words(detections, truth, WORDS, 1000, 750)
    counts = count_words(detections, truth, WORDS, 1000, 750)
    assert counts.tolist() == [
        [sum(hit.word.label == word for hit in matching.hits),
         sum(one.detection.label == word for one in matching.false_accepts)]
        for word in WORDS
    ]  # fmt: skip
    assert len(matching.hits) + len(matching.misses) == sum(word.label in WORDS for word in truth)
    assert len(matching.hits) + len(matching.false_accepts) == sum(one.label in WORDS for one in detections)


def test_figures_by_hand() -> None:
    """Two streams, half an hour together: "a" spoken five times and heard thrice, "b" never spoken."""
    truth = [SpokenWord("a", 10_000 * n, 10_000 * n + 500) for n in range(4)]
    first = [
        heard("a", 10_600 + 10_000 * n, 10_700 + 10_000 * n + 100 * n) for n in range(3)
    ]  # latencies 200, 300, 400
    matchings = [
        match_words([*first, heard("b", 5000), heard("b", 10_100)], truth, WORDS, 1000, 750),
        match_words([heard("a", 90_000)], [SpokenWord("a", 50, None)], WORDS, 1000, 750),
    ]
    measures = measure_detections(matchings, WORDS, 0.5).to_json()
    low, high = poisson_interval(3)
    assert {name: measures[name] for name in ("hours", "n_words", "n_hits", "n_misses", "miss_rate")} == {
        "hours": 0.5, "n_words": 5, "n_hits": 3, "n_misses": 2, "miss_rate": 0.4,
    }  # fmt: skip
    assert (measures["miss_rate_low"], measures["miss_rate_high"]) == pytest.approx(
        (0.117621, 0.769276), abs=1e-6
    )  # Wilson
    assert measures["n_false_accepts"] == 3
    assert measures["false_accepts_per_hour"] == 6
    assert measures["false_accepts_per_hour_low"] == 2 * low
    assert measures["false_accepts_per_hour_high"] == 2 * high
    assert measures["false_accepts_by_kind"] == {"repeat": 0, "keyword": 1, "other word": 0, "no word": 2}
    assert measures["triggered_by"] == {"a": 1}
    assert measures["latency_ms"] == {"n": 3, "median": 300, "quantile_90": pytest.approx(380)}
    b = measures["per_word"]["b"]
    assert (b["n_words"], b["miss_rate"], b["n_false_accepts"], b["latency_ms"]["median"]) == (0, None, 2, None)
    assert measures["per_word"]["a"]["n_false_accepts"] == 1


def test_figures_of_no_audio() -> None:
    measures = measure_detections([], WORDS, 0).to_json()
    assert (
        measures["miss_rate"] is measures["false_accepts_per_hour"] is measures["false_accepts_per_hour_high"] is None
    )


# --- sweeps ------------------------------------------------------------------------------------------------------------


def made_stream(seed: int, n_words: int = 40) -> ScoredStream:
    """Scores with a bump for nearly every spoken word, some on the wrong label, and noise."""
    rng = np.random.default_rng(seed)
    n_rows = n_words * 200
    noise = [np.convolve(rng.normal(0, 3, n_rows), np.ones(30) / 30, "same") for _ in LABELS]
    logits = np.stack(noise, axis=1) * 2.5 + [6, 0, 0, 0]
    truth = []
    for slot in range(n_words):
        row, label = 200 * slot + int(rng.integers(0, 80)), int(rng.integers(1, 4))
        logits[row : row + 60, label if rng.random() > 0.1 else 3] += rng.normal(9, 2) * np.hanning(60) ** 0.3
        start = 10.0 * row
        truth.append(SpokenWord("bed" if label == 1 else LABELS[label], start + 400, start + 900))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return ScoredStream(scores, 1000 + 10.0 * np.arange(n_rows), tuple(truth), 1000 + 10.0 * n_rows)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench((made_stream(1), made_stream(2)), LABELS, 1000, 750)


@pytest.mark.parametrize(
    "config",
    [DecoderConfig(), dataclasses.replace(CLASSIC_DECODER, average_ms=300, stride_ms=30)],
    ids=["peak", "classic"],
)
def test_a_point_of_the_curve_is_what_the_decoder_gives_at_that_threshold(bench: Bench, config: DecoderConfig) -> None:
    """Row by row, as a device would, and matched in full."""
    thresholds = (0.05, 0.31, 0.6, 0.97)
    own = dataclasses.replace(config, thresholds={"a": 0.99})  # a sweep sets one threshold for all
    curves = make_curves(bench, list(sweep(bench, own, thresholds)), thresholds)
    n_heard = 0
    for position, threshold in enumerate(thresholds):
        hits, accepts = dict.fromkeys(WORDS, 0), dict.fromkeys(WORDS, 0)
        for stream in bench.streams:
            decoder = make_decoder(dataclasses.replace(config, threshold=threshold), LABELS)
            found = [
                one
                for row, end in zip(stream.scores, stream.end_ms, strict=True)
                for one in decoder.feed(row[None], [end])
            ]
            matching = match_words([*found, *decoder.flush()], stream.truth, WORDS, 1000, 750)
            for hit in matching.hits:
                hits[hit.word.label] += 1
            for accept in matching.false_accepts:
                accepts[accept.detection.label] += 1
        assert {word: curves[word].n_hits[position] for word in WORDS} == hits
        assert {word: curves[word].n_false_accepts[position] for word in WORDS} == accepts
        n_heard += sum(hits.values())
    assert n_heard > 30


def test_curves_tell_rates(bench: Bench) -> None:
    curves = make_curves(bench, list(sweep(bench, DecoderConfig())))
    spoken = [word.label for stream in bench.streams for word in stream.truth]
    for word, curve in curves.items():
        assert curve.n_words == spoken.count(word) > 10
        np.testing.assert_allclose(curve.miss_rate, 1 - curve.n_hits / curve.n_words)
        np.testing.assert_allclose(curve.false_accepts_per_hour * (2 * 81_000 / 3.6e6), curve.n_false_accepts)
    total = total_curve(curves)
    assert (total.n_hits == curves["a"].n_hits + curves["b"].n_hits).all()
    assert total.n_false_accepts[0] > total.n_false_accepts[-1]
    assert len(total.thresholds) == len(THRESHOLDS) == len(set(THRESHOLDS))


def test_operating_points_by_hand() -> None:
    """Two hours. Without a false accept 6 of 10 are missed; with one (0.5 an hour) 4; with five 2, and 2 again with ten."""
    curve = StreamCurve(
        np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([8, 8, 6, 4, 3]), np.array([10, 5, 1, 0, 0]), 10, 2.0
    )
    rows = [(row.at_most_per_hour, row.threshold, row.miss_rate) for row in operating_points(curve)]
    assert [(target, threshold) for target, threshold, _ in rows] == [
        (0, 0.4), (0.5, 0.3), (1, 0.3), (2, 0.3), (5, 0.2), (10, 0.2), (20, 0.2),
    ]  # fmt: skip
    assert [miss for *_, miss in rows] == pytest.approx([0.6, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2])
    assert operating_points(dataclasses.replace(curve, hours=0.1))[1].at_most_per_hour == 10  # one in six minutes
    silent = operating_points(dataclasses.replace(curve, n_words=0))
    assert [(row.threshold, row.miss_rate) for row in silent][:2] == [(0.4, None), (0.3, None)]
    assert operating_points(dataclasses.replace(curve, n_false_accepts=np.full(5, 90))) == ()


def test_everything_measured_agrees(bench: Bench) -> None:
    config = DecoderConfig(threshold=THRESHOLDS[40])
    measures = measure_bench(bench, config, make_curves(bench, list(sweep(bench, config)))).to_json()
    assert measures["det_curves"]["all words"]["n_hits"][40] == measures["n_hits"]
    assert measures["det_curves"]["a"]["n_false_accepts"][40] == measures["per_word"]["a"]["n_false_accepts"]
    assert sum(len(events["hits"]) for events in measures["events"]) == measures["n_hits"]
    assert measures["classic"]["n_truth"] == 80


# --- tuning ------------------------------------------------------------------------------------------------------------

tables = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=4, max_size=4)


@settings(deadline=None)
@given(st.lists(tables, min_size=1, max_size=3), st.integers(0, 12))
def test_chosen_thresholds_are_the_best_of_all(counts: list[list[tuple[int, int]]], budget: int) -> None:
    grid = np.array([0.2, 0.4, 0.6, 0.8])
    curves = {
        f"w{n}": StreamCurve(grid, np.array([h for h, _ in one]), np.array([f for _, f in one]), 6, 1.0)
        for n, one in enumerate(counts)
    }
    chosen = choose_thresholds(curves, budget, dict.fromkeys(curves, 0.5))
    at = [int(np.flatnonzero(grid == chosen[word])[0]) for word in curves]
    hits, accepts = (sum(one[position][part] for one, position in zip(counts, at, strict=True)) for part in (0, 1))
    least = sum(min(f for _, f in one) for one in counts)
    sums = [
        (sum(h for h, _ in one), -sum(f for _, f in one))
        for one in product(*counts)
        if sum(f for _, f in one) <= max(budget, least)
    ]
    assert (hits, -accepts) == max(sums)


def test_a_plateau_is_entered_three_quarters_up() -> None:
    grid = np.arange(1, 9) / 10
    curve = StreamCurve(grid, np.array([3, 3, 3, 3, 3, 3, 2, 1]), np.array([4, 1, 0, 0, 0, 0, 0, 0]), 3, 1.0)
    assert choose_thresholds({"a": curve}, 0, {"a": 0.5}) == {"a": 0.6}  # of 0.3, 0.4, 0.5, 0.6
    assert choose_thresholds({"a": curve}, 100, {"a": 0.5}) == {
        "a": 0.6
    }  # false accepts that gain nothing are not spent


def test_a_word_never_spoken_is_not_lowered() -> None:
    grid = np.array([0.2, 0.4, 0.6, 0.8])
    none = StreamCurve(grid, np.zeros(4, int), np.array([9, 2, 0, 0]), 0, 1.0)
    assert choose_thresholds({"a": none}, 5, {"a": 0.7}) == {"a": 0.7}
    assert choose_thresholds({"a": none}, 0, {"a": 0.3}) == {"a": 0.6}
    assert choose_thresholds({"a": none}, 0, {"a": 0.9}) == {"a": 0.9}


@pytest.mark.parametrize("per_hour", [0, 60, 400])
def test_tuning_keeps_to_its_budget_and_hears_more(bench: Bench, per_hour: float) -> None:
    config = DecoderConfig(threshold=0.9)
    curves = make_curves(bench, list(sweep(bench, config)))
    tuned = tune_words(bench, config, curves, per_hour)
    hits, accepts = bench.count(tuned).sum(axis=0)
    assert accepts <= per_hour * bench.hours
    assert set(tuned.thresholds) == set(WORDS)
    total = total_curve(curves)
    assert hits >= total.n_hits[total.n_false_accepts <= per_hour * bench.hours].max()  # of one threshold for all


def test_classic_tuning_is_the_best_of_its_grid(bench: Bench) -> None:
    grid = {
        "average_ms": (200.0, 500.0),
        "suppression_ms": (500.0,),
        "minimum_count": (3,),
        "threshold": (0.3, 0.6, 0.9),
    }
    config = dataclasses.replace(CLASSIC_DECODER, stride_ms=30)
    all_figures = [
        bench.count_classic(dataclasses.replace(config, average_ms=average, threshold=threshold))
        for average, threshold in product(grid["average_ms"], grid["threshold"])
    ]
    calls: list[None] = []
    for limit, within in ((0.02, True), (-1, False)):
        tuned, is_within = tune_classic(bench, config, limit, lambda: calls.append(None), grid)
        best = bench.count_classic(tuned)
        assert is_within == within
        if within:
            kept = [one for one in all_figures if max(one.n_wrong, one.n_false_positive) <= limit * one.n_truth]
            assert 0 < len(kept) < 6
            assert best.n_correct == max(one.n_correct for one in kept)
        else:
            assert max(best.n_wrong, best.n_false_positive) == min(
                max(one.n_wrong, one.n_false_positive) for one in all_figures
            )
    assert len(calls) == 12
