"""The loss of events: each word of a scene must be said once soon after its end, and no other word at any time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cache import IGNORE, N_LABELS, RATE, UNKNOWN
from scene_labels import Ints, end_of, find_inside

_SOON = int(0.5 * RATE)  # samples after a word's end within which it should be said
_ROWS = 4  # windows over which the decoder's mean goes
_VOID = -1e4
_NOTHING = -9  # no whole word


def event_windows(items: Ints, ends: Ints, n_frames: int) -> tuple[Ints, NDArray[np.bool_]]:
    """The item that each window may say, and the labels that it may have.

    A word of the ten may be said by windows that end up to half a second after it and hold it wholly as the last one; later
    windows need not say it. A window that begins to hold a word, or holds most of one, may say it or not.

    Args:
        items: [batch, items, 5], see `label_windows`.
        ends: [windows], the last frame of each.
        n_frames: of a window.

    Returns:
        events [batch, windows, 2], the place of the item and its label, -1 for none; may [batch, windows, labels], all false
        where nothing is known.
    """
    label, inside = items[..., 2], find_inside(items, ends, n_frames)
    batch = np.arange(len(items))[:, None]
    latest, any_whole = inside.latest, inside.any_whole
    said = np.where(any_whole, label[batch, latest], _NOTHING)
    soon = end_of(ends) - items[batch, latest, 1] <= _SOON
    event = np.where((said > UNKNOWN) & soon, latest, -1)
    may = np.zeros((*event.shape, N_LABELS), bool)
    words = np.arange(N_LABELS)
    partial = any_whole | inside.partial
    may[..., 0] = ~any_whole | (said > UNKNOWN)
    may[..., UNKNOWN] = partial
    may |= (said[..., None] == words) & (said[..., None] > UNKNOWN)
    for item in range(label.shape[1]):
        doubtful = inside.doubtful[:, item]
        may |= doubtful[..., None] & (label[:, item, None, None] == words)
    may[said == IGNORE] = False
    may[(inside.doubtful & (label == IGNORE)[..., None]).any(axis=1)] = False
    return np.stack([event, np.where(event >= 0, said, -1)], axis=2), may


def event_loss(logits: Tensor, events: Tensor, may: Tensor) -> tuple[Tensor, Tensor]:
    """Two losses: -log of an event's geometric mean posterior over its best 160 ms, and -log of what a window may be.

    logits: float32 [batch, windows, labels]; events, may: see `event_windows`.
    """
    log_p = torch.log_softmax(logits, dim=2)
    quiet = -torch.logsumexp(log_p + torch.where(may, 0.0, _VOID), dim=2)[may.any(dim=2)].mean()
    place, label = events.unbind(dim=2)
    own = torch.where(place >= 0, log_p.gather(2, label.clamp(min=0)[..., None])[..., 0], _VOID)
    mean = nn.functional.avg_pool1d(own[:, None], _ROWS, 1)[:, 0]
    found = []
    for row, places in zip(mean, place[:, _ROWS - 1 :], strict=True):
        for one in places[places >= 0].unique():
            found.append(row[places == one].max())
    best = torch.stack(found)
    best = best[best > _VOID / 8]
    return -best.mean(), quiet
