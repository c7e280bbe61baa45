"""Networks for the task `trigger`: when one word was spoken, as logits at every step.

``forward`` processes a scene from the zero state; ``step`` continues a stream with the same logits. A stream begins with a few
early frames whose windows reach back before its first sample; scenes have no such frames. Early frames, and steps that see
them, do not change the state: after them the logits of a stream are those of one pass over the entire recording. Their number
follows from the front end and is an argument of ``initial_state``; the state's shape carries it on.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.models.layers import Layers, delay, last_frames
from wordspot.models.recipes import STREAMING
from wordspot.models.recurrent_layers import Gru
from wordspot.models.residual import Residual1d, features_as_image

EARLY_FRAMES = 2  # window / hop - 1, rounded up, for 30 and 10 ms and for 200 and 80 samples
#: Scenes have noise and reverberation already, and their targets depend on where the words are.
_SCENES: dict[str, Any] = {
    "augment.time_shift_ms": 0.0,
    "augment.background_volume": 0.0,
    "augment.background_frequency": 0.0,
}
_NOT_OF_SCENES = ("augment.", "data.")
State = tuple[Tensor, ...]


class Trigger1d(Residual1d):
    """`Residual1d` over a window that moves with each frame, and from a zero state.

    Args:
        window_frames: frames that a step sees: the context of the blocks, and the mean over the rest.
        n_channels: width between the blocks; use 96, with dilations 1,1,2,4,8 and n_local 32, to start from the weights of the
            model in the package.
        expansion, dilations, dropout, n_local: as in `Residual1d`.
    """

    per_step, hop_frames = True, 1
    recipe: ClassVar[dict[str, Any]] = {
        **{name: value for name, value in STREAMING.items() if not name.startswith(_NOT_OF_SCENES)},
        **_SCENES,
        "features": "logmel",
        "features.clip_ms": 10_000.0,
        "training.steps": (2_500,),
        "training.batch_size": 16,
        "training.evaluate_every": 500,
        "augment.gain_db": 6.0,
        "augment.frequency_masks": 2,
    }

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int = 2,
        window_frames: int = 110,
        n_channels: int = 64,
        expansion: int = 2,
        dilations: str = "1,1,2,2,4",
        dropout: float = 0.1,
        n_local: int = 0,
    ) -> None:
        _check_labels(n_labels)
        if not 1 <= window_frames <= n_frames:
            raise ValueError(f"window_frames is {window_frames}, but must be 1 to {n_frames}, the frames of a scene")
        super().__init__(window_frames, n_features, n_labels, n_channels, expansion, dilations, dropout, n_local)

    def early_steps(self, early_frames: int = EARLY_FRAMES) -> int:
        """Steps at the beginning of a stream whose logits see early frames and are meaningless."""
        return early_frames

    def n_steps(self, n_frames: int) -> int:
        """Steps of a scene of so many frames."""
        return n_frames

    def step_ends(self, n_frames: int) -> Tensor:
        """The last frame that each step sees: int64 [n_steps]."""
        return torch.arange(n_frames)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_frames, 2], from the zero state."""
        return self.through(features_as_image(features), super().initial_state(len(features)))[0]

    def initial_state(self, batch: int, early_frames: int = EARLY_FRAMES) -> State:
        """Zeros, the state before a stream: that of `Residual1d`, and whether the last `early_frames` frames count."""
        return (*super().initial_state(batch), self.output.weight.new_zeros(batch, 1, 1, early_frames))

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """features: [batch, k, n_features] → logits [batch, k, 2] at each frame, state."""
        x = features_as_image(features)
        counts, kept = delay(_ones(x), state[-1])
        logits, after = self.through(x, state[:-1], counts)
        return logits, (*after, kept)


