"""Gain of live streams, fixed and automatic, and the note about one that is too quiet."""

from __future__ import annotations

import numpy as np
import pytest

from wordspot.audio.gain import AutoGain, FixedGain, Gain, LevelWatch, make_gain
from wordspot.errors import ConfigError

RATE = 16_000
RNG = np.random.default_rng(0)


def burst(level_db: float, seconds: float = 0.5) -> np.ndarray:
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * 300 * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def noise(level_db: float, seconds: float) -> np.ndarray:
    return (10 ** (level_db / 20) * RNG.uniform(-1, 1, int(RATE * seconds))).astype(np.float32)


def peak_db(audio: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(audio).max()))


def test_a_fixed_gain() -> None:
    np.testing.assert_allclose(FixedGain(20).feed(np.array([0.01, -0.05, 0.5], np.float32)), [0.1, -0.5, 1], rtol=1e-6)
    np.testing.assert_allclose(FixedGain(-6.0206).feed(np.array([16384], np.int16)), [0.25], rtol=1e-5)


@pytest.mark.parametrize("gain", ["loud", 61, -60.5, float("nan"), True])
def test_a_gain_that_makes_no_sense(gain: Gain) -> None:
    with pytest.raises(ConfigError, match="`gain` must be auto, or lie between -60 and 60 dB"):
        make_gain(gain, RATE)


@pytest.mark.parametrize("level_db", [-20.0, -30.0, -40.0])
def test_an_automatic_gain_raises_quiet_words(level_db: float) -> None:
    gain, words = AutoGain(RATE), []
    for _ in range(5):
        gain.feed(noise(-85, 3))
        words.append(peak_db(gain.feed(burst(level_db))))
    assert words[-1] == pytest.approx(-10, abs=1)


def test_an_automatic_gain_has_bounds() -> None:
    gain = AutoGain(RATE)
    gain.feed(np.zeros(60 * RATE, np.float32))
    assert gain.gain_db == pytest.approx(30)
    gain.reset()
    raised = gain.feed(noise(-60, 60))
    assert peak_db(raised[-RATE:]) == pytest.approx(-45, abs=0.5)  # not the noise
    gain.reset()
    loud = gain.feed(np.concatenate([noise(-50, 20), burst(-1)]))
    assert np.abs(loud).max() <= 1
    assert gain.gain_db == 0


def test_a_loud_word_after_quiet_is_distorted_for_a_frame_at_most() -> None:
    gain = AutoGain(RATE)
    gain.feed(noise(-90, 20))
    word = burst(-6)
    raised = gain.feed(word)
    np.testing.assert_allclose(raised[320:], word[320:], rtol=1e-5)


def test_an_automatic_gain_does_not_depend_on_blocks() -> None:
    audio = np.concatenate([noise(-70, 2), burst(-35), noise(-70, 2), burst(-20)])
    whole, parts = AutoGain(RATE).feed(audio), AutoGain(RATE)
    cut = np.concatenate([parts.feed(part) for part in np.split(audio, [1, 1000, 1319, 40_000])])
    np.testing.assert_array_equal(whole, cut)


@pytest.mark.parametrize(
    ("level_db", "gain", "match"),
    [
        (-50, None, r"very quiet, its loudest sound in a minute was -50 dBFS; .* use `gain` 40 or `gain` auto"),
        (-55, 5, r"was -50 dBFS; .* `gain` 45 or"),
        (-90, None, "silent for a minute; the microphone may be muted"),
        (-38, None, ""),
        (-50, 15, ""),
        (-50, "auto", ""),
    ],
)
def test_a_minute_that_is_too_quiet_is_noted_once(level_db: float, gain: Gain, match: str) -> None:
    notes: list[str] = []
    watch = LevelWatch(RATE, notes.append, gain)
    block = np.full(RATE, 10 ** (level_db / 20), np.float32)
    for second in range(200):
        if second == 59:
            assert notes == []
        watch.feed(block if second % 2 else (block * 32768).astype(np.int16))
    assert len(notes) == (1 if match else 0)
    if match:
        import re

        assert re.search(match, notes[0])
