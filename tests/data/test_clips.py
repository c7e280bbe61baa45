"""The index by the rules of the classic tutorial: golden hashes, hand-made folders with known counts, and real recordings."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wordspot.config import SETS, DataConfig
from wordspot.data.clips import ClipSet, build_sets, build_whole, check_words
from wordspot.data.folders import NOISE_FOLDER, Listing, Recording, hash_name, list_recordings
from wordspot.data.split import assign_sets, hash_percent, noise_source, split_noise, which_set
from wordspot.errors import ConfigError, DataError, NotFoundError
from wordspot.labels import SILENCE, UNKNOWN, labels_of, normalize_word

CLASSIC = DataConfig(unknown_pool="first", noise_split="shared")
TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def listing_of(counts: Mapping[str, int]) -> Listing:
    """A listing in memory: `counts` speakers for each word, two takes by each."""
    clips = [
        Recording(f"{word}/{word}{speaker:04d}_nohash_{take}.wav", normalize_word(word), 1, 1)
        for word, n_speakers in counts.items()
        for speaker in range(n_speakers)
        for take in range(2)
    ]
    return Listing(Path("data"), tuple(sorted(clips, key=lambda clip: clip.path)), ())


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(*files: str) -> Path:
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return make


Make = Callable[..., Path]


def count_labels(clips: ClipSet) -> Counter[int]:
    return Counter(clips.labels.tolist())


# -------------------------------------------------------------------------------------------------------------------- hash


@pytest.mark.parametrize(
    ("name", "percent", "set_name"),
    [
        ("ab00c4b2_nohash_0.wav", "3.408466", "validation"),
        ("a5d485dc_nohash_0.wav", "23.080839", "training"),
        ("e.wav", "18.682044", "testing"),
        ("bobby_nohash_0.wav", "94.174787", "training"),
        ("foo.wav", "35.580487", "training"),
        ("audio_2.wav", "5.558750", "validation"),
    ],
)
def test_golden_hashes_of_the_classic(name: str, percent: str, set_name: str) -> None:
    assert f"{hash_percent(name):.6f}" == percent
    assert which_set(name, 10, 10) == set_name
    # The word is not hashed: one speaker's words are in one set.
    assert which_set(f"some_word/{name}", 10, 10) == set_name


def percent_by_hand(base_name: str) -> float:
    """The rule of the original, written again: cut at _nohash_, SHA-1, modulo 2^27, scaled by 2^27 - 1."""
    stem = base_name.partition("_nohash_")[0]
    number = int.from_bytes(hashlib.sha1(stem.encode("utf-8")).digest(), "big")
    return (number % 134_217_728) * 100.0 / 134_217_727


names = st.text(st.characters(exclude_categories=["C"], exclude_characters="/"), min_size=1, max_size=20)


@given(names, st.integers(0, 9))
def test_the_hash_is_that_of_a_second_implementation(name: str, take: int) -> None:
    for whole in (name, f"{name}_nohash_{take}.wav", f"a/{name}_nohash_x_nohash_{take}.flac"):
        assert hash_percent(whole) == pytest.approx(percent_by_hand(whole.rpartition("/")[2]), rel=1e-12)
        assert 0 <= hash_percent(whole) <= 100


@given(names, st.floats(0, 60), st.floats(0, 40))
def test_a_recording_is_in_the_set_its_percentage_falls_into(name: str, validation: float, testing: float) -> None:
    percent = percent_by_hand(name)
    assume(min(abs(percent - validation), abs(percent - validation - testing)) > 1e-6)
    expected = "validation" if percent < validation else "testing" if percent < validation + testing else "training"
    assert which_set(name, validation, testing) == expected


def test_a_recording_just_at_the_edge_is_beyond_it() -> None:
    percent = hash_percent("foo.wav")
    assert which_set("foo.wav", percent, 0) == "training"
    assert which_set("foo.wav", percent, 1) == "testing"
    assert which_set("foo.wav", math.nextafter(percent, 100), 0) == "validation"
    assert which_set("foo.wav", 0, percent) == "training"
    assert which_set("foo.wav", 0, math.nextafter(percent, 100)) == "testing"


def test_nothing_held_out_and_everything_held_out() -> None:
    files = [f"{number}.wav" for number in range(200)]
    assert {which_set(name, 0, 0) for name in files} == {"training"}
    assert {which_set(name, 100, 0) for name in files} == {"validation"}
    assert {which_set(name, 0, 100) for name in files} == {"testing"}


def test_more_held_out_moves_recordings_out_of_training_only() -> None:
    files = [f"{number}.wav" for number in range(500)]
    before = {name for name in files if which_set(name, 10, 10) == "validation"}
    assert before == {name for name in files if which_set(name, 10, 30) == "validation"}
    assert before < {name for name in files if which_set(name, 20, 10) == "validation"}


def test_the_name_of_a_speaker() -> None:
    assert hash_name("yes/ab00c4b2_nohash_0.wav") == "ab00c4b2"
    assert hash_name("a_nohash_0_nohash_1.wav") == "a"
    assert hash_name("yes/e.wav") == "e.wav"
    assert Recording("yes/s1_nohash_0.flac", "yes", 1, 1).speaker == "s1"


# ----------------------------------------------------------------------------------------------------------------- listing


def test_folders_are_words_and_files_are_sorted(folder: Make) -> None:
    root = folder(
        "yes/b.wav", "yes/a.FLAC", "yes/notes.txt", "yes/.hidden.wav", "no/c.ogg", "_skipped/d.wav", ".git/e.wav",
        "loose.wav", "README.md", f"{NOISE_FOLDER}/rain.wav", f"{NOISE_FOLDER}/README.md", "empty/readme.txt",
        "no/deeper/f.wav",
    )  # fmt: skip
    listing = list_recordings(root)
    assert [clip.path for clip in listing.clips] == ["no/c.ogg", "no/deeper/f.wav", "yes/a.FLAC", "yes/b.wav"]
    assert [clip.word for clip in listing.clips] == ["no", "no", "yes", "yes"]
    assert [clip.path for clip in listing.noise] == [f"{NOISE_FOLDER}/rain.wav"]
    assert listing.words == ("no", "yes")
    stat = (root / "yes" / "b.wav").stat()
    assert (listing.clips[3].size, listing.clips[3].mtime_ns) == (1, stat.st_mtime_ns)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_labels_in_any_script_and_form(folder: Make, form: str) -> None:
    words = ["汪汪叫", "喵喵喵", "naïve", "한국어"]
    root = folder(*(f"{unicodedata.normalize(form, word)}/{n}.wav" for word in words for n in range(3)))
    listing = list_recordings(root)
    assert set(listing.words) == set(words)
    for spelled in ("NFC", "NFD"):  # as the words are typed
        typed = [unicodedata.normalize(spelled, word) for word in words]
        assert check_words(listing, typed) == tuple(words)
        config = DataConfig(validation_percent=0, testing_percent=0)
        training = build_sets(listing, typed, config)["training"]
        assert count_labels(training) == {SILENCE: 2, 2: 3, 3: 3, 4: 3, 5: 3}
        for row, label in zip(training.rows, training.labels, strict=True):
            assert label == SILENCE or listing.clips[row].word == words[label - 2]


def test_upper_and_lower_case_are_one_word(folder: Make) -> None:
    listing = list_recordings(folder("Yes/a.wav", "NO/b.wav", "no/c.wav"))
    assert listing.words == ("no", "yes")
    assert check_words(listing, ["YES", "No"]) == ("yes", "no")


def test_labels_are_silence_unknown_and_the_words_in_their_order() -> None:
    assert labels_of(["up", "down"]) == ("_silence_", "_unknown_", "up", "down")


def test_folders_that_cannot_be_used(folder: Make, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere: no such folder; expected a data folder with one folder per word"):
        list_recordings(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no recordings found; expected one folder per word"):
        list_recordings(folder("README.md", "_background_noise_/rain.wav", "yes/readme.txt"))
    with pytest.raises(NotFoundError, match="no such folder"):
        list_recordings(tmp_path / "README.md")


def test_an_empty_noise_folder_is_an_error_and_a_missing_one_is_none(folder: Make) -> None:
    root = folder("yes/a.wav", "no/b.wav")
    assert list_recordings(root).noise == ()
    (root / NOISE_FOLDER).mkdir()
    with pytest.raises(DataError, match=r"_background_noise_: the folder holds no recordings; add some noise"):
        list_recordings(root)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always Unicode")
def test_a_name_that_is_not_utf_8(folder: Make) -> None:
    root = folder("yes/a.wav", "no/b.wav")
    (root / "yes" / "caf\udce9.wav").write_bytes(b"x")  # Latin-1 on the disk
    with pytest.raises(DataError, match=r"yes/caf\\udce9.wav: the name is not UTF-8; rename it"):
        list_recordings(root)


# ------------------------------------------------------------------------------------------------------------------- words


def test_a_missing_word_names_the_folders_that_exist() -> None:
    listing = listing_of({"no": 1, "up": 1, "yes": 1})
    with pytest.raises(DataError, match=r"data: no recordings of down, left; the folders here are no, up, yes"):
        check_words(listing, ["yes", "down", "left"])
    with pytest.raises(DataError, match="no recordings of down"):
        build_sets(listing, ["yes", "down"], CLASSIC)


def test_a_word_twice() -> None:
    listing = listing_of({"no": 1, "yes": 1})
    with pytest.raises(ConfigError, match=r"each word must be named once, got yes more than once"):
        check_words(listing, ["yes", "no", "YES"])


def test_one_word_only() -> None:
    with pytest.raises(DataError, match=r"'yes' is the only word's folder; expected at least two, .* Add a folder"):
        check_words(listing_of({"yes": 3}), ["yes"])


def test_one_word_among_others_is_enough() -> None:
    assert check_words(listing_of({"yes": 3, "no": 3}), ["yes"]) == ("yes",)


# -------------------------------------------------------------------------------------------------------------------- sets


def counts_by_hand(listing: Listing, words: Iterable[str], config: DataConfig) -> dict[str, Counter[str]]:
    """How many clips of each word the rule puts into each set, without the code under test."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in SETS}
    for clip in listing.clips:
        percent = percent_by_hand(clip.path.rpartition("/")[2])
        if percent < config.validation_percent:
            name = "validation"
        else:
            name = "testing" if percent < config.validation_percent + config.testing_percent else "training"
        counts[name][clip.word if clip.word in words else ""] += 1
    return counts