class TriggerGru(nn.Module):
    """The network of Andrew Ng's sequence-models course: a strided convolution, two GRU layers, a sigmoid at every step.

    As in Keras: batch norms of momentum 0.99 and epsilon 0.001, its initialisation, GRUs with two sets of biases. There is
    one logit per step and a constant zero for silence, so that the softmax is the sigmoid.

    In a stream a step ends up to 3 frames before the newest one, so that it sees what a step of a scene sees: the windows of
    the convolution begin at every fourth frame of the recording.

    Args:
        n_filters: of the convolution.
        n_units: of each GRU layer.
        dropout: the part that is dropped after the convolution, after each GRU layer, and once more before the last layer.
    """

    per_step, hop_frames = True, 4
    classic: ClassVar[dict[str, Any]] = {
        **_SCENES,
        "features": "specgram",
        "trigger.scenes": "classic",
        "trigger.label_steps": 50,
        "augment.gain_db": 10.0,
        "training.optimizer": "adamw",
        "training.weight_decay": 0.0,  # so it is Adam
        "training.steps": (4_000,),
        "training.learning_rates": (0.0001,),
        "training.schedule": "constant",
        "training.batch_size": 5,
        "training.evaluate_every": 500,
    }
    #: With the course's 0.8, two draws of the dropout give unrelated gradients for the same scenes.
    recipe: ClassVar[dict[str, Any]] = {**classic, "model.dropout": 0.2}

    _KERNEL = 15  # frames

    def __init__(
        self,
        n_frames: int,
        n_features: int,
        n_labels: int = 2,
        n_filters: int = 196,
        n_units: int = 128,
        dropout: float = 0.8,
    ) -> None:
        super().__init__()
        _check_labels(n_labels)
        if n_frames < self._KERNEL:
            raise ValueError(f"a scene has {n_frames} frames, but the convolution spans {self._KERNEL}")
        self.stem = nn.Conv1d(n_features, n_filters, self._KERNEL, self.hop_frames)
        self.stem_norm = _norm(n_filters)
        self.layers: Layers[Gru] = Layers([Gru(n_filters, n_units), Gru(n_units, n_units)])
        self.norms: Layers[nn.BatchNorm1d] = Layers([_norm(n_units), _norm(n_units)])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Conv1d(n_units, 1, 1)
        for weights in (self.stem.weight, self.output.weight, *(layer.weight_ih_l0 for layer in self.layers)):
            nn.init.xavier_uniform_(weights)
        for layer in self.layers:
            nn.init.orthogonal_(layer.weight_hh_l0)
        for name, weights in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weights)

    def n_steps(self, n_frames: int) -> int:
        """Steps of a scene of so many frames: one for each full window of the convolution."""
        return (n_frames - self._KERNEL) // self.hop_frames + 1

    def step_ends(self, n_frames: int) -> Tensor:
        """The last frame that each step sees: int64 [n_steps]."""
        return torch.arange(self.n_steps(n_frames)) * self.hop_frames + self._KERNEL - 1

    def late_frames(self, early_frames: int = EARLY_FRAMES) -> int:
        """Frames that a step of a stream leaves out at the end, so that windows begin where those of a scene do."""
        return (self.hop_frames - self._KERNEL - early_frames) % self.hop_frames

    def early_steps(self, early_frames: int = EARLY_FRAMES) -> int:
        """Steps at the beginning of a stream whose logits see early frames and are meaningless."""
        return (self._KERNEL + early_frames + self.late_frames(early_frames)) // self.hop_frames - 1

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_steps, 2], from the zero state."""
        rows = self._rows(features.transpose(1, 2))
        return self._logits(rows, self._layers_state(len(features)))[0]

    def initial_state(self, batch: int, early_frames: int = EARLY_FRAMES) -> State:
        """Zeros, the state before a stream.

        Frames that the next window needs again [batch, n_features, 11 + late_frames], whether the last steps count
        [batch, 1, early_steps], and the state of each GRU layer [batch, n_units].
        """
        n_kept = self._KERNEL - self.hop_frames + self.late_frames(early_frames)
        zeros = self.stem.weight.new_zeros
        return (
            zeros(batch, self.stem.in_channels, n_kept),
            zeros(batch, 1, self.early_steps(early_frames)),
            *self._layers_state(batch),
        )

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on by a multiple of 4 frames: features [batch, 4 · k, n_features] → logits [batch, k, 2], state."""
        joined = torch.cat([state[0], features.transpose(1, 2)], dim=2)
        late_frames = state[0].shape[2] - (self._KERNEL - self.hop_frames)
        rows = self._rows(joined[..., :-late_frames] if late_frames else joined)
        counts, early = delay(_ones(rows), state[1])
        logits, after = self._logits(rows, state[2:], 1 - counts)
        return logits, (last_frames(joined, state[0].shape[2]), early, *after)

    def _layers_state(self, batch: int) -> State:
        return tuple(layer.initial_state(batch) for layer in self.layers)

    def _rows(self, x: Tensor) -> Tensor:
        """x: [batch, n_features, frames] → [batch, n_filters, steps]."""
        result: Tensor = self.stem_norm(self.stem(x)).relu()
        return result

    def _logits(self, rows: Tensor, state: State, hold: Tensor | None = None) -> tuple[Tensor, State]:
        """rows: [batch, n_filters, k] → logits [batch, k, 2], the GRU layers' state. hold: [batch, 1, k], as `Gru` has it."""
        x, after = self.dropout(rows), []
        held = hold if hold is None else hold.permute(2, 0, 1)
        for layer, norm, before in zip(self.layers, self.norms, state, strict=True):
            hidden, kept = layer.step(x.permute(2, 0, 1), before, held)
            x = norm(self.dropout(hidden).permute(1, 2, 0))
            after.append(kept)
        logit = self.output(self.dropout(x)).transpose(1, 2)
        return nn.functional.pad(logit, (1, 0)), tuple(after)


def _norm(n_channels: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(n_channels, eps=1e-3, momentum=0.01)


def _ones(x: Tensor) -> Tensor:
    """Ones as long along the last axis as `x`, one channel; computed, so that the exported graph works for any length."""
    return x[:, :1] * 0 + 1


def _check_labels(n_labels: int) -> None:
    if n_labels != 2:
        raise ValueError(f"it has {n_labels} labels, but detects one word and needs 2; train it for the task trigger")
