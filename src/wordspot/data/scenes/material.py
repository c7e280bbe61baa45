"""The clips and noise of one set, from which `classic` and `soundscape` make streams.

Recordings are split into sets first, so a stream of testing clips is new to a model that was trained on the training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from wordspot.audio.effects import loop_noise
from wordspot.audio.files import read_audio, read_info
from wordspot.audio.samples import Samples
from wordspot.config import MAX_SAMPLE_RATE, SETS, DataConfig
from wordspot.data.clips import check_words
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import Listing, Recording, list_recordings
from wordspot.data.split import split_noise
from wordspot.data.truth import SpokenWord
from wordspot.errors import ConfigError, DataError
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL

#: Longest stream made at once; at 16 kHz its float32 samples take half a gigabyte.
MAX_STREAM_SAMPLES = 2 * 3600 * 16_000
_CLIP_MS = (10.0, 60_000.0)


@dataclass(frozen=True)
class Scene:
    """A stream and its ground truth.

    audio: float32 [samples] in [-1, 1].
    """

    audio: Samples
    sample_rate: int
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True)
class StreamMaterial:
    """The clips and noise of one set.

    clips: the wanted words' recordings, by word. unknown: the recordings of all other words.
    noise: segments of noise recordings: path, start and end in samples at `sample_rate`.
    """

    root: Path
    sample_rate: int
    clip_samples: int
    clips: dict[str, tuple[Recording, ...]]
    unknown: tuple[Recording, ...]
    noise: tuple[tuple[str, int, int], ...]

    def read_clip(self, recording: Recording) -> Samples:
        """A recording's first `clip_samples`: float32 [clip_samples], zeros after a shorter one."""
        audio, _ = read_audio(self.root / recording.path, self.sample_rate)
        clip = np.zeros(self.clip_samples, np.float32)
        clip[: len(audio)] = audio[: self.clip_samples]
        return clip

    def cut_noise(self, n_samples: int, rng: Generator) -> Samples:
        """A random piece of a random segment: float32 [n_samples]; a shorter segment is repeated, see `loop_noise`."""
        path, start, stop = self.noise[rng.integers(len(self.noise))]
        stretch = _read_noise(self.root / path, self.sample_rate)[start:stop]
        if len(stretch) <= n_samples:
            return loop_noise(stretch, n_samples, self.sample_rate)
        offset = int(rng.integers(len(stretch) - n_samples + 1))
        return stretch[offset : offset + n_samples]


@lru_cache(maxsize=32)
def _read_noise(path: Path, sample_rate: int) -> Samples:
    return read_audio(path, sample_rate)[0]


def load_material(
    root: Path,
    words: Sequence[str],
    split: str = "testing",
    data: DataConfig | None = None,
    *,
    sample_rate: int = 16_000,
    clip_ms: float = 1000.0,
) -> StreamMaterial:
    """Find the recordings of the set `split` of a data folder.

    Raises:
        NotFoundError, DataError: no such folder, or no clips of a word in this set.
        ConfigError: no such set, or a word twice.
    """
    if split not in SETS:
        raise ConfigError(f"`split` must be one of {', '.join(SETS)}, got {split!r}")
    if not 1000 <= sample_rate <= MAX_SAMPLE_RATE:
        raise ConfigError(f"a stream's rate must lie between 1000 and {MAX_SAMPLE_RATE} Hz, got {sample_rate}")
    if not _CLIP_MS[0] <= clip_ms <= _CLIP_MS[1]:
        raise ConfigError(f"`clip_ms` must lie between {_CLIP_MS[0]:g} and {_CLIP_MS[1]:g}, got {clip_ms:g}")
    data = data or DataConfig()
    listing = list_recordings(root)
    wanted = check_words(listing, words)
    sets = split_recordings(listing, data, wanted).sets
    clips: dict[str, list[Recording]] = {word: [] for word in wanted}
    unknown = []
    for recording, name in zip(listing.clips, sets, strict=True):
        if name == split and recording.word in clips:
            clips[recording.word].append(recording)
        elif name == split and recording.word != SILENCE_LABEL:
            unknown.append(recording)
    if missing := [word for word, found in clips.items() if not found]:
        raise DataError(
            f"{root}: no recordings of {', '.join(missing)} are in the {split} set; record more, or name another `split`"
        )
    clip_samples = int(sample_rate * clip_ms / 1000)
    noise = _noise_of(listing, split, data, sample_rate, clip_samples)
    found = {word: tuple(recordings) for word, recordings in clips.items()}
    return StreamMaterial(root, sample_rate, clip_samples, found, tuple(unknown), noise)


def draw_word(material: StreamMaterial, unknown_percent: float, rng: Generator) -> tuple[str, Recording]:
    """A random word's label and recording: unknown with a probability of `unknown_percent`, else any wanted word alike."""
    if rng.uniform(0, 100) < unknown_percent:
        return UNKNOWN_LABEL, material.unknown[rng.integers(len(material.unknown))]
    words = list(material.clips)
    word = words[rng.integers(len(words))]
    return word, material.clips[word][rng.integers(len(material.clips[word]))]


def stream_samples(seconds: float, sample_rate: int) -> int:
    """The length of a stream in samples.

    Raises:
        ConfigError: the length is not positive, or too long for memory.
    """
    longest = MAX_STREAM_SAMPLES / sample_rate
    if not 0 < seconds <= longest:
        raise ConfigError(
            f"a stream must be longer than 0 and at most {longest / 60:g} minutes, got {seconds / 60:g}; "
            "make several with different seeds"
        )
    return int(seconds * sample_rate)


def _noise_of(
    listing: Listing, split: str, data: DataConfig, sample_rate: int, clip_samples: int
) -> tuple[tuple[str, int, int], ...]:
    lengths = []
    for recording in listing.noise:
        info = read_info(listing.root / recording.path)
        if info.n_samples:
            lengths.append(info.n_samples * sample_rate // info.sample_rate)
        else:  # the header has no count
            lengths.append(len(_read_noise(listing.root / recording.path, sample_rate)))
    stretches = split_noise(listing.noise, lengths, data, clip_samples)[split]
    return tuple((listing.noise[position].path, start, stop) for position, start, stop in stretches)


def check_percent(material: StreamMaterial, unknown_percent: float) -> None:
    """Check that the material can provide the percentage of unknown words.

    Raises:
        ConfigError: not a percentage.
        DataError: unknown words are asked for, but the set has none.
    """
    if not 0 <= unknown_percent <= 100:
        raise ConfigError(f"`unknown_percent` must lie between 0 and 100, got {unknown_percent:g}")
    if unknown_percent > 0 and not material.unknown:
        raise DataError(
            f"{material.root}: there are no recordings of other words in this set; add some, or set `unknown_percent` to 0"
        )