@pytest.mark.parametrize(("silence", "unknown"), [(10, 10), (0, 0), (33.3, 7.1), (100, 300), (0.1, 0.1)])
@pytest.mark.parametrize("pool", ["first", "all"])
def test_silence_and_unknown_are_rounded_up_to_their_part_of_the_keywords(silence: float, unknown: float, pool: str) -> None:
    listing = listing_of({"yes": 60, "no": 45, "bed": 20, "cat": 31})
    config = DataConfig(silence_percent=silence, unknown_percent=unknown, unknown_pool=pool)
    by_hand = counts_by_hand(listing, ("yes", "no"), config)
    sets = build_sets(listing, ["no", "yes"], config)
    assert list(sets) == list(SETS)
    for name in SETS:
        n_keywords = by_hand[name]["yes"] + by_hand[name]["no"]
        assert n_keywords > 5
        expected = {SILENCE: math.ceil(n_keywords * silence / 100), 2: by_hand[name]["no"], 3: by_hand[name]["yes"]}
        asked = math.ceil(n_keywords * unknown / 100)
        takes_all = pool == "all" and name == "training" and asked
        expected[UNKNOWN] = by_hand[name][""] if takes_all else min(asked, by_hand[name][""])
        assert count_labels(sets[name]) == Counter(expected)
        assert len(sets[name]) == sum(expected.values())


