"""Reduce the teacher's frames to 64 principal components, without what only tells where in the half minute they were.

Whisper adds its position to every frame: 46 % of the variance of the components of clips' frames is explained by the slot a
clip was encoded in, which a student cannot know. So the mean of each place, less the mean over all slots, is subtracted first.
Writes pca_clips.npy, float16 [clips, 50, 64], and pca_sentences.npy, float16 [frames, 64], with a total variance of 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cache import N_COMPONENTS, arguments, read_clips
from teacher import CLIP_FRAMES, N_FRAMES, PITCH, SLOTS, WIDTH

_PER_SLOT = 500
_N_CLIPS, _N_SENTENCES, _N_SENTENCE_FRAMES = 3000, 200, 75_000
Floats = NDArray[np.float32]


def place_means(frames: NDArray[np.float16], slots: NDArray[np.int64]) -> Floats:
    """What each place adds to a frame: float32 [slots, 50, 512]."""
    means = np.zeros((SLOTS, CLIP_FRAMES, WIDTH))
    for slot in range(SLOTS):
        rows = np.flatnonzero(slots == slot)[:_PER_SLOT]
        if len(rows):
            means[slot] = frames[rows].astype(np.float32).mean(axis=0)
    return (means - means.mean(axis=0)).astype(np.float32)


def along_half_minute(place: Floats) -> Floats:
    """The same for every frame of the half minute, interpolated between slots: float32 [1500, 512]."""
    known = (np.arange(CLIP_FRAMES) + PITCH * np.arange(SLOTS)[:, None]).ravel()
    values = place.reshape(-1, WIDTH)
    return np.stack([np.interp(np.arange(N_FRAMES), known, column) for column in values.T], axis=1).astype(np.float32)


def components_of(frames: Floats) -> tuple[Floats, Floats]:
    """The mean [512] and the first components [512, 64], scaled so that the result has a total variance of 1."""
    mean = frames.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((frames - mean).T))
    print(f"{values[-N_COMPONENTS:].sum() / values.sum():.1%} of the variance kept")
    scale = np.sqrt(values[-N_COMPONENTS:].sum())
    return mean, (vectors[:, ::-1][:, :N_COMPONENTS] / scale).astype(np.float32)


class Reduction:
    """From the teacher's frames to components, fitted to training clips and sentences of a cache: the same on every call.

    Args:
        cache: what `teacher.py` wrote.
    """

    def __init__(self, cache: Path) -> None:
        self._clips, self._slots = np.load(cache / "teacher_clips.npy", mmap_mode="r"), np.load(cache / "slots.npy")
        self._sentences = np.load(cache / "teacher_sentences.npy", mmap_mode="r")
        self._starts = np.load(cache / "teacher_sentences_starts.npy")
        self._places = np.load(cache / "teacher_sentences_at.npy")
        self._place = place_means(self._clips, self._slots)
        self._along = along_half_minute(self._place)
        rng, encoded = np.random.default_rng(0), np.flatnonzero(self._places >= 0)
        training = np.array([row for row, clip in enumerate(read_clips(cache, "clips")) if clip.split == "training"])
        rows = np.sort(rng.permutation(training)[:_N_CLIPS])
        some = np.concatenate([self._sentence(number) for number in rng.permutation(encoded)[:_N_SENTENCES]])
        clips = self._clips[rows].astype(np.float32) - self._place[self._slots[rows]]
        self._mean, self._components = components_of(
            np.concatenate([clips.reshape(-1, WIDTH), rng.permutation(some)[:_N_SENTENCE_FRAMES]])
        )

    def of_clips(self, frames: NDArray[np.floating], slots: NDArray[np.int64]) -> Floats:
        """[clips, 50, 512], encoded in these slots → [clips, 50, 64]."""
        return (frames.astype(np.float32) - self._place[slots] - self._mean) @ self._components

    def _sentence(self, number: int) -> Floats:
        frames = self._sentences[self._starts[number] : self._starts[number + 1]].astype(np.float32)
        return frames - self._along[self._places[number] : self._places[number] + len(frames)]

    def write(self, cache: Path) -> None:
        """Write the components of all clips and sentences of the cache."""
        shape = (*self._clips.shape[:2], N_COMPONENTS)
        out = np.lib.format.open_memmap(cache / "pca_clips.npy", "w+", np.float16, shape)
        for part in np.array_split(np.arange(len(self._clips)), max(len(self._clips) // 1000, 1)):
            out[part] = self.of_clips(self._clips[part], self._slots[part])
        out = np.lib.format.open_memmap(cache / "pca_sentences.npy", "w+", np.float16, (len(self._sentences), N_COMPONENTS))
        for number in np.flatnonzero(self._places >= 0):
            out[self._starts[number] : self._starts[number + 1]] = (self._sentence(number) - self._mean) @ self._components


def main() -> None:
    cache = arguments(__doc__, data=False).parse_args().cache
    Reduction(cache).write(cache)


if __name__ == "__main__":
    main()
