"""Held-out clips in which a network detects a word, with a network that is computed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.labels import UNKNOWN
from wordspot.training.scenes import found
from wordspot.training.scenes.found import Found, HeldOutClips

FEATURES = FeatureConfig(clip_ms=1000, hop_ms=10)
RATE, STRIDE = 16_000, 4
LOUD, SOFT = 0.5, 0.3


class LevelNetwork(nn.Module):
    """Detects "a" in a window whose last 50 ms are loud, "b" where they are soft, and nothing in silence."""

    def windows(self, audio: Tensor, stride: int) -> Tensor:
        hop, n = stride * FEATURES.hop_samples, FEATURES.clip_samples
        last = audio[:, n - RATE // 20 :].unfold(1, RATE // 20, hop).abs().mean(dim=-1)
        a, b = (10.0 * ((last - level).abs() < 0.05) for level in (LOUD, SOFT))
        return torch.stack([torch.full_like(a, 5.0), torch.zeros_like(a), a, b], dim=-1)


def held_out(levels: list[float], labels: list[int], start: int = RATE // 4, stop: int = RATE // 2) -> HeldOutClips:
    """Clips of the constants `levels`, with silence around them."""
    clips = np.zeros((len(levels), RATE), np.int16)
    clips[:, start:stop] = (32768 * np.array(levels)[:, None]).astype(np.int16)
    decoded: Any = SimpleNamespace(clips=clips)
    rows = np.arange(len(levels))
    return HeldOutClips(decoded, rows, np.array(labels), FEATURES, STRIDE, torch.device("cpu"))


A, B = UNKNOWN + 1, UNKNOWN + 2


def test_hits_misses_and_false_detections_are_counted() -> None:
    levels = [LOUD, LOUD, SOFT, 0.0, LOUD, 0.0, SOFT]
    labels = [A, A, A, B, B, UNKNOWN, UNKNOWN]
    count = held_out(levels, labels).count(LevelNetwork(), nn.Identity(), 7)
    assert count == Found(step=7, n_found=2, n_words=5, n_wrong=1, n_others=2)
    assert count.summary() == "Step 7: detected in 2 of 5 held-out clips, and a word in 1 of 2 clips of other words"


@pytest.mark.parametrize("bounds", [(0, RATE // 4), (3 * RATE // 4, RATE)])
def test_a_word_at_either_end_of_its_clip_is_detected(bounds: tuple[int, int]) -> None:
    count = held_out([LOUD], [A], *bounds).count(LevelNetwork(), nn.Identity(), 1)
    assert count == Found(step=1, n_found=1, n_words=1, n_wrong=0, n_others=0)
    assert count.summary() == "Step 1: detected in 1 of 1 held-out clips"


def test_at_most_so_many_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "_MOST", 3)
    count = held_out([LOUD] * 7 + [0.0] * 2, [A] * 7 + [UNKNOWN] * 2).count(LevelNetwork(), nn.Identity(), 1)
    assert count == Found(step=1, n_found=3, n_words=3, n_wrong=0, n_others=2)


def test_nothing_to_count() -> None:
    assert held_out([0.0], [UNKNOWN]).count(LevelNetwork(), nn.Identity(), 1) is None
