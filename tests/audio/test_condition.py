"""The condition of recordings whose level, noise floor, silence and bandwidth are known."""

from __future__ import annotations

import numpy as np
import pytest

from wordspot.audio.condition import ConditionMeter, measure_condition

RATE = 16_000


def test_a_tone_after_its_echo() -> None:
    """A sine of amplitude A has 20 log10(A) - 3.01 dBFS; its first second is 60 dB lower."""
    time = np.arange(2 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    tone[:RATE] *= 0.001
    found = measure_condition(tone, RATE)
    assert found.level_db == pytest.approx(-9.03, abs=0.02)
    assert found.floor_db == pytest.approx(-69.03, abs=0.02)
    assert found.snr_db == pytest.approx(60, abs=0.02)
    assert (found.lead_ms, found.tail_ms, found.sound_s) == (1000, 0, 1)
    turned = measure_condition(tone[::-1].copy(), RATE)
    assert (turned.lead_ms, turned.tail_ms, turned.sound_s) == (0, 1000, 1)


@pytest.mark.parametrize("cutoff", [3000, 5000, 7000])
def test_the_bandwidth_of_filtered_noise(cutoff: int) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(2 * RATE))
    spectrum[np.fft.rfftfreq(2 * RATE, 1 / RATE) > cutoff] = 0
    audio = np.fft.irfft(spectrum).astype(np.float32) * 0.1
    assert measure_condition(audio, RATE).bandwidth_hz == pytest.approx(cutoff, abs=150)


@pytest.mark.parametrize("n_samples", [1, 2, 100, 319, 320, 321])
def test_very_short_recordings(n_samples: int) -> None:
    found = measure_condition(np.full(n_samples, 0.5, np.float32), RATE)
    assert found.level_db == pytest.approx(-6.02, abs=0.01)
    assert found.lead_ms == 0


def test_only_zeros_are_silent() -> None:
    audio = np.zeros(RATE // 10 + 7, np.float32)
    assert measure_condition(audio, RATE).is_silent
    audio[-1] = 1 / 32768  # in the part that fills no frame
    assert not measure_condition(audio, RATE).is_silent


@pytest.mark.parametrize("size", [1, 100, 319, 641, 5000])
def test_blocks_give_what_the_whole_gives(size: int) -> None:
    audio = np.random.default_rng(1).standard_normal(20_001).astype(np.float32) * np.linspace(0, 0.1, 20_001, dtype=np.float32)
    meter = ConditionMeter(RATE)
    for start in range(0, len(audio), size):
        meter.feed(audio[start : start + size])
    assert meter.finish() == measure_condition(audio, RATE)
