"""A bench of made scores."""

from __future__ import annotations

import numpy as np
import pytest

from wordspot.data.truth import SpokenWord
from wordspot.evaluation.bench import Bench, ScoredStream

LABELS = ("_silence_", "_unknown_", "a", "b")
WORDS = ("a", "b")


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
