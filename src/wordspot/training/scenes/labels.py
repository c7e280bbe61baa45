"""The labels of a scene: for every window, the last word that lies entirely inside it.

A window without a word is silence. One with a part of a word is silence or unknown, whichever the network prefers. One that
may or may not hold its last word, or that holds a word which does not count, has no label.

With `recent_ms`, windows that still hold a word but end later than that have no label, so that the network need not recognise
the word at every place in its window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.labels import SILENCE, UNKNOWN
from wordspot.training.loss import IGNORED, SILENCE_OR_UNKNOWN

Ints = NDArray[np.int64]

_OVERHANG_MS = 30.0  # a word that lacks no more than this is entirely inside
_MOST_OF_WINDOW = 0.9  # and so is a longer one that fills this much of the window
_PART_MS = 50.0  # what is inside of a word is more than silence from here on
_DOUBTFUL = 0.25  # a word of which less is missing might be recognised


def label_windows(words: Ints, begins: Ints, n_samples: int, sample_rate: int, recent_ms: float = 0.0) -> Ints:
    """The label of each window of each scene.

    Args:
        words: [batch, words, 3]: first sample, the one after the last, and label of each word. A word labelled
            `SILENCE_OR_UNKNOWN` is never entirely inside, so that it stands for speech whose words are not known.
        begins: [windows], the first sample of each.
        n_samples: length of a window.
        sample_rate: in Hz.
        recent_ms: how long after its end a word is the label; 0: as long as the window holds it.

    Returns:
        [batch, windows].
    """
    if not words.shape[1]:
        return np.full((len(words), len(begins)), SILENCE, np.int64)
    first, stop, label = (words[..., column, None] for column in range(3))
    length = np.maximum(stop - first, 1)
    seen = np.clip(np.minimum(stop, begins + n_samples) - np.maximum(first, begins), 0, None)  # [batch, words, windows]
    missing = length - seen
    allowed = np.maximum(_OVERHANG_MS * sample_rate / 1000, length - _MOST_OF_WINDOW * n_samples)
    whole = (seen > 0) & (missing <= allowed) & (label != SILENCE_OR_UNKNOWN)
    doubtful = (seen > 0) & ~whole & (missing < _DOUBTFUL * length)
    latest = np.where(whole, stop, -1).argmax(axis=1)[:, None]  # words that end before the scene are never whole
    last_stop = np.where(whole, stop, -1).max(axis=1)[:, None]
    found = np.take_along_axis(np.broadcast_to(label, whole.shape), latest, axis=1)[:, 0]
    part = np.where((seen > _PART_MS * sample_rate / 1000).any(axis=1), SILENCE_OR_UNKNOWN, SILENCE)
    doubt = doubtful & (label > UNKNOWN) & (stop > last_stop) | (whole | doubtful) & (label == IGNORED)
    result: Ints = np.where(whole.any(axis=1), found, part)
    result[doubt.any(axis=1)] = IGNORED
    if recent_ms:
        since = begins + n_samples - last_stop[:, 0]
        result[(result > UNKNOWN) & (since > recent_ms * sample_rate / 1000)] = IGNORED
    return result
