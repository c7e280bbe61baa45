"""The decoder: the vectors that every port runs, any chunk sizes, and rejected input."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordspot.config import DECODERS, DecoderConfig
from wordspot.errors import ConfigError, WordspotError
from wordspot.overrides import decoder_from_json, decoder_to_json, override_decoder
from wordspot.presets import CLASSIC_DECODER, MICRO_DECODER
from wordspot.runtime.decoder import Decoder, Detection, RecognizeCommands, ScoreError, make_decoder

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "decoder.json").read_text(encoding="utf-8"))
LABELS = ("_silence_", "_unknown_", "a", "b")


def expand(runs: list[list[Any]]) -> list[tuple[float, list[float]]]:
    """The rows of a case, as its `about` explains them."""
    rows = []
    for first, last, step, scores, *count in runs:
        times = [first] * (count[0] if count else 1) if step == 0 else np.arange(first, last + step / 2, step).tolist()
        rows += [(float(time), scores) for time in times]
    return rows


def decode(decoder: Decoder, rows: list[tuple[float, list[float]]], chunk: int) -> list[Detection]:
    found = []
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        found += decoder.feed([scores for _, scores in part], [time for time, _ in part])
    return found + decoder.flush()


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_vector(case: dict[str, Any], chunk: int) -> None:
    if case.get("error"):
        with pytest.raises(WordspotError):
            decode(make_decoder(decoder_from_json(case["config"]), case["labels"]), expand(case["rows"]), chunk)
        return
    decoder = make_decoder(decoder_from_json(case["config"]), case["labels"])
    found = decode(decoder, expand(case["rows"]), chunk)
    got = [(d.label, d.time_ms, d.score, d.emitted_ms) for d in found]
    assert got == [(label, time, pytest.approx(score, abs=1e-6), out) for label, time, score, out in case["detections"]]


def test_vectors_say_what_they_leave_out() -> None:
    assert VECTORS["defaults"] == decoder_to_json(DecoderConfig())


def test_vectors_are_of_every_kind() -> None:
    assert {case["config"]["kind"] for case in VECTORS["cases"]} == set(DECODERS)


def test_process_follows_the_golden_case_row_by_row() -> None:
    decoder = RecognizeCommands(CLASSIC_DECODER, ("_silence_", "a", "b"))
    rows = [decoder.process([0, 1, 0] if time < 1000 else [0, 0, 1], time) for time in range(0, 2000, 100)]
    assert rows[:4] == [("_silence_", 0, False)] * 3 + [("a", 1, True)]
    assert [new for _, _, new in rows] == [time in (300, 1500) for time in range(0, 2000, 100)]
    # of the rows 400..1400, five are "b": "a" is still the top label
    assert rows[14] == ("a", pytest.approx(6 / 11), False)
    assert rows[15] == ("b", pytest.approx(6 / 11), True)


def test_process_takes_a_time_back_to_the_oldest_row_kept() -> None:
    decoder = RecognizeCommands(CLASSIC_DECODER, ("_silence_", "a"))
    for time in (0, 600, 1200):
        decoder.process([0, 1], time)
    decoder.process([0, 1], 600)  # 0 was dropped at 1200
    with pytest.raises(ScoreError, match="599 ms is before the oldest that is kept, 600 ms"):
        decoder.process([0, 1], 599)
    with pytest.raises(ScoreError, match="expected 2, one for each label"):
        decoder.process([0, 1, 0], 1300)


#: A reference of the spec's rules as plain as can be, to compare with on random input.
def plain_classic(config: DecoderConfig, labels: tuple[str, ...], rows: list[tuple[float, list[float]]]) -> list[Any]:
    queue: list[tuple[float, list[float]]] = []
    previous, previous_time, found = "_silence_", -np.inf, []
    for now, scores in rows:
        queue = [entry for entry in [*queue, (now, scores)] if entry[0] >= now - config.average_ms]
        if len(queue) < config.minimum_count or now - queue[0][0] < config.average_ms / 4:
            continue
        means = [sum(entry[1][i] for entry in queue) / len(queue) for i in range(len(labels))]
        score = max(means)
        label = labels[means.index(score)]
        since = np.inf if previous == "_silence_" else now - previous_time
        late, other = since > config.suppression_ms, label != previous
        if score > config.threshold_of(label) and ((late or other) if config.kind == "micro" else (late and other)):
            previous, previous_time = label, now
            if label != "_silence_":
                found.append((label, now, pytest.approx(score)))
    return found


def random_rows(seed: int, n: int = 3000) -> list[tuple[float, list[float]]]:
    """Words that come and go, as sixteenths: their sums are exact, so no rounding decides a comparison."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([5, 10, 10, 10, 20, 300], n, p=[0.2, 0.2, 0.2, 0.2, 0.19, 0.01]))
    rows = np.zeros((n, 4), int)
    for start in range(0, n, 20):
        rows[start : start + 20, rng.integers(0, 4)] = rng.integers(4, 15)
    rows += rng.integers(0, 3, (n, 4))
    return [(float(time), (row / 16).clip(0, 1).tolist()) for time, row in zip(times, rows, strict=True)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(CLASSIC_DECODER, average_ms=160, threshold=0.4),
        dataclasses.replace(MICRO_DECODER, average_ms=320, threshold=0.3, thresholds={"a": 0.55}),
    ],
    ids=["classic", "micro"],
)
def test_recogniser_is_the_plain_one(config: DecoderConfig, seed: int) -> None:
    rows = random_rows(seed)
    expected = plain_classic(config, LABELS, rows)
    found = decode(make_decoder(config, LABELS), rows, 100_000)
    assert len(expected) > 10
    assert [(d.label, d.time_ms, d.score) for d in found] == expected


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("stride_ms", [0, 30])
@pytest.mark.slow
def test_any_chunking_gives_the_same_to_the_bit(kind: str, stride_ms: float) -> None:
    config = DecoderConfig(kind=kind, average_ms=170, threshold=0.37, stride_ms=stride_ms)
    rng = np.random.default_rng(5)
    rows = [(time, (np.array(scores) * rng.uniform(0.9, 1)).tolist()) for time, scores in random_rows(11)]
    whole = decode(make_decoder(config, LABELS), rows, len(rows))
    assert len(whole) > 20
    for chunk in (1, 2, 7, 999):
        assert decode(make_decoder(config, LABELS), rows, chunk) == whole


