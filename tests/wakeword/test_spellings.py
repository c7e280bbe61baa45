"""Spellings for how people say a phrase."""

from __future__ import annotations

import pytest

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.wakeword.spellings import reduced_spellings


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("athena", ["uthena"]),  # dictionaries have a schwa, espeak-ng has the a of "at"
        ("alexa", []),  # begins with a schwa already
        ("okay nabu", []),  # the full vowel of "nabu" comes after the stress
        ("hey lamp", []),  # both vowels are stressed
    ],
)
def test_full_vowels_before_the_stress_are_reduced(phrase: str, expected: list[str]) -> None:
    assert reduced_spellings(phrase, "en") == expected


def test_only_english_is_known_to_reduce_them() -> None:
    assert reduced_spellings("athena", "de") == []
