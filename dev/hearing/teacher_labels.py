"""Soft labels: the words' posteriors from a linear layer on the teacher's frames, cross-fitted over five groups of speakers.

A clip of the training set is judged by a layer that was not fitted to its speaker. Writes soft_labels.npy, float32
[clips, 12], soft_classes.npy, float32 [clips, classes], and mislabelled.json: clips that are inaudible or hold another word.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache import N_LABELS, UNKNOWN, WORDS, arguments, class_names, read_clips, write_rows
from hearing_streams import rank
from teacher import SLOTS
from wordspot.data.folders import hash_name

_FOLDS, _EPOCHS, _BATCH = 5, 14, 256
_QUIET = 300  # peak, of 32768


def pooled_frames(cache: Path, training: NDArray[np.bool_]) -> Tensor:
    """The mean and the maximum over each clip's frames, without its slot's mean, standardised: float32 [clips, 1024]."""
    frames, slots = np.load(cache / "teacher_clips.npy", mmap_mode="r"), np.load(cache / "slots.npy")
    parts = []
    for start in range(0, len(frames), 1000):
        part = frames[start : start + 1000].astype(np.float32)
        parts.append(np.concatenate([part.mean(axis=1), part.max(axis=1)], axis=1))
    pooled = np.concatenate(parts)
    for slot in range(SLOTS):
        if (training & (slots == slot)).any():
            pooled[slots == slot] -= pooled[training & (slots == slot)].mean(axis=0)
    return torch.from_numpy((pooled - pooled[training].mean(axis=0)) / (pooled[training].std(axis=0) + 1e-3))


def posteriors_of(x: Tensor, y: Tensor, rows: Tensor, n_classes: int) -> Tensor:
    """The posteriors of all clips [clips, words] by a linear layer fitted to `rows`."""
    layer, batch = torch.nn.Linear(x.shape[1], n_classes), min(_BATCH, len(rows))
    optimizer = torch.optim.AdamW(layer.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, _EPOCHS * (len(rows) // batch))
    for _ in range(_EPOCHS):
        for part in rows[torch.randperm(len(rows))].split(batch)[: len(rows) // batch]:
            loss = torch.nn.functional.cross_entropy(layer(torch.nn.functional.dropout(x[part], 0.3)), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return torch.softmax(layer(x), dim=1)


def cross_fit(x: Tensor, y: Tensor, training: Tensor, folds: Tensor, n_classes: int) -> Tensor:
    """Posteriors [clips, words]: training clips by the layer of the other folds, others by that of all training clips."""
    result = posteriors_of(x, y, training.nonzero()[:, 0], n_classes)
    for fold in range(_FOLDS):
        others, own = (training & (folds != fold)).nonzero()[:, 0], training & (folds == fold)
        if own.any() and len(others):
            result[own] = posteriors_of(x, y, others, n_classes)[own]
    return result


def make_labels(cache: Path) -> None:
    clips = read_clips(cache, "clips")
    names = class_names(clips)
    y = torch.tensor([names.index(clip.word) for clip in clips])
    training = np.array([clip.split == "training" for clip in clips])
    folds = torch.tensor([rank(hash_name(clip.path)) % _FOLDS for clip in clips])
    posteriors = cross_fit(pooled_frames(cache, training), y, torch.from_numpy(training), folds, len(names)).numpy()
    for split in ("training", "validation", "testing"):
        of_split = np.array([clip.split == split for clip in clips])
        right = posteriors[of_split].argmax(axis=1) == y.numpy()[of_split]
        print(f"{split}: {right.mean():.1%} of {len(right)} clips" if len(right) else f"{split}: no clips")

    classes = np.zeros((len(clips), 2 + len(names)), np.float32)
    classes[:, 2:] = posteriors
    labels = np.zeros((len(clips), N_LABELS), np.float32)
    labels[:, 2:], labels[:, UNKNOWN] = posteriors[:, : len(WORDS)], posteriors[:, len(WORDS) :].sum(axis=1)
    np.save(cache / "soft_classes.npy", classes)
    np.save(cache / "soft_labels.npy", labels)

    peaks = np.array([np.abs(clip.astype(np.int32)).max() for clip in np.load(cache / "clips.npy", mmap_mode="r")])
    own, top = posteriors[np.arange(len(y)), y.numpy()], posteriors.max(axis=1)
    bad = ((top > 0.9) & (own < 0.02)) | (own < 0.003) | ((peaks < _QUIET) & (own < 0.3))
    best = posteriors.argmax(axis=1)
    rows = np.flatnonzero(bad)
    write_rows(cache / "mislabelled.json", [(clips[row].path, names[best[row]], float(own[row])) for row in rows])
    print(f"{len(rows)} of {len(clips)} clips are inaudible or hold another word")


def main() -> None:
    args = arguments(__doc__, data=False).parse_args()
    torch.manual_seed(0)
    make_labels(args.cache)


if __name__ == "__main__":
    main()
