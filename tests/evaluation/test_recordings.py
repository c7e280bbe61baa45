"""The measures of whole recordings: cases worked out by hand, and intervals against a plain second computation."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wordspot.evaluation.bootstrap import MIN_SPEAKERS, Scored, draw_means, draw_measures, make_groups
from wordspot.evaluation.recordings import measure_recordings
from wordspot.evaluation.scores import Resampling, measure_mean, measure_scores, threshold_for
from wordspot.intervals import Estimate, wilson_interval
from wordspot.metrics import area_under_roc, det_curve, equal_error_rate

#: Four targets and four others. Above 0.6 stand 2 targets and 1 other, from 0.6 on 3 and 2 (one tie), from 0.3 on 4 and 3.
SCORES = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.6, 0.2, 0.1])
IS_TARGET = np.array([True] * 4 + [False] * 4)


def two(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([scores, 1 - scores], axis=1)


def measured(**changes: object) -> dict[str, object]:
    given_: dict[str, object] = {
        "labels": ["real", "synthetic"],
        "truth": np.repeat([0, 1], 4),
        "posteriors": two(SCORES),
        "speakers": [None] * 8,
        "generators": [None] * 8,
        **changes,
    }
    return measure_recordings(**given_).to_json()  # type: ignore[arg-type]


def test_two_labels_by_hand() -> None:
    """At 0.5 one of four targets is missed and two of four others are taken for one.

    EER: misses and false alarms go (1/2, 1/4), then with the tie (1/4, 1/2): the line between them crosses at 3/8. AUC: of 16
    pairs 0.9 and 0.8 win 4 each, 0.6 wins 2 and a half, 0.3 wins 2.
    """
    measures = measured()
    assert measures["n"] == 8
    assert measures["confusion"] == [[3, 1], [2, 2]]
    assert measures["accuracy"] == 5 / 8
    assert (measures["accuracy_low"], measures["accuracy_high"]) == wilson_interval(5, 8)
    assert measures["miss_rate"] == 1 / 4
    assert measures["false_alarm_rate"] == 2 / 4
    assert (measures["false_alarm_rate_low"], measures["false_alarm_rate_high"]) == wilson_interval(2, 4)
    assert measures["eer"] == pytest.approx(3 / 8)
    assert measures["auc"] == pytest.approx(12.5 / 16)
    assert measures["interval"] == {"over": "recordings", "n": 8, "n_speakers": 0}
    assert measures["per_generator"] == []
    assert measures["per_speaker"] == []
    json.dumps(measures, allow_nan=False)


def test_the_threshold_itself_counts_as_the_target() -> None:
    measures = measured(threshold=0.6)
    assert measures["confusion"] == [[3, 1], [2, 2]]
    measures = measured(threshold=0.61)
    assert measures["confusion"] == [[2, 2], [1, 3]]
    assert measures["threshold"] == 0.61


def test_the_curve_is_thinned_and_keeps_its_ends() -> None:
    det = measured()["det"]
    assert det == {
        "thresholds": [None, 0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1],
        "miss_rate": [1, 0.75, 0.5, 0.5, 0.25, 0, 0, 0],
        "false_alarm_rate": [0, 0, 0, 0.25, 0.5, 0.5, 0.75, 1],
    }
    scores = np.linspace(0, 1, 1000)
    many = measured(truth=np.arange(1000) % 2, posteriors=two(scores), speakers=[None] * 1000, generators=[None] * 1000)["det"]
    assert isinstance(many, dict)
    assert {len(values) for values in many.values()} == {200}
    assert (many["miss_rate"][0], many["false_alarm_rate"][0]) == (1, 0)
    assert (many["miss_rate"][-1], many["false_alarm_rate"][-1]) == (0, 1)


def test_thresholds_for_wanted_rates() -> None:
    """Of four others 0.7, 0.6, 0.2 and 0.1: none may pass below a quarter, one from there on."""
    assert threshold_for(SCORES, IS_TARGET, 0.0) == pytest.approx(0.75)  # between the other's 0.7 and the target's 0.8
    assert threshold_for(SCORES, IS_TARGET, 0.24) == pytest.approx(0.75)
    assert threshold_for(SCORES, IS_TARGET, 0.25) == pytest.approx(0.65)
    assert threshold_for(SCORES, IS_TARGET, 0.5) == pytest.approx(0.25)  # 0.6 is tied and taken
    assert threshold_for(SCORES, IS_TARGET, 1.0) == 0
    assert threshold_for(-SCORES + 1, IS_TARGET, 0.0) == pytest.approx(0.95)  # nothing stands above an other's 0.9
    assert math.isnan(threshold_for(SCORES[:4], IS_TARGET[:4], 0.1))
    assert threshold_for(np.ones(2), np.array([True, False]), 0.0) > 1
    close = np.array([0.5, np.nextafter(0.5, 1)])
    assert threshold_for(close, np.array([False, True]), 0.0) == close[1]
    rows = measured()["thresholds"]
    assert isinstance(rows, list)
    assert [row["at_most"] for row in rows] == [0.005, 0.01, 0.02, 0.05, 0.1]
    assert rows[0] == {"at_most": 0.005, "threshold": 0.75, "false_alarm_rate": 0, "miss_rate": 0.5}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30),
    st.sampled_from([0, 0.01, 0.1, 0.25, 0.5, 0.99]),
)
def test_a_threshold_keeps_to_the_rate_and_none_that_answers_otherwise_is_lower(
    drawn: list[tuple[int, bool]], rate: float
) -> None:
    scores, is_target = np.array([one[0] / 8 for one in drawn]), np.array([one[1] for one in drawn])
    if is_target.all():
        return
    threshold = threshold_for(scores, is_target, rate)
    taken = (scores >= threshold)[~is_target]
    assert taken.mean() <= rate + 1e-12
    lower = scores[scores < threshold]
    assert len(lower), "there is always an other that is refused"
    assert (scores >= lower.max())[~is_target].mean() > rate


def plain_draws(
    scores: NDArray[np.float64], is_target: NDArray[np.bool_], speakers: list[str], n: int, seed: int
) -> NDArray[np.float64]:
    """EER of draws of whole speakers, each put together anew, by `metrics`: every speaker has both classes here."""
    rng, names = np.random.default_rng(seed), sorted(set(speakers))
    eers = []
    for _ in range(n):
        rows = [i for name in rng.choice(names, len(names)) for i, one in enumerate(speakers) if one == name]
        eers.append(equal_error_rate(det_curve(scores[rows], is_target[rows])))
    return np.array(eers)


def test_intervals_are_those_of_a_plain_bootstrap_over_speakers() -> None:
    rng = np.random.default_rng(3)
    speakers = [f"s{i % 12}" for i in range(120)]
    is_target = np.arange(120) // 12 % 2 == 0
    of_speaker = 1.2 * rng.standard_normal(12)
    scores = np.round(rng.normal(np.where(is_target, 1.5, 0) + np.tile(of_speaker, 10)), 1)  # with ties
    ours, areas = draw_measures(scores, is_target, make_groups(is_target, speakers), seed=0)
    plain = plain_draws(scores, is_target, speakers, 1500, seed=1)
    assert len(ours) == 2000
    # 1500 and 2000 draws: their means agree within 4 standard errors, and so do the spreads
    assert ours.mean() == pytest.approx(plain.mean(), abs=4 * plain.std() / math.sqrt(850))
    assert ours.std() == pytest.approx(plain.std(), rel=0.1)
    np.testing.assert_allclose(np.quantile(ours, [0.025, 0.975]), np.quantile(plain, [0.025, 0.975]), atol=0.012)
    measures = measure_scores(scores, is_target, speakers).to_json()
    assert measures["interval"] == {"over": "speakers", "n": 12, "n_speakers": 12}
    assert [measures["eer_low"], measures["eer_high"]] == np.quantile(ours, [0.025, 0.975]).tolist()
    assert [measures["auc_low"], measures["auc_high"]] == np.quantile(areas, [0.025, 0.975]).tolist()
    assert measures == measure_scores(scores, is_target, speakers).to_json()
    assert measures != measure_scores(scores, is_target, speakers, seed=1).to_json()


def width_of(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_recordings_of_few_speakers_tell_less_than_as_many_of_many() -> None:
    """Ten voices a class, ten recordings each that score almost the same: as good as ten recordings, not a hundred."""
    rng = np.random.default_rng(5)
    is_target = np.arange(20) < 10
    of_speaker = rng.normal(np.where(is_target, 1.0, 0.0))
    scores = np.repeat(of_speaker, 10) + 1e-3 * rng.standard_normal(200)
    many, names = np.repeat(is_target, 10), [f"s{i // 10}" for i in range(200)]
    grouped, alone = measure_scores(scores, many, names), measure_scores(scores, many, [None] * 200)
    ten = measure_scores(of_speaker, is_target, [None] * 20)
    assert grouped.resampling is not None
    assert alone.resampling is not None
    assert (grouped.resampling.over, alone.resampling.over) == ("speakers", "recordings")
    assert width_of(grouped.eer) == pytest.approx(width_of(ten.eer), abs=0.06)
    assert width_of(alone.eer) < 0.5 * width_of(grouped.eer)


def test_every_draw_of_few_recordings() -> None:
    """Three targets and two others, drawn each among its kind: all 27 · 4 equally likely draws, counted one by one."""
    scores, is_target = np.array([0.9, 0.5, 0.2, 0.5, 0.1]), np.array([True, True, True, False, False])
    exact = []
    for targets, others in itertools.product(itertools.product(range(3), repeat=3), itertools.product((3, 4), repeat=2)):
        rows = [*targets, *others]
        curve = det_curve(scores[rows], is_target[rows])
        exact.append((equal_error_rate(curve), area_under_roc(curve)))
    drawn = np.stack(draw_measures(scores, is_target, make_groups(is_target, [None] * 5), 0, n_draws=20_000), axis=1)
    found, counts = np.unique(drawn.round(9), axis=0, return_counts=True)
    wanted, expected = np.unique(np.round(exact, 9), axis=0, return_counts=True)
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(counts / 20_000, expected / 108, atol=0.015)  # 4 standard errors of the likeliest


def test_a_set_larger_than_what_is_worked_on_at_once() -> None:
    whole = draw_measures(SCORES, IS_TARGET, make_groups(IS_TARGET, [None] * 8), 0, n_draws=50)
    groups = make_groups(IS_TARGET, [None] * 8)
    parts = draw_measures(SCORES, IS_TARGET, groups, 0, n_draws=50, values_at_once=100)
    assert len(parts[0]) == len(whole[0]) == 50
    assert np.isfinite(parts).all()


def test_speakers_are_drawn_where_there_are_enough_of_them() -> None:
    n = MIN_SPEAKERS
    is_target = np.array([True, False] * n + [True])
    speakers: list[str | None] = [f"s{i // 2}" for i in range(2 * n)]
    groups = make_groups(is_target, [*speakers, None])
    assert (groups.over, groups.n_speakers, groups.n_smaller) == ("speakers", n, n)
    assert groups.which.tolist() == [i // 2 for i in range(2 * n)] + [n]
    assert groups.strata.tolist() == [3] * n + [1]  # the recording without a speaker is drawn for itself
    one_voice = [name if target else "robot" for name, target in zip([*speakers, None], is_target, strict=True)]
    groups = make_groups(is_target, one_voice)
    assert (groups.over, groups.n_speakers, groups.n_smaller) == ("recordings", n + 1, n)
    assert groups.which.tolist() == list(range(2 * n + 1))


def test_no_error_at_all_still_has_an_interval() -> None:
    """Ten targets above six others: up to Wilson's bound of 0 in 6, 39.0 %, and an area of at least (1 - 0.390)²."""
    is_target = np.arange(16) < 10
    measures = measure_scores(np.where(is_target, 0.9, 0.1), is_target, [None] * 16).to_json()
    assert (measures["eer"], measures["eer_low"]) == (0, 0)
    assert measures["eer_high"] == pytest.approx(0.3903, abs=1e-4)
    assert (measures["auc"], measures["auc_high"]) == (1, 1)
    assert measures["auc_low"] == pytest.approx(0.6097**2, abs=1e-4)


