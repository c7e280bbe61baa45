"""Make batches of decoded clips on a device: random and augmented for training, fixed for evaluation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from wordspot.audio.samples import to_float32
from wordspot.audio.speech import speech_bounds
from wordspot.config import RunConfig
from wordspot.data.cache import DecodedClips
from wordspot.data.clips import ClipSet
from wordspot.data.silence import Silence
from wordspot.labels import SILENCE, labels_of
from wordspot.training.augment import Augmenter, stretch_bounds
from wordspot.training.noise import training_noise
from wordspot.training.scene_windows import cut_windows, label_windows, place_windows, reverse_some

#: Decoded clips up to this total size are moved to the device at once; larger ones stay memory-mapped and move in batches.
_RESIDENT_BYTES = 4 << 30


class Batches:
    """Batches of one data folder's clips.

    Training clips are drawn with replacement, by weight; training scenes (`scenes.length_s`) are laid out by `scenes.layout`.
    Validation and testing go through their set once, unchanged; their silence clips are those of `Silence`, so that two
    evaluations of one model agree to the bit.
    """

    def __init__(self, config: RunConfig, decoded: DecodedClips, sets: dict[str, ClipSet], device: torch.device) -> None:
        self.sets, self.device = sets, device
        self.n_labels = len(labels_of(config.words))
        self.clip_samples = config.features.clip_samples
        self.batch_size = config.training.batch_size
        self._silence_of = {name: Silence(config, decoded, name, int((clips.rows < 0).sum())) for name, clips in sets.items()}
        self.augmenter = Augmenter(config.augment, config.features)
        store = device if decoded.clips.nbytes <= _RESIDENT_BYTES else torch.device("cpu")
        self._clips = torch.from_numpy(decoded.clips).to(store)
        if "training" in sets and not config.scenes.length_s:
            noise, self._noise_parts = _joined_noise(config, decoded, sets["training"])
            self._noise = noise.to(store)
        self._labels = {name: torch.from_numpy(clips.labels).to(device) for name, clips in sets.items()}
        self._cumulative = {
            name: torch.from_numpy(np.cumsum(clips.weights)).to(store) for name, clips in sets.items() if len(clips)
        }
        self._rows = {name: torch.from_numpy(clips.rows).to(store) for name, clips in sets.items()}
        self.sample_rate = config.features.sample_rate
        self._n_scenes = round(config.augment.scene_share * self.batch_size) if "training" in sets else 0
        if self._n_scenes:
            bounds = _speech_bounds(decoded, sets["training"], self.sample_rate)
            self._bounds = torch.from_numpy(bounds).to(device)
        self._reversed_share = config.augment.reversed_share

    def has_noise(self, name: str) -> bool:
        """Whether the set of this name has background noise."""
        return self._silence_of[name].has_noise

    def training_batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        """A batch drawn from the training set and augmented: audio [batch, samples], labels [batch].

        The first `scene_share` of it are windows cut from scenes, some with the label `loss.IGNORED`.
        """
        places = self._draw_places(self.batch_size, generator)
        labels = self._labels["training"][places.to(self.device)]
        audio, speeds = self.augmenter.change_speed(self._gather(self._rows["training"][places]), generator)
        n = self._n_scenes
        is_silence = labels == SILENCE
        if n:
            is_silence[:n] = False  # in scenes, silence has noise as loud as words have
            audio[:n], labels[:n] = self._scene_windows(audio[:n], places[:n], speeds[:n], generator)
        if self._reversed_share > 0:
            audio[n:], labels[n:] = self._play_some_backward(audio[n:], labels[n:], generator)
        noise = self._draw_noise(self.batch_size, generator)
        return self.augmenter.augment(audio, is_silence, noise, generator, n_scenes=n), labels

    def _scene_windows(self, audio: Tensor, places: Tensor, speeds: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Windows around clips of the rows `places` [n], played at `speeds` [n], between two others: [n, samples], [n]."""
        n = len(places)
        others = self._draw_places(2 * n, generator)
        neighbours = self._gather(self._rows["training"][others])
        in_row = torch.stack([others[:n], places, others[n:]], dim=1).to(self.device)
        clips = torch.stack([neighbours[:n], audio, neighbours[n:]], dim=1)
        labels, bounds = self._labels["training"][in_row], self._bounds[in_row]
        bounds[:, 1] = stretch_bounds(bounds[:, 1], speeds, self.clip_samples)
        if self._reversed_share > 0:
            clips, bounds, labels = reverse_some(clips, bounds, labels, self._backward(labels, generator))
        starts = place_windows(bounds, self.clip_samples, self.sample_rate, generator)
        windows = cut_windows(clips, starts, self.sample_rate)
        return windows, label_windows(labels, bounds, starts, self.clip_samples, self.sample_rate)

    def _play_some_backward(self, audio: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        nowhere = labels.new_zeros(len(labels), 2)
        audio, _, labels = reverse_some(audio, nowhere, labels, self._backward(labels, generator))
        return audio, labels

    def _backward(self, labels: Tensor, generator: Generator) -> Tensor:
        """Random clips to play backward: bool, of the shape of `labels`."""
        return torch.rand(labels.shape, generator=generator, device=self.device) < self._reversed_share

    def _draw_places(self, count: int, generator: Generator) -> Tensor:
        """Random places in the training set, by weight with replacement: int64 [count], on the device that stores the clips."""
        cumulative = self._cumulative["training"]
        drawn = torch.rand(count, generator=generator, device=self.device, dtype=torch.float64)
        places = torch.searchsorted(cumulative, drawn.to(cumulative.device) * cumulative[-1], right=True)
        return places.clamp(max=len(cumulative) - 1)

    def evaluation_batches(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        """The set of this name once, in order: audio [batch, samples], labels [batch]."""
        n_silence = 0
        for start in range(0, len(self.sets[name]), self.batch_size):
            labels = self._labels[name][start : start + self.batch_size]
            rows = self._rows[name][start : start + self.batch_size]
            audio = self._gather(rows)
            is_made = (rows < 0).to(self.device)
            count = int(is_made.sum())
            audio[is_made] = self._silence(name, n_silence, n_silence + count)
            n_silence += count
            yield audio, labels

    def clip(self, name: str, position: int) -> Tensor:
        """One clip of a set, as it is evaluated: float32 [samples], on the CPU."""
        rows = self.sets[name].rows
        if rows[position] < 0:
            place = int((rows[:position] < 0).sum())
            return self._silence(name, place, place + 1)[0].cpu()
        return self._gather(self._rows[name][position : position + 1])[0].cpu()

    def _gather(self, rows: Tensor) -> Tensor:
        """float32 [batch, samples] of the clips in these rows; silence (row -1) is zeros."""
        audio = self._clips[rows.clamp(min=0)].to(self.device).float().div_(32768)
        return audio.masked_fill_((rows < 0).to(self.device)[:, None], 0.0)

    def _silence(self, name: str, start: int, stop: int) -> Tensor:
        """The silence clips `start` to `stop` of a set: float32 [clips, samples]."""
        made = [self._silence_of[name].clip(position) for position in range(start, stop)]
        clips = np.stack(made) if made else np.zeros((0, self.clip_samples), np.float32)
        return torch.from_numpy(clips).to(self.device)

    def _draw_noise(self, count: int, generator: Generator) -> Tensor | None:
        if not len(self._noise_parts):
            return None
        which = torch.randint(len(self._noise_parts), (count,), generator=generator, device=self.device)
        places = torch.rand(count, generator=generator, device=self.device, dtype=torch.float64)
        return self._noise_at(which.cpu(), places.cpu())

    def _noise_at(self, which: Tensor, places: Tensor) -> Tensor:
        """Pieces of noise [batch, samples] from the parts `which`; `places` in [0, 1) choose the start within a part."""
        start, stop = self._noise_parts[which].unbind(1)
        starts = start + (places * (stop - start - self.clip_samples + 1)).long()
        stretches = self._noise.unfold(0, self.clip_samples, 1)[starts.to(self._noise.device)]
        return stretches.to(self.device).float().div_(32768)


def _joined_noise(config: RunConfig, decoded: DecodedClips, clips: ClipSet) -> tuple[Tensor, Tensor]:
    """The noise of training, joined (int16), and its parts: int64 [parts, (start, stop)]."""
    pieces = training_noise(config, decoded, clips)
    stops = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    joined = np.concatenate([*pieces, np.zeros(0 if pieces else config.features.clip_samples, np.int16)])
    return torch.from_numpy(joined), torch.from_numpy(np.stack([stops[:-1], stops[1:]], axis=1))


def _speech_bounds(decoded: DecodedClips, clips: ClipSet, sample_rate: int) -> NDArray[np.int64]:
    """The speech boundaries of each clip of a set: int64 [n, (first, stop)] in samples; silence has none."""
    bounds = np.zeros((len(clips), 2), np.int64)
    for place, row in enumerate(clips.rows):
        if row >= 0:
            bounds[place] = speech_bounds(to_float32(decoded.clips[row]), sample_rate)
    return bounds