def test_ceil_on_a_count_made_by_hand(folder: Make) -> None:
    # All in training: 11 keyword clips, so ceil(1.1) = 2 of silence and ceil(1.1) = 2 of unknown at 10 %.
    root = folder(*(f"yes/{n}.wav" for n in range(11)), *(f"bed/{n}.wav" for n in range(5)))
    listing = list_recordings(root)
    config = dataclasses.replace(CLASSIC, validation_percent=0, testing_percent=0)
    sets = build_sets(listing, ["yes"], config)
    assert count_labels(sets["training"]) == {SILENCE: 2, UNKNOWN: 2, 2: 11}
    assert (len(sets["validation"]), len(sets["testing"])) == (0, 0)
    # 10 clips of 10 % are one exactly, not two.
    (root / "yes" / "0.wav").unlink()
    assert count_labels(build_sets(list_recordings(root), ["yes"], config)["training"]) == {
        SILENCE: 1,
        UNKNOWN: 1,
        2: 10,
    }


def test_rows_hold_their_labels_and_silence_has_none() -> None:
    listing = listing_of({"yes": 40, "no": 40, "bed": 40})
    sets = build_sets(listing, ["no", "yes"], DataConfig())
    placed = assign_sets(listing, DataConfig())
    for name, clips in sets.items():
        assert (clips.rows.dtype, clips.labels.dtype, clips.weights.dtype) == (np.int64, np.int64, np.float64)
        for row, label in zip(clips.rows, clips.labels, strict=True):
            assert (row == -1) == (label == SILENCE)
            if row >= 0:
                assert {"no": 2, "yes": 3}.get(listing.clips[row].word, UNKNOWN) == label
                assert placed[row] == name
        used = clips.rows[clips.rows >= 0]
        assert len(set(used.tolist())) == len(used)  # no clip twice


