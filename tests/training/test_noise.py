"""Synthetic noise beside recorded noise: the share that was asked for, at a bounded cost."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import numpy as np

from wordspot.config import AugmentConfig, RunConfig
from wordspot.data.clips import ClipSet
from wordspot.training import noise
from wordspot.training.noise import _babble_rows, _made_noise


@pytest.mark.parametrize(("n_recorded", "n_made", "seconds"), [(0, 1, 24), (4, 4, 24), (40, 40, 9.6), (500, 500, 1)])
def test_pieces_are_as_many_as_the_share_needs_and_shorter_if_there_are_many(
    n_recorded: int, n_made: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the real lengths."""
    for name in ("_MADE_SECONDS", "_SHORTEST_SECONDS", "_MOST_SECONDS"):
        monkeypatch.setattr(noise, name, getattr(noise, name) / 10)
    config = RunConfig(words=("a",), augment=AugmentConfig(made_noise=0.5))
    clips = np.random.default_rng(0).integers(-9000, 9000, (6, 16_000)).astype(np.int16)
    pieces = _made_noise(config, clips, n_recorded)
    assert [len(piece) for piece in pieces] == [int(16_000 * seconds)] * n_made


def test_babble_is_of_unknown_words() -> None:
    """Labels 0 silence, 1 unknown, 2 a keyword; row -1 is silence that is made from noise."""
    rows = np.array([-1, 4, 5, 6, 7])
    assert _babble_rows(ClipSet(rows, np.array([0, 2, 1, 2, 1]), np.ones(5))).tolist() == [5, 7]
    assert _babble_rows(ClipSet(rows, np.array([0, 2, 2, 2, 2]), np.ones(5))).tolist() == [4, 5, 6, 7]
