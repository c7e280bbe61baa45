"""The label of each window of a scene. Samples are milliseconds, windows 1000 long."""

from __future__ import annotations

import numpy as np
import pytest

from wordspot.labels import SILENCE, UNKNOWN
from wordspot.training.loss import IGNORED, SILENCE_OR_UNKNOWN
from wordspot.training.scenes.labels import label_windows

A, B = 2, 3
EITHER = SILENCE_OR_UNKNOWN
Places = list[tuple[int, int, int]]


def label(words: Places, begin: int, recent_ms: float = 0) -> int:
    places = np.array([words or np.zeros((0, 3))], np.int64).reshape(1, -1, 3)
    return int(label_windows(places, np.array([begin]), 1000, 1000, recent_ms)[0, 0])


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (0, SILENCE),  # the window ends at 1000, the word begins at 2000
        (1050, SILENCE),  # 50 ms of it are no more than silence
        (1051, EITHER),
        (1300, EITHER),  # 300 of 400 ms: exactly a quarter is missing
        (1301, IGNORED),  # so much of it that it might be recognised
        (1369, IGNORED),
        (1370, A),  # 30 ms missing still count as whole
        (1400, A),
        (2000, A),
        (2030, A),
        (2031, IGNORED),  # its beginning is leaving
        (2100, EITHER),
        (2349, EITHER),
        (2350, SILENCE),
        (2400, SILENCE),
    ],
)
def test_a_word_enters_and_leaves(begin: int, expected: int) -> None:
    assert label([(2000, 2400, A)], begin) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], SILENCE),
        ([(100, 300, A), (500, 900, B)], B),  # of two words inside, the last
        ([(500, 900, B), (100, 300, A)], B),  # in any order
        ([(-200, 200, A), (500, 900, B)], B),  # the one that is leaving does not matter
        ([(-50, 350, A), (500, 900, B)], B),  # not even if it might be recognised, since B comes later
        ([(100, 300, A), (700, 1090, B)], IGNORED),  # what might be B comes after A
        ([(100, 300, A), (700, 1300, B)], A),  # half of B
        ([(100, 300, A), (700, 1090, UNKNOWN)], A),  # an unknown word may be taken for one or not
        ([(100, 300, UNKNOWN)], UNKNOWN),
        ([(100, 300, IGNORED), (500, 900, B)], IGNORED),  # a word that does not count is inside
        ([(-10, 300, IGNORED), (500, 900, UNKNOWN)], IGNORED),
        ([(-250, 50, IGNORED), (500, 900, UNKNOWN)], UNKNOWN),  # most of it is gone
        ([(-5000, 5000, EITHER)], EITHER),  # speech without a text
        ([(-5000, 600, EITHER), (700, 900, A)], A),
        ([(0, 1200, A)], A),  # longer than the window, which it fills
        ([(10, 1005, A)], A),  # it fills 99 % of the window
        ([(50, 1150, A)], A),  # a longer one fills 95 %
        ([(150, 1250, A)], IGNORED),  # 85 %
    ],
)
def test_several_words(words: Places, expected: int) -> None:
    assert label(words, 0) == expected


@pytest.mark.parametrize(
    ("words", "begin", "expected"),
    [
        ([(2000, 2400, A)], 1370, A),
        ([(2000, 2400, A)], 1700, A),  # the window ends 300 ms after the word
        ([(2000, 2400, A)], 1701, IGNORED),
        ([(2000, 2400, A)], 2000, IGNORED),
        ([(2000, 2400, A)], 2100, EITHER),  # it is leaving
        ([(2000, 2400, UNKNOWN)], 2000, UNKNOWN),  # an unknown word is one as long as it is inside
        ([(2000, 2400, A), (2500, 2800, UNKNOWN)], 2000, UNKNOWN),
        ([(2000, 2400, A), (2500, 2800, B)], 2000, B),
    ],
)
def test_a_word_that_ended_long_ago_does_not_count(words: Places, begin: int, expected: int) -> None:
    assert label(words, begin, recent_ms=300) == expected


def test_every_scene_and_window_has_its_own() -> None:
    nowhere = (-(10**9), -(10**9), SILENCE)
    words = np.array([[(100, 300, A), (1500, 1700, B)], [(1500, 1700, UNKNOWN), nowhere]])
    found = label_windows(words, np.array([0, 400, 800, 2000]), 1000, 1000)
    assert found.tolist() == [[A, SILENCE, B, SILENCE], [SILENCE, SILENCE, UNKNOWN, SILENCE]]
