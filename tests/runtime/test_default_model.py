"""The model that comes with wordspot: small, valid, with the licences of its data, and accurate on people."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.files import read_audio
from wordspot.config import DataConfig
from wordspot.data.folders import list_recordings
from wordspot.data.split import assign_sets
from wordspot.runtime.detector import Classifier, Detector
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile.card import read_card
from wordspot.runtime.modelfile.self_test import run_self_test

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CONTENT = (importlib.resources.files("wordspot.runtime") / "default.onnx").read_bytes()


def test_it_is_small_and_says_what_it_is() -> None:
    assert len(CONTENT) <= 1_000_000
    card = read_card(CONTENT)
    assert card.labels == ("_silence_", "_unknown_", *WORDS)
    assert (card.kind, card.sample_rate, card.clip_samples) == ("stream", 16_000, 24_000)
    assert "CC BY 4.0" in str(card.data["licence"])
    assert all(name in str(card.data["attribution"]) for name in ("Warden", "Panayotov", "Piczak"))


def test_it_gives_what_torch_gave() -> None:
    model = open_model(self_test=False)
    assert run_self_test(model.session, model.card).difference <= 1e-4


@pytest.mark.slow
def test_it_detects_people_it_was_not_trained_on(shared_data: Path) -> None:
    """Validation clips, 30 of each word; testing is for the benchmarks."""
    listing = list_recordings(shared_data / "speech_commands")
    sets = assign_sets(listing, DataConfig())
    classifier, n_right, n = Classifier(), 0, 0
    for word in WORDS:
        clips = [clip for clip, name in zip(listing.clips, sets, strict=True) if clip.word == word and name == "validation"]
        for clip in clips[:30]:
            audio, _ = read_audio(listing.root / clip.path, 16_000)
            n_right += int(classifier.classify(audio[:16_000])[0].argmax() == 2 + WORDS.index(word))
            n += 1
    assert n >= 200
    assert n_right / n > 0.9


@pytest.mark.slow
def test_it_detects_a_word_in_a_stream_and_nothing_in_silence(shared_data: Path) -> None:
    quiet = 1e-3 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    detector = Detector()
    assert detector.feed(np.concatenate([quiet] * 5)) == []
    listing = list_recordings(shared_data / "speech_commands")
    sets = assign_sets(listing, DataConfig())
    heard = 0
    for word in WORDS:
        clip = [clip for clip, name in zip(listing.clips, sets, strict=True) if clip.word == word and name == "validation"][3]
        audio, _ = read_audio(listing.root / clip.path, 16_000)
        found = detector.feed(np.concatenate([audio, quiet]))
        heard += [detection.label for detection in found] == [word]
    assert heard >= 8
