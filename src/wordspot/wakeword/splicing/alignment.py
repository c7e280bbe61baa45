"""When the sounds of a sentence are said: the most likely way through the network's posteriors (Viterbi 1967)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SILENCE = 0
_WORST = -5.0  # of a frame, so that one wrong sound does not decide
_PAUSE = 0.3  # for each frame of silence between the sounds of a phrase


class Said(NamedTuple):
    """A sound by its number, and its frames [first, stop)."""

    sound: int
    first: int
    stop: int


def align(log_p: Floats, words: Sequence[Sequence[int]]) -> list[Said]:
    """When the words are said, one after the other, with or without silence around them.

    Args:
        log_p: [frames, sounds].
        words: the sounds of each.

    Returns:
        The sounds in their order, and every silence; none at all if there are no sounds, or more than frames.
    """
    states = [_SILENCE]
    for word in words:
        states += [*word, _SILENCE]
    if not 0 < sum(map(len, words)) <= len(log_p):
        return []
    path = _best_path(log_p, np.array(states))
    places = np.flatnonzero(np.diff(path, prepend=-1))
    stops = [*places[1:].tolist(), len(path)]
    return [Said(states[path[first]], first, stop) for first, stop in zip(places.tolist(), stops, strict=True)]


def _best_path(log_p: Floats, states: NDArray[np.int64]) -> NDArray[np.int64]:
    """The state of each frame; the path begins and ends in the first or last sound or the silence beside it."""
    emitted = log_p[:, states]
    may_skip = np.concatenate([[False, False], states[1:-1] == _SILENCE])
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[0, :2]
    steps = np.zeros(emitted.shape, np.int8)
    for frame in range(1, len(emitted)):
        moved = np.concatenate([[-np.inf], score[:-1]])
        skipped = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        ways = np.stack([score, moved, skipped])
        steps[frame] = ways.argmax(axis=0)
        score = ways.max(axis=0) + emitted[frame]
    path = np.zeros(len(emitted), np.int64)
    path[-1] = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    for frame in range(len(emitted) - 1, 0, -1):
        path[frame - 1] = path[frame] - steps[frame, path[frame]]
    return path


def fit_of(log_p: Floats, sounds: Sequence[int]) -> float:
    """How well a recording holds a sequence of sounds, anywhere in it: the highest of `fits_of`."""
    return float(fits_of(log_p, sounds).max())


def fits_of(log_p: Floats, sounds: Sequence[int]) -> Floats:
    """How well a sequence of sounds that ends at each frame fits: 0 if all its frames most likely are what they should be.

    The logarithm of the posteriors of the sounds over those of the most likely ones, summed over frames, for each sound. Silence
    within counts a little worse than its posteriors.

    Args:
        log_p: [frames, sounds].
        sounds: by their numbers.

    Returns:
        float32 [frames].
    """
    gains = np.maximum(log_p - log_p.max(axis=1, keepdims=True), _WORST)
    score, found = np.full(len(sounds), -np.inf), np.zeros(len(gains), np.float32)
    for frame, gain in enumerate(gains):
        said = np.maximum(score, np.concatenate([[0.0], score[:-1]])) + gain[list(sounds)]
        score = np.maximum(said, score + gain[_SILENCE] - _PAUSE)
        found[frame] = score[-1] / len(sounds)
    return found
