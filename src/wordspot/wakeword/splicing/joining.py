"""The audio of chosen units."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from wordspot.audio.samples import Samples, to_float32
from wordspot.wakeword.splicing.units import Units

_FADE = 80  # samples to either side of a join in which both pieces sound
_AFTER = 320  # samples after the last sound, in which it fades


def join(units: Units, chosen: Sequence[int]) -> Samples:
    """The units one after the other; those that were said together stay together. float32 [samples]."""
    whole = np.zeros(0, np.float32)
    pieces = list(_pieces(units, chosen))
    for number, (first, stop) in enumerate(pieces):
        is_last = number == len(pieces) - 1
        piece = to_float32(units.audio[max(first - _FADE, 0) : stop + (_AFTER if is_last else _FADE)])
        n = min(2 * _FADE, len(piece) // 2, len(whole) or len(piece))
        piece[:n] *= np.linspace(0, 1, n, dtype=np.float32)
        tail = min(_AFTER if is_last else 2 * _FADE, len(piece) // 2)
        piece[len(piece) - tail :] *= np.linspace(1, 0, tail, dtype=np.float32)
        n = n if len(whole) else 0
        whole = np.concatenate([whole[: len(whole) - n], whole[len(whole) - n :] + piece[:n], piece[n:]])
    return whole


def _pieces(units: Units, chosen: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first sample of each stretch that was said together, and the one after its last."""
    first = 0
    for place, (one, after) in enumerate(itertools.pairwise([*chosen, -1]), start=1):
        if after != one + 1 or not units.follows[after]:
            yield int(units.bounds[chosen[first], 0]), int(units.bounds[one, 1])
            first = place