def test_no_speaker_is_in_two_sets() -> None:
    listing = listing_of({"yes": 200, "no": 200, "bed": 100})
    sets = build_sets(listing, ["yes", "no"], DataConfig())
    speakers = [{listing.clips[row].speaker for row in clips.rows if row >= 0} for clips in sets.values()]
    assert all(speakers)
    assert not speakers[0] & speakers[1]
    assert not speakers[0] & speakers[2]
    assert not speakers[1] & speakers[2]


def test_the_unknown_are_the_first_of_the_shuffled_ones() -> None:
    listing = listing_of({"yes": 300, "bed": 200, "cat": 100})
    chosen = {}
    for unknown in (5, 20):
        config = dataclasses.replace(CLASSIC, unknown_percent=unknown)
        for name, clips in build_sets(listing, ["yes"], config).items():
            chosen[unknown, name] = set(clips.rows[clips.labels == UNKNOWN].tolist())
    for name in SETS:
        assert chosen[5, name] < chosen[20, name]  # asking for more adds to the same beginning
        words = {listing.clips[row].word for row in chosen[20, name]}
        assert words == {"bed", "cat"}  # shuffled, not the first in the alphabet


def test_the_same_seed_gives_the_same_sets_and_another_one_others() -> None:
    listing = listing_of({"yes": 100, "bed": 100})
    first, second = (build_sets(listing, ["yes"], CLASSIC) for _ in range(2))
    other = build_sets(listing, ["yes"], dataclasses.replace(CLASSIC, seed=1))
    for name in SETS:
        np.testing.assert_array_equal(first[name].rows, second[name].rows)
        np.testing.assert_array_equal(first[name].labels, second[name].labels)
        assert count_labels(first[name]) == count_labels(other[name])
        keywords = [sorted(clips[name].rows[clips[name].labels == 2].tolist()) for clips in (first, other)]
        assert keywords[0] == keywords[1]  # which set a clip is in is no matter of the seed
    assert first["training"].rows.tolist() != other["training"].rows.tolist()


def test_sets_are_shuffled() -> None:
    labels = build_sets(listing_of({"yes": 200, "no": 200}), ["yes", "no"], CLASSIC)["training"].labels
    assert 0.3 < np.mean(labels[1:] == labels[:-1]) < 0.7  # in order it would be nearly 1


# ----------------------------------------------------------------------------------------------------------------- weights


def test_the_classic_draws_every_clip_as_often() -> None:
    listing = listing_of({"yes": 100, "bed": 100})
    for clips in build_sets(listing, ["yes"], CLASSIC).values():
        assert (clips.weights == 1).all()


