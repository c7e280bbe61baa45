"""Bootstrap resampling of a set of recordings, for the intervals of EER and AUC in `scores`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.metrics import Bools, Floats, Ints

N_DRAWS = 2000
MIN_SPEAKERS = 5
VALUES_AT_ONCE = 1 << 18  # of a table of draws and recordings: what a processor's cache holds


@dataclass(frozen=True)
class Groups:
    """What is resampled: groups of recordings that belong together.

    Attributes:
        which: int64 [n], each recording's group.
        strata: int64 [groups]; a group is replaced by one of the same stratum.
        over: ``speakers`` or ``recordings``.
        n_speakers: how many speakers are known.
        n_smaller: groups of the rarer class.
    """

    which: Ints
    strata: Ints
    over: str
    n_speakers: int
    n_smaller: int


def make_groups(is_target: Bools, speakers: Sequence[str | None]) -> Groups:
    """Group recordings by speaker, or each by itself if a class has fewer than `MIN_SPEAKERS` groups."""
    known = sorted({speaker for speaker in speakers if speaker is not None})
    place = {name: position for position, name in enumerate(known)}
    which = np.array([len(known) + i if name is None else place[name] for i, name in enumerate(speakers)], np.int64)
    which = np.unique(which, return_inverse=True)[1].reshape(-1)
    over = "speakers"
    if not known or _classes_of(which, is_target).sum(axis=0).min() < MIN_SPEAKERS:
        which, over = np.arange(len(is_target)), "recordings"
    classes = _classes_of(which, is_target)
    strata = classes @ np.array([1, 2])
    return Groups(which, strata, over, len(known), int(classes.sum(axis=0).min()))


def draw_measures(
    scores: Floats,
    is_target: Bools,
    groups: Groups,
    seed: int,
    n_draws: int = N_DRAWS,
    values_at_once: int = VALUES_AT_ONCE,
) -> tuple[Floats, Floats]:
    """EER and AUC of `n_draws` draws of the groups with replacement: two arrays, float64 [draws]."""
    eers, aucs = _draw([_rank(scores, is_target, groups.which)], groups.strata, seed, n_draws, values_at_once)[0]
    return eers, aucs


@dataclass(frozen=True)
class Scored:
    """The scores of one test.

    Attributes:
        scores: float64 [n]; a higher score means more likely a target.
        is_target: bool [n].
        speakers: [n], None if not known.
        names: [n], of the recordings, the same in all tests.
    """

    scores: Floats
    is_target: Bools
    speakers: Sequence[str | None]
    names: Sequence[str]


def draw_means(tests: Sequence[Scored], seed: int, n_draws: int = N_DRAWS) -> tuple[Floats, Floats, str]:
    """EER and AUC, averaged over several tests: float64 [draws] each, and what was drawn (``speakers`` or ``recordings``).

    A draw has the same speakers in all tests, since the tests have these people in common. Speakers are drawn if they
    would be in each test alone (`make_groups`), else single recordings.
    """
    by_speaker = all(make_groups(test.is_target, test.speakers).over == "speakers" for test in tests)
    units = [
        [speaker if by_speaker and speaker is not None else f"/{name}" for speaker, name in zip(*pair, strict=True)]
        for pair in ((test.speakers, test.names) for test in tests)
    ]
    place = {unit: number for number, unit in enumerate(sorted({unit for each in units for unit in each}))}
    which = [np.array([place[unit] for unit in each], np.int64) for each in units]
    classes = [_classes_of(rows, test.is_target, len(place)) for rows, test in zip(which, tests, strict=True)]
    strata = np.unique(np.concatenate(classes, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    ranked = [_rank(test.scores, test.is_target, rows) for rows, test in zip(which, tests, strict=True)]
    eers, aucs = _draw(ranked, strata, seed, n_draws).mean(axis=0)
    return eers, aucs, "speakers" if by_speaker else "recordings"


@dataclass(frozen=True)
class _Ranked:
    """A test's recordings by descending score: their groups and classes, and the last of each run of equal scores."""

    which: Ints
    targets: Bools
    last_of_tie: Ints


def _rank(scores: Floats, is_target: Bools, which: Ints) -> _Ranked:
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return _Ranked(which[order], is_target[order], last_of_tie)


def _draw(tests: Sequence[_Ranked], strata: Ints, seed: int, n_draws: int, values_at_once: int = VALUES_AT_ONCE) -> Floats:
    """EER and AUC of each test under the same draws: float64 [tests, 2, draws].

    A draw only changes how often each recording counts, so the scores are sorted once.
    """
    generator = np.random.default_rng(seed)
    at_once = max(values_at_once // max(len(test.which) for test in tests), 1)
    parts = []
    for start in range(0, n_draws, at_once):
        counts = _draw_counts(strata, min(at_once, n_draws - start), generator)
        parts.append([_rates_of(test, counts[:, test.which]) for test in tests])
    return np.concatenate(parts, axis=2)


def _draw_counts(strata: Ints, n_draws: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """How often each group is drawn, int32 [draws, groups]; each stratum keeps its size."""
    counts = np.zeros((n_draws, len(strata)), np.int32)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = len(members)
        drawn = generator.integers(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
        counts[:, members] = np.bincount(drawn.reshape(-1), minlength=n_draws * n).reshape(n_draws, n)
    return counts


def _rates_of(test: _Ranked, counts: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """EER and AUC, as `metrics` defines them, of many draws at once: counts int32 [draws, recordings] → float64 [draws]."""
    hits = np.cumsum(counts * test.targets, axis=1, dtype=np.int32)[:, test.last_of_tie]
    alarms = np.cumsum(counts * ~test.targets, axis=1, dtype=np.int32)[:, test.last_of_tie]
    hit_rate, alarm_rate = hits / hits[:, -1:], alarms / alarms[:, -1:]
    gap = 1 - hit_rate - alarm_rate  # begins at 1, before the first point
    rows, after = np.arange(len(gap)), np.argmax(gap <= 0, axis=1)
    before, is_first = np.maximum(after - 1, 0), after == 0
    gap_before = np.where(is_first, 1.0, gap[rows, before])
    miss_before = np.where(is_first, 1.0, 1 - hit_rate[rows, before])
    share = gap_before / (gap_before - gap[rows, after])
    eer = miss_before + share * (1 - hit_rate[rows, after] - miss_before)
    middles = (hit_rate[:, 1:] + hit_rate[:, :-1]) / 2
    area = hit_rate[:, 0] * alarm_rate[:, 0] / 2 + (np.diff(alarm_rate, axis=1) * middles).sum(axis=1)
    return eer, area


def _classes_of(which: Ints, is_target: Bools, n_groups: int = 0) -> Ints:
    """Whether each group contains targets, and others: 0 or 1, int64 [groups, 2]."""
    n_targets = np.bincount(which, weights=is_target, minlength=n_groups)
    n_others = np.bincount(which, weights=~is_target, minlength=n_groups)
    return np.stack([n_targets > 0, n_others > 0], axis=1).astype(np.int64)
