"""A German and a Chinese phrase, from typed text to recordings, near misses and a model of two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wordspot as ws
from wordspot.audio.effects import rms
from wordspot.audio.files import read_audio
from wordspot.wakeword import training

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

SMALL: dict[str, Any] = {
    "n_voices": 24,
    "minutes": 0.01,
    "engine": "espeak-ng",
    "false_accepts_per_hour": 60,
    "stream_minutes": 0.5,
}
#: Phrase, language, and two texts that sound like it.
PHRASES = [
    ("hallo Lampe", "de", {"hallo rampe", "lampe"}),
    ("小爱同学", "zh", {"小爱通学", "同学"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("phrase", "language", "near"), PHRASES, ids=["de", "zh"])
def test_from_typed_text_to_a_model(
    phrase: str, language: str, near: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_FEWEST_STEPS", 2)
    monkeypatch.setattr(training, "_PROBE_STEPS", 2)
    monkeypatch.setattr(training, "_PROBE_SKIPPED", 1)
    made = ws.new(phrase, out=tmp_path / "made", language=language, n_near_misses=24, **SMALL)
    spoken = {path.name for path in (made.path / "recordings").iterdir()}
    assert {phrase.lower(), *near} <= spoken
    clips = sorted((made.path / "recordings" / phrase.lower()).iterdir())
    assert len(clips) == SMALL["n_voices"]
    for path in clips:
        assert {"de": "-de-", "zh": "-cmn-"}[language] in path.name
        audio, rate = read_audio(path)
        assert (len(audio), rate) == (24_000, 16_000)
        assert rms(audio) > 0.005
    assert ws.open_model(made.model).card.labels[2:] == (phrase,)
    assert made.model.is_file()
    assert made.measured.near_misses.n > 0
