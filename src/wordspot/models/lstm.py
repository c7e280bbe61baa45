"""The classic network that distinguishes human from synthetic speech: stacked LSTMs over an entire recording."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.models.layers import Layers
from wordspot.models.recurrent_layers import Lstm as LstmLayer

SCALINGS = ("min_max", "z_score", "none")
_SILENCE = -30.0  # coefficient 0 of psf_mfcc: digital silence is log(2**-52) = -36.04, one sample of 1/32768 is -0.7
_PARTLY = 2  # windows of 25 ms every 10 ms that begin before the end of a recording and extend past it
_LAST_UNITS = 13


class Lstm(nn.Module):
    """Every coefficient scaled over the recording's own frames, stacked LSTMs, the last hidden state → one sigmoid.

    A recording occupies the first of `n_frames` frames of `psf_mfcc`. Digital silence after it is padding, and so are the two
    frames before the silence, which contain only part of the recording's end. Padding is zero after scaling.

    With two labels there is one logit for the first and a constant zero, so that the softmax is the sigmoid. Initialisation
    is as in Keras: orthogonal, and a forget gate with bias 1.

    Args:
        n_units: of each layer but the last, which has 13 units; a single layer has `n_units`.
        n_layers: 4 are 78, 78, 78 and 13; 3 are 78, 78 and 13; 2 are 78 and 13; 1 is 78.
        masked: take the output after the last frame of the recording. If false, as in the original, take it after all frames,
            however many of them are padding.
        scaling: each recording's coefficients ``min_max`` to [0, 1], by ``z_score`` to mean 0 and variance 1, or ``none``.
    """

    classic: ClassVar[dict[str, Any]] = {
        "features": "psf_mfcc",
        "features.clip_ms": 50_128.345,  # 5000 frames: windows of 551 samples, one each 221
        "recordings.whole": True,
        "augment.time_shift_ms": 0.0,
        "augment.background_volume": 0.0,
        "augment.background_frequency": 0.0,
        "training.loss": "squared_error",
        "training.optimizer": "adamw",
        "training.weight_decay": 0.0,  # so it is Adam
        "training.steps": (600,),
        "training.learning_rates": (0.001,),
        "training.schedule": "constant",
        "training.batch_size": 20,
        "training.evaluate_every": 100,
        "training.save_every": 100,
        "training.keep_checkpoints": 6,
        "model.masked": False,
    }
    recipe: ClassVar[dict[str, Any]] = {**classic, "model.masked": True}

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int = 2,
        n_units: int = 78,
        n_layers: int = 4,
        masked: bool = True,
        scaling: str = "min_max",
    ) -> None:
        super().__init__()
        if n_labels < 2 or n_layers < 1 or n_units < 1:
            raise ValueError(f"at least 2 labels, 1 layer and 1 unit are needed, got {n_labels}, {n_layers} and {n_units}")
        if scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
        self.masked, self.scaling = bool(masked), scaling
        widths = [n_features, *[n_units] * (n_layers - 1), _LAST_UNITS if n_layers > 1 else n_units]
        self.layers: Layers[LstmLayer] = Layers(LstmLayer(a, b) for a, b in itertools.pairwise(widths))
        self.output = nn.Linear(widths[-1], 1 if n_labels == 2 else n_labels)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        for layer in self.layers:
            _initialise(layer)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels]."""
        lengths = own_frames(features)
        if self.masked and not torch.compiler.is_exporting():
            features = features[:, : int(lengths.max())]
        x = _scaled(features, lengths, self.scaling).transpose(0, 1)
        last = x[0]
        for layer in self.layers:
            x, last = layer.run(x, lengths if self.masked else None)
        logits: Tensor = self.output(last)
        return nn.functional.pad(logits, (0, 1)) if logits.shape[1] == 1 else logits


def own_frames(features: Tensor) -> Tensor:
    """The number of frames of [batch, n_frames, n_features] before the padding: int32 [batch], at least 1."""
    n_frames = features.shape[1]
    ends = torch.where(features[..., 0] > _SILENCE, _numbers(features), 0).amax(dim=1)
    return torch.where(ends < n_frames, ends - _PARTLY, ends).clamp(min=1)


def _scaled(features: Tensor, lengths: Tensor, scaling: str) -> Tensor:
    """Each coefficient scaled over the first `lengths` frames, zeros after them; a constant coefficient becomes 0."""
    own = (_numbers(features) <= lengths[:, None])[..., None]
    if scaling == "min_max":
        low = torch.where(own, features, _LARGE).amin(dim=1, keepdim=True)
        width = torch.where(own, features, -_LARGE).amax(dim=1, keepdim=True) - low
        features = (features - low) / torch.where(width > 0, width, 1.0)
    elif scaling == "z_score":
        n_own = lengths[:, None, None].to(features.dtype)
        features = features - torch.where(own, features, 0.0).sum(dim=1, keepdim=True) / n_own
        variance = torch.where(own, features.square(), 0.0).sum(dim=1, keepdim=True) / n_own
        features = features / torch.where(variance > _SMALL, variance, 1.0).sqrt()
    return torch.where(own, features, 0.0)


def _numbers(features: Tensor) -> Tensor:
    """The frames counted from 1: int32 [n_frames]."""
    return torch.arange(1, features.shape[1] + 1, dtype=torch.int32, device=features.device)


_LARGE = 1e30
_SMALL = 1e-8  # variance of a constant, by rounding


def _initialise(layer: Any) -> None:
    """Keras's initialisation; torch has two sets of biases, and gates in the order input, forget, cell, output."""
    nn.init.xavier_uniform_(layer.weight_ih_l0)
    nn.init.orthogonal_(layer.weight_hh_l0)
    nn.init.zeros_(layer.bias_hh_l0)
    with torch.no_grad():
        layer.bias_ih_l0.zero_()[layer.hidden_size : 2 * layer.hidden_size] = 1
