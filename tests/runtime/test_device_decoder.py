"""ESPHome's rule of decision, against a transcription of the device's own steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.config import DecoderConfig
from wordspot.presets import ESPHOME_DECODER
from wordspot.runtime.decoder import make_decoder

LABELS = ("_silence_", "lamp")


def device(scores: np.ndarray, cutoff: float, window: int, stride: int) -> list[int]:
    """The calls at which a device detects the word, frame by frame: a transcription of ESPHome's steps. Scores are bytes."""
    limit, recent, ignore, found = int(255 * cutoff), [0] * window, -100, []
    for frame in range(stride * len(scores)):
        is_call = frame % stride == stride - 1
        if is_call:
            recent = [*recent[1:], int(scores[frame // stride])]
        if recent[-1] < limit:
            ignore = min(ignore + 1, 0)
        if is_call and ignore >= 0 and sum(recent) > limit * window:
            found.append(frame // stride)
            recent, ignore = [0] * window, -100
    return found


def detections(scores: np.ndarray, config: DecoderConfig, stride: int, chunk: int) -> list[float]:
    rows = np.stack([1 - scores / 256, scores / 256], axis=1).astype(np.float32)
    times = 20.0 + 10 * stride * np.arange(1, len(rows) + 1)
    decoder = make_decoder(config, LABELS)
    found = []
    for at in range(0, len(rows), chunk):
        found += decoder.feed(rows[at : at + chunk], times[at : at + chunk])
    assert decoder.flush() == []
    assert {one.label for one in found} <= {"lamp"}
    return [one.time_ms for one in found]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.3, 0.5, 0.9]),
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from([1, 7, 900]),
)
def test_the_decoder_detects_when_the_device_does(seed: int, cutoff: float, window: int, stride: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    bursts = np.repeat(rng.random(90) < 0.2, 10)
    scores = np.where(bursts, rng.integers(60, 256, 900), rng.integers(0, 100, 900))
    config = DecoderConfig(kind="esphome", average_ms=(window - 1) * 10 * stride, threshold=cutoff, refractory_ms=1000)
    expected = [20.0 + 10 * stride * (call + 1) for call in device(scores, cutoff, window, stride)]
    assert detections(scores, config, stride, chunk) == expected


def test_it_is_deaf_at_the_start_and_after_a_detection() -> None:
    """By hand, a score each 30 ms: 30 low ones, a burst that comes too early, a long one, and one that is detected again."""
    scores = np.array([10] * 30 + [250] * 5 + [10] * 40 + [250] * 100 + [10] * 40 + [250] * 5)
    config = ESPHOME_DECODER
    found = detections(scores, config, 3, 50)
    assert found == [50.0 + 30 * 77, 50.0 + 30 * 217]


def test_the_cut_off_is_a_whole_255th() -> None:
    """0.5 is 127 on the device, so a mean of 127.2 of 256ths is enough."""
    scores = np.array([0] * 60 + [127, 127, 127, 127, 128])
    assert len(detections(scores, ESPHOME_DECODER, 3, 100)) == 1
    scores[-1] = 127
    assert detections(scores, ESPHOME_DECODER, 3, 100) == []


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunks_do_not_matter(chunk: int) -> None:
    scores = np.random.default_rng(1).integers(0, 256, 3000)
    config = DecoderConfig(kind="esphome", average_ms=60, threshold=0.6, refractory_ms=300)
    assert detections(scores, config, 3, chunk) == detections(scores, config, 3, 999)
