"""The six networks of TensorFlow's speech_commands example, to their exact shapes and initialisation.

Every weight starts from a normal distribution cut at two sigma (sigma 0.01, `SingleFc` 0.001), every bias from zero.
Feature maps are flattened in the order time, frequency, channel, as TensorFlow does.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.models.layers import Dropout, SamePad2d, Svdf

_CLASSIC: dict[str, Any] = {
    "features": "mfcc",
    "data.unknown_pool": "first",
    "data.noise_split": "shared",
    "training.steps": (15_000, 3_000),
    "training.learning_rates": (0.001, 0.0001),
    "training.optimizer": "sgd",
}
_RECIPE: dict[str, Any] = {
    "training.steps": (5_000,),
    "training.learning_rates": (0.001,),
    "training.optimizer": "adamw",
    "training.weight_decay": 0.01,
    "training.schedule": "cosine",
    "training.warmup_steps": 200,
}


class SingleFc(nn.Module):
    """One fully connected layer over all features."""

    recipe: ClassVar = _RECIPE
    classic: ClassVar = _CLASSIC

    def __init__(self, n_frames: int, n_features: int, n_labels: int) -> None:
        super().__init__()
        self.output = _linear(n_frames * n_features, n_labels, sigma=0.001)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.output(features.flatten(1))
        return logits


class Conv(nn.Module):
    """Two convolutions with a max-pool between (Sainath & Parada 2015, cnn-trad-fpool3)."""

    recipe: ClassVar = {**_RECIPE, "training.steps": (2_500,), "training.precision": "auto"}
    classic: ClassVar = _CLASSIC

    def __init__(self, n_frames: int, n_features: int, n_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            SamePad2d((20, 8)),
            _conv(1, 64, (20, 8)),
            nn.ReLU(),
            Dropout(dropout),
            nn.MaxPool2d(2, ceil_mode=True),
            SamePad2d((10, 4)),
            _conv(64, 64, (10, 4)),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.output = _linear(-(-n_frames // 2) * -(-n_features // 2) * 64, n_labels)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.output(_flatten(self.layers(_image(features))))
        return logits


class LowLatencyConv(nn.Module):
    """One convolution over all frames, then three linear layers with nothing between (cnn-one-fstride4)."""

    recipe: ClassVar = _RECIPE
    classic: ClassVar = {
        **_CLASSIC,
        "training.steps": (20_000, 6_000),
        "training.learning_rates": (0.01, 0.001),
    }

    def __init__(self, n_frames: int, n_features: int, n_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        if n_features < 8:
            raise ValueError(f"its filters span 8 features, got {n_features}")
        self.layers = nn.Sequential(_conv(1, 186, (n_frames, 8)), nn.ReLU(), Dropout(dropout))
        self.head = nn.Sequential(
            _linear((n_features - 7) * 186, 128),
            Dropout(dropout),
            _linear(128, 128),
            Dropout(dropout),
            _linear(128, n_labels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.head(_flatten(self.layers(_image(features))))
        return logits


class LowLatencySvdf(nn.Module):
    """An SVDF layer and three linear layers (Nakkiran et al. 2015). It streams."""

    recipe: ClassVar = _RECIPE
    classic: ClassVar = {
        **_CLASSIC,
        "training.steps": (100_000, 35_000),
        "training.learning_rates": (0.01, 0.005),
    }

    def __init__(
        self, n_frames: int, n_features: int, n_labels: int, rank: int = 2, n_units: int = 1280, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.svdf = Svdf(n_frames, n_features, n_units, rank)
        _init(self.svdf.frequency)
        _init(self.svdf.time)
        self.head = nn.Sequential(
            nn.ReLU(),
            Dropout(dropout),
            _linear(n_units, 256),
            Dropout(dropout),
            _linear(256, 256),
            Dropout(dropout),
            _linear(256, n_labels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.head(self.svdf(features))
        return logits

    def windows(self, features: Tensor, stride: int) -> Tensor:
        """The logits of every window of a scene, `stride` frames apart: see `streaming.SceneNetwork`."""
        before, rest = features[:, : self.svdf.n_frames - 1], features[:, self.svdf.n_frames - 1 :]
        _, state = self.svdf.step(before, self.svdf.initial_state(len(features)))
        hidden, _ = self.svdf.step(rest, state)
        logits: Tensor = self.head(hidden[:, ::stride])
        return logits

    def initial_state(self, batch: int) -> Tensor:
        """The state before a stream begins: [batch, filters, n_frames - 1]."""
        return self.svdf.initial_state(batch)

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """features: [batch, k, n_features] → logits [batch, k, n_labels] of the clips that end at each frame, state."""
        hidden, state = self.svdf.step(features, state)
        return self.head(hidden), state


class TinyConv(nn.Module):
    """One strided convolution: small enough for a microcontroller."""

    recipe: ClassVar = _RECIPE
    classic: ClassVar = _CLASSIC

    def __init__(self, n_frames: int, n_features: int, n_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(SamePad2d((10, 8), stride=2), _conv(1, 8, (10, 8), stride=2), nn.ReLU(), Dropout(dropout))
        self.output = _linear(-(-n_frames // 2) * -(-n_features // 2) * 8, n_labels)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.output(_flatten(self.layers(_image(features))))
        return logits


class TinyEmbeddingConv(nn.Module):
    """Two strided convolutions and a very small last layer."""

    recipe: ClassVar = _RECIPE
    classic: ClassVar = _CLASSIC

    def __init__(self, n_frames: int, n_features: int, n_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            SamePad2d((10, 8), stride=2),
            _conv(1, 8, (10, 8), stride=2),
            nn.ReLU(),
            Dropout(dropout),
            SamePad2d((10, 8), stride=8),
            _conv(8, 8, (10, 8), stride=8),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.output = _linear(_after_both(n_frames) * _after_both(n_features) * 8, n_labels)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        logits: Tensor = self.output(_flatten(self.layers(_image(features))))
        return logits


def _image(features: Tensor) -> Tensor:
    """[batch, frames, features] → [batch, 1, frames, features], in the memory order that flattens without a copy."""
    return features.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def _flatten(maps: Tensor) -> Tensor:
    """[batch, channels, time, frequency] → [batch, time · frequency · channels]."""
    return maps.permute(0, 2, 3, 1).flatten(1)


def _after_both(size: int) -> int:
    """What strides of 2 and then 8 leave of `size`."""
    halved = -(-size // 2)
    return -(-halved // 8)


def _conv(n_in: int, n_out: int, kernel: tuple[int, int], stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, kernel, stride)
    _init(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _linear(n_in: int, n_out: int, sigma: float = 0.01) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    _init(layer.weight, sigma)
    nn.init.zeros_(layer.bias)
    return layer


def _init(weight: Tensor, sigma: float = 0.01) -> None:
    nn.init.trunc_normal_(weight, std=sigma, a=-2 * sigma, b=2 * sigma)
