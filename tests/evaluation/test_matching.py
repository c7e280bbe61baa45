"""Which detection hits which word: cases by hand, and as many pairs as scipy finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from wordspot.data.truth import SpokenWord
from wordspot.evaluation.matching import count_words, match_words, pair_times
from wordspot.runtime.decoder import Detection

LABELS = ("_silence_", "_unknown_", "a", "b")
WORDS = ("a", "b")


def heard(label: str, time_ms: float, emitted_ms: float | None = None, score: float = 0.9) -> Detection:
    return Detection(label, time_ms, score, time_ms if emitted_ms is None else emitted_ms)


TRUTH = (
    SpokenWord("a", 1000, 1400),
    SpokenWord("b", 4000, None),
    SpokenWord("bed", 8000, 8500),
    SpokenWord("a", 12_000, 12_600),
    SpokenWord("_silence_", 20_000, 21_000),
)


@pytest.mark.parametrize(("time", "is_hit"), [(999.9, False), (1000, True), (2150, True), (2150.1, False)])  # [start, 1400 + 750]
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
        heard("a", 1500, 1600),
        heard("a", 1900),
        heard("b", 2000),
        heard("a", 4500),
        heard("b", 8100),
        heard("a", 20_500),
        heard("_unknown_", 12_100),
        heard("a", 11_000),
    ]
    matching = match_words(detections, TRUTH, WORDS, 1000, 750)
    assert [(hit.word, hit.detection, hit.latency_ms) for hit in matching.hits] == [(TRUTH[0], detections[0], 200)]
    assert matching.misses == (TRUTH[1], TRUTH[3])
    assert [(one.detection.time_ms, one.kind, one.heard) for one in matching.false_accepts] == [
        (1900, "repeat", "a"),
        (2000, "keyword", "a"),
        (4500, "keyword", "b"),
        (8100, "other word", "bed"),
        (11_000, "no word", ""),
        (20_500, "no word", ""),
    ]


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
    inside = np.array([[start <= time <= end for start, end in found] for time in times], int).reshape(len(times), len(found))
    most = int((maximum_bipartite_matching(csr_array(inside)) >= 0).sum()) if inside.size else 0
    assert len(pairs) == most


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*LABELS, "bed"]), st.integers(0, 9000)), max_size=12),
    st.lists(
        st.tuples(st.sampled_from([*WORDS, "bed", "_silence_"]), st.integers(0, 9000), st.none() | st.integers(1, 900)),
        max_size=12,
    ),
)
def test_counts_are_those_of_the_matching(found: list[tuple[str, int]], spoken: list[tuple[str, int, int | None]]) -> None:
    detections = [heard(label, time) for label, time in found]
    truth = [SpokenWord(label, start, None if length is None else start + length) for label, start, length in spoken]
    matching = match_words(detections, truth, WORDS, 1000, 750)
    counts = count_words(detections, truth, WORDS, 1000, 750)
    assert counts.tolist() == [
        [sum(hit.word.label == word for hit in matching.hits), sum(one.detection.label == word for one in matching.false_accepts)]
        for word in WORDS
    ]
    assert len(matching.hits) + len(matching.misses) == sum(word.label in WORDS for word in truth)
    assert len(matching.hits) + len(matching.false_accepts) == sum(one.label in WORDS for one in detections)
