"""Where speech is in a clip, by its first and last loud frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.speech import speech_bounds


def burst(rate: int, *, first_ms: float = 300, stop_ms: float = 700) -> np.ndarray:
    """A second of faint noise with a tone in it."""
    time = np.arange(rate) / rate
    audio = 0.001 * np.random.default_rng(0).standard_normal(rate)
    audio += 0.2 * np.sin(2 * np.pi * 700 * time) * ((time >= first_ms / 1000) & (time < stop_ms / 1000))
    return audio.astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
def test_speech_is_where_the_sound_is(rate: int) -> None:
    first, stop = speech_bounds(burst(rate), rate)
    assert first / rate == pytest.approx(0.3, abs=0.021)  # a frame, and one more that the smoothing adds
    assert stop / rate == pytest.approx(0.7, abs=0.021)


@pytest.mark.parametrize("gain", [0.01, 1, 4])
def test_speech_bounds_know_no_level(gain: float) -> None:
    assert speech_bounds(burst(16_000) * np.float32(gain), 16_000) == speech_bounds(burst(16_000), 16_000)


def test_hum_an_offset_and_a_click_are_no_speech() -> None:
    audio = burst(16_000) + np.float32(0.3)
    audio += (0.05 * np.sin(2 * np.pi * 50 * np.arange(16_000) / 16_000)).astype(np.float32)
    audio[1600] += 0.5
    first, stop = speech_bounds(audio, 16_000)
    assert first / 16 == pytest.approx(300, abs=21)
    assert stop / 16 == pytest.approx(700, abs=21)


@pytest.mark.parametrize("audio", [np.zeros(16_000), np.full(16_000, 0.25), np.zeros(100), np.zeros(0)])
def test_nothing_stands_out(audio: np.ndarray) -> None:
    assert speech_bounds(audio.astype(np.float32), 16_000) == (0, len(audio))


def test_words_of_people_are_as_long_as_words(shared_data: Path) -> None:
    """Words of one syllable last some tenths of a second, and hardly any fills its clip."""
    lengths = []
    for path in sorted((shared_data / "speech_commands" / "right").iterdir())[:200]:
        audio, rate = soundfile.read(path, dtype="float32")
        first, stop = speech_bounds(audio, rate)
        lengths.append((stop - first) / rate)
    assert 0.35 < np.median(lengths) < 0.6
    assert np.mean(np.array(lengths) > 0.9) < 0.06
