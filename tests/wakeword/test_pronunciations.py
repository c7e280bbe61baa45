"""Pronunciations of words that are in no dictionary. The expected ones are those of people."""

from __future__ import annotations

import pytest

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.wakeword.pronunciations import pronunciations


@pytest.mark.parametrize(
    ("phrase", "people"),
    [
        ("athena", "[[əθˈiːnə]]"),  # as in dictionaries
        ("dracarys", "[[dɹəkˈɑːɹɪs]]"),  # as in the series it is from
        ("hadouken", "[[hədˈoʊkən]]"),
        ("hadouken", "[[hədˈuːkən]]"),
        ("hey mycroft", "hey [[mˈaɪkɹɔːft]]"),
        ("dracarys", "[[dɹəkˈɛɹɪs]]"),  # as "vary"
        ("trick or treat", "trick [[ɚ]] treat"),
        ("okay nabu", "[[ˈoʊkeɪ]] [[nˈɑːbʊ]]"),  # begins with a sound that can also end a diphthong
    ],
)
def test_ways_to_say_a_phrase(phrase: str, people: str) -> None:
    found = pronunciations(phrase, "en")
    assert people in found
    assert len(found) == len(set(found)) <= 6


@pytest.mark.parametrize(("phrase", "language"), [("hey lamp", "en"), ("or else", "en"), ("athena", "de"), ("smarthome", "en")])
def test_other_phrases_are_said_as_they_are_spelled(phrase: str, language: str) -> None:
    assert pronunciations(phrase, language) == []
