"""Batches of training scenes of a data folder: audio, and a label for every window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.audio.samples import to_float32
from wordspot.audio.speech import speech_bounds
from wordspot.config import RunConfig
from wordspot.data.cache import DecodedClips
from wordspot.data.clips import ClipSet
from wordspot.data.speech import Speech
from wordspot.labels import SILENCE
from wordspot.progress import SEARCHING, OnProgress, Progress, ignore
from wordspot.training.noise import training_noise
from wordspot.training.scenes.copies import Copies, Recording
from wordspot.training.scenes.excerpts import Excerpts
from wordspot.training.scenes.hard import find_hard_places, n_pieces
from wordspot.training.scenes.labels import Ints, label_windows
from wordspot.training.scenes.layout import Layout
from wordspot.training.scenes.speech import SpeechReader

_PURPOSE = 2  # of random numbers: the last number of a step's seed; see `trainer`


class SceneBatches:
    """Batches of scenes, each drawn from (seed, step).

    Args:
        config: of the run.
        decoded: the folder's recordings.
        clips: the training set.
        speech: sentences for training, or None.
        hop_frames: frames that the network consumes at once, which the stride is a multiple of.

    Attributes:
        hard: the hard places that scenes are cut around, of ``speech`` and of ``noise``.
        noise: the pieces of noise of training, int16.
        left_out: the recordings of speech that hold a word of the model.
    """

    def __init__(
        self, config: RunConfig, decoded: DecodedClips, clips: ClipSet, speech: Speech | None, hop_frames: int = 1
    ) -> None:
        features, seed = config.features, config.training.seed
        self._features, self._seed, self._batch_size = features, seed, config.training.batch_size
        self._recent_ms = config.scenes.recent_ms
        self.stride = hop_frames * max(round(config.scenes.stride_ms / features.hop_ms / hop_frames), 1)
        n_more = int(
            (config.scenes.length_s * features.sample_rate - features.clip_samples) / (self.stride * features.hop_samples)
        )
        self._begins = np.arange(n_more + 1) * self.stride * features.hop_samples
        self.n_samples = int(self._begins[-1]) + features.clip_samples
        spoken = np.flatnonzero(clips.labels != SILENCE)
        reader = ClipReader(decoded, clips.rows[spoken], clips.labels[spoken], features.sample_rate)
        copies = Copies(reader, len(spoken), config.augment, features.sample_rate, seed)
        excerpts = None
        self._sentences = None if speech is None else SpeechReader(speech, config.words)
        self.left_out = () if self._sentences is None else self._sentences.left_out
        if self._sentences is not None:
            excerpts = Excerpts(self._sentences, len(self._sentences), config.augment, features.sample_rate)
        self.noise = training_noise(config, decoded, clips)
        self._layout = Layout(config, copies, clips.weights[spoken], excerpts, self.noise, self.n_samples)
        self.hard = self._layout.hard

    def seek(self, network: nn.Module, front_end: nn.Module, device: torch.device, progress: OnProgress = ignore) -> int:
        """Add what `network` falls for in the sentences and the noise to `hard`. Returns how many places were found."""
        both = {"speech": self._sentences, "noise": NoiseReader(self.noise)}
        sources = {name: source for name, source in both.items() if source is not None and len(source)}
        total = sum(n_pieces(source, self._features, self.stride) for source in sources.values())
        n_found, show = 0, _count_searched(progress, total)
        for name, source in sources.items():
            found = find_hard_places(network, front_end, source, self._features, self.stride, device, show)
            self.hard[name] = np.concatenate([self.hard[name], found])
            n_found += len(found)
        return n_found

    def draw(self, step: int) -> tuple[NDArray[np.float32], Ints]:
        """The batch of a step: audio float32 [batch, samples], labels int64 [batch, windows]."""
        rng = np.random.default_rng([self._seed, step, _PURPOSE])
        audio, found = zip(*(self._layout.draw(rng) for _ in range(self._batch_size)), strict=True)
        nowhere = np.array([-(10**9), -(10**9), SILENCE])
        words = np.tile(nowhere, (len(found), max(map(len, found)), 1))
        for row, places in zip(words, found, strict=True):
            row[: len(places)] = places
        labels = label_windows(words, self._begins, self._features.clip_samples, self._features.sample_rate, self._recent_ms)
        return np.stack(audio), labels


def _count_searched(progress: OnProgress, total: int) -> Callable[[int], None]:
    """A callback that reports the pieces it is called with as searched, of `total`."""
    done = 0

    def add(n: int) -> None:
        nonlocal done
        done += n
        progress(Progress(SEARCHING, done, total))

    return add


class NoiseReader:
    """Gives pieces of noise by number, as recordings without words."""

    def __init__(self, pieces: list[NDArray[np.int16]]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def __call__(self, place: int) -> Recording:
        return Recording(self._pieces[place], np.zeros((0, 3), np.int64))


class ClipReader:
    """Gives clips by their place in a set, without the zeros at their end, and finds their speech.

    rows: int64 [n], which of the decoded clips. labels: int64 [n].
    """

    def __init__(self, decoded: DecodedClips, rows: NDArray[np.int64], labels: NDArray[np.int64], sample_rate: int) -> None:
        self._decoded, self._rows, self._labels, self._sample_rate = decoded, rows, labels, sample_rate

    def __call__(self, place: int) -> Recording:
        clip = self._decoded.clips[self._rows[place]]
        sounding = np.flatnonzero(clip)
        samples = np.asarray(clip[: sounding[-1] + 1] if len(sounding) else clip)
        first, stop = speech_bounds(to_float32(samples), self._sample_rate)
        return Recording(samples, np.array([[first, stop, self._labels[place]]], np.int64))
