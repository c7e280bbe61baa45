"""The sets of folders with few recordings or speakers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from wordspot.config import DataConfig
from wordspot.data.clips import build_sets
from wordspot.data.few_recordings import Split, split_recordings
from wordspot.data.folders import Listing, Recording
from wordspot.data.split import assign_sets


def listing_of(*paths: str) -> Listing:
    return Listing(Path("data"), tuple(Recording(path, path.partition("/")[0], 1, 1) for path in sorted(paths)), ())


def takes(n: int, speaker: str, words: str = "abo") -> list[str]:
    return [f"{word}/{speaker}_nohash_{number}.wav" for word in words for number in range(n)]


def counts(listing: Listing, dealt: Split, word: str) -> dict[str, int]:
    return dict(Counter(name for clip, name in zip(listing.clips, dealt.sets, strict=True) if clip.word == word))


@pytest.mark.parametrize("speaker", ["0114", "44cb", "8298"])  # by hash in testing, validation and training
@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, {"training": 1}), (2, {"training": 1, "testing": 1}), (3, {"training": 1, "testing": 1, "validation": 1}),
     (5, {"training": 3, "testing": 1, "validation": 1}), (6, {"training": 4, "testing": 1, "validation": 1}),
     (10, {"training": 8, "testing": 1, "validation": 1}), (40, {"training": 32, "testing": 4, "validation": 4})],
)  # fmt: skip
def test_one_speaker(speaker: str, n: int, expected: dict[str, int]) -> None:
    listing = listing_of(*takes(n, speaker))
    dealt = split_recordings(listing, DataConfig(), {"a", "b"})
    assert [counts(listing, dealt, word) for word in "abo"] == [expected] * 3
    assert f"all recordings of the words are by one speaker ({speaker})" in dealt.note
    assert dealt.same_speakers == (n > 1)
    assert ("none can be held out, so nothing is measured" in dealt.note) == (n == 1)
    assert dealt == split_recordings(listing, DataConfig(), {"a", "b"})


def test_a_take_that_is_added_to_a_word_changes_no_other_word() -> None:
    before = listing_of(*takes(6, "0114"))
    after = listing_of(*takes(6, "0114"), "a/0114_nohash_6.wav")
    sets = [
        dict(zip([c.path for c in one.clips], split_recordings(one, DataConfig()).sets, strict=True)) for one in (before, after)
    ]
    assert all(sets[0][path] == sets[1][path] for path in sets[0] if path[0] != "a")


def test_a_folder_whose_sets_are_not_empty_is_split_by_hash() -> None:
    listing = listing_of(*(f"{word}/s{speaker}_nohash_0.wav" for word in "ab" for speaker in range(40)))
    assert split_recordings(listing, DataConfig()) == Split(tuple(assign_sets(listing, DataConfig())))


def test_a_few_speakers_are_held_out_as_a_entire_those_with_the_fewest_recordings() -> None:
    listing = listing_of(*takes(30, "0114"), *takes(2, "8298"), *takes(2, "aaaa"))
    dealt = split_recordings(listing, DataConfig())
    sets = {(clip.speaker, name) for clip, name in zip(listing.clips, dealt.sets, strict=True)}
    assert len(sets) == 3
    assert ("0114", "training") in sets
    assert "3 speakers" in dealt.note
    assert not dealt.same_speakers


def test_speakers_are_not_held_out_if_a_word_would_have_no_training() -> None:
    listing = listing_of(*takes(30, "0114", "a"), *takes(4, "8298", "b"), *takes(4, "aaaa", "a"))
    dealt = split_recordings(listing, DataConfig())
    assert counts(listing, dealt, "b") == {"training": 2, "testing": 1, "validation": 1}
    assert "by few speakers (0114, 8298, aaaa)" in dealt.note
    assert dealt.same_speakers


def test_names_that_name_no_speaker() -> None:
    listing = listing_of(*(f"{word}/{number}.wav" for word in "ab" for number in range(3)))
    dealt = split_recordings(listing, DataConfig())
    assert counts(listing, dealt, "a") == counts(listing, dealt, "b") == {"training": 1, "testing": 1, "validation": 1}
    assert "do not say who speaks" in dealt.note


def test_own_words_beside_other_words_by_many_people() -> None:
    """The hash fills all sets of the folder, but not those of the words that are trained."""
    others = [f"o/s{speaker}_nohash_0.wav" for speaker in range(60)]
    listing = listing_of(*takes(6, "0114", "ab"), *others)
    by_hash = dict(zip([clip.path for clip in listing.clips], assign_sets(listing, DataConfig()), strict=True))
    dealt = split_recordings(listing, DataConfig(), {"a", "b"})
    assert counts(listing, dealt, "a") == {"training": 4, "testing": 1, "validation": 1}
    assert all(by_hash[c.path] == name for c, name in zip(listing.clips, dealt.sets, strict=True) if c.word == "o")
    assert all(len(clips) for clips in build_sets(listing, ["a", "b"], DataConfig()).values())


def test_a_set_that_is_not_wanted_stays_empty() -> None:
    listing = listing_of(*takes(6, "8298"))
    assert set(split_recordings(listing, DataConfig(validation_percent=0, testing_percent=0)).sets) == {"training"}
    assert set(split_recordings(listing, DataConfig(validation_percent=0)).sets) == {"training", "testing"}


def test_two_sessions_of_one_person_are_held_out_by_recording() -> None:
    listing = listing_of(*takes(3, "0114"), *takes(3, "44cb"))
    dealt = split_recordings(listing, DataConfig())
    assert set(dealt.sets) == {"training", "validation", "testing"}
    assert "by few speakers (0114, 44cb)" in dealt.note
