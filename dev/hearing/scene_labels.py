"""The labels of a scene: for every window, the last word that lies wholly inside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cache import IGNORE, N_LABELS

HOP, WINDOW = 160, 480  # samples of the front end
_OVERHANG = 480  # samples of a word that may lie outside
_PART = 800  # samples of a word inside that are more than silence
_DOUBTFUL = 0.25  # a word of which less is missing might be recognised
_NEVER = -(10**6)
Ints = NDArray[np.int64]


def label_windows(items: Ints, ends: Ints, n_frames: int, n_classes: int, recent: int = 0) -> tuple[Ints, Ints, Ints]:
    """The label, the class and the clip's row of each window.

    A window with no word is silence (0), one with a part of a word is neither silence nor a certain word (`N_LABELS`, or
    `n_classes`: the loss lets it be silence or unknown). A window that may or may not hold its last word is `IGNORE`.

    Args:
        items: [batch, items, 6], see `scene_audio.Item`; unused ones lie before the scene.
        ends: [windows], the last frame of each.
        n_frames: of a window.
        n_classes: silence, other speech and all words.
        recent: samples after the end of one of the ten words for which it is the label of windows in which speech follows it;
            later ones are `IGNORE`. 0: all of them.

    Returns:
        Three arrays [batch, windows]; the row is -1 if no clip is meant.
    """
    first, stop, label, word_class, row = (items[..., column][:, :, None] for column in range(5))
    begin = (ends - (n_frames - 1)) * HOP
    end = begin + (n_frames - 1) * HOP + WINDOW
    length = np.maximum(stop - first, 1)
    seen = np.clip(np.minimum(stop, end) - np.maximum(first, begin), 0, None)  # [batch, items, windows]
    missing = length - seen
    whole = (seen > 0) & (missing <= _OVERHANG)
    doubtful = (seen > 0) & ~whole & (missing < _DOUBTFUL * length) & (label != 1)
    order = np.where(whole, stop, _NEVER)
    latest, last_stop, any_whole = order.argmax(axis=1)[:, None], order.max(axis=1), whole.any(axis=1)
    doubt = (doubtful & (stop > np.where(any_whole, last_stop, _NEVER)[:, None])).any(axis=1)
    partial = (seen > _PART).any(axis=1)
    if recent:
        followed = ((seen > _PART) & (stop > last_stop[:, None])).any(axis=1)
        wanted = np.take_along_axis(np.broadcast_to(label, order.shape), latest, axis=1)[:, 0] > 1
        doubt |= any_whole & wanted & followed & (end - last_stop > recent)

    def of_latest(values: Ints) -> Ints:
        return np.take_along_axis(np.broadcast_to(values, order.shape), latest, axis=1)[:, 0]

    def resolve(values: Ints, neither: int) -> Ints:
        found = np.where(any_whole, of_latest(values), np.where(partial, neither, 0))
        return np.where(doubt, IGNORE, found)

    rows = np.where(any_whole & ~doubt, of_latest(row), -1)
    return resolve(label, N_LABELS), resolve(word_class, n_classes), rows