def test_one_class_only_has_no_rates() -> None:
    measures = measured(truth=np.zeros(8, np.int64))
    for name in ("eer", "eer_low", "auc", "interval", "false_alarm_rate"):
        assert measures[name] is None
    assert measures["miss_rate"] == 3 / 8
    empty = measured(truth=np.zeros(0, np.int64), posteriors=np.zeros((0, 2)), speakers=[], generators=[])
    assert (empty["n"], empty["accuracy"], empty["eer"]) == (0, None, None)
    json.dumps([measures, empty], allow_nan=False)


def test_per_generator_and_speaker() -> None:
    """vits has the others 0.7 and 0.6, flite those at 0.2 and 0.1: the latter lie below all targets."""
    measures = measured(
        generators=["person"] * 4 + ["vits", "vits", "flite", "flite"],
        speakers=["ann", "ann", "bob", "bob", "ann", "bob", None, "cid"],
    )
    rows = measures["per_generator"]
    assert isinstance(rows, list)
    by_name = {row["generator"]: row for row in rows}
    assert [(row["generator"], row["label"], row["n"]) for row in rows] == [
        ("person", "real", 4),
        ("flite", "synthetic", 2),
        ("vits", "synthetic", 2),
    ]
    assert by_name["person"]["eer"] == measures["eer"]
    assert by_name["flite"]["eer"] == 0
    assert by_name["flite"]["accuracy"] == 1
    # misses and false alarms go (1/2, 0), (1/2, 1/2): half of each, by hand
    assert by_name["vits"]["eer"] == pytest.approx(1 / 2)
    assert by_name["vits"]["auc"] == pytest.approx((2 + 2 + 0.5 + 0) / 8)
    assert by_name["vits"]["accuracy"] == 0
    assert measures["per_speaker"] == [
        {"speaker": "bob", "n": 3, "accuracy": 1 / 3},
        {"speaker": "ann", "n": 3, "accuracy": 2 / 3},
        {"speaker": "cid", "n": 1, "accuracy": 1.0},
    ]


