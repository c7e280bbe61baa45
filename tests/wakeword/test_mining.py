"""What a model falls for is found and cut out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from support.made_onnx import RATE, made_model
from wordspot.audio.files import read_audio
from wordspot.data.speech import Speech
from wordspot.wakeword.mining import mine, without_phrases

PAUSE = np.zeros(RATE, np.int16)


def loud(level: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """A second of one value, which the made model takes for a word: `a` if it is positive, `b` if it is negative."""
    return np.full(RATE, int(32767 * level), np.int16)


def test_windows_in_which_the_model_detects_a_word(tmp_path: Path) -> None:
    model = tmp_path / "made.onnx"
    model.write_bytes(made_model())
    negatives = [np.concatenate([PAUSE, PAUSE, loud(0.7), PAUSE]), np.concatenate([PAUSE, PAUSE, PAUSE])]
    assert mine(model, negatives, RATE, tmp_path / "found", "mined", at_most=10) == 1
    files = sorted((tmp_path / "found").iterdir())
    assert [file.name for file in files] == [f"mined-0_nohash_{place}.wav" for place in range(3)]
    ends = [int(np.flatnonzero(np.abs(read_audio(file, RATE)[0]) > 0.6)[-1]) for file in files]
    assert np.diff(ends).tolist() == [-0.15 * RATE] * 2  # each window ends 150 ms later than the one before
    assert all(len(read_audio(file, RATE)[0]) == RATE for file in files)  # a clip of the model


def test_only_the_surest_are_kept(tmp_path: Path) -> None:
    model = tmp_path / "made.onnx"
    model.write_bytes(made_model())
    negatives = [np.concatenate([PAUSE, PAUSE, loud(level), PAUSE]) for level in (0.5, 0.7, 0.6)]
    assert mine(model, negatives, RATE, tmp_path / "found", "mined", at_most=1) == 1
    for file in (tmp_path / "found").iterdir():
        assert abs(np.abs(read_audio(file, RATE)[0]).max() - 0.7) < 0.01


def test_speech_whose_text_holds_the_phrase_is_no_negative() -> None:
    texts = (("say", "hey", "lamp", "now"), ("hey", "lamppost"), ())
    audio = np.arange(30, dtype=np.int16)
    speech = Speech(("a", "b", "c"), ("", "", ""), audio, (0, 10, 20, 30), texts, (None, None, None), RATE)
    kept = [part.tolist() for part in without_phrases(speech, ["hey lamp"])]
    assert kept == [list(range(10, 20)), list(range(20, 30))]
