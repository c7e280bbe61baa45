"""Networks that say when a word was spoken: an answer at every step, for the task `trigger`.

``forward`` judges a scene from the zero state and gives an answer for each step; ``step`` goes on with a stream and gives the
same answers. A stream begins with `early_frames` frames that the front end has heard only in part, and that no scene
has. They, and answers that would have heard them, leave no trace in the state: a stream's answers after them are those of
one pass over the whole recording, from the first one on.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wordspot.models.layers import Gru, delay, last_frames
from wordspot.models.recipes import STREAMING
from wordspot.models.residual import Residual1d, features_as_image

_EARLY = 2  # frames: window / hop - 1, rounded up, for 30 and 10 ms and for 200 and 80 samples
#: A scene has noise and rooms of its own, and its words stand where the labels say.
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
        window_frames: frames that an answer hears: the blocks' context, and the mean over the rest.
        n_channels: width between the blocks; to begin with a `residual_1d`'s weights, take its 48.
        expansion, dilations, dropout: as `Residual1d` has them.
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
    ) -> None:
        _check_labels(n_labels)
        if not 1 <= window_frames <= n_frames:
            raise ValueError(f"expected a window of 1 to {n_frames} frames, those of a scene, got {window_frames}")
        super().__init__(window_frames, n_features, n_labels, n_channels, expansion, dilations, dropout)
        self.early_frames = _EARLY

    @property
    def early_steps(self) -> int:
        """Answers of a stream before the first one that has heard whole frames only; they mean nothing."""
        return self.early_frames

    def n_steps(self, n_frames: int) -> int:
        """Answers to a scene of so many frames."""
        return n_frames

    def step_ends(self, n_frames: int) -> Tensor:
        """The last frame that each answer has heard: int64 [n_steps]."""
        return torch.arange(n_frames)

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_frames, 2], from the zero state."""
        return self.through(features_as_image(features), super().initial_state(len(features)))[0]

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins, zeros: that of `Residual1d`, and which of the last frames were heard."""
        return (*super().initial_state(batch), self.output.weight.new_zeros(batch, 1, 1, self.early_frames))

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """features: [batch, k, n_features] → logits [batch, k, 2] at each frame, state."""
        x = features_as_image(features)
        counts, kept = delay(_ones(x), state[-1])
        logits, after = self.through(x, state[:-1], counts)
        return logits, (*after, kept)


class TriggerGru(nn.Module):
    """The network of Andrew Ng's sequence-models course: a strided convolution, two GRU layers, a sigmoid at every step.

    As in Keras: batch norms of momentum 0.99 and epsilon 0.001, its initialisation, GRUs with two sets of biases. There is
    one logit a step; beside it stands a constant zero for silence, so that softmax is the sigmoid.

    In a stream an answer ends up to 3 frames before the newest one, so that it hears what an answer to a scene hears: the
    windows of the convolution begin at every fourth frame of the recording.

    Args:
        n_filters: of the convolution.
        n_units: of each GRU layer.
        dropout: after the convolution, after each GRU layer, and once more before the last layer.
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
    recipe: ClassVar[dict[str, Any]] = classic

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
            raise ValueError(f"its convolution spans {self._KERNEL} frames, a scene has {n_frames}")
        self.early_frames = _EARLY
        self.stem = nn.Conv1d(n_features, n_filters, self._KERNEL, self.hop_frames)
        self.stem_norm = _norm(n_filters)
        self.layers = nn.ModuleList([Gru(n_filters, n_units), Gru(n_units, n_units)])
        self.norms = nn.ModuleList([_norm(n_units), _norm(n_units)])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Conv1d(n_units, 1, 1)
        for weights in (self.stem.weight, self.output.weight, *(layer.weight_ih_l0 for layer in self.layers)):
            nn.init.xavier_uniform_(weights)  # type: ignore[arg-type]
        for layer in self.layers:
            nn.init.orthogonal_(layer.weight_hh_l0)  # type: ignore[arg-type]
        for name, weights in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weights)

    def n_steps(self, n_frames: int) -> int:
        """Answers to a scene of so many frames: one for each whole window of the convolution."""
        return (n_frames - self._KERNEL) // self.hop_frames + 1

    def step_ends(self, n_frames: int) -> Tensor:
        """The last frame that each answer has heard: int64 [n_steps]."""
        return torch.arange(self.n_steps(n_frames)) * self.hop_frames + self._KERNEL - 1

    @property
    def late_frames(self) -> int:
        """Frames by which a stream's answer ends before the newest one: then its windows begin where a scene's do."""
        return (self.hop_frames - self._KERNEL - self.early_frames) % self.hop_frames

    @property
    def early_steps(self) -> int:
        """Answers of a stream before the first one that has heard whole frames only; they mean nothing."""
        return (self._KERNEL + self.early_frames + self.late_frames) // self.hop_frames - 1

    def forward(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_steps, 2], from the zero state."""
        rows = self._rows(features.transpose(1, 2))
        return self._answers(rows, self._layers_state(len(features)))[0]

    def initial_state(self, batch: int) -> State:
        """The state before a stream begins, zeros.

        Frames that the next window takes again [batch, n_features, 11 + late_frames], which of the last steps were heard
        [batch, 1, early_steps], and each GRU layer's state [batch, n_units].
        """
        n_kept = self._KERNEL - self.hop_frames + self.late_frames
        zeros = self.stem.weight.new_zeros
        return (
            zeros(batch, self.stem.in_channels, n_kept),
            zeros(batch, 1, self.early_steps),
            *self._layers_state(batch),
        )

    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on by a multiple of 4 frames: features [batch, 4 · k, n_features] → logits [batch, k, 2], state."""
        joined = torch.cat([state[0], features.transpose(1, 2)], dim=2)
        rows = self._rows(joined[..., : -self.late_frames] if self.late_frames else joined)
        counts, heard = delay(_ones(rows), state[1])
        logits, after = self._answers(rows, state[2:], 1 - counts)
        return logits, (last_frames(joined, state[0].shape[2]), heard, *after)

    def _layers_state(self, batch: int) -> State:
        return tuple(layer.initial_state(batch) for layer in self.layers)  # type: ignore[operator]

    def _rows(self, x: Tensor) -> Tensor:
        """x: [batch, n_features, frames] → [batch, n_filters, steps]."""
        return self.stem_norm(self.stem(x)).relu()

    def _answers(self, rows: Tensor, state: State, hold: Tensor | None = None) -> tuple[Tensor, State]:
        """rows: [batch, n_filters, k] → logits [batch, k, 2], the GRU layers' state. hold: [batch, 1, k], as `Gru` has it."""
        x, after = self.dropout(rows), []
        held = hold if hold is None else hold.permute(2, 0, 1)
        for layer, norm, before in zip(self.layers, self.norms, state, strict=True):
            hidden, kept = layer.step(x.permute(2, 0, 1), before, held)  # type: ignore[operator]
            x = norm(self.dropout(hidden).permute(1, 2, 0))
            after.append(kept)
        logit = self.output(self.dropout(x)).transpose(1, 2)
        return nn.functional.pad(logit, (1, 0)), tuple(after)


def _norm(n_channels: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(n_channels, eps=1e-3, momentum=0.01)


def _ones(x: Tensor) -> Tensor:
    """Ones, as many along the last axis as `x` has, and one channel: by arithmetic, which is exported for any number."""
    return x[:, :1] * 0 + 1


def _check_labels(n_labels: int) -> None:
    if n_labels != 2:
        raise ValueError(
            f"it tells one word from all else: expected 2 labels, got {n_labels}; train it with --task trigger"
        )
