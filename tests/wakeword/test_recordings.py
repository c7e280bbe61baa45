"""What is spoken besides the phrase."""

from __future__ import annotations

import pytest

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.wakeword.project import Request
from wordspot.wakeword.recordings import other_texts, shares


def test_how_people_say_the_phrase_is_no_negative() -> None:
    """Most dictionaries have "uthena", with a schwa, as the pronunciation of "Athena"; espeak-ng says it with the a of "at"."""
    texts = other_texts(Request(("athena",), n_near_misses=80, excluded=("a theme", "Athena")))
    assert not {"uthena", "ethena", "othena", "atheno", "athena", "Athena"} & set(texts)
    assert {"a theme", "attain", "arena", "alexa"} <= set(texts)
    assert len(texts) == len(set(texts))


def test_a_word_that_exists_is_a_negative_however_near_it_is() -> None:
    texts = other_texts(Request(("hey lamp",), n_near_misses=60))
    assert {"high lamp", "hey damp"} <= set(texts)
    assert not {"hey lamt", "hoy lamp"} & set(texts)


def test_clips_are_divided_between_simple_engines_and_neural_ones() -> None:
    assert shares("espeak-ng,flite,kokoro", 300, 0.3) == [("espeak-ng,flite", 90), ("kokoro", 210)]
    assert shares("espeak-ng,kokoro", 1, 0.3) == [("espeak-ng", 1), ("kokoro", 1)]
    assert shares("espeak-ng,flite", 300, 0.3) == [("espeak-ng,flite", 300)]
    assert shares("kokoro,piper", 300, 0.3) == [("kokoro,piper", 300)]
