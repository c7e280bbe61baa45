"""Cut training windows from scenes, so that words are at any position, as in a stream, and not only centred in a clip.

Three clips follow each other, with gaps of some tenths of a second between their words. The window contains the entire middle
word, or truncates it at one end. Its label is that of the last word that is entirely inside; silence if it contains only parts
of words, or none; and `IGNORED` if so little of a word is missing that the label would be ambiguous.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from wordspot.labels import SILENCE, UNKNOWN
from wordspot.training.loss import IGNORED

_GAP_MS = (120.0, 1200.0)
_RAMP_MS = 20.0
_WHOLE_MS = 30.0  # a word that lacks no more than this counts as complete
_PART = 0.25  # a word that lacks this much or more counts as truncated


def reverse_some(clips: Tensor, bounds: Tensor, labels: Tensor, backward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Play some clips backward, so that they sound like unknown words.

    Args:
        clips: float32 [..., samples].
        bounds: int64 [..., 2], where their speech is.
        labels: int64 [...].
        backward: bool [...], which.

    Returns:
        clips, bounds and labels; those of clips that are not played backward are unchanged.
    """
    flipped = clips.shape[-1] - bounds.flip(-1)
    return (
        torch.where(backward[..., None], clips.flip(-1), clips),
        torch.where(backward[..., None], flipped, bounds),
        torch.where(backward & (labels != SILENCE), labels.new_full((), UNKNOWN), labels),
    )


def place_windows(bounds: Tensor, n_samples: int, sample_rate: int, generator: Generator) -> Tensor:
    """Random places for three clips in a row, relative to the window.

    Half of the middle words lie entirely inside, anywhere; the others lack at least a quarter, at either end.

    Args:
        bounds: int64 [n, 3, 2], first and last sample of speech in the clip before, the clip, the clip after.
        n_samples: length of a clip, and of the window.

    Returns:
        int64 [n, 3], the sample of the window at which each clip begins.
    """
    first, stop = bounds[:, 1, 0], bounds[:, 1, 1]
    length = stop - first
    drawn = torch.rand(len(bounds), 3, generator=generator, device=bounds.device)
    missing = ((_PART + (1 - _PART) * drawn[:, 1]) * length).long()
    coming, going = n_samples - length + missing, -missing
    inside = (drawn[:, 1] * (n_samples - length)).long()
    place = torch.where(drawn[:, 0] < 0.5, inside, torch.where(drawn[:, 0] < 0.75, coming, going))
    shortest, longest = (gap * sample_rate / 1000 for gap in _GAP_MS)
    gaps = torch.rand(len(bounds), 2, generator=generator, device=bounds.device)
    gaps = (shortest + (longest - shortest) * gaps).long()
    before = place - gaps[:, 0] - bounds[:, 0, 1]
    after = place + length + gaps[:, 1] - bounds[:, 2, 0]
    return torch.stack([before, place - first, after], dim=1)


def cut_windows(clips: Tensor, starts: Tensor, sample_rate: int) -> Tensor:
    """Add clips that begin at `starts`, each with a short ramp at both ends.

    Args:
        clips: float32 [n, 3, samples].
        starts: int64 [n, 3], as `place_windows` gives them.

    Returns:
        float32 [n, samples].
    """
    n, _, n_samples = clips.shape
    ramp = torch.arange(n_samples, device=clips.device).clamp(max=int(_RAMP_MS * sample_rate / 1000))
    softened = clips * (torch.minimum(ramp, ramp.flip(0)) / ramp.max().clamp(min=1))
    windows = clips.new_zeros(n, n_samples)
    for window, row, places in zip(windows, softened, starts.tolist(), strict=True):
        for clip, start in zip(row, places, strict=True):
            if -n_samples < start < n_samples:  # slices take a tenth of the time of one indexed copy
                window[max(start, 0) : n_samples + start] += clip[max(-start, 0) : n_samples - start]
    return windows


def label_windows(labels: Tensor, bounds: Tensor, starts: Tensor, n_samples: int, sample_rate: int) -> Tensor:
    """The label of each window, int64 [n].

    Args:
        labels: int64 [n, 3], of the clips; silence is not a word.
        bounds: int64 [n, 3, 2], where each clip's speech is.
        starts: int64 [n, 3], where each clip begins in the window.
    """
    first, stop = bounds[..., 0] + starts, bounds[..., 1] + starts
    length = (stop - first).clamp(min=1)
    missing = length - (stop.clamp(0, n_samples) - first.clamp(0, n_samples))
    is_word = labels != SILENCE
    whole = is_word & (missing <= _WHOLE_MS * sample_rate / 1000)
    doubtful = is_word & ~whole & (missing < _PART * length)
    latest = torch.where(whole, stop, stop.new_full((), -1)).argmax(dim=1, keepdim=True)
    label = labels.gather(1, latest).squeeze(1)
    label = torch.where(whole.any(dim=1), label, label.new_full((), SILENCE))
    return torch.where(doubtful.any(dim=1), label.new_full((), IGNORED), label)
