"""A model of whole recordings whose scores are computed by hand: how sure it is grows with the mean of the window.

With m the mean of a window, the first label's posterior is 0.5 + 0.48 m, the second's the rest; a third label has 0.1 of
both where the model has three.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from support.made_onnx import RATE, _model, _value, made_card
from wordspot.config import DecoderConfig, FeatureConfig, RecordingsConfig, RunConfig
from wordspot.overrides import to_json
from wordspot.runtime.modelfile.card import self_test_signal, with_card

CLIP, STRIDE = 1600, 400
TWO, THREE = ("person", "machine"), ("person", "machine", "radio")


def window_scores(means: NDArray[Any], n_labels: int = 2) -> NDArray[np.float64]:
    """The posteriors [n, labels] of windows with these means [n]."""
    first = 0.5 + 0.48 * np.asarray(means, np.float64)
    both = np.stack([first, 1 - first], axis=1)
    return both if n_labels == 2 else np.concatenate([0.9 * both, np.full((len(both), 1), 0.1)], axis=1)


def recording_model(
    labels: tuple[str, ...] = TWO,
    *,
    clip_samples: int = CLIP,
    thresholds: dict[str, float] | None = None,
    **settings: Any,
) -> bytes:
    """A whole exported file of the task `recordings`; `settings` are fields of `RecordingsConfig`."""
    settings = {"stride_ms": 1000 * STRIDE / RATE, **settings}
    run = RunConfig(
        words=labels,
        task="recordings",
        features=FeatureConfig(clip_ms=1000 * clip_samples / RATE),
        recordings=RecordingsConfig(**settings),
    )
    card = made_card("clip", clip_samples)
    signal = self_test_signal(card.self_test).astype(np.float64)
    means = np.array([signal[end - clip_samples : end].mean() for end in card.self_test.ends])
    rows = tuple(tuple(row) for row in np.log(window_scores(means, len(labels))).tolist())
    card = dataclasses.replace(
        card,
        labels=labels,
        config=to_json(run),
        decoder=DecoderConfig(thresholds=thresholds or {}),
        self_test=dataclasses.replace(card.self_test, log_posteriors=rows),
    )
    return with_card(_graph(clip_samples, len(labels)), card)


def _graph(clip_samples: int, n_labels: int) -> bytes:
    """audio [n, clip] → scores [n, labels]."""
    parts = ["first", "second"] if n_labels == 2 else ["first_part", "second_part", "third"]
    nodes = [
        helper.make_node("ReduceMean", ["audio", "axis_1"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "slope"], ["rise"]),
        helper.make_node("Add", ["rise", "half"], ["first"]),
        helper.make_node("Sub", ["one", "first"], ["second"]),
        helper.make_node("Concat", parts, ["scores"], axis=1),
    ]
    constants = {"axis_1": np.array([1], np.int64), "slope": np.float32(0.48), "half": np.float32(0.5)}
    if n_labels == 3:
        nodes[-1:-1] = [
            helper.make_node("Mul", ["first", "share"], ["first_part"]),
            helper.make_node("Mul", ["second", "share"], ["second_part"]),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "tenth"], ["third"]),
        ]
        constants |= {"share": np.float32(0.9), "tenth": np.float32(0.1)}
    return _model(nodes, constants, [_value("audio", ["n", clip_samples])], [_value("scores", ["n", n_labels])])
