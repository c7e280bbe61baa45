"""DET curves and operating points are what the decoder gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from support.made_bench import LABELS, WORDS, bench
from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench, measure_bench
from wordspot.evaluation.curves import THRESHOLDS, make_curves, operating_points, sweep, total_curve
from wordspot.evaluation.matching import match_words
from wordspot.metrics import StreamCurve
from wordspot.presets import CLASSIC_DECODER
from wordspot.runtime.decoder import make_decoder

__all__ = ["bench"]


@pytest.mark.parametrize(
    "config",
    [DecoderConfig(), dataclasses.replace(CLASSIC_DECODER, average_ms=300, stride_ms=30)],
    ids=["peak", "classic"],
)
@pytest.mark.slow
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
            found = [one for row, end in zip(stream.scores, stream.end_ms, strict=True) for one in decoder.feed(row[None], [end])]
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
    curve = StreamCurve(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([8, 8, 6, 4, 3]), np.array([10, 5, 1, 0, 0]), 10, 2.0)
    rows = [(row.at_most_per_hour, row.threshold, row.miss_rate) for row in operating_points(curve)]
    assert [(target, threshold) for target, threshold, _ in rows] == [
        (0, 0.4),
        (0.5, 0.3),
        (1, 0.3),
        (2, 0.3),
        (5, 0.2),
        (10, 0.2),
        (20, 0.2),
    ]
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
