"""All sounds that a speaker said, and the best of them for a phrase: few joins, at places that sound alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32
from wordspot.wakeword.splicing.alignment import align
from wordspot.wakeword.splicing.sounds import FRAME

_JOIN, _OTHER_NEIGHBOUR, _DISTANCE = 1.0, 0.6, 0.25  # costs of a join, of each side that came from elsewhere, of the difference
_LONG, _SHORT, _LONG_COST, _SHORT_COST = 3500, 480, 1.5, 0.5  # samples
_SPREAD = 0.12  # of random costs, so that no two choices are alike
_WINDOW = 400  # samples of a spectrum at an edge
#: Limits of the bands of a spectrum, in bins of 31.25 Hz: narrow where vowels differ.
_BANDS = np.array([2, 4, 6, 8, 10, 12, 14, 17, 20, 23, 27, 31, 36, 42, 49, 57, 66, 77, 90, 105, 122, 142, 165, 192, 223])
_SIZE, _POWER_FLOOR = 512, 1e-7


#: The sounds of each word, by their numbers.
Words = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Units:
    """The sounds of a speaker in the order in which they were said.

    audio: int16 [samples]. sounds: int64 [units]. bounds: int64 [units, 2], first sample and the one after the last, in `audio`.
    follows: bool [units], whether a sound follows the one before it without a pause. edges: float32 [units, 2, bands], the
    spectrum at either end, as deviations from the speaker's mean.
    """

    audio: NDArray[np.int16]
    sounds: NDArray[np.int64]
    bounds: NDArray[np.int64]
    follows: NDArray[np.bool_]
    edges: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sounds)


def units_of(
    recordings: Iterable[tuple[NDArray[np.int16], Words]], posteriors: Callable[[Samples], NDArray[np.float32]]
) -> Units:
    """The units of a speaker's recordings, each with the sounds of its words.

    Args:
        recordings: int16 [samples], and the sounds of each word by their numbers.
        posteriors: see `SoundNetwork.log_posteriors`.
    """
    audio, sounds, bounds, follows, at = [], [], [], [], 0
    for samples, words in recordings:
        was_silent = True
        for sound, first, stop in align(posteriors(to_float32(samples)), words):
            if sound:
                sounds.append(sound)
                bounds.append((at + first * FRAME, at + stop * FRAME))
                follows.append(not was_silent)
            was_silent = not sound
        audio.append(samples)
        at += len(samples)
    whole = np.concatenate([*audio, np.zeros(_WINDOW, np.int16)])
    places = np.array(bounds, np.int64).reshape(-1, 2)
    return Units(whole, np.array(sounds, np.int64), places, np.array(follows, bool), _edges(whole, places))


def _edges(audio: NDArray[np.int16], bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logarithms of the power in bands just after the beginning and before the end, as deviations from their means."""
    starts = np.stack([bounds[:, 0], np.maximum(bounds[:, 1] - _WINDOW, 0)], axis=1)
    if not len(bounds):
        return np.zeros((0, 2, len(_BANDS) - 1), np.float32)
    frames = to_float32(audio[starts[:, :, None] + np.arange(_WINDOW)]) * np.hanning(_WINDOW).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, _SIZE)))
    bands = np.log(np.add.reduceat(power, _BANDS, axis=2)[:, :, :-1] + _POWER_FLOOR)
    flat = bands.reshape(-1, bands.shape[2])
    apart: NDArray[np.float32] = ((bands - flat.mean(axis=0)) / (flat.std(axis=0) + 1e-3)).astype(np.float32)
    return apart


def choose(units: Units, wanted: Sequence[int], rng: Generator) -> list[int] | None:
    """The places of units that say the wanted sounds at the least cost; None if the speaker never said one of them.

    The cost is that of joins, of neighbours that another sound gave its colour, of unusual lengths, and a random one.
    """
    cost, before, ways, candidates = np.zeros(0), np.zeros(0, np.int64), list[NDArray[np.int64]](), list[NDArray[np.int64]]()
    for position, sound in enumerate(wanted):
        found = np.flatnonzero(units.sounds == sound)
        if not len(found):
            return None
        own = _own_costs(units, found) - _SPREAD * rng.gumbel(size=len(found))
        if position:
            total = cost[:, None] + _join_costs(units, before, found, wanted[position - 1])
            way = total.argmin(axis=0)
            own, ways = own + total[way, np.arange(len(found))], [*ways, way]
        cost, before = own, found
        candidates.append(found)
    place = int(cost.argmin())
    chosen = [int(candidates[-1][place])]
    for way, found in zip(reversed(ways), reversed(candidates[:-1]), strict=True):
        place = int(way[place])
        chosen.append(int(found[place]))
    return chosen[::-1]


def _own_costs(units: Units, found: NDArray[np.int64]) -> NDArray[np.float64]:
    lengths = units.bounds[found, 1] - units.bounds[found, 0]
    cost: NDArray[np.float64] = _LONG_COST * (lengths > _LONG) + _SHORT_COST * (lengths < _SHORT)
    return cost


def _join_costs(units: Units, before: NDArray[np.int64], after: NDArray[np.int64], sound: int) -> NDArray[np.float64]:
    """The cost of joining each of `before`, which say `sound`, with each of `after`: [before, after]."""
    last = len(units) - 1
    next_one = np.minimum(before + 1, last)
    own_left = (units.sounds[after - 1] == sound) & units.follows[after]
    own_right = (units.sounds[next_one] == units.sounds[after[0]]) & units.follows[next_one]
    left, right = units.edges[before, 1], units.edges[after, 0]
    apart = (np.square(left).mean(axis=1)[:, None] + np.square(right).mean(axis=1)) - 2 * left @ right.T / left.shape[1]
    cost = _JOIN + _OTHER_NEIGHBOUR * (~own_left[None] + 1.0 * ~own_right[:, None]) + _DISTANCE * apart
    return np.where((after == before[:, None] + 1) & units.follows[after], 0.0, cost)
