"""Sets of recordings: no speaker is in two of them, and held-out generators are not trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.config import DataConfig, RecordingsConfig
from wordspot.data.manifest.rows import ManifestRow, read_manifest
from wordspot.data.manifest.split import assign_rows, leakage, speaker_key
from wordspot.data.split import hash_percent, which_set
from wordspot.errors import ConfigError, DataError

PLAIN = RecordingsConfig()


def row(name: str, label: str, speaker: str | None = None, generator: str | None = None, split: str | None = None) -> ManifestRow:
    return ManifestRow(name, Path("/data") / name, label, speaker, generator, split, 2)


def cloned(speakers: list[str], generators: tuple[str, ...] = ("vits", "flite"), takes: int = 2) -> list[ManifestRow]:
    """Each speaker as a person, and as every generator imitates them."""
    rows = []
    for speaker in speakers:
        for generator in ("person", *generators):
            label = "real" if generator == "person" else "fake"
            rows += [row(f"{generator}_{speaker}_{take}.wav", label, speaker, generator) for take in range(takes)]
    return rows


def by_set(rows: list[ManifestRow], sets: list[str]) -> dict[str, list[ManifestRow]]:
    found: dict[str, list[ManifestRow]] = defaultdict(list)
    for one, name in zip(rows, sets, strict=True):
        found[name].append(one)
    return found


def test_many_speakers_follow_the_hash() -> None:
    rows = cloned([f"p{number}" for number in range(200)])
    sets = assign_rows(rows, DataConfig(), PLAIN)
    assert sets == [which_set(one.speaker or "", 10, 10) for one in rows]
    assert set(sets) == {"training", "validation", "testing"}
    assert leakage(rows, sets) == []


def test_a_set_that_is_not_wanted_stays_empty() -> None:
    rows = cloned([f"p{number}" for number in range(6)])
    assert set(assign_rows(rows, DataConfig(validation_percent=0, testing_percent=0), PLAIN)) == {"training"}
    assert set(assign_rows(rows, DataConfig(testing_percent=0), PLAIN)) == {"training", "validation"}


def test_few_speakers_are_dealt() -> None:
    """Of these names the hash sends all to training; dealt in the order of their hashes, the first is for validation."""
    names = [name for name in (f"p{number}" for number in range(50)) if which_set(name, 10, 10) == "training"][:6]
    rows = cloned(names)
    found = by_set(rows, assign_rows(rows, DataConfig(), PLAIN))
    ordered = sorted(names, key=hash_percent)
    speakers = {name: {one.speaker for one in held} for name, held in found.items()}
    assert speakers == {"validation": {ordered[0]}, "testing": {ordered[1]}, "training": set(ordered[2:])}


def test_classes_with_speakers_of_their_own_are_each_dealt() -> None:
    """Two hundred people by hash would do; three machine voices, all of which hash to training, would be in no other set."""
    voices = [name for name in (f"v{number}" for number in range(50)) if which_set(name, 10, 10) == "training"][:3]
    rows = [row(f"p{number}_{take}.wav", "real", f"p{number}") for number in range(20) for take in range(2)]
    rows += [row(f"{voice}_{take}.wav", "fake", voice) for voice in voices for take in range(5)]
    found = by_set(rows, assign_rows(rows, DataConfig(), PLAIN))
    counts = {name: Counter(one.label for one in held) for name, held in found.items()}
    assert counts == {
        "training": {"real": 32, "fake": 5},
        "validation": {"real": 4, "fake": 5},
        "testing": {"real": 4, "fake": 5},
    }


def test_where_groups_are_too_small_all_are_dealt_together() -> None:
    """One speaker of both labels, one of each alone: dealt by label, all would go to training."""
    rows = [row("a1", "real", "a"), row("a2", "fake", "a"), row("b1", "real", "b"), row("c1", "fake", "c")]
    sets = assign_rows(rows, DataConfig(), PLAIN)
    assert len(set(sets)) == 3
    assert sets[0] == sets[1]


def test_training_is_not_left_without_a_label_for_the_others_sake() -> None:
    rows = [row("a1", "real", "a"), row("a2", "real", "a")]
    rows += [row(f"v{number}", "fake", f"v{number}") for number in range(9)]
    sets = assign_rows(rows, DataConfig(), PLAIN)
    assert sets[:2] == ["training", "training"]
    assert set(sets[2:]) == {"training", "validation", "testing"}


def test_without_speakers_recordings_of_one_name_stay_together() -> None:
    rows = [row(f"real/t{number}.wav", "real") for number in range(60)]
    rows += [row(f"fake/t{number}.wav", "fake") for number in range(60)]
    sets = assign_rows(rows, DataConfig(), PLAIN)
    assert sets[:60] == sets[60:]
    assert set(sets) == {"training", "validation", "testing"}
    assert speaker_key(rows[0]) == "t0.wav"
    assert speaker_key(row("x/abc_nohash_3.wav", "real")) == "abc"
    assert speaker_key(row("x/abc_nohash_3.wav", "real", "someone")) == "someone"


def test_folds_test_every_speaker_once() -> None:
    rows = cloned([f"p{number}" for number in range(7)])
    tested: Counter[str | None] = Counter()
    validated: Counter[str | None] = Counter()
    for fold in range(3):
        sets = assign_rows(rows, DataConfig(), RecordingsConfig(n_folds=3, fold=fold))
        assert leakage(rows, sets) == []
        found = by_set(rows, sets)
        assert len({one.speaker for one in found["testing"]}) in (2, 3)
        assert all({one.label for one in held} == {"real", "fake"} for held in found.values())
        tested.update({one.speaker for one in found["testing"]})
        validated.update({one.speaker for one in found["validation"]})
    assert tested == validated == Counter({f"p{number}": 1 for number in range(7)})


def test_the_next_part_is_for_validation() -> None:
    rows = cloned([f"p{number}" for number in range(6)])
    folds = [by_set(rows, assign_rows(rows, DataConfig(), RecordingsConfig(n_folds=3, fold=fold))) for fold in range(3)]
    for fold in range(3):
        assert folds[fold]["validation"] == folds[(fold + 1) % 3]["testing"]


def test_each_fold_gets_its_share_of_each_kind_of_speaker() -> None:
    rows = [row(f"p{number}.wav", "real", f"p{number}") for number in range(40)]
    rows += [row(f"{kind}{number}.wav", "fake", f"{kind}{number}", kind) for kind in "ab" for number in range(4)]
    for fold in range(4):
        sets = assign_rows(rows, DataConfig(), RecordingsConfig(n_folds=4, fold=fold))
        kinds = Counter((one.label, one.generator) for one in by_set(rows, sets)["testing"])
        assert kinds == {("real", None): 10, ("fake", "a"): 1, ("fake", "b"): 1}


def test_more_folds_than_speakers() -> None:
    with pytest.raises(ConfigError, match=r"n_folds must be at most the number of speakers \(3\), got 4; lower it"):
        assign_rows(cloned(["a", "b", "c"]), DataConfig(), RecordingsConfig(n_folds=4))


def test_a_split_of_the_list_decides() -> None:
    rows = [
        row("1", "real", "a", split="testing"),
        row("2", "fake", "a", split="training"),
        row("3", "real", "b", split="training"),
        row("4", "fake", "b", split="validation"),
    ]
    sets = assign_rows(rows, DataConfig(), RecordingsConfig(n_folds=3))
    assert sets == ["testing", "training", "training", "validation"]
    assert leakage(rows, sets) == [
        "speaker a is in the sets training and testing; results on them will be too optimistic",
        "speaker b is in the sets training and validation; results on them will be too optimistic",
    ]
    with pytest.raises(DataError, match=r"only 4 of 5 rows have a split; .* Line 2 \(5\) has none"):
        assign_rows([*rows, row("5", "real")], DataConfig(), PLAIN)


def test_a_held_out_generator_stands_in_testing_only() -> None:
    rows = cloned([f"p{number}" for number in range(6)], ("vits", "flite", "other"))
    for fold in range(6):
        config = RecordingsConfig(n_folds=6, fold=fold, hold_out=("vits",))
        sets = assign_rows(rows, DataConfig(), config)
        found = by_set(rows, sets)
        kinds = {name: {one.generator for one in held} for name, held in found.items()}
        assert kinds == {
            "training": {"person", "flite", "other"},
            "validation": {"person", "flite", "other"},
            "testing": {"person", "vits"},
            "": {"vits", "flite", "other"},
        }
        assert len(found["testing"]) == 4
        assert len(found["training"]) == 4 * 6
        assert leakage(rows, sets, config.hold_out) == []


def test_two_generators_held_out_together() -> None:
    rows = cloned([f"p{number}" for number in range(6)], ("vits", "flite", "other"))
    sets = assign_rows(rows, DataConfig(), RecordingsConfig(hold_out=("vits", "flite")))
    kinds = {name: {one.generator for one in held} for name, held in by_set(rows, sets).items()}
    assert kinds["testing"] == {"person", "vits", "flite"}
    assert kinds["training"] == kinds["validation"] == {"person", "other"}


def test_a_held_out_machine_with_voices_of_its_own_is_tested_with_them() -> None:
    """Its one voice hashes to training; nobody else speaks with it, so to test with it leaks nothing."""
    voice = next(name for name in (f"v{number}" for number in range(50)) if which_set(name, 10, 10) == "training")
    people = [row(f"p{number}.wav", "real", f"p{number}", "person") for number in range(100)]
    machines = [row(f"m{number}.wav", "fake", f"m{number}", "many") for number in range(100)]
    rows = [*people, *machines, row("1.wav", "fake", voice, "one"), row("2.wav", "fake", voice, "one")]
    assert assign_rows(rows, DataConfig(), PLAIN)[-2:] == ["training", "training"]
    sets = assign_rows(rows, DataConfig(), RecordingsConfig(hold_out=("one",)))
    assert sets[-2:] == ["testing", "testing"]
    assert {one.generator for one in by_set(rows, sets)["testing"]} == {"person", "one"}


def test_what_cannot_be_held_out() -> None:
    rows = cloned([f"p{number}" for number in range(6)])
    with pytest.raises(ConfigError, match=r"held-out generator vitz; the generators are flite, person, vits$"):
        assign_rows(rows, DataConfig(), RecordingsConfig(hold_out=("vitz",)))
    with pytest.raises(ConfigError, match="the list names no generators"):
        assign_rows([row("1", "real"), row("2", "fake")], DataConfig(), RecordingsConfig(hold_out=("vits",)))
    with pytest.raises(DataError, match="held-out generators vits, flite no recordings of fake are left to train"):
        assign_rows(rows, DataConfig(), RecordingsConfig(hold_out=("vits", "flite")))
    with_split = [
        row("1", "real", split="training"),
        row("2", "real", split="testing"),
        row("3", "fake", None, "a", "training"),
        row("4", "fake", None, "b", "training"),
    ]
    with pytest.raises(DataError, match="testing set holds no recordings of the held-out generator b"):
        assign_rows(with_split, DataConfig(), RecordingsConfig(hold_out=("b",)))


def test_held_out_rows_in_training_are_reported() -> None:
    rows = [row("1", "fake", None, "vits"), row("2", "fake", None, "vits"), row("3", "real", "p", "person")]
    told = leakage(rows, ["training", "testing", "training"], ("vits",))
    assert told == ["the held-out generator vits is in the sets training; it should be in testing only"]
    assert leakage(rows, ["", "testing", "training"], ("vits",)) == []


SPEAKERS = st.sampled_from([None, *"abcdefgh"])


@settings(max_examples=300, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from("xyz"), SPEAKERS, st.sampled_from([None, "g1", "g2"])), min_size=2, max_size=40),
    n_folds=st.sampled_from([0, 3, 4]),
    fold=st.integers(0, 2),
    hold_out=st.sampled_from([(), ("g1",), ("g1", "g2")]),
    shares=st.sampled_from([(10, 10), (30, 30), (0, 50)]),
)
@pytest.mark.slow
def test_nothing_leaks_for_any_list(
    kinds: list[tuple[str, str | None, str | None]],
    n_folds: int,
    fold: int,
    hold_out: tuple[str, ...],
    shares: tuple[int, int],
) -> None:
    rows = [row(f"{n % 7}.wav", label, speaker, generator) for n, (label, speaker, generator) in enumerate(kinds)]
    config = RecordingsConfig(n_folds=n_folds, fold=fold if n_folds else 0, hold_out=hold_out)
    data = DataConfig(validation_percent=shares[0], testing_percent=shares[1])
    try:
        sets = assign_rows(rows, data, config)
    except (ConfigError, DataError):
        refusable = bool(hold_out or n_folds)
        assert refusable, "without folds and held-out generators every list has sets"
        return
    assert leakage(rows, sets, hold_out) == []
    places: dict[str, set[str]] = defaultdict(set)
    for one, name in zip(rows, sets, strict=True):
        if name:
            places[speaker_key(one)].add(name)
    assert all(len(names) == 1 for names in places.values())
    assert sets == assign_rows(rows, data, config)
    assert {one.label for one in by_set(rows, sets)["training"]} == {one.label for one in rows} or not hold_out


def test_the_shared_list_by_generator_and_speaker(shared_data: Path) -> None:
    rows = list(read_manifest(shared_data / "real_or_synthetic" / "labels.csv").rows)
    for generator in ("fastpitch", "vits", "yourtts"):
        for fold in range(6):
            sets = assign_rows(rows, DataConfig(), RecordingsConfig(n_folds=6, fold=fold, hold_out=(generator,)))
            found = by_set(rows, sets)
            assert {name: len(held) for name, held in found.items() if name} == {
                "training": 60,
                "validation": 15,
                "testing": 10,
            }
            assert {one.generator for one in found["testing"]} == {"person", generator}
            assert leakage(rows, sets, (generator,)) == []
