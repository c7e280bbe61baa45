"""Sounds and their weighted edit distance, against sums done by hand from the table in the module's docstring."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.data.voices.sounds import contains, cost_of, distance, to_sounds

_SOME = ("p", "b", "m", "s", "tʃ", "ɹ", "h", "ə", "i", "eɪ", "ɑ", "ɔ\u0303", "2", "5")
SOUNDS = st.lists(st.sampled_from(_SOME), max_size=6).map(tuple)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([("h", "ˈeɪ"), ("l", "ˈæ", "m", "p")], "h eɪ l æ m p"),
        ([("f", "ˈɔːɹ")], "f ɔ ɹ"),
        ([("w", "ˈɔː", "ɾ", "ɚ")], "w ɔ ɾ ə ɹ"),
        ([("f", "ˈaɪɚ")], "f aɪ ə ɹ"),
        ([("l", "ˈɪ", "ɾ", "əl")], "l ɪ ɾ ə l"),
        ([("b", "ˈʌ", "ʔ", "n̩")], "b ʌ ʔ ə n"),
        ([("tʃ", "ˈɜː", "tʃ")], "tʃ ɜ tʃ"),
        ([("m", "ˈɔ̃", "d")], "m ɔ\u0303 d"),
        ([("t", "iɛ5", "n")], "t iɛ 5 n"),
        ([("l", "ˈæ", "n", "p")], "l æ m p"),  # spoken as in lamp
    ],
)
def test_phonemes_become_sounds(words: list[tuple[str, ...]], expected: str) -> None:
    assert " ".join(to_sounds(words)) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("p", "b", 0.2),  # voice
        ("p", "t", 0.3),  # three places
        ("p", "k", 0.3),  # six places, at most 0.3
        ("f", "θ", 0.1),  # one place
        ("p", "d", 0.5),  # voice and place
        ("l", "d", 0.4),  # manner
        ("l", "ɹ", 0.3),  # one place, and a close manner
        ("tʃ", "ʃ", 0.2),  # a close manner
        ("h", "m", 0.9),  # 0.2 voice, 0.3 place, 0.4 manner
        ("ʂ", "ʃ", 0.1),  # the least
        ("i", "ɪ", 0.1),  # a step of height
        ("æ", "ʌ", 0.3),  # a step of height, a step backwards
        ("i", "u", 0.5),  # two steps backwards, lips
        ("i", "ɒ", 1.0),  # 0.6 + 0.4 + 0.1, at most 1
        ("eɪ", "aɪ", 0.2),  # four steps of height in one of two vowels
        ("eɪ", "ɛ", 0.25),  # two steps, then three, halved
        ("ɔ\u0303", "ɔ", 0.2),  # nasal
        ("s", "æ", 1.5),
        ("2", "5", 0.3),
        ("s", "s", 0.0),
        ("ǂ", "s", 1.0),  # a sound without features
    ],
)
def test_the_cost_of_a_replacement(first: str, second: str, expected: float) -> None:
    assert cost_of(first, second) == cost_of(second, first) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("h eɪ l æ m p", "h eɪ d æ m p", 0.4),  # hey damp
        ("h eɪ l æ m p", "h aɪ ɹ æ m p", 0.5),  # high ramp: 0.2 + 0.3
        ("h eɪ l æ m p", "h eɪ l æ m", 1.0),  # hey lamb
        ("h eɪ l æ m p", "l æ m p", 1.5),  # lamp: h 0.5, the vowel 1
        ("h eɪ l æ m p", "h eɪ l æ m p ə", 0.5),
        ("æ θ i n ə", "ə ɹ i n ə", 1.2),  # arena: 0.4 for the vowel; 0.2 voice, 0.2 place and 0.4 manner for θ and ɹ
        ("n i 2", "n i 5", 0.3),
        ("n i 2", "n i", 0.3),
        ("", "s t", 2.0),
    ],
)
def test_the_distance_is_the_cheapest_way(first: str, second: str, expected: float) -> None:
    assert distance(tuple(first.split()), tuple(second.split())) == pytest.approx(expected)


@given(SOUNDS, SOUNDS, SOUNDS)
@settings(max_examples=200, deadline=None)
def test_the_distance_is_symmetric_and_zero_only_for_equal_sounds(
    one: tuple[str, ...], two: tuple[str, ...], three: tuple[str, ...]
) -> None:
    assert distance(one, one) == 0
    assert distance(one, two) == distance(two, one)
    assert (distance(one, two) == 0) == (one == two)
    assert distance(one + three, two + three) <= distance(one, two) + 1e-9


def test_a_part_is_found_without_gaps() -> None:
    assert contains(("h", "eɪ", "l"), ("eɪ", "l"))
    assert not contains(("h", "eɪ", "l"), ("h", "l"))
    assert not contains(("h",), ("h", "eɪ"))