def test_three_labels_are_measured_each_against_the_rest() -> None:
    posteriors = np.array([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.5, 0.1, 0.4]])
    measures = measure_recordings(
        ["dog", "cat", "cow"], np.array([0, 0, 1, 2, 2]), posteriors, [None] * 5, ["a", "b", "a", "a", None]
    ).to_json()
    assert measures["accuracy"] == 3 / 5
    assert measures["confusion"] == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert not {"eer", "threshold", "det", "thresholds"} & set(measures)
    per_label = measures["per_label"]
    # dogs have 0.6 and 0.4, others 0.5, 0.2, 0.1: misses and false alarms (1/2, 0), (1/2, 1/3), (0, 1/3)
    assert per_label["dog"]["eer"] == pytest.approx(1 / 3)
    assert per_label["dog"]["auc"] == pytest.approx(5 / 6)
    assert (per_label["cat"]["eer"], per_label["cow"]["eer"]) == (0, 0)
    assert [per_label[label]["recall"] for label in ("dog", "cat", "cow")] == [0.5, 1, 0.5]
    rows = {(row["generator"], row["label"]): row for row in measures["per_generator"]}
    assert rows["b", "dog"]["auc"] == pytest.approx(2 / 3)
    assert rows["a", "dog"]["eer"] == 0