def test_all_unknown_clips_together_come_as_often_as_their_percentage() -> None:
    listing = listing_of({"yes": 100, "bed": 100, "cat": 200})
    clips = build_sets(listing, ["yes"], DataConfig(unknown_percent=10))["training"]
    keywords, unknown = clips.labels == 2, clips.labels == UNKNOWN
    assert unknown.sum() > 2 * keywords.sum()
    assert clips.weights[unknown].sum() == pytest.approx(-(-keywords.sum() // 10))
    assert len(set(clips.weights[unknown].tolist())) == 1
    assert (clips.weights[~unknown] == 1).all()


def test_too_few_unknown_clips_are_not_drawn_more_often() -> None:
    clips = build_sets(listing_of({"yes": 200, "bed": 4}), ["yes"], DataConfig(unknown_percent=50))["training"]
    assert (clips.weights == 1).all()


def test_training_draws_unknown_words_as_often_as_their_weight_says() -> None:
    listing = listing_of({"yes": 300, "bed": 200})
    plain, heavy = (build_sets(listing, ["yes"], DataConfig(unknown_weight=weight)) for weight in (1.0, 2.5))
    unknown = plain["training"].labels == UNKNOWN
    n_keywords = int((plain["training"].labels > UNKNOWN).sum())
    assert plain["training"].weights[unknown].sum() == pytest.approx(math.ceil(n_keywords / 10))
    np.testing.assert_allclose(heavy["training"].weights[unknown], 2.5 * plain["training"].weights[unknown])
    np.testing.assert_array_equal(heavy["training"].weights[~unknown], plain["training"].weights[~unknown])
    for name in ("validation", "testing"):
        np.testing.assert_array_equal(heavy[name].rows, plain[name].rows)
        np.testing.assert_array_equal(heavy[name].weights, plain[name].weights)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_balance_evens_out_the_words(balance: float) -> None:
    # 40, 10 and 10 training clips: the mean is 20. At 1 each word weighs 20; at 0.5 n · sqrt(20 / n).
    files = [("yes", 40), ("no", 10), ("up", 10), ("bed", 30)]
    clips_of = [Recording(f"{word}/{n}.wav", word, 1, 1) for word, count in files for n in range(count)]
    config = DataConfig(balance=balance, validation_percent=0, testing_percent=0)
    clips = build_sets(Listing(Path("data"), tuple(clips_of), ()), ["yes", "no", "up"], config)["training"]
    weighed = [clips.weights[clips.labels == label].sum() for label in range(5)]
    assert weighed[2:] == pytest.approx([40 * (20 / 40) ** balance, *[10 * (20 / 10) ** balance] * 2])
    assert weighed[:2] == pytest.approx([6, 6])  # silence and unknown keep 10 % of the 60 keyword clips


# ------------------------------------------------------------------------------------------------------- whole folders, lists


def test_a_foreign_folder_is_judged_on_every_clip_once() -> None:
    listing = listing_of({"Yes": 3, "up": 4, "ja": 5})
    whole = build_whole(listing, ["no", "yes"])
    assert count_labels(whole) == {SILENCE: 1, UNKNOWN: 18, 3: 6}  # ceil(6 · 0.1) of silence; "no" has no folder
    assert sorted(whole.rows[whole.rows >= 0].tolist()) == list(range(24))
    assert (whole.weights == 1).all()
    again = build_whole(listing, ["no", "yes"])
    np.testing.assert_array_equal(whole.rows, again.rows)


def test_a_foreign_folder_without_a_known_word() -> None:
    assert count_labels(build_whole(listing_of({"ja": 5}), ["yes"])) == {UNKNOWN: 10}


def test_splitting_by_the_folders_own_lists(folder: Make) -> None:
    root = folder("yes/a.wav", "yes/b.wav", "no/c.wav", "no/d.wav", "naïve/e.wav")
    decomposed = unicodedata.normalize("NFD", "naïve/e.wav")
    (root / "validation_list.txt").write_text(f"yes/a.wav\r\n\n{decomposed}\n", encoding="utf-8")
    (root / "testing_list.txt").write_text("\ufeffno\\c.wav\nno/not_here.wav\n", encoding="utf-8")
    listing = list_recordings(root)
    config = DataConfig(split="lists", validation_percent=100, testing_percent=0)  # these do not matter here
    placed = dict(zip([clip.path for clip in listing.clips], assign_sets(listing, config), strict=True))
    assert placed == {
        "naïve/e.wav": "validation",
        "no/c.wav": "testing",
        "no/d.wav": "training",
        "yes/a.wav": "validation",
        "yes/b.wav": "training",
    }


def test_lists_that_do_not_fit(folder: Make) -> None:
    root = folder("yes/a.wav", "no/c.wav")
    listing, config = list_recordings(root), DataConfig(split="lists")
    with pytest.raises(
        NotFoundError, match=r"validation_list.txt: no such file; expected a list of recordings, one word/file a line"
    ):
        assign_sets(listing, config)
    (root / "validation_list.txt").write_text("yes/a.wav\n")
    (root / "testing_list.txt").write_text("yes/a.wav\n")
    with pytest.raises(DataError, match=r"yes/a.wav is in validation_list.txt and in testing_list.txt; remove one"):
        assign_sets(listing, config)
    # A list of WAVs beside FLACs must not leave the set empty and its recordings in training.
    (root / "testing_list.txt").write_text("no/c.flac\nno/d.flac\n")
    with pytest.raises(
        DataError, match=r"none of the 2 recordings in testing_list.txt, such as no/c.flac, exists; .* like no/c.wav"
    ):
        assign_sets(listing, config)
    (root / "testing_list.txt").write_bytes(b"caf\xe9/a.wav\n")
    with pytest.raises(DataError, match=r"testing_list.txt: not UTF-8 text"):
        assign_sets(listing, config)


def test_an_empty_list_is_an_empty_set(folder: Make) -> None:
    root = folder("yes/a.wav", "no/c.wav")
    (root / "validation_list.txt").write_text("")
    (root / "testing_list.txt").write_text("no/c.wav\n")
    assert assign_sets(list_recordings(root), DataConfig(split="lists")) == ["testing", "training"]


# ------------------------------------------------------------------------------------------------------------------- noise


def noise_of(*stems: str) -> list[Recording]:
    return [Recording(f"{NOISE_FOLDER}/{stem}.wav", NOISE_FOLDER, 1, 1) for stem in stems]


def test_a_long_noise_is_split_in_time_80_10_10() -> None:
    parts = split_noise(noise_of("rain"), [960_000], DataConfig(), 16_000)
    assert parts == {
        "training": [(0, 0, 768_000)],
        "validation": [(0, 768_000, 864_000)],
        "testing": [(0, 864_000, 960_000)],
    }


@given(
    st.lists(st.integers(0, 3_000_000), min_size=1, max_size=8),
    st.sampled_from([(10, 10), (20, 5), (0, 10), (0, 0), (33.3, 33.3), (50, 50), (100, 0)]),
)
@settings(max_examples=100)
def test_the_sets_noise_is_disjoint_and_covers_everything(lengths: list[int], shares: tuple[float, float]) -> None:
    config = DataConfig(validation_percent=shares[0], testing_percent=shares[1])
    noise = noise_of(*(f"n{number:03d}x" for number in range(len(lengths))))
    parts = split_noise(noise, lengths, config, 16_000)
    assert list(parts) == list(SETS)
    for position, length in enumerate(lengths):
        stretches = sorted((start, end) for part in parts.values() for p, start, end in part if p == position and end > start)
        ends = [0, *(end for _, end in stretches)]
        assert [start for start, _ in stretches] == ends[:-1]
        assert ends[-1] == length
    if shares == (0, 0):
        assert not parts["validation"]
        assert not parts["testing"]


def test_recordings_cut_from_one_source_stay_together() -> None:
    sources = [f"{fold}-{source}" for fold in (1, 2) for source in range(17_000, 17_060)]
    stems = [f"{source}-{cut}" for source in sources for cut in "ABC"]
    noise = noise_of(*stems)
    parts = split_noise(noise, [80_000] * len(stems), DataConfig(), 16_000)  # five seconds, as in ESC-10
    set_of = {position: name for name, part in parts.items() for position, _, _ in part}
    assert len(set_of) == len(stems) == sum(map(len, parts.values()))  # each whole, in one set
    assert all(end - start == 80_000 for part in parts.values() for _, start, end in part)
    for number in range(len(sources)):
        assert len({set_of[3 * number + cut] for cut in range(3)}) == 1
    assert all(len(part) >= 3 for part in parts.values())
    # By the same hash as clips, so that adding recordings moves none.
    assert set_of[0] == which_set("1-17000", 10, 10)


def test_a_few_short_noises_are_split_in_time_rather_than_leave_a_set_without() -> None:
    parts = split_noise(noise_of("a", "b"), [80_000, 1_000], DataConfig(), 16_000)
    assert parts == {
        "training": [(0, 0, 64_000), (1, 0, 800)],
        "validation": [(0, 64_000, 72_000), (1, 800, 900)],
        "testing": [(0, 72_000, 80_000), (1, 900, 1_000)],
    }


def test_the_classic_shares_all_noise_between_the_sets() -> None:
    parts = split_noise(noise_of("a", "b"), [80_000, 960_000], CLASSIC, 16_000)
    assert parts == {name: [(0, 0, 80_000), (1, 0, 960_000)] for name in SETS}


def test_no_noise_is_no_noise() -> None:
    assert split_noise([], [], DataConfig(), 16_000) == {name: [] for name in SETS}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("environment/rain/1-17367-A.ogg", "1-17367"),
        ("1-17367-A-10.wav", "1-17367"),  # ESC-50's own names carry the class as well
        ("_background_noise_/rain_3.wav", "rain"),
        ("rain-12.flac", "rain"),
        ("rain-123.flac", "rain-123"),
        ("white_noise.wav", "white_noise"),
        ("a.wav", "a"),
        ("-A.wav", "-A"),
        ("running.tap.wav", "running.tap"),
    ],
)
def test_the_source_of_a_noise(path: str, source: str) -> None:
    assert noise_source(path) == source