@pytest.mark.slow
def test_blocks_of_a_long_feed_are_seamless() -> None:
    rows = random_rows(3, 70_000)  # more than a block
    config = DecoderConfig(average_ms=100)
    whole = decode(make_decoder(config, LABELS), rows, len(rows))
    assert whole == decode(make_decoder(config, LABELS), rows, 30_011)
    assert whole[-1].time_ms > rows[68_000][0]


def test_means_do_not_drift() -> None:
    """An hour of a loud word, then rows of exactly the threshold: any rest of a running sum would fire."""
    config = DecoderConfig(average_ms=100, threshold=0.1, thresholds={"a": 1})
    decoder = make_decoder(config, LABELS)
    n = 360_000
    scores = np.random.default_rng(0).dirichlet([1, 1, 1, 0.01], n).astype(np.float32)
    scores[:, 3] *= 0.09
    assert decoder.feed(scores, 10.0 * np.arange(n)) == []
    level = float(np.rint(0.1 * 2**30) / 2**30)
    quiet = np.tile([0.9, 0, 0, level - 2**-30], (500, 1))
    assert decoder.feed(quiet, 10.0 * np.arange(n, n + 500)) == []
    quiet[:, 3] = level + 2**-30
    assert len(decoder.feed(quiet, 10.0 * np.arange(n + 500, n + 1000)) + decoder.flush()) == 1


def test_reset_begins_a_new_stream() -> None:
    rows = random_rows(2, 500)
    for config in (DecoderConfig(threshold=0.3, stride_ms=30), MICRO_DECODER):
        decoder = make_decoder(config, LABELS)
        first = decode(decoder, rows, 50)
        decoder.reset()
        assert decode(decoder, rows, 50) == first


@pytest.mark.parametrize(
    ("scores", "times", "match"),
    [
        ([[0.5, 0.5, 0, 0]], [], r"have the shapes \[1, 4\] and \[0\]; expected \[n, 4\] and \[n\]"),
        ([0.5, 0.5, 0, 0], [0], "shapes \\[4\\]"),
        ([[0.5, 0.5, 0, np.nan]], [10], "scores must be finite and lie between 0 and 1 .*got nan"),
        ([[0.5, 0.5, 0, np.inf]], [10], "scores must be finite and lie between 0 and 1 .*got inf"),
        ([[0.5, 0.5, 0, 1.01]], [10], "posteriors, not logits.*got 0 to 1.01"),
        ([[1, 0, 0, 0]], [np.nan], "the times must be finite, got nan"),
        ([[1, 0, 0, 0]], [np.inf], "the times must be finite, got inf"),
        ([[1, 0, 0, 0]], [-np.inf], "the times must be finite, got -inf"),
        ([[1, 0, 0, 0]] * 2, [10, 9], "never decrease, got 9 ms after 10 ms; reset"),
        ([[1, 0, 0, 0]], [4], "never decrease, got 4 ms after 5 ms"),
    ],
)
def test_bad_rows_are_rejected_and_leave_no_trace(scores: Any, times: Any, match: str) -> None:
    config = DecoderConfig(average_ms=20, confirm_ms=20, threshold=0.3)
    decoder, clean = make_decoder(config, LABELS), make_decoder(config, LABELS)
    for each in (decoder, clean):
        each.feed([[0.5, 0, 0.5, 0]], [5])
    with pytest.raises(ScoreError, match=match):
        decoder.feed(scores, times)
    after = [[0.25, 0, 0.75, 0]] * 9, [10 * i for i in range(1, 10)]
    assert decoder.feed(*after) == clean.feed(*after) != []


