"""The labels of a scene: for every window, the last word that lies wholly inside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache import IGNORE, N_LABELS

HOP, WINDOW = 160, 480  # samples of the front end
_OVERHANG = 480  # samples of a word that may lie outside
_PART = 800  # samples of a word inside that are more than silence
_DOUBTFUL = 0.25  # a word of which less is missing might be recognised
_NEVER = -(10**6)
Ints = NDArray[np.int64]


class Inside(NamedTuple):
    """Which words of scenes lie in which windows.

    Attributes:
        seen: int64 [batch, items, windows], samples of the word in the window.
        whole: bool, all of the word.
        doubtful: bool, so much of it that it might be recognised.
        partial: bool [batch, windows], some word in part.
        latest: int64 [batch, windows], the whole word that ends last.
        any_whole: bool [batch, windows], whether there is one.
    """

    seen: Ints
    whole: NDArray[np.bool_]
    doubtful: NDArray[np.bool_]
    partial: NDArray[np.bool_]
    latest: Ints
    any_whole: NDArray[np.bool_]


def end_of(ends: Ints) -> Ints:
    """The sample after the last one of windows that end with these frames."""
    return ends * HOP + WINDOW


def find_inside(items: Ints, ends: Ints, n_frames: int) -> Inside:
    """Which words lie in which windows; the arguments are those of `label_windows`."""
    first, stop, label = (items[..., column][:, :, None] for column in range(3))
    begin = (ends - (n_frames - 1)) * HOP
    length = np.maximum(stop - first, 1)
    seen = np.clip(np.minimum(stop, end_of(ends)) - np.maximum(first, begin), 0, None)  # [batch, items, windows]
    missing = length - seen
    whole = (seen > 0) & (missing <= _OVERHANG)
    doubtful = (seen > 0) & ~whole & (missing < _DOUBTFUL * length) & (label != 1)
    latest = np.where(whole, stop, _NEVER).argmax(axis=1)
    return Inside(seen, whole, doubtful, (seen > _PART).any(axis=1), latest, whole.any(axis=1))


def label_windows(items: Ints, ends: Ints, n_frames: int, n_classes: int, recent: int = 0) -> tuple[Ints, Ints, Ints]:
    """The label, the class and the clip's row of each window.

    A window with no word is silence (0), one with a part of a word is neither silence nor a certain word (`N_LABELS`, or
    `n_classes`: the loss lets it be silence or unknown). A window that may or may not hold its last word is `IGNORE`.

    Args:
        items: [batch, items, 5], first and stop sample, label, class and row of each word; unused ones lie before the scene.
        ends: [windows], the last frame of each.
        n_frames: of a window.
        n_classes: silence, other speech and all words.
        recent: samples after the end of one of the ten words for which it is the label of windows in which speech follows it;
            later ones are `IGNORE`. 0: all of them.

    Returns:
        Three arrays [batch, windows]; the row is -1 if no clip is meant.
    """
    stop, label, word_class, row = (items[..., column][:, :, None] for column in range(1, 5))
    inside = find_inside(items, ends, n_frames)
    whole, doubtful, partial, any_whole = inside.whole, inside.doubtful, inside.partial, inside.any_whole
    latest, last_stop = inside.latest[:, None], np.where(whole, stop, _NEVER).max(axis=1)
    doubt = (doubtful & (stop > np.where(any_whole, last_stop, _NEVER)[:, None])).any(axis=1)
    if recent:
        followed = ((inside.seen > _PART) & (stop > last_stop[:, None])).any(axis=1)
        wanted = np.take_along_axis(np.broadcast_to(label, whole.shape), latest, axis=1)[:, 0] > 1
        doubt |= any_whole & wanted & followed & (end_of(ends) - last_stop > recent)

    def of_latest(values: Ints) -> Ints:
        return np.take_along_axis(np.broadcast_to(values, whole.shape), latest, axis=1)[:, 0]

    def resolve(values: Ints, neither: int) -> Ints:
        found = np.where(any_whole, of_latest(values), np.where(partial, neither, 0))
        return np.where(doubt, IGNORE, found)

    rows = np.where(any_whole & ~doubt, of_latest(row), -1)
    return resolve(label, N_LABELS), resolve(word_class, n_classes), rows
