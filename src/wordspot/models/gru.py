"""A gated recurrent network on a convolution over a few frames: the streaming network with the smallest state."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from wordspot.models.layers import Layers, ValidConv2d
from wordspot.models.recipes import STREAMING
from wordspot.models.recurrent_layers import Gru as GruLayer

_KERNEL = 5  # frames that an output of the convolution sees
State = tuple[Tensor, ...]


class Gru(nn.Module):
    """A convolution over 5 frames, GRU layers, and a linear layer at every frame.

    Its memory is unbounded, so its logits on a stream differ from those for the clip that ends there; they equal those of one
    pass over the entire recording. Training starts each clip from a zero state and uses the logits of the last frame.

    Args:
        n_units: width of the convolution and of each GRU layer.
        n_layers: GRU layers.
        stride: of the convolution over time. 2 halves the training time and the rate of the logits.
        dropout: before each GRU layer and before the last layer.
    """

    recipe: ClassVar[dict[str, Any]] = {**STREAMING, "training.steps": (6_000,)}

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int,
        n_units: int = 60,
        n_layers: int = 2,
        stride: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if n_layers < 1 or not 1 <= stride <= min(_KERNEL, n_frames):
            raise ValueError(f"a GRU needs at least one layer and a stride of 1 to {_KERNEL}, got {n_layers} and {stride}")
        self.hop_frames = stride
        self.stem = ValidConv2d(n_features, n_units, (1, _KERNEL), stride=(1, self.hop_frames), bias=False)
        self.stem_norm = nn.BatchNorm2d(n_units)
        self.layers: Layers[GruLayer] = Layers(GruLayer(n_units, n_units) for _ in range(n_layers))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Conv1d(n_units, n_labels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels] at the last frame, from a zero state."""
        rest = features.shape[1] % self.hop_frames
        hidden, _ = self._hidden(features[:, rest:], self.initial_state(len(features)))
        logits: Tensor = self._logits(hidden[-1:]).squeeze(1)
        return logits

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins: of the convolution and of each GRU layer [batch, n_units], zeros."""
        return (self.stem.initial_state(batch, 1), *(layer.initial_state(batch) for layer in self.layers))

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on by k frames, a multiple of `hop_frames`: features [batch, k, n_features].

        Returns:
            logits [batch, k / hop_frames, n_labels] at every `hop_frames`-th frame, given all frames so far, and the state.
        """
        hidden, state = self._hidden(features, state)
        return self._logits(hidden), state

    def _hidden(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """features: [batch, k, n_features] → what the last GRU layer gives [k / hop_frames, batch, n_units], state."""
        x, kept = self.stem.step(features.transpose(1, 2).unsqueeze(2), state[0])
        x, after = self.stem_norm(x).relu().squeeze(2).permute(2, 0, 1), [kept]
        for layer, before in zip(self.layers, state[1:], strict=True):
            x, kept = layer.step(self.dropout(x), before)
            after.append(kept)
        return x, tuple(after)

    def _logits(self, hidden: Tensor) -> Tensor:
        """hidden: [k, batch, n_units] → logits [batch, k, n_labels]."""
        logits: Tensor = self.output(self.dropout(hidden).permute(1, 2, 0)).transpose(1, 2)
        return logits