def test_rounding_beyond_one_is_no_error() -> None:
    decoder = make_decoder(DecoderConfig(), LABELS)
    found = decoder.feed(np.array([[-1e-6, 0, 1 + 1e-6, 0]], np.float32), [0])
    assert found == [Detection("a", 0, 1, 0)]


def test_no_rows_are_no_error() -> None:
    assert make_decoder(DecoderConfig(stride_ms=30), LABELS).feed(np.zeros((0, 4), np.float32), []) == []


@pytest.mark.parametrize(
    ("labels", "match"),
    [((), "without repetition, got none"), (("a", "b", "a"), "without repetition, got a, b, a")],
)
def test_bad_labels(labels: tuple[str, ...], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_decoder(DecoderConfig(), labels)


def test_a_threshold_for_a_word_the_model_lacks() -> None:
    with pytest.raises(ConfigError, match="thresholds for c, which are not labels of the model; its labels are _silence_"):
        make_decoder(DecoderConfig(thresholds={"c": 0.5}), LABELS)


@given(st.integers(0, 2**32), st.sampled_from(DECODERS), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_detections_are_in_order_and_rest(seed: int, kind: str, threshold: float) -> None:
    config = DecoderConfig(kind=kind, threshold=threshold)
    rng = np.random.default_rng(seed)
    n = 400
    scores = rng.dirichlet([0.1] * 4, n // 8).repeat(8, axis=0)
    times = np.cumsum(rng.integers(0, 30, n)).astype(float)
    decoder = make_decoder(config, LABELS)
    found = decoder.feed(scores, times) + decoder.flush()
    assert [d.emitted_ms for d in found] == sorted(d.emitted_ms for d in found)
    for detection in found:
        assert detection.time_ms in times
        assert detection.time_ms <= detection.emitted_ms
        assert threshold < detection.score <= 1
    if kind == "peak":
        for before, after in itertools.pairwise(found):
            rest = config.refractory_ms / (1 if before.label == after.label else 2)
            assert after.time_ms - before.time_ms > rest


def test_json_there_and_back() -> None:
    config = DecoderConfig(kind="micro", threshold=0.25, thresholds={"ja": 0.5, "не": 1})
    value = json.loads(json.dumps(decoder_to_json(config)))
    assert decoder_from_json(value) == config
    assert decoder_from_json({}) == DecoderConfig()
    assert decoder_from_json({"average_ms": 100}).average_ms == 100.0


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([], "must be a JSON object, got list"),
        ({"treshold": 0.5}, "unknown entry 'treshold'; did you mean threshold"),
        ({"threshold": 1.01}, "threshold must lie between 0 and 1, got 1.01"),
        ({"threshold": float("nan")}, "threshold must be a number, got nan"),
        ({"threshold": True}, "threshold must be a number, got True"),
        ({"thresholds": {"a": -0.1}}, "each of thresholds must be .* from 0 to 1, got 'a': -0.1"),
        ({"thresholds": {"a": "0.5"}}, "got 'a': '0.5'"),
        ({"thresholds": {"a": float("nan")}}, "got 'a': nan"),
        ({"thresholds": [0.5]}, "thresholds must be a JSON object"),
        ({"kind": "best"}, "kind must be one of peak, classic, micro, esphome, got 'best'"),
        ({"minimum_count": 0}, "minimum_count must lie between 1"),
        ({"stride_ms": -1}, "stride_ms must lie between 0"),
    ],
)
def test_bad_settings(value: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        decoder_from_json(value)


def test_settings_of_the_command_line() -> None:
    config = override_decoder(
        DecoderConfig(thresholds={"a": 0.5}), {"threshold": "0.25", "thresholds": "b=0.5, c=1", "kind": "classic"}
    )
    assert config == DecoderConfig(kind="classic", threshold=0.25, thresholds={"a": 0.5, "b": 0.5, "c": 1})
    with pytest.raises(ConfigError, match="the threshold of b must be a number, got 'x'"):
        override_decoder(config, {"thresholds": "b=x"})
    with pytest.raises(ConfigError, match=r"no setting decoder\.refractory; did you mean decoder\.refractory_ms"):
        override_decoder(config, {"refractory": "5"})
