"""Assign the recordings of a manifest to sets: a speaker is in one set only, and held-out generators are in testing only.

A classifier does better on speakers and speech synthesizers from its training data than on new ones, so results on known ones
are too optimistic. If a manifest does not name speakers, the file's name is used instead: recordings of the same name stay
together, whether they are by a person or synthetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from wordspot.config import SETS, DataConfig, RecordingsConfig
from wordspot.data.folders import hash_name
from wordspot.data.manifest.rows import ManifestRow
from wordspot.data.split import deal_names, hash_percent, set_shares, which_set
from wordspot.errors import ConfigError, DataError


def assign_rows(rows: Sequence[ManifestRow], data: DataConfig, recordings: RecordingsConfig) -> list[str]:
    """The set of each row: ``training``, ``validation``, ``testing``, or an empty text if it is not used.

    The manifest's ``split`` column decides if there is one. Otherwise speakers are assigned by the hash of their names, or
    dealt into `n_folds` folds. Held-out generators are in testing only, and the other generators of the same label are not in it.

    Raises:
        ConfigError: a held-out generator that no row has, or more folds than speakers.
        DataError: a split for some rows only, a class without training recordings after holding out, or a held-out generator
            without testing recordings.
    """
    _check_generators(rows, recordings.hold_out)
    with_split = [row for row in rows if row.split is not None]
    if with_split and len(with_split) < len(rows):
        row = next(row for row in rows if row.split is None)
        raise DataError(
            f"only {len(with_split)} of {len(rows)} rows have a split; expected one in every row or in none. "
            f"Line {row.line} ({row.path}) has none"
        )
    if with_split:
        sets = [row.split or "" for row in rows]
    else:
        by_speaker = _deal_folds(rows, recordings) if recordings.n_folds else _by_hash(rows, data)
        sets = _test_held_out(rows, [by_speaker[speaker_key(row)] for row in rows], recordings.hold_out)
    return _hold_out(rows, sets, recordings.hold_out) if recordings.hold_out else sets


def speaker_key(row: ManifestRow) -> str:
    """The key of recordings that stay in one set: the speaker, or the file's name if the speaker is unknown."""
    return row.speaker if row.speaker is not None else hash_name(row.file.name)


def leakage(rows: Sequence[ManifestRow], sets: Sequence[str], hold_out: Sequence[str] = ()) -> list[str]:
    """Warnings about data leakage between `sets`, one line each: speakers in two sets, held-out generators in training."""
    found = []
    spoken: dict[str, set[str]] = defaultdict(set)
    trained: dict[str, set[str]] = defaultdict(set)
    for row, name in zip(rows, sets, strict=True):
        if name and row.speaker is not None:
            spoken[row.speaker].add(name)
        if name in ("training", "validation") and row.generator in hold_out:
            trained[str(row.generator)].add(name)
    for speaker, names in sorted(spoken.items()):
        if len(names) > 1:
            found.append(f"speaker {speaker} is in the sets {_and(names)}; results on them will be too optimistic")
    for generator, names in sorted(trained.items()):
        found.append(f"the held-out generator {generator} is in the sets {_and(names)}; it should be in testing only")
    return found


def _by_hash(rows: Sequence[ManifestRow], data: DataConfig) -> dict[str, str]:
    """The set of each speaker: by hash, or by dealing if fewer sets then lack recordings of a label."""
    shares = set_shares(data)
    labels = _of_speakers(rows, lambda row: row.label)
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for speaker, kinds in labels.items():
        groups[kinds].append(speaker)
    hashed = {name: which_set(name, data.validation_percent, data.testing_percent) for name in labels}
    grouped = {name: part for group in groups.values() for name, part in deal_names(group, shares).items()}
    together = deal_names(labels, shares)
    wanted = [name for name in SETS if shares[name] > 0]

    def n_lacking(sets: Mapping[str, str]) -> tuple[int, int]:
        held = {(part, label) for speaker, part in sets.items() for label in labels[speaker]}
        every = {label for kinds in groups for label in kinds}
        lacking = [part for part in wanted for label in every if (part, label) not in held]
        return lacking.count("training"), len(lacking)

    return min((hashed, grouped, together), key=n_lacking)


def _deal_folds(rows: Sequence[ManifestRow], recordings: RecordingsConfig) -> dict[str, str]:
    """Deal the speakers into folds in turn, in the order of their hashes. Speakers with the same labels and generators are
    dealt consecutively, so that each fold gets its share of them."""
    kinds = _of_speakers(rows, lambda row: f"{row.label}/{row.generator or ''}")
    if len(kinds) < recordings.n_folds:
        raise ConfigError(f"n_folds must be at most the number of speakers ({len(kinds)}), got {recordings.n_folds}; lower it")
    ordered = sorted(kinds, key=lambda name: (kinds[name], hash_percent(name), name))
    parts = {recordings.fold: "testing", (recordings.fold + 1) % recordings.n_folds: "validation"}
    return {name: parts.get(place % recordings.n_folds, "training") for place, name in enumerate(ordered)}


def _of_speakers(rows: Sequence[ManifestRow], kind: Callable[[ManifestRow], str]) -> dict[str, tuple[str, ...]]:
    """The kinds of recordings of each speaker, sorted."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[speaker_key(row)].add(kind(row))
    return {speaker: tuple(sorted(kinds)) for speaker, kinds in found.items()}


def _check_generators(rows: Sequence[ManifestRow], hold_out: Sequence[str]) -> None:
    known = sorted({row.generator for row in rows if row.generator is not None})
    if unknown := [name for name in hold_out if name not in known]:
        there = f"the generators are {', '.join(known)}" if known else "the list names no generators"
        raise ConfigError(f"no recordings of the held-out generator {', '.join(unknown)}; {there}")


def _test_held_out(rows: Sequence[ManifestRow], sets: Sequence[str], hold_out: Sequence[str]) -> list[str]:
    """The sets, corrected so that a held-out generator with no testing recordings is tested on speakers of its own."""
    tested = {row.generator for row, name in zip(rows, sets, strict=True) if name == "testing"}
    shared = {speaker_key(row) for row in rows if row.generator not in hold_out}
    move = [row.generator in hold_out and row.generator not in tested for row in rows]
    return [
        "testing" if moved and speaker_key(row) not in shared else name for row, name, moved in zip(rows, sets, move, strict=True)
    ]


def _hold_out(rows: Sequence[ManifestRow], sets: Sequence[str], hold_out: Sequence[str]) -> list[str]:
    """The sets with held-out generators in testing only, and without their labels' other generators there."""
    labels = {row.label for row in rows if row.generator in hold_out}
    kept = []
    for row, name in zip(rows, sets, strict=True):
        unused = name != "testing" if row.generator in hold_out else name == "testing" and row.label in labels
        kept.append("" if unused else name)
    trained = {row.label for row, name in zip(rows, kept, strict=True) if name == "training"}
    if lost := sorted({row.label for row in rows} - trained):
        raise DataError(
            f"without the held-out generators {', '.join(hold_out)} no recordings of {', '.join(lost)} are left to train "
            "on; hold out fewer"
        )
    tested = {row.generator for row, name in zip(rows, kept, strict=True) if name == "testing"}
    if missing := sorted(set(hold_out) - tested):
        raise DataError(
            f"the testing set holds no recordings of the held-out generator {', '.join(missing)}; "
            "raise testing_percent, or use another fold or split"
        )
    return kept


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names, key=SETS.index))