# -------------------------------------------------------------------------------------------------------- real recordings


@pytest.mark.slow
def test_real_recordings_are_split_by_speaker_in_the_shares_asked_for(shared_data: Path) -> None:
    listing = list_recordings(shared_data / "speech_commands")
    assert set(TEN) < set(listing.words)
    assert listing.noise
    assert len({clip.speaker for clip in listing.clips}) > 1000
    sets = build_sets(listing, TEN, CLASSIC)
    keywords = {name: int((clips.labels > UNKNOWN).sum()) for name, clips in sets.items()}
    assert sum(keywords.values()) == sum(clip.word in TEN for clip in listing.clips)
    for name, n_keywords in keywords.items():
        n_extra = -(-n_keywords // 10)
        counts = count_labels(sets[name])
        assert (counts[SILENCE], counts[UNKNOWN]) == (n_extra, n_extra)
    for name in ("validation", "testing"):  # 10 % each of the speakers, who do not all say as much
        assert 0.07 < keywords[name] / sum(keywords.values()) < 0.13
    speakers = {name: {listing.clips[row].speaker for row in part.rows if row >= 0} for name, part in sets.items()}
    assert speakers["training"].isdisjoint(speakers["validation"] | speakers["testing"])
    assert speakers["validation"].isdisjoint(speakers["testing"])


def test_real_noise_cut_from_one_source_stays_together(shared_data: Path) -> None:
    files = sorted((shared_data / "environment").glob("*/*.ogg"))
    noise = [Recording(path.relative_to(shared_data).as_posix(), NOISE_FOLDER, 1, 1) for path in files]
    parts = split_noise(noise, [80_000] * len(noise), DataConfig(), 16_000)
    sets_of_source: dict[str, set[str]] = {}
    for name, part in parts.items():
        for position, _, _ in part:
            fold, source = files[position].name.split("-")[:2]
            sets_of_source.setdefault(f"{fold}-{source}", set()).add(name)
    assert len(sets_of_source) < len(files)  # some sources were cut more than once
    assert all(len(names) == 1 for names in sets_of_source.values())
    assert all(parts.values())