def test_what_an_interval_is_over_in_words() -> None:
    assert Resampling("speakers", 20, 20).describe() == "over 20 speakers"
    assert Resampling("recordings", 40, 3).describe() == "over 40 recordings"
    assert Resampling("speakers", 50, 20).describe() == "over 20 speakers and 30 recordings without one"
    assert Resampling("speakers").describe() == "over speakers"


def two_tests(n_speakers: int) -> list[Scored]:
    """Each speaker is a person once, the same recording in both tests, and a machine of each test; one test's machines are
    hard where the other's are easy."""
    rng = np.random.default_rng(3)
    people = rng.normal(1, 1, n_speakers)
    hard = rng.normal(0, 1, n_speakers)
    names = [f"p{i}" for i in range(n_speakers)]
    is_target = np.repeat([True, False], n_speakers)
    return [
        Scored(np.append(people, machines), is_target, [*names, *names], [*names, *(f"{kind}{i}" for i in names)])
        for kind, machines in (("a", hard), ("b", 1.5 - 2 * hard))
    ]


def test_the_mean_of_tests_is_drawn_by_their_speakers_together() -> None:
    """Against all 3125 draws of five speakers, one after another."""
    tests = two_tests(5)
    expected = []
    for drawn in itertools.product(range(5), repeat=5):
        rows = np.array([*drawn, *(5 + speaker for speaker in drawn)])
        curves = [det_curve(test.scores[rows], test.is_target[rows]) for test in tests]
        expected.append(
            (
                np.mean([equal_error_rate(curve) for curve in curves]),
                np.mean([area_under_roc(curve) for curve in curves]),
            )
        )
    eers, aucs, over = draw_means(tests, seed=0, n_draws=40_000)
    assert over == "speakers"
    for drawn_so, wanted in zip((eers, aucs), np.array(expected).T, strict=True):
        assert drawn_so.mean() == pytest.approx(wanted.mean(), abs=0.003)
        assert drawn_so.std() == pytest.approx(wanted.std(), abs=0.003)
    apart = [draw_means([test], seed, n_draws=40_000)[1] for seed, test in enumerate(tests)]
    assert np.mean(apart, axis=0).std() > 1.05 * aucs.std()  # drawn apart, what evens out would not


def test_a_speaker_of_one_test_alone_is_drawn_among_the_like() -> None:
    """Two engines with a voice of their own each, which no draw may leave out; too few voices, so recordings are drawn."""
    people = [f"p{i}" for i in range(6)]
    tests = [
        Scored(np.arange(8.0)[::-1], np.arange(8) < 6, [*people, engine, engine], [*people, f"{engine}0", f"{engine}1"])
        for engine in ("a", "b")
    ]
    eers, aucs, over = draw_means(tests, seed=1, n_draws=200)
    assert over == "recordings"
    assert (eers == 0).all()
    assert (aucs == 1).all()


def test_the_mean_s_interval_holds_the_mean() -> None:
    measures = measure_mean(two_tests(40)).to_json()
    single = [measure_scores(test.scores, test.is_target, test.speakers).to_json() for test in two_tests(40)]
    for key in ("eer", "auc"):
        assert measures[key] == pytest.approx(np.mean([each[key] for each in single]))
        assert measures[f"{key}_low"] < measures[key] < measures[f"{key}_high"]
    assert measures["interval"] == {"over": "speakers"}
