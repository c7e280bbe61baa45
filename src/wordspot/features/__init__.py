"""The front ends: from samples to features, as modules with one definition for training, streaming and export.

`make_front_end(config)` returns a module with

- ``forward(audio)``: float32 [batch, samples] in [-1, 1] → float32 [batch, frames, features] of every full window;
- ``initial_state(batch)`` and ``step(audio, state)``: hops in, as many frames out, and the state for the next call.

After a zero state the first frames contain zeros from before the stream. From frame ``window / hop - 1`` on, rounded up, the
frames of a stream are those of the entire recording (of `PsfMfcc` only if the window is a multiple of the hop).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.features.micro import MicroFrontEnd
from wordspot.features.psf import PsfMfcc
from wordspot.features.spectral import Average, LogMel, Mfcc, Specgram, SpectralFrontEnd


class SampleHops(nn.Module):
    """No features: the audio cut into hops, for networks that take samples."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, audio: Tensor) -> Tensor:
        """audio: float32 [batch, samples] → float32 [batch, frames, hop]; a tail shorter than a hop is dropped."""
        hop = self.config.hop_samples
        n_frames = audio.shape[1] // hop
        return audio[:, : n_frames * hop].reshape(-1, n_frames, hop)

    def initial_state(self, batch: int) -> Tensor:
        """No samples are kept: [batch, 0]."""
        return torch.zeros(batch, 0)

    def step(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """audio: [batch, hop · k], state: [batch, 0] → features [batch, k, hop], state."""
        return self(audio), state


def make_front_end(config: FeatureConfig) -> Any:
    """The front end that `config` describes, as a module with ``forward``, ``initial_state`` and ``step``."""
    return _FRONT_ENDS[config.kind](config)


_FRONT_ENDS: dict[str, Callable[[FeatureConfig], nn.Module]] = {
    "logmel": lambda config: SpectralFrontEnd(config, LogMel(config)),
    "mfcc": lambda config: SpectralFrontEnd(config, Mfcc(config)),
    "average": lambda config: SpectralFrontEnd(config, Average(config)),
    "spectrogram": lambda config: SpectralFrontEnd(config, nn.Identity()),
    "specgram": lambda config: SpectralFrontEnd(config, Specgram(config)),
    "micro": MicroFrontEnd,
    "psf_mfcc": PsfMfcc,
    "samples": SampleHops,
}
