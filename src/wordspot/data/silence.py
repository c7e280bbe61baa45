"""The silence clips of a set's evaluation: background noise at random volumes, the same in every evaluation.

A run and the file exported from it (which is evaluated without torch) get the same clips. The random numbers come from the
Mersenne Twister with a 32-bit seed, on which numpy's legacy generator and torch's CPU generator agree and which never changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import to_float32
from wordspot.config import DataConfig, RunConfig
from wordspot.data.cache import DecodedClips
from wordspot.data.split import split_noise
from wordspot.seeds import SET_NUMBERS, step_seed


class Silence:
    """The silence clips of one set.

    Args:
        config: the run's.
        decoded: the folder's recordings.
        name: the set; ``all`` draws from all noise, including that of training.
        count: number of clips; another count gives other clips.
    """

    def __init__(self, config: RunConfig, decoded: DecodedClips, name: str, count: int) -> None:
        self._size = config.features.clip_samples
        self._stretches = noise_stretches(config, decoded, name)
        self.has_noise = bool(self._stretches)
        seed = DataConfig.seed if name == "all" else config.data.seed
        legacy = np.random.RandomState(step_seed(seed, 0, SET_NUMBERS[name]) & 0xFFFFFFFF)

        def draw(n: int) -> NDArray[np.uint64]:
            return legacy.randint(0, 2**32, size=n, dtype=np.uint32).astype(np.uint64)

        self._which = draw(count) % np.uint64(max(len(self._stretches), 1))
        pairs = draw(2 * count)
        bits = ((pairs[0::2] << np.uint64(32)) | pairs[1::2]) & np.uint64(2**53 - 1)
        self._places = bits.astype(np.float64) * 2.0**-53
        self._volumes = (draw(count) & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2**-24)

    def clip(self, position: int) -> NDArray[np.float32]:
        """The silence clip at this position: float32 [clip_samples]; zeros if the set has no noise."""
        if not self.has_noise:
            return np.zeros(self._size, np.float32)
        noise = self._stretches[int(self._which[position])]
        start = int(self._places[position] * (len(noise) - self._size + 1))
        result: NDArray[np.float32] = np.clip(to_float32(noise[start : start + self._size]) * self._volumes[position], -1, 1)
        return result


def noise_stretches(config: RunConfig, decoded: DecodedClips, name: str) -> list[NDArray[np.int16]]:
    """The segments of noise that a set draws from, int16; one shorter than a clip is repeated to fill it."""
    lengths, size = decoded.noise_lengths, config.features.clip_samples
    if name == "all":
        places = [(position, 0, length) for position, length in enumerate(lengths)]
    else:
        places = split_noise(decoded.listing.noise, lengths, config.data, size)[name]
    found = []
    for recording, start, stop in places:
        stretch = decoded.noise[decoded.bounds[recording] + start : decoded.bounds[recording] + stop]
        found.append(np.resize(stretch, size) if len(stretch) < size else stretch)
    return found
